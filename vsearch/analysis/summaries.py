"""Video summaries: the excerpts that cover a video best within a given length.

The candidates are windows within segments, selected by `CoverageObjective`. The rest of the budget
lets the selected windows grow within their segments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.analysis.coverage import CoverageObjective, FrameSimilarity
from vsearch.errors import QueryError
from vsearch.query.arguments import check_number
from vsearch.query.times import parse_duration
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from typing import Self

    from vsearch.types import Features, Vector

MIN_EXCERPT_SECONDS, MAX_EXCERPT_SECONDS = 2.0, 5.0
_MERGE_GAP_SECONDS = 1e-6
_EXCERPT_GROWTH = 0.4  # times the square root of the length: excerpts of 4 s in 100 s


@dataclass(frozen=True, slots=True)
class SummaryInput:
    """A video to summarize."""

    video_path: Path
    frame_features: Features
    segment_spans: Sequence[Span]  # tile the video along its shots
    duration: float  # seconds


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A selected span."""

    span: Span
    peak_time: float  # seconds, of its representative frame
    video_share: float  # in [0, 1], share of the video most similar to this excerpt
    query_similarity: float | None = None  # of the representative frame


@dataclass(frozen=True, slots=True)
class SummaryResult:
    """The excerpts of a video."""

    video_path: Path
    duration: float  # of the video, in seconds
    excerpts: tuple[Excerpt, ...]  # in order, without overlaps
    coverage: float  # in [0, 1], weighted coverage of the video

    @property
    def total_seconds(self) -> float:
        """Total duration of the excerpts in seconds."""
        return math.fsum(excerpt.span.duration for excerpt in self.excerpts)


def build_summary(
    summary_input: SummaryInput, summary_length: SummaryLength, query_vector: Vector | None = None
) -> SummaryResult:
    """Select the excerpts that cover a video, or its parts relevant to a query, within a length.

    An excerpt is a part of a segment, or of several adjacent ones. The result is deterministic. The
    summary is the whole video if the length allows, and can be shorter than requested because
    content is not repeated.

    Args:
        summary_input: The video.
        summary_length: Longest summary.
        query_vector: Query, float32 (D,) of unit length, or None.

    Returns:
        The summary.
    """
    features, spans = summary_input.frame_features, summary_input.segment_spans
    duration = summary_input.duration
    if not (duration > 0 and spans and len(features.frame_times)):
        return SummaryResult(summary_input.video_path, max(duration, 0.0), (), 0.0)
    budget_seconds = summary_length.resolve_seconds(duration)
    similarity = FrameSimilarity(features, duration, len(spans), query_vector)
    if budget_seconds >= duration - _MERGE_GAP_SECONDS:
        return _assemble_summary([Span(0.0, duration)], similarity, summary_input)
    excerpt_seconds = min(_EXCERPT_GROWTH * math.sqrt(budget_seconds), MAX_EXCERPT_SECONDS)
    excerpt_seconds = min(max(excerpt_seconds, MIN_EXCERPT_SECONDS), budget_seconds)
    windows = [
        _center_window(similarity.find_peak_time(span), excerpt_seconds, span) for span in spans
    ]
    objective = CoverageObjective(
        similarity.compute_coverage(windows), similarity.importance_weights
    )
    selected = objective.select_candidates([window.duration for window in windows], budget_seconds)
    excerpt_spans = _grow_excerpts(
        [(windows[candidate], spans[candidate]) for candidate in sorted(selected)], budget_seconds
    )
    return _assemble_summary(excerpt_spans, similarity, summary_input)


