"""Moment candidates: merge scored neighboring segments of a video into events.

Each event grows from a local maximum of the score by seeded region growing, which partitions the
time axis like a watershed transform does an image: every segment belongs to one event at most.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Matrix, Segment, Vector

# a neighbor joins a region if it keeps this share of the peak's lead over the baseline score,
MIN_RELATIVE_SCORE = 0.5
# and is this similar to the peak: 0 is the mean similarity of two segments, 1 is identity
SCENE_SIMILARITY = 0.5
MAX_MOMENT_SECONDS = 60.0  # a whole film about dogs is not one moment
BOUNDARY_SEARCH_SECONDS = 8.0  # context before and after a region for boundary refinement


class RankedCandidate(Protocol):
    """Anything with a score and a place in a video."""

    @property
    def video_id(self) -> int:
        """Id of its video."""

    @property
    def span(self) -> Span:
        """Span in seconds."""

    @property
    def score(self) -> float:
        """Score; higher is better."""


CandidateT = TypeVar("CandidateT", bound=RankedCandidate)
SegmentTimes: TypeAlias = "Sequence[Sequence[float]]"  # (start, end) of each segment in seconds


@dataclass(frozen=True, slots=True)
class MomentCandidate:
    """Consecutive segments that show one event, before boundary refinement."""

    video_id: int
    span: Span
    score: float  # of its peak segment
    segment_count: int
    first_index: int  # of its first segment in the video
    peak_index: int  # of its best segment in the video
    peak_span: Span  # of the peak segment
    context_spans: tuple[Span, ...]  # its segments and the neighbors it may extend into
    hubness_penalty: float = 0.0  # of its peak segment, already subtracted from the score


@dataclass(frozen=True, slots=True)
class Baseline:
    """Mean similarity of unrelated segments, and of a random segment and the query."""

    score: float  # mean score of the query over the library
    mean_similarity: float  # mean cosine of two segments, below 1

    @property
    def scene_threshold(self) -> float:
        """Cosine from which on two segments count as the same scene."""
        return self.mean_similarity + SCENE_SIMILARITY * (1 - self.mean_similarity)


class PeakRegion(NamedTuple):
    """Indexes of an event's segments in a video or a run of segments; all inclusive."""

    peak_index: int
    first_index: int
    last_index: int
    context_first: int  # first segment that boundary refinement may extend into
    context_last: int


def iter_candidates(
    segments: Sequence[Segment],
    segment_vectors: Matrix,
    segment_scores: Vector,
    baseline: Baseline,
    allowed_mask: Sequence[bool] | None = None,
) -> Iterator[MomentCandidate]:
    """Yield the candidate moments of one video, best first.

    Args:
        segments: All segments of the video in order.
        segment_vectors: float32 (N, D) of unit length.
        segment_scores: float32 (N,).
        baseline: Baseline similarities of the query in this library.
        allowed_mask: Segments that a moment may contain; None: all.
    """
    segment_times = [(segment.span.start, segment.span.end) for segment in segments]
    for peak_region in iter_regions(
        segment_times, segment_vectors, segment_scores, baseline, allowed_mask
    ):
        yield build_candidate(
            segments[peak_region.peak_index].video_id,
            segment_times,
            peak_region,
            float(segment_scores[peak_region.peak_index]),
        )


def build_candidate(
    video_id: int, segment_times: SegmentTimes, peak_region: PeakRegion, peak_score: float
) -> MomentCandidate:
    """Convert a region of segments into a candidate moment."""
    return MomentCandidate(
        video_id,
        Span(segment_times[peak_region.first_index][0], segment_times[peak_region.last_index][1]),
        peak_score,
        peak_region.last_index - peak_region.first_index + 1,
        peak_region.first_index,
        peak_region.peak_index,
        Span(*segment_times[peak_region.peak_index]),
        tuple(
            Span(*time_pair)
            for time_pair in segment_times[peak_region.context_first : peak_region.context_last + 1]
        ),
    )


def iter_regions(
    segment_times: SegmentTimes,
    segment_vectors: Matrix,
    segment_scores: Vector,
    baseline: Baseline,
    allowed_mask: Sequence[bool] | None = None,
    peak_indexes: Sequence[int] | None = None,
) -> Iterator[PeakRegion]:
    """Partition consecutive segments of a video into events, best first.

    A segment belongs to one event at most.

    Args:
        segment_times: Start and end of each segment in seconds, in order.
        segment_vectors: float32 (N, D) of unit length.
        segment_scores: float32 (N,).
        baseline: Baseline similarities of the query in this library.
        allowed_mask: Segments that a region may contain; None: all.
        peak_indexes: Seeds, best first, that together contain every global maximum; None: all
            segments.

    Yields:
        One region per seed that is not part of an earlier region.
    """
    searchable_mask = [True] * len(segment_times) if allowed_mask is None else list(allowed_mask)
    free_mask = searchable_mask.copy()
    peak_order = (
        np.argsort(-segment_scores, kind="stable").tolist()
        if peak_indexes is None
        else peak_indexes
    )
    score_list = segment_scores.tolist()
    for peak_index in peak_order:
        if free_mask[peak_index]:
            first_index, last_index = grow_region(
                segment_times, segment_vectors, score_list, peak_index, baseline, free_mask
            )
            free_mask[first_index : last_index + 1] = [False] * (last_index + 1 - first_index)
            yield PeakRegion(
                peak_index,
                first_index,
                last_index,
                *_expand_context(segment_times, first_index, last_index, searchable_mask),
            )


