"""Exact nearest-neighbor search with FAISS (Johnson et al. 2019)."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.index.faiss_library import faiss
from vsearch.index.upserts import take_last_vectors
from vsearch.storage.array_files import map_id_vectors, save_id_vectors

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector


class FaissIndex:
    """`IndexFlatIP` wrapped in an id map: exact, multi-threaded, supports removal."""

    def __init__(self, dim: int) -> None:
        self._flat_index = faiss.IndexFlatIP(dim)
        self._id_map_index: Any = faiss.IndexIDMap2(self._flat_index)
        self._lock = threading.Lock()  # FAISS allows no search during a change

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, or replace those of existing ids. See `VectorIndex.upsert`."""
        new_ids, new_vectors = take_last_vectors(ids, vectors, self._id_map_index.d)
        new_vectors = np.ascontiguousarray(new_vectors, np.float32)
        with self._lock:
            self._id_map_index.remove_ids(new_ids)
            self._id_map_index.add_with_ids(new_vectors, new_ids)

    def remove(self, ids: Ids) -> None:
        """Remove ids; unknown ids are ignored."""
        with self._lock:
            self._id_map_index.remove_ids(np.ascontiguousarray(ids, np.int64))

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        """Return ids and scores of the k nearest vectors. See `VectorIndex.search`."""
        with self._lock:
            k = min(k, self._id_map_index.ntotal)
            if k < 1 or (allowed_ids is not None and not len(allowed_ids)):
                return np.empty(0, np.int64), np.empty(0, np.float32)
            query_row = np.ascontiguousarray(query_vector[None], np.float32)
            scores, ids = self._id_map_index.search(
                query_row, k, params=_search_parameters(allowed_ids)
            )
        is_filled = ids[0] >= 0
        rank_order = np.lexsort((ids[0][is_filled], -scores[0][is_filled]))
        return ids[0][is_filled][rank_order], scores[0][is_filled][rank_order]

    def save(self, index_path: Path) -> None:
        """Write ids and vectors. FAISS's own format is avoided: a forged file can crash it."""
        with self._lock:
            ids = faiss.vector_to_array(self._id_map_index.id_map)
            vectors = self._flat_index.reconstruct_n(0, self._flat_index.ntotal)
        save_id_vectors(index_path, ids, vectors)

    def copy(self) -> Self:
        """Return an index that later changes of this one do not affect. See `CopyableIndex`."""
        copied_index = type(self)(self._id_map_index.d)
        with self._lock:
            ids = faiss.vector_to_array(self._id_map_index.id_map)
            vectors = self._flat_index.reconstruct_n(0, self._flat_index.ntotal)
        copied_index.upsert(ids, vectors)
        return copied_index

    @classmethod
    def load(cls, index_path: Path) -> Self:
        """Read a saved index. Any exception means that the file is not a valid index."""
        ids, vectors = map_id_vectors(index_path)
        index = cls(vectors.shape[1])
        index.upsert(ids, vectors)
        return index

    def __len__(self) -> int:
        return int(self._id_map_index.ntotal)


def _search_parameters(allowed_ids: Ids | None) -> Any:
    if allowed_ids is None:
        return None
    id_selector = faiss.IDSelectorBatch(np.ascontiguousarray(allowed_ids, np.int64))
    return faiss.SearchParameters(sel=id_selector)  # type: ignore[call-arg] # its Python wrapper accepts it
