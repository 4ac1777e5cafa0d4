"""Re-ranking: candidates of an approximate index are rescored with full-precision vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Matrix, Vector

OVERSAMPLE_RANGE = 30, 100  # extra candidates to rescore: k of them, within this range


@dataclass(frozen=True, slots=True)
class RescoringIndex:
    """A VectorIndex that rescores the candidates of another one.

    Attributes:
        base_index: The approximate index.
        fetch_vectors: Return (ids, vectors) for ids int64 (N,): those that still exist, in any
            order, with their vectors float32 (n, D).
    """

    base_index: VectorIndex
    fetch_vectors: Callable[[Ids], tuple[Ids, Matrix]]

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add or replace vectors, float32 (N, D), in the base index."""
        self.base_index.upsert(ids, vectors)

    def remove(self, ids: Ids) -> None:
        """Remove ids from the base index; unknown ids are ignored."""
        self.base_index.remove(ids)

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        """Return ids and exact scores of the k nearest vectors. See `VectorIndex.search`."""
        ids, scores, _ = self.search_with_vectors(query_vector, k, allowed_ids)
        return ids, scores

    def search_with_vectors(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector, Matrix]:
        """Search and also return the vectors of the results.

        Args:
            query_vector: float32 (D,).
            k: Number of results.
            allowed_ids: Restrict the search to these ids.

        Returns:
            Ids int64 (n,), scores float32 (n,) and vectors float32 (n, D), best first; n <= k.
        """
        oversample = min(max(k, OVERSAMPLE_RANGE[0]), OVERSAMPLE_RANGE[1])
        candidate_ids, _ = self.base_index.search(query_vector, k + oversample, allowed_ids)
        ids, vectors = self.fetch_vectors(np.sort(candidate_ids))  # in storage order
        scores = vectors @ query_vector.astype(np.float32)
        rank_order = np.lexsort((ids, -scores))[: max(k, 0)]
        return ids[rank_order], scores[rank_order], vectors[rank_order]

    def save(self, index_path: Path) -> None:
        """Write the base index."""
        self.base_index.save(index_path)

    def __len__(self) -> int:
        return len(self.base_index)