def grow_region(
    segment_times: SegmentTimes,
    segment_vectors: Matrix,
    segment_scores: Sequence[float],
    peak_index: int,
    baseline: Baseline,
    free_mask: Sequence[bool],
) -> tuple[int, int]:
    """Grow a region around a peak (seeded region growing).

    The better neighbor joins first, while neighbors score nearly as well as the peak and are
    similar to it. Neighbors are compared with the peak, not with the last segment added, so that
    the region cannot drift.

    Args:
        segment_times: Start and end of each segment in seconds.
        segment_vectors: float32 (N, D) of unit length.
        segment_scores: N scores.
        peak_index: The seed.
        baseline: Baseline similarities of the query in this library.
        free_mask: Segments that may join.

    Returns:
        Indexes of the first and the last segment, inclusive.

    Source: Adams and Bischof, "Seeded region growing", 1994.
    """
    min_score = baseline.score + MIN_RELATIVE_SCORE * (segment_scores[peak_index] - baseline.score)

    def can_join(index: int) -> bool:
        return (
            0 <= index < len(segment_times)
            and free_mask[index]
            and segment_scores[index] >= min_score
            and float(segment_vectors[index] @ segment_vectors[peak_index])
            >= baseline.scene_threshold
        )

    first_index = last_index = peak_index
    grows_left, grows_right = can_join(peak_index - 1), can_join(peak_index + 1)
    while grows_left or grows_right:
        if grows_left and (
            not grows_right or segment_scores[first_index - 1] >= segment_scores[last_index + 1]
        ):
            if (
                segment_times[last_index][1] - segment_times[first_index - 1][0]
                > MAX_MOMENT_SECONDS
            ):
                break
            first_index -= 1
            grows_left = can_join(first_index - 1)
        else:
            if (
                segment_times[last_index + 1][1] - segment_times[first_index][0]
                > MAX_MOMENT_SECONDS
            ):
                break
            last_index += 1
            grows_right = can_join(last_index + 1)
    return first_index, last_index


def _expand_context(
    segment_times: SegmentTimes, first_index: int, last_index: int, searchable_mask: Sequence[bool]
) -> tuple[int, int]:
    """Extend a region by its searchable neighbors within `BOUNDARY_SEARCH_SECONDS`."""
    region_start, region_end = segment_times[first_index][0], segment_times[last_index][1]
    while (
        first_index > 0
        and searchable_mask[first_index - 1]
        and region_start - segment_times[first_index - 1][1] < BOUNDARY_SEARCH_SECONDS
    ):
        first_index -= 1
    while (
        last_index + 1 < len(segment_times)
        and searchable_mask[last_index + 1]
        and segment_times[last_index + 1][0] - region_end < BOUNDARY_SEARCH_SECONDS
    ):
        last_index += 1
    return first_index, last_index


def top_k_per_video(
    candidates: Sequence[CandidateT], k: int, per_video: int, *, fill_remaining: bool = True
) -> list[CandidateT]:
    """Select the best candidates with a limit per video.

    Args:
        candidates: In any order.
        k: Maximum number to select.
        per_video: Maximum number of one video.
        fill_remaining: Fill up to `k` with further candidates of the same videos.

    Returns:
        The selected candidates, best first; ties by video id, then span.
    """
    selected_candidates: list[CandidateT] = []
    overflow_candidates: list[CandidateT] = []
    video_counts: Counter[int] = Counter()
    for candidate in sorted(candidates, key=_rank_key):
        has_room = video_counts[candidate.video_id] < per_video
        (selected_candidates if has_room else overflow_candidates).append(candidate)
        video_counts[candidate.video_id] += 1
    if fill_remaining:
        selected_candidates += overflow_candidates
    return sorted(selected_candidates[:k], key=_rank_key)


def _rank_key(candidate: RankedCandidate) -> tuple[float, int, Span]:
    return -candidate.score, candidate.video_id, candidate.span


def is_top_k_final(
    candidates: Sequence[RankedCandidate], k: int, per_video: int, min_score: float
) -> bool:
    """Return True if `k` candidates score at least `min_score`, counting `per_video` of a video.

    Args:
        candidates: In any order.
        k: Number of candidates that are needed.
        per_video: Maximum number of one video.
        min_score: Upper bound of the score of everything that is not a candidate yet.
    """
    video_counts = Counter(
        candidate.video_id for candidate in candidates if candidate.score >= min_score
    )
    return sum(min(video_count, per_video) for video_count in video_counts.values()) >= k
