"""The index as the catalogue has it now: loaded from its file, then caught up by id."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import LibraryError, VSearchError
from vsearch.files import sweep
from vsearch.plugins import resolve
from vsearch.vectors.cache import Cached, IndexCache, forget, saved
from vsearch.vectors.rescored import Rescored
from vsearch.vectors.source import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vsearch.catalog.repository import Catalog
    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Matrix, Space, Vector

log = logging.getLogger(__name__)

EXACT_UP_TO = 50_000  # segments; above, bytes are looked through, and the best compared exactly
FLAT_UP_TO = 100_000  # above, only groups of them
KINDS = "exact", "sq8", "ivf"
QUICKLY = 5_000  # segments; when more came, and more than there were, an index is made at once
DRIFT = 0.05  # of the segments that a saved index may not know, or know though they are gone
PATIENCE = 5.0  # seconds before a thread begins to build: a command that asks once is gone then


@dataclass(frozen=True, slots=True)
class Current:
    """An index, the space its vectors live in, and the segments it holds."""

    index: VectorIndex
    space: Space
    ids: Ids

    def nearest(
        self, query: Vector, k: int, among: Ids | None, catalog: Catalog
    ) -> tuple[Ids, Vector, Matrix]:
        """The k nearest segments, best first, their scores, and their vectors, float32 (n, D).

        The vector of one that is gone meanwhile is 0.
        """
        if isinstance(self.index, Rescored):  # it has read them
            return self.index.nearest(query, k, among)
        ids, scores = self.index.search(query, k, among)
        known, rows = catalog.vectors(ids, self.space)
        if len(known) == len(ids):
            return ids, scores, rows
        vectors = np.zeros((len(ids), self.space.dim), np.float32)
        vectors[np.isin(ids, known)] = rows
        return ids, scores, vectors


@dataclass(frozen=True, slots=True)
class _Held:
    """What is in memory, and where its kind is saved."""

    space: Space
    pooler: str | None  # of what is in it: another one makes other vectors of the same segments
    size: int  # segments of the library
    cache: IndexCache
    cached: Cached
    built: int = -1  # the revision for which it was built anew


class _StoppedError(Exception):
    """The index is not wanted any more."""


class CurrentIndex:
    """Keeps an index in step with the catalogue. Segment ids are never used twice, so the ids
    that came and went are all that has to be known.

    An index that should be of another kind by now, or built anew, goes on answering until the
    other one is there: built by a thread, or by who saves.
    """

    def __init__(
        self,
        catalog: Catalog,
        folder: Path,
        kind: str,
        questions: Callable[[], Matrix | None] | None = None,
    ) -> None:
        """`kind` names an index plugin; "auto" is the one for the library's size.

        `questions` gives what is usually asked, float32 (Q, D), for an index that tunes itself.
        """
        self._catalog, self._folder, self._kind = catalog, folder, kind
        self._questions = questions
        self._lock, self._building = threading.Lock(), threading.Lock()
        self._held: _Held | None = None
        self._forgotten = 0  # how often
        self._builder: threading.Thread | None = None
        self._closing = threading.Event()

    def get(self) -> Current | None:
        """The index at the catalogue's present revision; None while nothing is indexed."""
        with self._lock:
            held = self._present()
            if held is not None and self._overdue(held):
                self._build_later()
        if held is None:
            return None
        index, space = held.cached.index, held.space
        if getattr(index, "approximate", False):
            index = Rescored(index, lambda ids: self._catalog.vectors(ids, space))
        return Current(index, space, held.cached.ids)

    def save(self) -> None:
        """Write the present index, built anew if it is time, for the next process.

        Only the holder of the lock may.
        """
        self.renew()
        with self._lock:
            held = self._present()
        if held is not None:
            held.cache.store(held.space, held.cached)

    def renew(self) -> None:
        """Build anew an index for which it is time; the old one answers until then.

        Nothing is written. Where the index is forgotten or closed meanwhile, nothing is done.
        """
        with self._building:
            with self._lock:
                before, forgotten = self._present(), self._forgotten
            if before is None or not self._overdue(before):
                return
            try:
                made = self._saved_by_another(before) or self._made(before, quick=False)
            except _StoppedError:
                return
            with self._lock:
                if forgotten == self._forgotten:
                    self._held = made

    def close(self) -> None:
        """End what is being built."""
        self._closing.set()
        with self._lock:  # it may be about to start
            builder = self._builder
        if builder is not None:
            builder.join()

    def forget(self, space: Space | None = None) -> None:
        """Drop the index of the library's or of another space, here and on disk.

        The next one is made from the catalogue alone. Only the holder of the lock may. Raises
        LibraryError if a file cannot be deleted.
        """
        with self._lock:
            self._held, space = None, space or self._catalog.space()
            self._forgotten += 1
        try:
            if space is not None:
                forget(self._folder, space)
        except OSError as error:
            raise LibraryError(
                f"{error.filename} cannot be deleted ({error.strerror}). Make its folder writable "
                "for you, and run the command again."
            ) from error

    def questions(self, space: Space) -> Matrix:
        """What is usually asked, float32 (Q, D), as far as it is known."""
        try:
            found = None if self._questions is None else self._questions()
        except VSearchError as error:
            log.info("the index is built without questions in words: %s", error)
            found = None
        sound = found is not None and found.shape[1:] == (space.dim,)
        return found if found is not None and sound else np.empty((0, space.dim), np.float32)

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
        if held is None:
            held = self._loaded(space, pooler)
        if held.cached.revision != revision:
            held = self._caught_up(replace(held, size=self._catalog.segment_count()), revision)
        self._held = held
        return held

    def _loaded(self, space: Space, pooler: str | None) -> _Held:
        """What is saved, of any kind that may be meant, or else an empty index."""
        kinds = KINDS if self._kind == "auto" else (self._kind,)
        for cache in map(self._cache_of, kinds):
            if (cached := cache.load(space)) is not None:
                return _Held(space, pooler, len(cached.ids), cache, cached)
        size = self._catalog.segment_count()
        cache = self._cache(size)
        cls: Any = cache.cls
        return _Held(space, pooler, size, cache, Cached(cls(space.dim), -1, np.empty(0, np.int64)))

    def _caught_up(self, held: _Held, revision: int) -> _Held:
        """The same with what came and without what went."""
        cached = held.cached
        last, gone = int(cached.ids.max(initial=0)), np.empty(0, np.int64)
        came = self._catalog.segment_ids(after=last)
        if held.size - len(came) != len(cached.ids):  # something went: all have to be compared
            ids = self._catalog.segment_ids()
            came = np.setdiff1d(ids, cached.ids, assume_unique=True)
            gone = np.setdiff1d(cached.ids, ids, assume_unique=True)
        if len(came) > max(len(cached.ids), QUICKLY):
            return self._made(held, quick=True)
        known = [cached.ids]
        if len(gone):
            cached.index.remove(gone)
            known = [np.setdiff1d(cached.ids, gone, assume_unique=True)]
        for batch, vectors in self._catalog.iter_vectors(held.space, came):
            cached.index.upsert(batch, vectors)
            known.append(batch)
        now = Cached(cached.index, revision, np.sort(np.concatenate(known)))
        return replace(held, cached=now)

    def _made(self, held: _Held, *, quick: bool) -> _Held:
        """An index of what the catalogue holds now, of the kind for its size."""
        cache = self._cache(held.size)
        cls: Any = cache.cls
        revision, ids = self._catalog.revision(), [np.empty(0, np.int64)]

        def batches() -> Iterator[tuple[Ids, Matrix]]:
            del ids[1:]  # of an earlier look
            for batch, vectors in self._catalog.iter_vectors(held.space):
                self._stop()
                ids.append(batch)
                yield batch, vectors

        if hasattr(cls, "built"):
            sample = partial(self._catalog.sample, held.space)
            source = Source(held.size, sample, batches, partial(self.questions, held.space))
            index: VectorIndex = cls.built(held.space.dim, source, quick=quick, stop=self._stop)
        else:
            index = cls(held.space.dim)
            for batch, vectors in batches():
                index.upsert(batch, vectors)
        cached = Cached(index, revision, np.concatenate(ids))
        return replace(held, cache=cache, cached=cached, built=-1 if quick else revision)

    def _saved_by_another(self, held: _Held) -> _Held | None:
        """The index that another process has built and saved meanwhile, if it is better."""
        cache = self._cache(held.size)
        cached = cache.load(held.space)
        if cached is None:
            return None
        other = replace(held, cache=cache, cached=cached)
        apart = len(np.setxor1d(cached.ids, held.cached.ids))
        return None if self._overdue(other) or apart > DRIFT * held.size else other

    def _overdue(self, held: _Held) -> bool:
        """Whether another index would be better, and was not built for what there is now."""
        if held.built == held.cached.revision:
            return False
        other = self._kind_for(held.size) != held.cache.kind
        return other or bool(getattr(held.cached.index, "overdue", False))

    def _build_later(self) -> None:
        """Have a thread build the index anew, unless one does."""
        if self._closing.is_set() or (self._builder is not None and self._builder.is_alive()):
            return
        self._builder = threading.Thread(target=self._build, name="index", daemon=True)
        self._builder.start()

    def _build(self) -> None:
        if self._closing.wait(PATIENCE):
            return
        try:
            self.renew()
        except Exception:  # the old index goes on, and a thread has nobody to tell
            log.info("the index was not built anew", exc_info=True)

    def _stop(self) -> None:
        if self._closing.is_set():
            raise _StoppedError

    def _kind_for(self, size: int) -> str:
        """The kind for so many segments."""
        if self._kind != "auto":
            return self._kind
        return "exact" if size <= EXACT_UP_TO else "sq8" if size <= FLAT_UP_TO else "ivf"

    def _cache(self, size: int) -> IndexCache:
        """Where the index for so many segments is saved."""
        return self._cache_of(self._kind_for(size))

    def _cache_of(self, kind: str) -> IndexCache:
        return IndexCache(self._folder, kind, resolve("indexes", kind))
