"""Rocchio relevance feedback from moments marked relevant or irrelevant.

The query vector moves towards the mean of the relevant moments and away from the mean of the
irrelevant ones, so feedback also retrieves moments that were not found before.

Source: Rocchio, "Relevance feedback in information retrieval", 1971.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Matrix, Moment, Span, Vector

# chosen on one half of the concepts of benchmarks/bench_marks.py; ridge and logistic regression
# with the query as prior are not better, least of all with many labels
ROCCHIO_BETA = np.float32(0.5)
ROCCHIO_GAMMA = np.float32(0.25)


@dataclass(frozen=True, slots=True, eq=False)
class RelevanceFeedback:
    """Relevance labels of one query."""

    positives: Matrix  # float32 (U, D), rows of unit length
    negatives: Matrix  # float32 (W, D), rows of unit length
    rejected_spans: tuple[tuple[int, Span], ...] = ()  # (video id, span) of irrelevant moments
    label_count: int = 0

    def adjust_query(self, query_vector: Vector, sample_vectors: Matrix) -> Vector:
        """Apply Rocchio's update to a query vector.

        The result is scaled so that its scores on the sample keep their standard deviation, which
        keeps score thresholds and calibration valid.

        Args:
            query_vector: float32 (D,).
            sample_vectors: Segments sampled evenly from the library, float32 (M, D).

        Returns:
            The moved query, float32 (D,), generally not of unit length.
        """
        moved_query: Vector = query_vector.copy()
        for marked_vectors, rocchio_weight in (
            (self.positives, ROCCHIO_BETA),
            (self.negatives, -ROCCHIO_GAMMA),
        ):
            if len(marked_vectors):
                moved_query += rocchio_weight * marked_vectors.mean(axis=0)
        old_std = _score_std(sample_vectors, query_vector)
        new_std = _score_std(sample_vectors, moved_query)
        if min(old_std, new_std) < 1e-6:  # too few segments to measure
            old_std, new_std = 1.0, max(float(np.linalg.norm(moved_query)), 1e-6)
        return moved_query * np.float32(old_std / new_std)

    def demote_rejected(self, moments: Sequence[Moment]) -> list[Moment]:
        """Return the moments with irrelevant ones moved to the end, order otherwise kept."""
        return sorted(moments, key=self._is_rejected)

    def _is_rejected(self, moment: Moment) -> bool:
        return any(
            moment.video.id == video_id and _overlaps_half(moment.span, rejected_span)
            for video_id, rejected_span in self.rejected_spans
        )


def _score_std(sample_vectors: Matrix, query_vector: Vector) -> float:
    return float((sample_vectors @ query_vector).std()) if len(sample_vectors) > 1 else 0.0


def _overlaps_half(moment_span: Span, marked_span: Span) -> bool:
    """Return True if the spans share at least half of the shorter one."""
    shared_seconds = min(moment_span.end, marked_span.end) - max(
        moment_span.start, marked_span.start
    )
    return shared_seconds > 0 and shared_seconds >= 0.5 * min(
        moment_span.duration, marked_span.duration
    )
