"""SQ8 and IVF-SQ8 indexes: an immutable memory-mapped base segment plus a small mutable delta.

Removed rows of the base segment (`InvertedLists`) are marked by tombstones and added vectors go to
the delta. When a tenth of all vectors has changed, the index reports `needs_rebuild`; its owner
then builds a new one from the vector source while this one continues to answer.

SQ8 is scalar quantization to one byte per dimension. Product quantization (PQ) takes longer to
build and to search at the same recall; see docs/architecture.md.
"""

from __future__ import annotations

import math
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.index.exact import ExactIndex
from vsearch.index.inverted_lists import InvertedLists
from vsearch.index.scalar_quantizer import ScanHeap, test_bits, to_bitmap
from vsearch.index.upserts import take_last_vectors
from vsearch.storage.array_files import map_npy_sequence, save_npy_sequence

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import ClassVar, Self

    from vsearch.index.scalar_quantizer import Bitmap, Codes
    from vsearch.protocols import VectorSource
    from vsearch.types import Ids, Matrix, Vector

INDEX_FORMAT_VERSION = 1
MIN_QUANTIZED = 4_096  # fewer vectors are compared exactly; they are also too few to fit ranges
TRAIN_PER_LIST = 32  # training vectors per inverted list
MIN_TRAIN = 20_000  # training vectors, if the library has that many
REBUILD_SHARE = 0.1  # share of the vectors that may change before a rebuild is due
WIDE_K = 100  # above this k, proportionally more lists are probed
SPARSE_FILTER_RATIO = 64  # a filter that keeps less than 1/64 of the rows selects them directly


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """The immutable state that one search sees."""

    inverted_lists: InvertedLists
    live_bitmap: Bitmap | None  # base rows that are not removed; None: all
    tombstone_count: int  # removed base rows
    delta_ids: Ids  # (M,) ascending
    delta_codes: Codes  # (M, D)

    def __len__(self) -> int:
        return len(self.inverted_lists.ids) - self.tombstone_count + len(self.delta_ids)

    def without_ids(self, ids: Ids) -> _View:
        """Return a view without these ids, ascending."""
        kept_mask = ~np.isin(self.delta_ids, ids)
        live_bitmap, tombstone_count = self.live_bitmap, self.tombstone_count
        rows = self.rows_for(ids)
        if len(rows):
            row_count = len(self.inverted_lists.ids)
            if live_bitmap is None:
                live_bitmap = to_bitmap(slice(None), row_count)
            live_bitmap = live_bitmap & ~to_bitmap(rows, row_count)
            tombstone_count += len(rows)
        return _View(
            self.inverted_lists,
            live_bitmap,
            tombstone_count,
            self.delta_ids[kept_mask],
            self.delta_codes[kept_mask],
        )

    def with_vectors(self, ids: Ids, vectors: Matrix) -> _View:
        """Return a view with vectors of new ids, ascending, in the delta."""
        insert_positions = np.searchsorted(self.delta_ids, ids)
        new_codes = self.inverted_lists.quantizer.encode(vectors)
        return _View(
            self.inverted_lists,
            self.live_bitmap,
            self.tombstone_count,
            np.insert(self.delta_ids, insert_positions, ids),
            np.insert(self.delta_codes, insert_positions, new_codes, axis=0),
        )

    def rows_for(self, ids: Ids) -> Ids:
        """Return the live base rows of ids, ascending; ids without one are skipped."""
        rows = self.inverted_lists.rows_for(ids)
        return rows if self.live_bitmap is None else rows[test_bits(self.live_bitmap, rows)]

    def ids_for(self, labels: Ids) -> Ids:
        """Return the ids of labels: base rows are numbered first, then the delta."""
        row_count = len(self.inverted_lists.ids)
        ids = np.empty(len(labels), np.int64)
        is_base_row = labels < row_count
        id_positions = self.inverted_lists.id_of_row[labels[is_base_row]]
        ids[is_base_row] = self.inverted_lists.ids[id_positions]
        ids[~is_base_row] = self.delta_ids[labels[~is_base_row] - row_count]
        return ids


