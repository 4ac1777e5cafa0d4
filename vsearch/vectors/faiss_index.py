"""Nearest neighbours with FAISS (Johnson et al. 2019): flat inner product with ids."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from vsearch.vectors.files import replaced

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector


class FaissIndex:
    """`IndexFlatIP` under an id map: exact, multi-threaded, and it can delete."""

    def __init__(self, dim: int) -> None:
        self._index: Any = faiss.IndexIDMap2(faiss.IndexFlatIP(dim))
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
        """Write the index in FAISS's own format."""
        with self._lock, replaced(path) as file:
            file.write(faiss.serialize_index(self._index).tobytes())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a saved index. Raises OSError or ValueError if the file is not one."""
        try:
            read = faiss.deserialize_index(np.fromfile(path, np.uint8))
        except RuntimeError as error:
            raise ValueError(f"{path}: not a FAISS index") from error
        index = cls(read.d)
        index._index = read
        return index

    def __len__(self) -> int:
        return int(self._index.ntotal)


def _only(among: Ids | None) -> Any:
    if among is None:
        return None
    chosen = faiss.IDSelectorBatch(np.ascontiguousarray(among, np.int64))
    return faiss.SearchParameters(sel=chosen)  # type: ignore[call-arg] # set by its wrapper
