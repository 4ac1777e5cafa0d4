"""Sequence search (A `then:` B): align query steps with segments of a video in order."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.search.moments import iter_candidates
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.search.moments import Baseline, MomentCandidate
    from vsearch.search.time_ranges import TimeRanges
    from vsearch.types import Matrix, Segment, Times, Vector

DEFAULT_MAX_GAP_SECONDS = 60.0  # from the end of a step to the start of the next
STEP_SHARE_OF_BEST = 0.85  # share of the best lead over the baseline in the video a step must reach


@dataclass(frozen=True, slots=True)
class StepScores:
    """Scores of one step on the segments of a video."""

    segment_scores: Vector  # float32 (N,)
    min_score: float  # a segment that scores less does not match the step
    baseline: Baseline
    max_gap: float | None = None  # seconds after the previous step; None: the default


@dataclass(frozen=True, slots=True)
class SequenceMatch:
    """One candidate moment for each step, in order."""

    video_id: int
    steps: tuple[MomentCandidate, ...]
    score: float  # mean of the steps

    @property
    def span(self) -> Span:
        """Span from the start of the first step to the end of the last, in seconds."""
        return Span(self.steps[0].span.start, self.steps[-1].span.end)

    def clip(self, time_ranges: TimeRanges) -> SequenceMatch:
        """Clip each step to time ranges."""
        return replace(self, steps=tuple(map(time_ranges.clip_candidate, self.steps)))


@dataclass(frozen=True, slots=True)
class _StepRegions:
    """Segments of a video that match a step, with the candidate that contains each."""

    segment_scores: Vector  # float32 (N,), -inf where the step does not match
    start_times: Times  # float64 (N,) seconds, of the candidate
    end_times: Times  # float64 (N,) seconds, of the candidate
    candidate_by_segment: dict[int, MomentCandidate]  # key: segment index


def match_sequences(
    segments: Sequence[Segment],
    segment_vectors: Matrix,
    scores_by_step: Sequence[StepScores],
    allowed_mask: Sequence[bool] | None = None,
) -> Iterator[SequenceMatch]:
    """Yield the best alignments of the steps with the segments of one video, best first.

    Each step is matched by a segment that reaches the step's `min_score` and nearly the best score
    of the video, after the segment of the previous step; the candidates of two consecutive steps
    are at most `max_gap` seconds apart. The alignment with the highest score sum is found by
    dynamic programming over a monotonic queue, in time linear in the number of segments. No
    candidate matches the same step of two alignments.

    Args:
        segments: All segments of the video in order.
        segment_vectors: float32 (N, D) of unit length.
        scores_by_step: Scores of each step.
        allowed_mask: Segments that a step may contain; None: all.
    """
    regions_by_step = [
        _find_step_regions(segments, segment_vectors, step_scores, allowed_mask)
        for step_scores in scores_by_step
    ]
    max_gaps = [
        DEFAULT_MAX_GAP_SECONDS if step_scores.max_gap is None else step_scores.max_gap
        for step_scores in scores_by_step[1:]
    ]
    while (segment_path := _best_path(regions_by_step, max_gaps)) is not None:
        yield _build_sequence_match(segments, regions_by_step, segment_path)
        for step_regions, segment_index in zip(regions_by_step, segment_path, strict=True):
            candidate = step_regions.candidate_by_segment[segment_index]
            is_used = step_regions.start_times == candidate.span.start
            step_regions.segment_scores[is_used] = -np.inf


def _find_step_regions(
    segments: Sequence[Segment],
    segment_vectors: Matrix,
    step_scores: StepScores,
    allowed_mask: Sequence[bool] | None,
) -> _StepRegions:
    """Find the candidates of a step that stand out in the video."""
    segment_count = len(segments)
    allowed_scores = (
        step_scores.segment_scores
        if allowed_mask is None
        else step_scores.segment_scores[np.array(allowed_mask, bool)]
    )
    best_score = float(allowed_scores.max(initial=-1.0))
    min_score = max(
        step_scores.min_score,
        step_scores.baseline.score + STEP_SHARE_OF_BEST * (best_score - step_scores.baseline.score),
    )
    step_regions = _StepRegions(
        np.full(segment_count, -np.inf, np.float32),
        np.zeros(segment_count),
        np.zeros(segment_count),
        {},
    )
    for candidate in iter_candidates(
        segments, segment_vectors, step_scores.segment_scores, step_scores.baseline, allowed_mask
    ):
        if candidate.score < min_score:
            break
        for segment_index in range(
            candidate.first_index, candidate.first_index + candidate.segment_count
        ):
            step_regions.candidate_by_segment[segment_index] = candidate
            step_regions.start_times[segment_index], step_regions.end_times[segment_index] = (
                candidate.span.start,
                candidate.span.end,
            )
            if step_scores.segment_scores[segment_index] >= min_score:
                step_regions.segment_scores[segment_index] = step_scores.segment_scores[
                    segment_index
                ]
    return step_regions


def _best_path(
    regions_by_step: Sequence[_StepRegions], max_gaps: Sequence[float]
) -> list[int] | None:
    """Return the segment index of each step on the best path, or None if there is no path."""
    # (N,): score sum of the best path that ends in each segment
    path_scores = regions_by_step[0].segment_scores.astype(np.float64)
    predecessors_by_step: list[npt.NDArray[np.int64]] = []  # (N,) each
    for previous_regions, next_regions, max_gap in zip(
        regions_by_step[:-1], regions_by_step[1:], max_gaps, strict=True
    ):
        predecessors = _best_predecessors(
            path_scores, previous_regions.end_times, next_regions, max_gap
        )
        predecessors_by_step.append(predecessors)
        path_scores = (
            np.where(predecessors >= 0, path_scores[predecessors], -np.inf)
            + next_regions.segment_scores
        )
    last_segment = int(path_scores.argmax())
    if path_scores[last_segment] == -np.inf:
        return None
    segment_path = [last_segment]
    for predecessors in reversed(predecessors_by_step):
        segment_path.append(int(predecessors[segment_path[-1]]))
    return segment_path[::-1]


def _best_predecessors(
    path_scores: npt.NDArray[np.float64],
    end_times: Times,
    step_regions: _StepRegions,
    max_gap: float,
) -> npt.NDArray[np.int64]:
    """Return the best predecessor of each segment, int64 (N,), or -1.

    Candidates of a step are ordered in time, so a predecessor out of reach for one segment is out
    of reach for all later ones: a sliding window maximum.
    """
    predecessors = np.full(len(path_scores), -1, np.int64)
    reachable_segments: deque[int] = deque()  # ascending index, descending score
    for segment_index in range(1, len(path_scores)):
        if path_scores[segment_index - 1] > -np.inf:
            while (
                reachable_segments
                and path_scores[reachable_segments[-1]] <= path_scores[segment_index - 1]
            ):
                reachable_segments.pop()
            reachable_segments.append(segment_index - 1)
        if step_regions.segment_scores[segment_index] == -np.inf:
            continue
        while (
            reachable_segments
            and step_regions.start_times[segment_index] - end_times[reachable_segments[0]] > max_gap
        ):
            reachable_segments.popleft()
        if reachable_segments:
            predecessors[segment_index] = reachable_segments[0]
    return predecessors


def _build_sequence_match(
    segments: Sequence[Segment],
    regions_by_step: Sequence[_StepRegions],
    segment_path: Sequence[int],
) -> SequenceMatch:
    """Convert a path into candidates, each cut off where a neighboring step begins or ends."""
    step_candidates: list[MomentCandidate] = []
    start_limit = 0.0
    for step_index, (step_regions, peak_index) in enumerate(
        zip(regions_by_step, segment_path, strict=True)
    ):
        full_candidate = step_regions.candidate_by_segment[peak_index]
        end_limit = (
            segments[segment_path[step_index + 1]].span.start
            if step_index + 1 < len(segment_path)
            else math.inf
        )
        step_span = Span(
            max(full_candidate.span.start, start_limit), min(full_candidate.span.end, end_limit)
        )
        inside_indexes = [
            segment_index
            for segment_index in range(
                full_candidate.first_index,
                full_candidate.first_index + full_candidate.segment_count,
            )
            if step_span.start <= segments[segment_index].span.start < step_span.end
        ]
        step_candidates.append(
            replace(
                full_candidate,
                span=step_span,
                score=float(step_regions.segment_scores[peak_index]),
                segment_count=len(inside_indexes),
                first_index=inside_indexes[0],
                peak_index=peak_index,
                peak_span=segments[peak_index].span,
            )
        )
        start_limit = step_span.end
    mean_score = float(np.mean([step_candidate.score for step_candidate in step_candidates]))
    return SequenceMatch(step_candidates[0].video_id, tuple(step_candidates), mean_score)