def _grow_excerpts(selected_windows: list[tuple[Span, Span]], budget_seconds: float) -> list[Span]:
    """Let windows share the rest of the budget within their segments; merge adjacent ones."""
    seconds = [window.duration for window, _ in selected_windows]
    spare_seconds = [segment.duration - window.duration for window, segment in selected_windows]
    by_spare_seconds = sorted(range(len(seconds)), key=spare_seconds.__getitem__)
    for done_count, index in enumerate(by_spare_seconds):
        extra_seconds = (budget_seconds - math.fsum(seconds)) / (len(seconds) - done_count)
        seconds[index] += max(0.0, min(extra_seconds, spare_seconds[index]))
    excerpt_spans: list[Span] = []
    for (window, segment), target_seconds in zip(selected_windows, seconds, strict=True):
        span = _center_window((window.start + window.end) / 2, target_seconds, segment)
        is_adjacent = excerpt_spans and span.start - excerpt_spans[-1].end < _MERGE_GAP_SECONDS
        excerpt_spans.append(Span(excerpt_spans.pop().start, span.end) if is_adjacent else span)
    return excerpt_spans


def _assemble_summary(
    excerpt_spans: Sequence[Span], frame_similarity: FrameSimilarity, summary_input: SummaryInput
) -> SummaryResult:
    """Build the result from the excerpts."""
    video_shares = frame_similarity.compute_shares(excerpt_spans)
    coverage_value = CoverageObjective(
        frame_similarity.compute_coverage(excerpt_spans), frame_similarity.importance_weights
    ).compute_value(range(len(excerpt_spans)))
    excerpts = []
    for span, video_share in zip(excerpt_spans, video_shares, strict=True):
        peak_time = frame_similarity.find_peak_time(span)
        excerpts.append(
            Excerpt(span, peak_time, video_share, frame_similarity.get_relevance_at(peak_time))
        )
    return SummaryResult(
        summary_input.video_path, summary_input.duration, tuple(excerpts), coverage_value
    )


def _center_window(center_time: float, window_seconds: float, outer_span: Span) -> Span:
    """Return a window centered on a time as closely as the outer span allows."""
    window_seconds = min(window_seconds, outer_span.duration)
    window_start = min(
        max(center_time - window_seconds / 2, outer_span.start), outer_span.end - window_seconds
    )
    return Span(window_start, window_start + window_seconds)


# Lengths of summaries.


@dataclass(frozen=True, slots=True)
class SummaryLength:
    """A length in seconds, or as a share of the video.

    Raises:
        ValueError: If not exactly one of the two is given.
        QueryError: If the value is out of range.
    """

    seconds: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        length_value = self.seconds if self.share is None else self.share
        if (self.seconds is None) == (self.share is None) or length_value is None:
            raise ValueError("a length must be either seconds or a share")
        if not (math.isfinite(length_value) and length_value > 0):
            raise QueryError(f"invalid summary length {length_value:g}: it must be above 0")
        if self.share is not None and self.share > 1:
            raise QueryError(f"{100 * self.share:g}% is longer than the video itself")

    @classmethod
    def parse(cls, length_text: str) -> Self:
        """Parse a share such as `10%`, or a duration such as `30s`, `1m30s`, `90` or `1:30`.

        Args:
            length_text: The text; see `parse_duration`.

        Returns:
            The length.

        Raises:
            QueryError: If the text is not a valid length.
        """
        compact_text = "".join(length_text.split())
        is_share = compact_text.endswith("%")
        try:
            length_value = (
                float(compact_text[:-1]) / 100 if is_share else parse_duration(compact_text)
            )
        except (ValueError, QueryError) as error:
            raise QueryError(
                f"{length_text!r} is not a valid length: write 30s, 1m30s, 90 or 10%"
            ) from error
        return cls(share=length_value) if is_share else cls(seconds=length_value)

    @classmethod
    def from_value(cls, length_value: SummaryLength | str | float) -> SummaryLength:
        """Convert text, a number of seconds or a `SummaryLength`.

        Args:
            length_value: The value.

        Returns:
            The length.

        Raises:
            QueryError: If the value is not a valid length.
        """
        if isinstance(length_value, SummaryLength):
            return length_value
        return (
            cls.parse(length_value)
            if isinstance(length_value, str)
            else cls(seconds=check_number(length_value, "the length"))
        )

    def resolve_seconds(self, video_duration: float) -> float:
        """Return the length in seconds for a video of `video_duration` seconds."""
        target_seconds = self.seconds if self.share is None else self.share * video_duration
        return min(target_seconds or 0.0, video_duration)
