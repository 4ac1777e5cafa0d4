"""Recent searches by id, for requests that refer to their results (`like:#3`, feedback)."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from vsearch.query.model import Query
    from vsearch.types import Moment

MAX_SEARCHES = 500  # kept


@dataclass(frozen=True, slots=True)
class RecordedSearch:
    """A query and its results."""

    search_id: str
    query_text: str  # as typed
    query: Query
    moments: tuple[Moment, ...]


class SearchHistory:
    """Searches by id; the least recently used ones are dropped. Thread-safe."""

    def __init__(self, max_searches: int = MAX_SEARCHES) -> None:
        self._max_searches, self._lock = max_searches, threading.Lock()
        self._searches_by_id: OrderedDict[str, RecordedSearch] = OrderedDict()

    def add_search(
        self, query_text: str, query: Query, moments: tuple[Moment, ...]
    ) -> RecordedSearch:
        """Store a search under a new id, dropping the least recently used one if full."""
        search = RecordedSearch(secrets.token_urlsafe(9), query_text, query, moments)
        with self._lock:
            self._searches_by_id[search.search_id] = search
            while len(self._searches_by_id) > self._max_searches:
                self._searches_by_id.popitem(last=False)
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
