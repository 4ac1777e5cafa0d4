"""The index as the catalogue has it now: loaded from its file, then caught up by id."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.plugins import resolve
from vsearch.vectors.cache import Cached, IndexCache

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


class CurrentIndex:
    """Keeps an index in step with the catalogue. Segment ids are never used twice, so the ids
    that came and went are all that has to be known.
    """

    def __init__(self, catalog: Catalog, folder: Path, kind: str) -> None:
        """`kind` names an index plugin; "auto" is exact search while the library is small."""
        self._catalog, self._folder, self._kind = catalog, folder, kind
        self._lock = threading.Lock()
        self._held: tuple[Space, Cached] | None = None

    def get(self) -> Current | None:
        """The index at the catalogue's present revision; None while nothing is indexed."""
        with self._lock:
            space, revision = self._catalog.space(), self._catalog.revision()
            if space is None:
                return None
            if self._held is None or self._held[0] != space:
                self._held = (space, self._saved(space))
            cached = self._held[1]
            if cached.revision != revision:
                cached = self._caught_up(cached, space, revision)
                self._held = (space, cached)
            return Current(cached.index, space, cached.ids)

    def save(self) -> None:
        """Write the present index for the next process. Only the holder of the lock may."""
        current = self.get()
        if current is not None and self._held is not None:
            self._cache().store(current.space, self._held[1])

    def _saved(self, space: Space) -> Cached:
        saved = self._cache().load(space)
        if saved is not None:
            return saved
        index: Any = resolve("indexes", self._chosen())(space.dim)
        return Cached(index, -1, np.empty(0, np.int64))

    def _caught_up(self, cached: Cached, space: Space, revision: int) -> Cached:
        ids = self._catalog.segment_ids()
        cached.index.remove(np.setdiff1d(cached.ids, ids))
        for batch, vectors in self._catalog.iter_vectors(space, np.setdiff1d(ids, cached.ids)):
            cached.index.upsert(batch, vectors)
        return Cached(cached.index, revision, ids)

    def _cache(self) -> IndexCache:
        kind = self._chosen()
        return IndexCache(self._folder, kind, resolve("indexes", kind))

    def _chosen(self) -> str:
        if self._kind != "auto":
            return self._kind
        return "exact" if self._catalog.counts().segments <= EXACT_UP_TO else "faiss"
