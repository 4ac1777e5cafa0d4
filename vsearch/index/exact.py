"""Exact nearest-neighbor search with numpy: the default for small libraries, and the reference."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from vsearch.index.upserts import take_last_vectors
from vsearch.storage.array_files import map_id_vectors, save_id_vectors

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector

SPARSE_FILTER_RATIO = 8  # a filter that keeps less than 1/8 of the rows is applied before scoring


class ExactIndex:
    """Brute-force inner-product index. A loaded index maps its file instead of reading it."""

    def __init__(self, dim: int) -> None:
        self._ids = np.empty(0, np.int64)  # (N,) ascending
        self._vectors = np.empty((0, dim), np.float32)  # (N, D), row i belongs to ids[i]
        self._lock = threading.Lock()  # for writers; readers take a consistent pair of arrays

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int(self._vectors.shape[1])

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, or replace those of existing ids. See `VectorIndex.upsert`."""
        new_ids, new_vectors = take_last_vectors(ids, vectors, self._vectors.shape[1])
        with self._lock:
            kept_mask = ~np.isin(self._ids, new_ids)
            old_ids, old_vectors = self._ids, self._vectors
            if not kept_mask.all():
                old_ids, old_vectors = old_ids[kept_mask], old_vectors[kept_mask]
            merged_ids = np.concatenate([old_ids, new_ids])
            merged_vectors = np.concatenate([old_vectors, new_vectors], dtype=np.float32)
            if not (np.diff(merged_ids) > 0).all():  # new ids usually come last already
                id_order = np.argsort(merged_ids)
                merged_ids, merged_vectors = merged_ids[id_order], merged_vectors[id_order]
            self._ids, self._vectors = merged_ids, merged_vectors

    def remove(self, ids: Ids) -> None:
        """Remove ids; unknown ids are ignored."""
        with self._lock:
            kept_mask = ~np.isin(self._ids, ids)
            self._ids, self._vectors = self._ids[kept_mask], self._vectors[kept_mask]

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        """Return ids and scores of the k nearest vectors. See `VectorIndex.search`."""
        (ids, vectors), query_vector = self.ids_and_vectors(), query_vector.astype(np.float32)
        if allowed_ids is None:
            scores = vectors @ query_vector  # (N,)
        else:
            allowed_rows = np.flatnonzero(np.isin(ids, allowed_ids))
            if len(allowed_rows) < len(ids) // SPARSE_FILTER_RATIO:
                scores = vectors[allowed_rows] @ query_vector
            else:
                scores = (vectors @ query_vector)[allowed_rows]
            ids = ids[allowed_rows]
        if 0 < k < len(ids):
            min_score = np.partition(scores, len(ids) - k)[len(ids) - k]
            candidate_rows = np.flatnonzero(scores >= min_score)
            ids, scores = ids[candidate_rows], scores[candidate_rows]
        rank_order = np.lexsort((ids, -scores))[: max(k, 0)]
        return ids[rank_order], scores[rank_order]

    def save(self, index_path: Path) -> None:
        """Write ids and vectors uncompressed, so that `load` can map them."""
        save_id_vectors(index_path, *self.ids_and_vectors())

    def ids_and_vectors(self) -> tuple[Ids, Matrix]:
        """Return all ids, int64 (N,) ascending, and their vectors, float32 (N, D)."""
        with self._lock:
            return self._ids, self._vectors

    def copy(self) -> Self:
        """Return an index that later changes of this one do not affect. See `CopyableIndex`."""
        return self.from_arrays(*self.ids_and_vectors())

    @classmethod
    def load(cls, index_path: Path) -> Self:
        """Map a saved index. Any exception means that the file is not a valid index."""
        return cls.from_arrays(*map_id_vectors(index_path))

    @classmethod
    def from_arrays(cls, ids: Ids, vectors: Matrix) -> Self:
        """Wrap existing arrays without copying; they may be memory-mapped.

        Args:
            ids: int64 (N,), strictly ascending.
            vectors: float32 (N, D).

        Returns:
            The index.
        """
        index = cls(vectors.shape[1])
        index._ids, index._vectors = ids, vectors
        return index

    def __len__(self) -> int:
        return len(self._ids)
