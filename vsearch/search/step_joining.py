"""Sequence search with transcript terms: join the moments found for each step."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from vsearch.search.fusion import sort_by_score
from vsearch.search.sequences import DEFAULT_MAX_GAP_SECONDS
from vsearch.search.visual import STEP_SALIENCE_SHARE
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Moment

MIN_STEP_SECONDS = 0.5  # between the starts of consecutive steps


def join_steps(
    moments_by_step: Sequence[Sequence[Moment]], gap_limits: Sequence[float | None]
) -> list[Moment]:
    """Join moments of consecutive steps of the same video into sequences.

    A step starts at least `MIN_STEP_SECONDS` after the previous one, which ends there at the
    latest. Of the sequences that end in the same moment only the best one is returned.

    Args:
        moments_by_step: Moments found for each step.
        gap_limits: Maximum seconds from the end of a step to the start of the next, one for each
            step but the first; None: `DEFAULT_MAX_GAP_SECONDS`.

    Returns:
        Sequences, best first; the score is the mean of the steps.
    """
    grouped_steps = [_group_by_video(moments) for moments in moments_by_step]
    shared_video_ids = set(grouped_steps[0]).intersection(*grouped_steps[1:])
    max_gaps = [
        DEFAULT_MAX_GAP_SECONDS if gap_limit is None else gap_limit for gap_limit in gap_limits
    ]
    best_paths = (
        path_moments
        for video_id in shared_video_ids
        for path_moments in _best_paths(
            [grouped_step[video_id] for grouped_step in grouped_steps], max_gaps
        )
    )
    return sort_by_score(map(_join_moments, best_paths))


def filter_salient(moments: Sequence[Moment], baseline: float) -> list[Moment]:
    """Keep the moments that may be a step of a sequence.

    A moment with a quote is kept; another one must stand out from the library, by the same rule as
    in `VisualSearch.search_sequence`.

    Args:
        moments: Moments found for one step.
        baseline: Mean score of the step's query over the library.
    """
    best_score = max((moment.score for moment in moments), default=baseline)
    min_score = baseline + STEP_SALIENCE_SHARE * (best_score - baseline)
    return [moment for moment in moments if moment.explanation.quotes or moment.score >= min_score]


def _group_by_video(moments: Sequence[Moment]) -> dict[int, list[Moment]]:
    sorted_moments = sorted(moments, key=lambda moment: moment.video.id)
    return {
        video_id: list(video_moments)
        for video_id, video_moments in groupby(sorted_moments, key=lambda moment: moment.video.id)
    }


def _best_paths(
    moments_by_step: Sequence[Sequence[Moment]], max_gaps: Sequence[float]
) -> Iterator[list[Moment]]:
    """Yield the best path to each moment of the last step."""
    partial_paths = [[moment] for moment in moments_by_step[0]]
    for step_moments, max_gap in zip(moments_by_step[1:], max_gaps, strict=True):
        extended_paths = []
        for moment in step_moments:
            reachable_paths = [
                partial_path
                for partial_path in partial_paths
                if _can_follow(partial_path[-1].span, moment.span, max_gap)
            ]
            if reachable_paths:
                extended_paths.append([*max(reachable_paths, key=_sum_scores), moment])
        partial_paths = extended_paths
    yield from partial_paths


def _can_follow(earlier_span: Span, later_span: Span, max_gap: float) -> bool:
    return (
        later_span.start - earlier_span.start >= MIN_STEP_SECONDS
        and later_span.start - earlier_span.end <= max_gap
    )


def _clip_until(step_span: Span, next_span: Span) -> Span:
    """End a step where the next one begins."""
    return Span(step_span.start, min(step_span.end, next_span.start))


def _sum_scores(path_moments: Sequence[Moment]) -> float:
    return sum(moment.score for moment in path_moments)


def _join_moments(path_moments: Sequence[Moment]) -> Moment:
    """Join the steps of a path into one moment."""
    best_moment = max(path_moments, key=lambda step_moment: step_moment.score)
    explanation = replace(
        best_moment.explanation,
        step_spans=(
            *(
                _clip_until(step_moment.span, next_moment.span)
                for step_moment, next_moment in pairwise(path_moments)
            ),
            path_moments[-1].span,
        ),
        quotes=tuple(quote for moment in path_moments for quote in moment.explanation.quotes[:1]),
        score_shares=None,
    )
    sequence_span = Span(path_moments[0].span.start, path_moments[-1].span.end)
    confidences = [moment.confidence for moment in path_moments if moment.confidence is not None]
    is_complete = len(confidences) == len(path_moments)
    return replace(
        best_moment,
        span=sequence_span,
        score=_sum_scores(path_moments) / len(path_moments),
        confidence=min(confidences) if is_complete else None,  # every step has to match
        explanation=explanation,
    )
