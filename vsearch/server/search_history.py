"""Recent searches by id, for requests that refer to their results (`like:#3`, feedback)."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.query.model import ResultRef
from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vsearch.query.model import Query
    from vsearch.types import Moment

MAX_SEARCHES, MAX_RESULTS = 500, 20_000  # kept; all searches together have `MAX_RESULTS`


@dataclass(frozen=True, slots=True)
class RecordedSearch:
    """A query and references to its results, best first."""

    search_id: str
    query: Query
    results: tuple[ResultRef, ...]


class SearchHistory:
    """Searches by id; the least recently used ones are dropped. Thread-safe."""

    def __init__(self, max_searches: int = MAX_SEARCHES, max_results: int = MAX_RESULTS) -> None:
        self._max_searches, self._max_results = max_searches, max_results
        self._searches_by_id: OrderedDict[str, RecordedSearch] = OrderedDict()
        self._result_count, self._lock = 0, threading.Lock()

    def add_search(self, query: Query, moments: Iterable[Moment]) -> RecordedSearch:
        """Store a search under a new id, dropping the least recently used ones if full.

        The latest search is kept even if it alone has more results than all may have.
        """
        search = RecordedSearch(secrets.token_urlsafe(9), query, _list_references(moments))
        with self._lock:
            self._searches_by_id[search.search_id] = search
            self._result_count += len(search.results)
            while len(self._searches_by_id) > 1 and (
                len(self._searches_by_id) > self._max_searches
                or self._result_count > self._max_results
            ):
                _, dropped_search = self._searches_by_id.popitem(last=False)
                self._result_count -= len(dropped_search.results)
        return search

    def get_search(self, search_id: str) -> RecordedSearch:
        """Return the search with that id.

        Raises:
            Problem: 404 if the search is unknown or was dropped.
        """
        with self._lock:
            if (search := self._searches_by_id.get(search_id)) is None:
                raise Problem(404, "not-found", "the search has expired; search again")
            self._searches_by_id.move_to_end(search_id)
            return search


def _list_references(moments: Iterable[Moment]) -> tuple[ResultRef, ...]:
    """Return what later queries need of results, which take forty times the memory."""
    paths_by_video: dict[int, str] = {}
    return tuple(
        ResultRef(
            paths_by_video.setdefault(moment.video.id, str(moment.video.path)),
            moment.span,
            moment.score,
        )
        for moment in moments
    )
