"""Nearest neighbours with FAISS (Johnson et al. 2019): flat inner product with ids."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from vsearch.arrays import load_rows, save_rows

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector


class FaissIndex:
    """`IndexFlatIP` under an id map: exact, multi-threaded, and it can delete."""

    def __init__(self, dim: int) -> None:
        self._rows = faiss.IndexFlatIP(dim)
        self._index: Any = faiss.IndexIDMap2(self._rows)
        self._lock = threading.Lock()  # FAISS allows concurrent searches, not changes beside them

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, float32 (N, D), or replace those of ids that are there."""
        if vectors.shape != (len(ids), self._index.d):
            raise ValueError(f"{vectors.shape} vectors for {len(ids)} ids of {self._index.d}")
        fresh, last = np.unique(ids[::-1], return_index=True)  # of equal ids the last one counts
        rows = np.ascontiguousarray(vectors[::-1][last], np.float32)
        with self._lock:
            self._index.remove_ids(fresh)
            self._index.add_with_ids(rows, fresh)

    def remove(self, ids: Ids) -> None:
        """Forget ids; those that are not there are passed over."""
        with self._lock:
            self._index.remove_ids(np.ascontiguousarray(ids, np.int64))

    def search(self, query: Vector, k: int, among: Ids | None = None) -> tuple[Ids, Vector]:
        """The k best, best first; equal scores by lower id. See `VectorIndex.search`."""
        with self._lock:
            k = min(k, self._index.ntotal)
            if k < 1 or (among is not None and not len(among)):
                return np.empty(0, np.int64), np.empty(0, np.float32)
            row = np.ascontiguousarray(query[None], np.float32)
            scores, ids = self._index.search(row, k, params=_only(among))
        found = ids[0] >= 0
        order = np.lexsort((ids[0][found], -scores[0][found]))
        return ids[0][found][order], scores[0][found][order]

    def save(self, path: Path) -> None:
        """Write ids and vectors, not FAISS's own format: a forged one of those can crash it."""
        with self._lock:
            ids = faiss.vector_to_array(self._index.id_map)
            vectors = self._rows.reconstruct_n(0, self._rows.ntotal)
        save_rows(path, ids, vectors)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved index. Raises an exception of any kind if the file is not one."""
        ids, vectors = load_rows(path)
        index = cls(vectors.shape[1])
        index.upsert(ids, vectors)
        return index

    def __len__(self) -> int:
        return int(self._index.ntotal)


def _only(among: Ids | None) -> Any:
    if among is None:
        return None
    chosen = faiss.IDSelectorBatch(np.ascontiguousarray(among, np.int64))
    return faiss.SearchParameters(sel=chosen)  # type: ignore[call-arg] # set by its wrapper
