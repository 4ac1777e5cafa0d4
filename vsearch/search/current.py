"""The index as the catalogue has it now: loaded from its file, then caught up by id."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import LibraryError
from vsearch.files import sweep
from vsearch.plugins import resolve
from vsearch.vectors.cache import Cached, IndexCache, forget, saved

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.catalog.repository import Catalog
    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Space

EXACT_UP_TO = 100_000  # segments; above, FAISS answers


@dataclass(frozen=True, slots=True)
class Current:
    """An index, the space its vectors live in, and the segments it holds."""

    index: VectorIndex
    space: Space
    ids: Ids


@dataclass(frozen=True, slots=True)
class _Held:
    """What is in memory, and where its kind is saved."""

    space: Space
    pooler: str | None  # of what is in it: another one makes other vectors of the same segments
    cache: IndexCache
    cached: Cached


class CurrentIndex:
    """Keeps an index in step with the catalogue. Segment ids are never used twice, so the ids
    that came and went are all that has to be known.
    """

    def __init__(self, catalog: Catalog, folder: Path, kind: str) -> None:
        """`kind` names an index plugin; "auto" is exact search while the library is small."""
        self._catalog, self._folder, self._kind = catalog, folder, kind
        self._lock = threading.Lock()
        self._held: _Held | None = None

    def get(self) -> Current | None:
        """The index at the catalogue's present revision; None while nothing is indexed."""
        with self._lock:
            held = self._present()
        return None if held is None else Current(held.cached.index, held.space, held.cached.ids)

    def save(self) -> None:
        """Write the present index for the next process. Only the holder of the lock may."""
        with self._lock:
            held = self._present()
        if held is not None:
            held.cache.store(held.space, held.cached)

    def forget(self, space: Space | None = None) -> None:
        """Drop the index of the library's or of another space, here and on disk.

        The next one is made from the catalogue alone. Only the holder of the lock may. Raises
        LibraryError if a file cannot be deleted.
        """
        with self._lock:
            self._held, space = None, space or self._catalog.space()
        try:
            if space is not None:
                forget(self._folder, space)
        except OSError as error:
            raise LibraryError(
                f"{error.filename} cannot be deleted ({error.strerror}). Make its folder writable "
                "for you, and run the command again."
            ) from error

    def size(self, space: Space) -> int:
        """The bytes that the saved indexes of a space take."""
        return sum(path.stat().st_size for path in saved(self._folder, space))

    def sweep(self) -> None:
        """Delete the unfinished files of an interrupted run. Only the holder of the lock may."""
        sweep(self._folder)

    def _present(self) -> _Held | None:
        """What is held, brought up to the catalogue's revision; None while nothing is indexed."""
        space, revision = self._catalog.space(), self._catalog.revision()
        if space is None:
            return None
        held, pooler = self._held, self._catalog.pooler()
        if held is not None and (held.space, held.pooler) != (space, pooler):
            held = None
        if held is None or held.cached.revision != revision:
            kind = self._chosen()
            if held is None or held.cache.kind != kind:
                held = self._loaded(space, pooler, kind)
            if held.cached.revision != revision:
                held = replace(held, cached=self._caught_up(held.cached, space, revision))
            self._held = held
        return held

    def _loaded(self, space: Space, pooler: str | None, kind: str) -> _Held:
        """The saved index of that kind, or an empty one."""
        cls: Any = resolve("indexes", kind)
        cache = IndexCache(self._folder, kind, cls)
        empty = Cached(cls(space.dim), -1, np.empty(0, np.int64))
        return _Held(space, pooler, cache, cache.load(space) or empty)

    def _caught_up(self, cached: Cached, space: Space, revision: int) -> Cached:
        ids = self._catalog.segment_ids()
        cached.index.remove(np.setdiff1d(cached.ids, ids))
        known = [np.intersect1d(cached.ids, ids)]
        for batch, vectors in self._catalog.iter_vectors(space, np.setdiff1d(ids, cached.ids)):
            cached.index.upsert(batch, vectors)
            known.append(batch)
        return Cached(cached.index, revision, np.sort(np.concatenate(known)))

    def _chosen(self) -> str:
        if self._kind != "auto":
            return self._kind
        return "exact" if self._catalog.counts().segments <= EXACT_UP_TO else "faiss"