class Sq8Index:
    """A `RebuildableIndex` of one byte per dimension; every search scans all codes."""

    uses_inverted_lists: ClassVar[bool] = False

    def __init__(self, dim: int) -> None:
        self._exact_index = ExactIndex(dim)  # used while there is no view
        self._view: _View | None = None
        self._lists_path: Path | None = None  # file of the base segment
        self._lock = threading.Lock()  # for writers; readers take the current view

    @classmethod
    def build(
        cls,
        dim: int,
        source: VectorSource,
        *,
        single_list: bool,
        check_cancelled: Callable[[], None],
    ) -> Self:
        """Build an index of all vectors of a source. See `RebuildableIndex.build`."""
        index = cls(dim)
        list_count = 1 if single_list else cls._list_count(source.approximate_count)
        sample = source.draw_sample(max(list_count * TRAIN_PER_LIST, MIN_TRAIN))
        if len(sample) >= MIN_QUANTIZED:
            inverted_lists = InvertedLists.build(source, sample, list_count, check_cancelled)
            index._view = _empty_delta_view(inverted_lists)
        else:
            for ids, vectors in source.iter_batches():
                index._exact_index.upsert(ids, vectors)
        return index

    @property
    def is_approximate(self) -> bool:
        """True: scores come from 8-bit codes."""
        return True

    @property
    def needs_rebuild(self) -> bool:
        """True if the delta and the tombstones have grown too large, or lists are missing."""
        view = self._view
        if view is None:
            return len(self._exact_index) >= MIN_QUANTIZED
        changed_count = view.tombstone_count + len(view.delta_ids)
        lacks_lists = len(view.inverted_lists.centroids) == 1 and self._list_count(len(view)) > 1
        return lacks_lists or changed_count > max(REBUILD_SHARE * len(view), MIN_QUANTIZED / 2)

    @property
    def companion_files(self) -> frozenset[str]:
        """Name of the file of the base segment, once it is saved or loaded."""
        return frozenset() if self._lists_path is None else frozenset({self._lists_path.name})

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, or replace those of existing ids. See `VectorIndex.upsert`."""
        with self._lock:
            if self._view is None:
                self._exact_index.upsert(ids, vectors)
                return
            dim = len(self._view.inverted_lists.quantizer.range_min)
            new_ids, new_vectors = take_last_vectors(ids, vectors, dim)
            self._view = self._view.without_ids(new_ids).with_vectors(new_ids, new_vectors)

    def remove(self, ids: Ids) -> None:
        """Remove ids; unknown ids are ignored."""
        with self._lock:
            if self._view is None:
                self._exact_index.remove(ids)
            else:
                self._view = self._view.without_ids(np.unique(ids))

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        """Return ids and scores of approximately the k nearest. See `VectorIndex.search`."""
        view = self._view
        if view is None:
            return self._exact_index.search(query_vector, k, allowed_ids)
        k = min(k, len(view))
        if k < 1 or (allowed_ids is not None and not len(allowed_ids)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        labels, scores = _search_view(view, query_vector, k, allowed_ids)
        ids = view.ids_for(labels)
        rank_order = np.lexsort((ids, -scores))
        return ids[rank_order], scores[rank_order]

    def save(self, index_path: Path) -> None:
        """Write delta and tombstones to `index_path`, and the base segment to a companion file.

        The companion file is written only once; see `companion_files`.
        """
        with self._lock:
            view, (ids, vectors) = self._view, self._exact_index.ids_and_vectors()
            lists_name, live_bitmap = "", None
            codes = np.empty((0, vectors.shape[1]), np.uint8)
            if view is not None:
                lists_name = self._save_lists_beside(index_path, view.inverted_lists)
                live_bitmap, ids, codes = view.live_bitmap, view.delta_ids, view.delta_codes
            save_npy_sequence(
                index_path,
                np.array([INDEX_FORMAT_VERSION], np.int64),
                np.frombuffer(lists_name.encode(), np.uint8),
                np.empty(0, np.uint8) if live_bitmap is None else live_bitmap,
                ids,
                vectors,
                codes,
            )

    def _save_lists_beside(self, index_path: Path, inverted_lists: InvertedLists) -> str:
        """Return the name of the companion file, writing it if it is not in that folder yet."""
        if (
            self._lists_path is None
            or self._lists_path.parent != index_path.parent
            or not self._lists_path.exists()
        ):
            lists_path = index_path.with_name(f"{index_path.name}.{secrets.token_hex(4)}")
            inverted_lists.save(lists_path)
            self._lists_path = lists_path
        return self._lists_path.name

    def copy(self) -> Self:
        """Return an index that later changes of this one do not affect. See `CopyableIndex`."""
        copied_index = type(self)(self._exact_index.dim)
        with self._lock:
            copied_index._exact_index = self._exact_index.copy()
            copied_index._view, copied_index._lists_path = self._view, self._lists_path
        return copied_index

    @classmethod
    def load(cls, index_path: Path) -> Self:
        """Map a saved index. Any exception means that the files are not a valid index."""
        format_version, lists_name, live_bitmap, ids, vectors, codes = map_npy_sequence(
            index_path, np.int64, np.uint8, np.uint8, np.int64, np.float32, np.uint8
        )
        if (
            format_version.tolist() != [INDEX_FORMAT_VERSION]
            or vectors.ndim != 2
            or codes.shape[1:] != vectors.shape[1:]
        ):
            raise ValueError(f"the arrays of {index_path} are inconsistent")
        index = cls(vectors.shape[1])
        if len(lists_name):
            # with_name raises ValueError for anything but a plain name.
            index._lists_path = index_path.with_name(lists_name.tobytes().decode("ascii"))
            inverted_lists = InvertedLists.load(index._lists_path)
            index._view = _restore_view(inverted_lists, live_bitmap, ids, codes)
        if (len(vectors), len(codes)) != ((0, len(ids)) if len(lists_name) else (len(ids), 0)):
            raise ValueError(
                f"{index_path} has {len(ids)} ids for {len(vectors)} vectors and {len(codes)} codes"
            )
        if not len(lists_name):
            index._exact_index = ExactIndex.from_arrays(ids, vectors)
        return index

    @classmethod
    def _list_count(cls, vector_count: int) -> int:
        """Return the number of inverted lists for `vector_count` vectors."""
        return max(1, round(2 * math.sqrt(vector_count))) if cls.uses_inverted_lists else 1

    def __len__(self) -> int:
        return len(self._exact_index) if self._view is None else len(self._view)


class IvfIndex(Sq8Index):
    """An `Sq8Index` with inverted lists, of which a search probes only the nearest."""

    uses_inverted_lists: ClassVar[bool] = True


def _empty_delta_view(inverted_lists: InvertedLists) -> _View:
    no_codes = np.empty((0, len(inverted_lists.quantizer.range_min)), np.uint8)
    return _View(inverted_lists, None, 0, np.empty(0, np.int64), no_codes)


def _restore_view(
    inverted_lists: InvertedLists, live_bitmap: Bitmap, delta_ids: Ids, delta_codes: Codes
) -> _View:
    """Return the view that a file describes; ValueError if its arrays are inconsistent."""
    row_count, dim = inverted_lists.codes.shape
    if len(live_bitmap) not in (0, -(-row_count // 8)):
        raise ValueError(f"the bitmap has {len(live_bitmap)} bytes for {row_count} rows")
    if delta_codes.shape != (len(delta_ids), dim):
        raise ValueError(
            f"delta codes of shape {delta_codes.shape} do not match {len(delta_ids)} ids of {dim}"
        )
    if not (np.diff(delta_ids) > 0).all():
        raise ValueError("delta ids are not ascending")
    live_count = row_count
    if len(live_bitmap):
        live_count = int(np.unpackbits(live_bitmap, count=row_count, bitorder="little").sum())
    return _View(
        inverted_lists,
        live_bitmap if len(live_bitmap) else None,
        row_count - live_count,
        delta_ids,
        delta_codes,
    )


def _search_view(
    view: _View, query_vector: Vector, k: int, allowed_ids: Ids | None
) -> tuple[Ids, Vector]:
    """Return labels (see `_View.ids_for`) and scores of the k best, unordered."""
    if allowed_ids is not None and not (np.diff(allowed_ids) > 0).all():
        allowed_ids = np.unique(allowed_ids)
    labels, scores = _search_lists(view, query_vector, k, allowed_ids)
    if len(view.delta_ids):
        delta_labels, delta_scores = _search_delta(view, query_vector, k, allowed_ids)
        labels = np.concatenate([labels, delta_labels])
        scores = np.concatenate([scores, delta_scores])
    if len(labels) > k:
        best_positions = np.argpartition(-scores, k - 1)[:k]
        labels, scores = labels[best_positions], scores[best_positions]
    return labels, scores


def _search_delta(
    view: _View, query_vector: Vector, k: int, allowed_ids: Ids | None
) -> tuple[Ids, Vector]:
    """Return labels and scores of the k best of the delta."""
    labels, delta_codes = np.arange(len(view.delta_ids)), view.delta_codes
    if allowed_ids is not None:
        labels = np.flatnonzero(np.isin(view.delta_ids, allowed_ids))
        delta_codes = delta_codes[labels]
    with ScanHeap(view.inverted_lists.quantizer, query_vector, k) as scan_heap:
        scan_heap.scan(delta_codes, labels + len(view.inverted_lists.ids))
    return scan_heap.top_k()


def _search_lists(
    view: _View, query_vector: Vector, k: int, allowed_ids: Ids | None
) -> tuple[Ids, Vector]:
    """Return rows and scores of the k best of the base segment.

    The rows that a filter allows are selected directly if they are few. Otherwise all lists are
    scanned: the nearest allowed rows may be in lists that are far from the query.
    """
    lists, allowed_bitmap = view.inverted_lists, view.live_bitmap
    live_count = len(lists.ids) - view.tombstone_count
    probe_factor = max(1.0, k / WIDE_K)
    allowed_rows = None if allowed_ids is None else view.rows_for(allowed_ids)
    if allowed_rows is not None and len(allowed_rows) < live_count:
        live_count = len(allowed_rows)
        if live_count <= max(len(lists.ids) // SPARSE_FILTER_RATIO, MIN_QUANTIZED):
            allowed_rows.sort()
            with ScanHeap(lists.quantizer, query_vector, k) as scan_heap:
                scan_heap.scan(lists.codes[allowed_rows], allowed_rows)
            return scan_heap.top_k()
        allowed_bitmap, probe_factor = to_bitmap(allowed_rows, len(lists.ids)), math.inf
    for probe_scale in (probe_factor, math.inf):
        with ScanHeap(lists.quantizer, query_vector, k, allowed_bitmap) as scan_heap:
            for row_range in lists.probed_ranges(query_vector, probe_scale):
                scan_heap.scan(lists.codes[row_range], lists.row_labels[row_range])
        labels, scores = scan_heap.top_k()
        if len(labels) >= min(k, live_count):
            break
    return labels, scores
