"""The vector index of the current catalog revision: loaded from disk, then updated by id."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.catalog.lock import WriteLock
from vsearch.catalog.pool import OutdatedSnapshotError
from vsearch.catalog.segments import summarize_ids
from vsearch.errors import LibraryError, VSearchError
from vsearch.index.cache import (
    IndexCache,
    SavedIndex,
    copy_index,
    delete_saved_indexes,
    list_saved_files,
)
from vsearch.index.rescoring import RescoringIndex
from vsearch.plugins import resolve_plugin
from vsearch.protocols import RebuildableIndex, VectorSource
from vsearch.storage.atomic_files import remove_partial_files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Matrix, Space, Vector

log = logging.getLogger(__name__)
MAX_EXACT_SEGMENTS = 50_000  # above it, vectors are quantized to bytes, and the best rescored
MAX_FLAT_SEGMENTS = 100_000  # above it, only some inverted lists are scanned
INDEX_KINDS = "exact", "sq8", "ivf"
BULK_REBUILD_MIN_SEGMENTS = 5_000  # more new segments than this, and than old ones: rebuild
MAX_STALE_SHARE = 0.05  # share of added and removed segments up to which a saved index is used
MAX_LISTED_SAMPLE = 100_000  # segments up to which a sample is drawn from all ids
BUILD_DELAY_SECONDS = 5.0  # before a background build; a one-shot command has ended by then


@dataclass(frozen=True, slots=True, eq=False)
class ListedSegments:
    """The segments of an index that are listed in memory."""

    ids: Ids  # int64 (N,), ascending

    @property
    def count(self) -> int:
        """Number of segments."""
        return len(self.ids)

    @property
    def content_key(self) -> object:
        """Object that is the same only for the same segments."""
        return self.ids

    def sample(self, max_ids: int) -> Ids:
        """Return at most `max_ids` evenly spaced ids, int64 (N,) ascending."""
        return _draw_evenly(self.ids, max_ids)


class CountedSegments:
    """The segments of an index that keeps only their number and a sample of them."""

    def __init__(self, catalog: Catalog, count: int, sampled_ids: Ids) -> None:
        """Describe the segments at the catalog's revision.

        Args:
            catalog: The catalog, which lists all ids if they are needed.
            count: Number of segments.
            sampled_ids: Evenly spaced ones, int64 (N,) ascending.
        """
        self._catalog, self.count, self._sampled_ids = catalog, count, sampled_ids

    @cached_property
    def ids(self) -> Ids:
        """All ids, int64 (N,) ascending, read on first use."""
        return self._catalog.segment_ids()

    @property
    def content_key(self) -> object:
        """Object that is the same only for the same segments."""
        return self

    def sample(self, max_ids: int) -> Ids:
        """Return at most `max_ids` evenly spaced ids, int64 (N,) ascending."""
        has_too_few = len(self._sampled_ids) < min(max_ids, self.count) // 2  # many were removed
        if self.count <= MAX_LISTED_SAMPLE or has_too_few:
            return _draw_evenly(self.ids, max_ids)
        drawn_count = min(max_ids, len(self._sampled_ids))
        return self._sampled_ids[np.arange(drawn_count) * len(self._sampled_ids) // drawn_count]


def _draw_evenly(segment_ids: Ids, max_ids: int) -> Ids:
    return segment_ids[:: max(1, -(-len(segment_ids) // max_ids))]


@dataclass(frozen=True, slots=True)
class IndexSnapshot:
    """An index, the space of its vectors, and the segments it contains."""

    vector_index: VectorIndex
    space: Space
    segments: ListedSegments | CountedSegments
    revision: int  # of the catalog

    @property
    def segment_ids(self) -> Ids:
        """Ids of all segments, int64 (N,) ascending."""
        return self.segments.ids

    @property
    def keeps_all_ids(self) -> bool:
        """True if all ids are in memory, so that work on each segment is affordable."""
        return isinstance(self.segments, ListedSegments)

    def search_nearest(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None, catalog: Catalog
    ) -> tuple[Ids, Vector, Matrix]:
        """Find the nearest segments with their vectors.

        Args:
            query_vector: float32 (D,).
            k: Maximum number of segments.
            allowed_ids: Ascending ids of the segments to search; None: all.
            catalog: The catalog to read vectors from.

        Returns:
            Segment ids, int64 (n,), scores, float32 (n,), both best first, and vectors, float32
            (n, D). The vector of a segment deleted since the snapshot is zero.
        """
        if isinstance(self.vector_index, RescoringIndex):  # it has read the vectors already
            return self.vector_index.search_with_vectors(query_vector, k, allowed_ids)
        segment_ids, segment_scores = self.vector_index.search(query_vector, k, allowed_ids)
        known_ids, known_vectors = catalog.vectors(segment_ids, self.space)
        if len(known_ids) == len(segment_ids):
            return segment_ids, segment_scores, known_vectors
        segment_vectors = np.zeros((len(segment_ids), self.space.dim), np.float32)
        segment_vectors[np.isin(segment_ids, known_ids)] = known_vectors
        return segment_ids, segment_scores, segment_vectors


@dataclass(frozen=True, slots=True)
class _IndexState:
    """The index in memory, and the cache of its kind on disk."""

    space: Space
    pooler_name: str | None  # another pooler gives other vectors for the same segments
    segment_count: int  # of the library
    index_cache: IndexCache
    saved_index: SavedIndex
    built_revision: int = -1  # catalog revision of the last full build


class _BuildStoppedError(Exception):
    """Raised in a build when the index is closed."""


class LiveIndex:
    """A vector index kept in sync with the catalog. Thread-safe.

    Segment ids are never reused, so the sets of added and removed ids determine an update. An index
    that is due for a rebuild, or for another kind, keeps answering until its replacement is built,
    by a background thread or by `save`.
    """

    def __init__(
        self,
        catalog: Catalog,
        index_folder: Path,
        index_kind: str,
        load_tuning_queries: Callable[[], Matrix | None] | None = None,
    ) -> None:
        """Open the index lazily.

        Args:
            catalog: The catalog of the library.
            index_folder: Folder of the saved indexes.
            index_kind: Name of an index plugin, or "auto" to choose by the size of the library.
            load_tuning_queries: Returns typical queries, float32 (Q, D), on which an approximate
                index tunes its recall.
        """
        self._catalog, self._index_folder, self._index_kind = catalog, index_folder, index_kind
        self._load_tuning_queries = load_tuning_queries
        self._state_lock, self._build_lock = threading.Lock(), threading.Lock()
        self._state: _IndexState | None = None
        self._has_unusable_files = False  # damaged or of an older version; to be replaced
        self._invalidation_count = 0  # discards builds that were started before
        self._builder_thread: threading.Thread | None = None
        self._is_closing = threading.Event()

    @property
    def keeps_all_ids(self) -> bool:
        """True if the ids of all segments are in memory. See `IndexSnapshot.keeps_all_ids`."""
        return True

    def take_snapshot(self) -> IndexSnapshot | None:
        """Return the index at the catalog's current revision; None if nothing is indexed.

        Schedules a background build if the index is due for one.
        """
        with self._state_lock:
            state = self._refresh_state()
            if state is not None and self._is_overdue(state):
                self._schedule_build()
            if state is not None and self._has_unusable_files:
                self._replace_unusable_files(state)
        if state is None:
            return None
        vector_index, space = state.saved_index.index, state.space
        if isinstance(vector_index, RebuildableIndex) and vector_index.is_approximate:
            vector_index = RescoringIndex(
                vector_index, lambda segment_ids: self._catalog.vectors(segment_ids, space)
            )
        return IndexSnapshot(
            vector_index,
            space,
            ListedSegments(state.saved_index.vector_ids),
            state.saved_index.revision,
        )

    def save(self) -> None:
        """Rebuild the index if it is due, and write it to disk. Requires the writer lock."""
        self.rebuild()
        with self._state_lock:
            state = self._refresh_state()
        if state is not None:
            state.index_cache.save(state.space, state.saved_index)

    def rebuild(self) -> None:
        """Rebuild the index in memory if it is due; the old one answers meanwhile.

        The result is discarded if the index is invalidated or closed during the build.
        """
        with self._build_lock:
            with self._state_lock:
                previous_state, invalidation_count = self._refresh_state(), self._invalidation_count
            if previous_state is None or not self._is_overdue(previous_state):
                return
            try:
                new_state = self._load_newer_index(previous_state) or self._build_state(
                    previous_state, quick_build=False
                )
            except _BuildStoppedError:
                return
            with self._state_lock:
                if invalidation_count == self._invalidation_count:
                    self._state = new_state

    def close(self) -> None:
        """Cancel a running build and wait for its thread."""
        self._is_closing.set()
        with self._state_lock:  # it may be about to start
            builder_thread = self._builder_thread
        if builder_thread is not None:
            builder_thread.join()

    def invalidate(self, space: Space | None = None) -> None:
        """Drop the index of a space in memory and on disk. Requires the writer lock.

        The next index is built from the catalog alone.

        Args:
            space: The space; None: the current space of the library.

        Raises:
            LibraryError: A file cannot be deleted.
        """
        with self._state_lock:
            self._state, space = None, space or self._catalog.space()
            self._invalidation_count += 1
        try:
            if space is not None:
                delete_saved_indexes(self._index_folder, space)
        except OSError as error:
            raise LibraryError(
                f"{error.filename} cannot be deleted ({error.strerror}). Make its folder writable "
                "and run the command again."
            ) from error

    def tuning_queries(self, space: Space) -> Matrix:
        """Return typical queries of a space, float32 (Q, D); none (Q = 0) if unavailable."""
        try:
            query_vectors = (
                None if self._load_tuning_queries is None else self._load_tuning_queries()
            )
        except VSearchError as error:
            log.info("the index is tuned without text queries: %s", error)
            query_vectors = None
        if query_vectors is None or query_vectors.shape[1:] != (space.dim,):
            return np.empty((0, space.dim), np.float32)
        return query_vectors

    def saved_bytes(self, space: Space) -> int:
        """Return the size of the saved indexes of a space in bytes."""
        return sum(
            index_path.stat().st_size for index_path in list_saved_files(self._index_folder, space)
        )

    def find_problems(self) -> list[str]:
        """Return what is wrong with the saved indexes of the active space."""
        space = self._catalog.space()
        if space is None:
            return []
        problem_texts = [index_cache.find_problem(space) for index_cache in self._eligible_caches()]
        return [problem_text for problem_text in problem_texts if problem_text is not None]

    def remove_partial_builds(self) -> None:
        """Delete the partial files of an interrupted run. Requires the writer lock."""
        remove_partial_files(self._index_folder)

    def forget(self) -> None:
        """Drop the index in memory, after another catalog has replaced the file."""
        with self._state_lock:
            self._state = None
            self._invalidation_count += 1

    def _refresh_state(self) -> _IndexState | None:
        """Return the state at the catalog's current revision; None if nothing is indexed."""
        return self._catalog.read_consistently(self._refresh_in_snapshot)

    def _refresh_in_snapshot(self) -> _IndexState | None:
        """Return the state at the revision of this thread's snapshot.

        Raises:
            OutdatedSnapshotError: The index is at a later revision already.
        """
        space, revision = self._catalog.space(), self._catalog.revision()
        if space is None:
            return None
        state, pooler_name = self._state, self._catalog.pooler()
        if state is not None and (state.space, state.pooler_name) != (space, pooler_name):
            state = None
        is_unshared = state is None
        if state is None:
            state = self._load_state(space, pooler_name)
        if state.saved_index.revision > revision and self._catalog.is_outdated():
            raise OutdatedSnapshotError(f"{self._index_folder} is newer than the snapshot")
        if state.saved_index.revision != revision:
            state = self._catch_up(state, revision, is_unshared=is_unshared)
        self._state = state
        return state

    def _load_state(self, space: Space, pooler_name: str | None) -> _IndexState:
        """Load a saved index of any eligible kind, or create an empty one."""
        for index_cache in self._eligible_caches():
            if (saved_index := index_cache.load(space)) is not None:
                return _IndexState(
                    space, pooler_name, len(saved_index.vector_ids), index_cache, saved_index
                )
            self._has_unusable_files |= index_cache.has_files(space)
        segment_count = self._catalog.segment_count()
        index_cache = self._cache_for_size(segment_count)
        index_class: Any = index_cache.index_class
        return _IndexState(
            space,
            pooler_name,
            segment_count,
            index_cache,
            SavedIndex(index_class(space.dim), -1, np.empty(0, np.int64)),
        )

    def _eligible_caches(self) -> Iterator[IndexCache]:
        """Yield the caches of the index kinds that may be saved."""
        index_kinds = INDEX_KINDS if self._index_kind == "auto" else (self._index_kind,)
        yield from map(self._cache_for_kind, index_kinds)

    def _replace_unusable_files(self, state: _IndexState) -> None:
        """Replace saved files that cannot be used, unless the library is locked or read-only."""
        self._has_unusable_files = False
        try:
            with WriteLock(self._index_folder.parent):
                state.index_cache.save(state.space, state.saved_index)
        except LibraryError as error:  # the next process tries again
            log.info("the index was not saved: %s", error)

    def _catch_up(self, state: _IndexState, revision: int, *, is_unshared: bool) -> _IndexState:
        """Add new segments and remove deleted ones, in a copy unless nothing uses the index."""
        known_ids = state.saved_index.vector_ids
        removed_ids, last_known_id = np.empty(0, np.int64), int(known_ids.max(initial=0))
        added_ids = self._catalog.segment_ids(after_id=last_known_id)
        earlier_ids = self._catalog.summarize_segment_ids(last_known_id)
        state = replace(state, segment_count=earlier_ids[0] + len(added_ids))
        if earlier_ids != summarize_ids(known_ids):  # removed, or of another catalog
            catalog_ids = self._catalog.segment_ids()
            added_ids = np.setdiff1d(catalog_ids, known_ids, assume_unique=True)
            removed_ids = np.setdiff1d(known_ids, catalog_ids, assume_unique=True)
        if len(added_ids) > max(len(known_ids), BULK_REBUILD_MIN_SEGMENTS):
            return self._build_state(state, quick_build=True)
        vector_index = state.saved_index.index
        if len(added_ids) or len(removed_ids):
            if not is_unshared:  # searches in other threads still use it
                vector_index = copy_index(vector_index)
            if len(removed_ids):
                vector_index.remove(removed_ids)
                known_ids = np.setdiff1d(known_ids, removed_ids, assume_unique=True)
            id_batches = [known_ids]
            for batch_ids, batch_vectors in self._catalog.iter_vectors(state.space, added_ids):
                vector_index.upsert(batch_ids, batch_vectors)
                id_batches.append(batch_ids)
            known_ids = np.sort(np.concatenate(id_batches))
        return replace(state, saved_index=SavedIndex(vector_index, revision, known_ids))

    def _build_state(self, state: _IndexState, *, quick_build: bool) -> _IndexState:
        """Build an index of the catalog's current vectors, of the kind for its size."""
        index_cache = self._cache_for_size(state.segment_count)
        index_class: Any = index_cache.index_class
        revision, id_batches = self._catalog.revision(), [np.empty(0, np.int64)]

        def iter_batches() -> Iterator[tuple[Ids, Matrix]]:
            del id_batches[1:]  # from an earlier pass
            for batch_ids, batch_vectors in self._catalog.iter_vectors(state.space):
                self._raise_if_closing()
                id_batches.append(batch_ids)
                yield batch_ids, batch_vectors

        vector_index: VectorIndex = index_class(state.space.dim)
        if isinstance(vector_index, RebuildableIndex):
            vector_source = VectorSource(
                state.segment_count,
                partial(self._catalog.sample_vectors, state.space),
                iter_batches,
                partial(self.tuning_queries, state.space),
            )
            vector_index = vector_index.build(
                state.space.dim,
                vector_source,
                single_list=quick_build,
                check_cancelled=self._raise_if_closing,
            )
        else:
            for batch_ids, batch_vectors in iter_batches():
                vector_index.upsert(batch_ids, batch_vectors)
        saved_index = SavedIndex(vector_index, revision, np.concatenate(id_batches))
        return replace(
            state,
            index_cache=index_cache,
            saved_index=saved_index,
            built_revision=-1 if quick_build else revision,
        )

    def _load_newer_index(self, state: _IndexState) -> _IndexState | None:
        """Load the index that another process has saved since, unless it is stale as well."""
        index_cache = self._cache_for_size(state.segment_count)
        saved_index = index_cache.load(state.space)
        if saved_index is None:
            return None
        newer_state = replace(state, index_cache=index_cache, saved_index=saved_index)
        difference_count = len(np.setxor1d(saved_index.vector_ids, state.saved_index.vector_ids))
        return (
            None
            if self._is_overdue(newer_state)
            or difference_count > MAX_STALE_SHARE * state.segment_count
            else newer_state
        )

    def _is_overdue(self, state: _IndexState) -> bool:
        """Return True if the index is due for a rebuild or another kind at this revision."""
        if state.built_revision == state.saved_index.revision:
            return False
        has_other_kind = self._select_kind(state.segment_count) != state.index_cache.index_kind
        vector_index = state.saved_index.index
        return has_other_kind or (
            isinstance(vector_index, RebuildableIndex) and vector_index.needs_rebuild
        )

    def _schedule_build(self) -> None:
        """Start a background build unless one is running."""
        if self._is_closing.is_set() or (
            self._builder_thread is not None and self._builder_thread.is_alive()
        ):
            return
        self._builder_thread = threading.Thread(
            target=self._build_in_thread, name="index", daemon=True
        )
        self._builder_thread.start()

    def _build_in_thread(self) -> None:
        if self._is_closing.wait(BUILD_DELAY_SECONDS):
            return
        try:
            self.rebuild()
        except Exception:  # the old index stays in use, and a thread has no caller to raise to
            log.info("background build of the index failed", exc_info=True)

    def _raise_if_closing(self) -> None:
        if self._is_closing.is_set():
            raise _BuildStoppedError

    def _select_kind(self, segment_count: int) -> str:
        """Return the index kind for a number of segments."""
        if self._index_kind != "auto":
            return self._index_kind
        if segment_count <= MAX_EXACT_SEGMENTS:
            return "exact"
        return "sq8" if segment_count <= MAX_FLAT_SEGMENTS else "ivf"

    def _cache_for_size(self, segment_count: int) -> IndexCache:
        """Return the cache of the index kind for a number of segments."""
        return self._cache_for_kind(self._select_kind(segment_count))

    def _cache_for_kind(self, index_kind: str) -> IndexCache:
        return IndexCache(self._index_folder, index_kind, resolve_plugin("indexes", index_kind))
