"""Exact nearest neighbours with numpy: the default for small libraries, and the referee."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from vsearch.arrays import load_rows, save_rows

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector

PICKED = 8  # where a filter leaves less than one in so many, no other is compared


class ExactIndex:
    """Every vector is compared. A loaded index maps its file instead of reading it."""

    def __init__(self, dim: int) -> None:
        self._ids = np.empty(0, np.int64)  # (N,) ascending
        self._vectors = np.empty((0, dim), np.float32)  # (N, D), row i belongs to ids[i]
        self._lock = threading.Lock()  # writers; readers take the pair of arrays as it is

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, float32 (N, D), or replace those of ids that are there."""
        if vectors.shape != (len(ids), self._vectors.shape[1]):
            raise ValueError(f"{vectors.shape} vectors for {len(ids)} ids of {self._vectors.shape}")
        fresh, last = np.unique(ids[::-1], return_index=True)  # of equal ids the last one counts
        with self._lock:
            kept = ~np.isin(self._ids, fresh)
            old, before = self._ids, self._vectors
            if not kept.all():
                old, before = old[kept], before[kept]
            together = np.concatenate([old, fresh])
            rows = np.concatenate([before, vectors[::-1][last]], dtype=np.float32)
            if not (np.diff(together) > 0).all():  # what is new mostly comes last
                order = np.argsort(together)
                together, rows = together[order], rows[order]
            self._ids, self._vectors = together, rows

    def remove(self, ids: Ids) -> None:
        """Forget ids; those that are not there are passed over."""
        with self._lock:
            kept = ~np.isin(self._ids, ids)
            self._ids, self._vectors = self._ids[kept], self._vectors[kept]

    def search(self, query: Vector, k: int, among: Ids | None = None) -> tuple[Ids, Vector]:
        """The k best, best first; equal scores by lower id. See `VectorIndex.search`."""
        (ids, vectors), query = self.rows(), query.astype(np.float32)
        if among is None:
            scores = vectors @ query  # (N,)
        else:
            chosen = np.flatnonzero(np.isin(ids, among))
            few = len(chosen) < len(ids) // PICKED
            scores = vectors[chosen] @ query if few else (vectors @ query)[chosen]
            ids = ids[chosen]
        if 0 < k < len(ids):
            worst = np.partition(scores, len(ids) - k)[len(ids) - k]
            near = np.flatnonzero(scores >= worst)
            ids, scores = ids[near], scores[near]
        order = np.lexsort((ids, -scores))[: max(k, 0)]
        return ids[order], scores[order]

    def save(self, path: Path) -> None:
        """Write ids and vectors as they are in memory."""
        save_rows(path, *self.rows())

    def rows(self) -> tuple[Ids, Matrix]:
        """The ids, ascending, and their vectors."""
        with self._lock:
            return self._ids, self._vectors

    @classmethod
    def load(cls, path: Path) -> Self:
        """Map a saved index. Raises an exception of any kind if the file is not one."""
        return cls.of(*load_rows(path))

    @classmethod
    def of(cls, ids: Ids, vectors: Matrix) -> Self:
        """An index of vectors float32 (N, D) as they are, maybe mapped; ids ascending."""
        index = cls(vectors.shape[1])
        index._ids, index._vectors = ids, vectors
        return index

    def __len__(self) -> int:
        return len(self._ids)
