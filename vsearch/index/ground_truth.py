"""Brute-force ground truth for nearest-neighbor recall, and realistic test queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.types import Ids, Matrix

K_NEIGHBORS = 10
IMAGE_COSINE, TEXT_COSINE = 0.9, 0.3  # typical cosine of image and text queries with a good match
DIRECTION_SAMPLE = 2_000  # vectors whose differences span the directions of perturbation


def perturb_queries(
    vectors: Matrix,
    max_queries: int,
    target_cosines: Sequence[float] = (IMAGE_COSINE, TEXT_COSINE),
    seed: int = 0,
) -> Matrix:
    """Return synthetic queries at a given cosine to random vectors of a library.

    They are perturbed in directions in which the vectors of the library differ from each other;
    in any other direction a query would be equally far from all of them.

    Args:
        vectors: float32 (N, D) of unit length.
        max_queries: Number of queries, at most N.
        target_cosines: Cosines between a query and its source vector, used in turn.
        seed: Random seed.

    Returns:
        float32 (Q, D) of unit length, Q <= max_queries.
    """
    rng = np.random.default_rng(seed)
    source_vectors = vectors[rng.permutation(len(vectors))[:max_queries]]
    direction_vectors = vectors[rng.permutation(len(vectors))[:DIRECTION_SAMPLE]]
    directions = rng.normal(size=(len(source_vectors), len(direction_vectors))) @ (
        direction_vectors - direction_vectors.mean(axis=0)
    )
    directions -= (directions * source_vectors).sum(axis=1, keepdims=True) * source_vectors
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-6)
    cosines = np.resize(target_cosines, len(source_vectors))[:, None]
    queries = cosines * source_vectors + np.sqrt(1 - cosines**2) * directions
    return np.asarray(queries / np.linalg.norm(queries, axis=1, keepdims=True), np.float32)


class GroundTruth:
    """The true `K_NEIGHBORS` nearest vectors of each query, found by exhaustive comparison."""

    def __init__(self, queries: Matrix) -> None:
        """Start without vectors; `queries` is float32 (Q, D) of unit length."""
        self.queries = queries
        self._top_scores = np.full((len(queries), K_NEIGHBORS), -np.inf, np.float32)
        self._top_ids = np.full((len(queries), K_NEIGHBORS), -1, np.int64)

    def add(self, ids: Ids, vectors: Matrix) -> None:
        """Compare another batch of vectors, float32 (N, D), with all queries."""
        all_scores = np.hstack([self._top_scores, self.queries @ vectors.T])  # (Q, K + N)
        top_columns = np.argpartition(-all_scores, K_NEIGHBORS - 1, axis=1)[:, :K_NEIGHBORS]
        self._top_scores = np.take_along_axis(all_scores, top_columns, axis=1)
        added_ids = np.concatenate([np.full(K_NEIGHBORS, -1), ids])
        kept_columns = np.minimum(top_columns, K_NEIGHBORS - 1)
        kept_ids = np.take_along_axis(self._top_ids, kept_columns, axis=1)
        self._top_ids = np.where(top_columns < K_NEIGHBORS, kept_ids, added_ids[top_columns])

    def neighbor_ids(self) -> list[Ids]:
        """Return the neighbor ids of each query, unordered; fewer than K if few vectors came."""
        return [id_row[id_row >= 0] for id_row in self._top_ids]

    def measure_recall(self, result_ids: Sequence[Iterable[int]]) -> float:
        """Return the mean recall of search results.

        Args:
            result_ids: The ids that a search returned, for each query.

        Returns:
            Recall@K_NEIGHBORS, 0 to 1; 1 if there are no queries or no vectors.
        """
        recalls = [
            len(set(true_ids.tolist()) & set(found_ids)) / len(true_ids)
            for true_ids, found_ids in zip(self.neighbor_ids(), result_ids, strict=True)
            if len(true_ids)
        ]
        return float(np.mean(recalls)) if recalls else 1.0
