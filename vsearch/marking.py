"""Teaching by example: which results were what a query asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import QueryError
from vsearch.results import Result
from vsearch.search.query import settled
from vsearch.search.teaching import Lesson
from vsearch.types import Filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.types import Mark, Matrix, Moment, Query, Space, Span

MOST = 200  # marks of one query that count, the latest ones


class Marks:
    """Those of one library. Marking waits for nobody: it touches no video and no vector."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def put(self, query: Query, found: Iterable[Moment | Result], up: bool | None) -> list[Mark]:
        """Mark what was found by a query, in place of earlier marks of it; None: no longer.

        Raises QueryError.
        """
        if query.then:
            raise QueryError("what is found by a query with then: cannot be marked")
        key, places = _key(query), [self._place(one) for one in found]
        with self._catalog.begin() as change:
            for video_id, span in places:
                change.remove_marks(key, video_id, span)
                if up is not None:
                    change.add_mark(key, video_id, span, up)
        return self.of(query)

    def of(self, query: Query | None = None) -> list[Mark]:
        """The marks of a query, whatever it is narrowed to, the latest first, or all."""
        return self._catalog.marks(None if query is None else _key(query))

    def forget(self, query: Query) -> int:
        """Take away what was marked for a query; how much that was."""
        with self._catalog.begin() as change:
            return change.remove_marks(_key(query))

    def lesson(self, query: Query, space: Space) -> Lesson | None:
        """What a query learns from its marks; None where it has none."""
        marks = [] if query.then else self.of(query)[:MOST]
        if not marks:
            return None
        up, down = ([mark for mark in marks if mark.up is said] for said in (True, False))
        refused = tuple((mark.video_id, mark.span) for mark in down)
        return Lesson(self._seen(up, space), self._seen(down, space), refused)

    def _place(self, found: Moment | Result) -> tuple[int, Span]:
        """The video, as it is known now, and the span of a result."""
        path = Path(found.path) if isinstance(found, Result) else found.video.path
        video = self._catalog.find(path)
        if video is None:
            raise QueryError(f"{path} is no longer in the library, so it cannot be marked")
        return video.id, found.span

    def _seen(self, marks: Sequence[Mark], space: Space) -> Matrix:
        """What the marked moments look like, float32 (N, D); those without a vector left out."""
        rows = []
        for ids in self._catalog.overlapping([(mark.video_id, mark.span) for mark in marks]):
            mean = self._catalog.vectors(ids, space)[1].sum(axis=0)
            length = float(np.linalg.norm(mean))
            if length > 1e-6:
                rows.append(mean / np.float32(length))
        return np.stack(rows) if rows else np.empty((0, space.dim), np.float32)


def _key(query: Query) -> str:
    """What is asked, wherever: filters change nothing about what is meant."""
    return str(settled(replace(query, filters=Filters(), without=Filters())))
