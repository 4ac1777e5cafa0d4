"""Result list post-processing: near-duplicate removal, MMR diversification, limit per video."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.bursts import find_bursts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Matrix, Moment

DUPLICATE_SIMILARITY = 0.9  # cosine; scaled copies reach about 0.9, other segments at most 0.8
BURST_SIMILARITY = 0.65  # cosine of photos of one burst; exceeded by 94 % of frames within 3 s
MMR_LAMBDA = 0.7  # weight of relevance; novelty has the rest


def deduplicate_moments(moments: Sequence[Moment], peak_vectors: Matrix) -> list[Moment]:
    """Hide moments that are near-duplicates of a better moment in another video.

    Moments of the same video are kept, as they are at different times. So are moments found by
    transcript, sequences, and copies of the query clip: their peak frame is not what matched.
    Photos of one burst (see `find_bursts`) need to be less similar than other near-duplicates.

    Args:
        moments: Best first.
        peak_vectors: Vector of each moment's best segment, float32 (N, D) of unit length.

    Returns:
        The kept moments, best first; `explanation.duplicates_hidden` counts what each one hides.
    """
    if not moments:
        return []
    kept_indexes: list[int] = []
    duplicate_counts: Counter[int] = Counter()
    similarity_matrix = peak_vectors @ peak_vectors.T  # (N, N)
    bursts = find_bursts(moment.video for moment in moments)
    for i, moment in enumerate(moments):
        found_by_image = (
            not moment.explanation.quotes
            and not moment.explanation.is_copy
            and not moment.explanation.step_spans
        )
        other_indexes = (j for j in kept_indexes if moments[j].video.id != moment.video.id)
        burst = bursts.get(moment.video.id)
        duplicate_of = next(
            (
                j
                for j in other_indexes
                if found_by_image
                and similarity_matrix[i, j]
                >= (
                    BURST_SIMILARITY
                    if burst is not None and bursts.get(moments[j].video.id) == burst
                    else DUPLICATE_SIMILARITY
                )
            ),
            None,
        )
        if duplicate_of is None:
            kept_indexes.append(i)
        else:
            duplicate_counts[duplicate_of] += 1
    return [
        replace(
            moments[i],
            explanation=replace(moments[i].explanation, duplicates_hidden=duplicate_counts[i]),
        )
        if duplicate_counts[i]
        else moments[i]
        for i in kept_indexes
    ]


def diversify_moments(moments: Sequence[Moment], peak_vectors: Matrix, k: int) -> list[Moment]:
    """Rerank moments by maximal marginal relevance (MMR).

    Scores and similarities are each rescaled to [0, 1] over the given moments before they are
    combined with `MMR_LAMBDA`.

    Args:
        moments: Best first.
        peak_vectors: Vector of each moment's best segment, float32 (N, D) of unit length.
        k: Number of moments to select.

    Returns:
        At most `k` moments in the order of selection; the best one stays first.

    Source: Carbonell and Goldstein, "The use of MMR, diversity-based reranking for reordering
    documents and producing summaries", 1998.
    """
    if len(moments) < 3 or k < 2:
        return list(moments[:k])
    relevance_scores = _rescale_to_unit(np.array([moment.score for moment in moments]))
    similarity_matrix = _rescale_to_unit(peak_vectors @ peak_vectors.T)  # (N, N)
    remaining_indexes = list(range(1, len(moments)))
    selected_indexes = [0]
    while remaining_indexes and len(selected_indexes) < k:
        mmr_scores = MMR_LAMBDA * relevance_scores[remaining_indexes] - (
            1 - MMR_LAMBDA
        ) * similarity_matrix[np.ix_(remaining_indexes, selected_indexes)].max(axis=1)
        selected_indexes.append(remaining_indexes.pop(int(mmr_scores.argmax())))
    return [moments[i] for i in selected_indexes]


def limit_per_video(
    moments: Sequence[Moment], k: int, per_video: int, *, fill_remaining: bool
) -> list[Moment]:
    """Truncate a ranked list to `k` moments and at most `per_video` of one video.

    Args:
        moments: Best first.
        k: Maximum number of moments.
        per_video: Maximum number of moments of one video.
        fill_remaining: Fill up to `k` with further moments of the same videos.

    Returns:
        The selected moments in their original order.
    """
    video_counts: Counter[int] = Counter()
    selected_indexes: list[int] = []
    overflow_indexes: list[int] = []
    for i, moment in enumerate(moments):
        has_room = video_counts[moment.video.id] < per_video
        (selected_indexes if has_room else overflow_indexes).append(i)
        video_counts[moment.video.id] += 1
    if fill_remaining:
        selected_indexes += overflow_indexes
    return [moments[i] for i in sorted(selected_indexes[:k])]


def _rescale_to_unit(raw_values: Matrix) -> Matrix:
    """Rescale values linearly to [0, 1]."""
    min_value, max_value = float(raw_values.min()), float(raw_values.max())
    scaled_values: Matrix = (raw_values - min_value) / max(max_value - min_value, 1e-6)
    return scaled_values
