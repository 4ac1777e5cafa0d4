"""Time ranges that a query is restricted to (`at:`), and clipping of everything found to them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.query.times import OPEN_END_SECONDS
from vsearch.types import Features, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.query.model import Query
    from vsearch.search.moments import MomentCandidate
    from vsearch.types import Explanation, Moment


@dataclass(frozen=True, slots=True)
class TimeRanges:
    """Parts of every video, in seconds, ascending and disjoint."""

    spans: tuple[Span, ...]

    @classmethod
    def from_query(cls, query: Query) -> TimeRanges | None:
        """Return the ranges that the filters of a query allow; None: all times."""
        included, excluded = query.filters.spans, query.exclude.spans
        if not included and not excluded:
            return None
        remaining_spans = _merge_spans(included) if included else [Span(0.0, OPEN_END_SECONDS)]
        for excluded_span in _merge_spans(excluded):
            remaining_spans = [
                part for span in remaining_spans for part in _subtract_span(span, excluded_span)
            ]
        return cls(tuple(remaining_spans))

    def clip(self, span: Span) -> Span | None:
        """Return the longest part of a span inside one range; None if it is outside of all."""
        shared_spans = [
            Span(max(span.start, allowed.start), min(span.end, allowed.end))
            for allowed in self.spans
            if span.overlaps(allowed) or allowed.start <= span.start == span.end < allowed.end
        ]
        return max(shared_spans, key=lambda shared: shared.duration, default=None)

    def split(self, span: Span) -> list[Span]:
        """Return the part of a span in each range that it overlaps, in chronological order."""
        parts = (TimeRanges((allowed,)).clip(span) for allowed in self.spans)
        return [part for part in parts if part is not None]

    def contains(self, time_seconds: float) -> bool:
        """Return True if a time is inside a range."""
        return any(allowed.start <= time_seconds < allowed.end for allowed in self.spans)

    def split_candidate(self, candidate: MomentCandidate) -> list[MomentCandidate]:
        """Return the part of a candidate in each range; the candidate itself if it is in none."""
        parts: list[MomentCandidate] = []
        for allowed in self.spans:
            single_range = TimeRanges((allowed,))
            part_span = single_range.clip(candidate.span)
            context_spans = tuple(
                clipped
                for context_span in candidate.context_spans
                if (clipped := single_range.clip(context_span)) is not None
            )
            if part_span is None or not context_spans:
                continue
            peak_span = single_range.clip(candidate.peak_span) or max(
                context_spans, key=lambda span: (span.overlaps(part_span), span.duration)
            )
            parts.append(
                replace(candidate, span=part_span, peak_span=peak_span, context_spans=context_spans)
            )
        return parts or [candidate]

    def clip_candidate(self, candidate: MomentCandidate) -> MomentCandidate:
        """Return the part of a candidate in the range that contains most of its peak segment."""

        def peak_overlap(part: MomentCandidate) -> float:
            peak_span = candidate.peak_span
            return min(peak_span.end, part.span.end) - max(peak_span.start, part.span.start)

        return max(self.split_candidate(candidate), key=peak_overlap)

    def select_frames(self, frame_features: Features, peak_span: Span) -> Features:
        """Return the frames inside the ranges.

        Args:
            frame_features: Frames of one video.
            peak_span: Span inside a range; the frame nearest to its middle stands for it if there
                is no frame inside the ranges.
        """
        is_inside = [
            self.contains(frame_time) for frame_time in frame_features.frame_times.tolist()
        ]
        if any(is_inside) or not len(frame_features.frame_times):
            return Features(
                frame_features.space,
                frame_features.frame_vectors[is_inside],
                frame_features.frame_times[is_inside],
            )
        middle_time = (peak_span.start + peak_span.end) / 2
        nearest_frame = int(np.abs(frame_features.frame_times - middle_time).argmin())
        return Features(
            frame_features.space,
            frame_features.frame_vectors[nearest_frame : nearest_frame + 1],
            np.array([middle_time]),
        )

    def clip_moments(self, moments: Iterable[Moment]) -> list[Moment]:
        """Clip moments with their peaks and steps, and drop those outside of the ranges."""
        return [
            clipped_moment
            for moment in moments
            if (clipped_moment := self._clip_moment(moment)) is not None
        ]

    def _clip_moment(self, moment: Moment) -> Moment | None:
        explanation = moment.explanation
        step_spans = tuple(
            clipped for span in explanation.step_spans if (clipped := self.clip(span)) is not None
        )
        if len(step_spans) < len(explanation.step_spans):
            return None
        if step_spans:  # the steps may lie in different ranges
            clipped_span: Span | None = Span(
                step_spans[0].start, max(step_span.end for step_span in step_spans)
            )
        else:
            clipped_span = self.clip(moment.span)
        if clipped_span is None:
            return None
        return replace(
            moment,
            span=clipped_span,
            explanation=self._clip_explanation(explanation, clipped_span, step_spans),
        )

    def _clip_explanation(
        self, explanation: Explanation, moment_span: Span, step_spans: tuple[Span, ...]
    ) -> Explanation:
        peak_span = step_spans[0] if step_spans else moment_span
        is_peak_inside = self.contains(explanation.peak_time)
        peak_time = min(max(explanation.peak_time, peak_span.start), peak_span.end)
        return replace(
            explanation,
            peak_time=explanation.peak_time if is_peak_inside else peak_time,
            step_spans=step_spans,
        )


def _merge_spans(spans: Sequence[Span]) -> list[Span]:
    """Return the union of spans, ascending and disjoint."""
    merged_spans: list[Span] = []
    for span in sorted(spans):
        if merged_spans and span.start <= merged_spans[-1].end:
            last_span = merged_spans.pop()
            span = Span(last_span.start, max(last_span.end, span.end))
        merged_spans.append(span)
    return merged_spans


def _subtract_span(span: Span, excluded: Span) -> list[Span]:
    """Return the parts of a span before and after another one."""
    if not span.overlaps(excluded):
        return [span]
    parts = []
    if span.start < excluded.start:
        parts.append(Span(span.start, excluded.start))
    if excluded.end < span.end:
        parts.append(Span(excluded.end, span.end))
    return parts
