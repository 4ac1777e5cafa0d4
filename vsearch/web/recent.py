"""Searches of late, by ids, so that their results can be named: `like:#3`, a curve, a mark."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.web.problems import Problem

if TYPE_CHECKING:
    from vsearch.types import Moment, Query

MOST = 500  # searches that are remembered


@dataclass(frozen=True, slots=True)
class Search:
    """What was asked, and what was found."""

    id: str
    text: str  # as it was typed
    query: Query
    found: tuple[Moment, ...]


class Recent:
    """The latest searches of one server. Safe to use from several threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most, self._lock = most, threading.Lock()
        self._searches: OrderedDict[str, Search] = OrderedDict()

    def add(self, text: str, query: Query, found: list[Moment]) -> Search:
        """Remember a search, and forget the one that was not asked for longest."""
        search = Search(secrets.token_urlsafe(9), text, query, tuple(found))
        with self._lock:
            self._searches[search.id] = search
            while len(self._searches) > self._most:
                self._searches.popitem(last=False)
        return search

    def get(self, id_: str) -> Search:
        """The search with that id. Raises Problem."""
        with self._lock:
            if (search := self._searches.get(id_)) is None:
                raise Problem(404, "not-found", "that search is forgotten: ask again")
            self._searches.move_to_end(id_)
            return search
