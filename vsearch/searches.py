"""Searches that are kept: some under a name, and what the last one found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vsearch import results
from vsearch.catalog.searches import meant
from vsearch.errors import QueryError
from vsearch.search.query import LONGEST, Names, parse, settled

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.catalog.repository import Catalog
    from vsearch.results import Result
    from vsearch.types import Query, SavedSearch

_NAME = re.compile(r"[\w-]{1,64}")


class Searches:
    """Those of one library. Saving one waits for nobody: it touches no video and no vector."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog, self._folder = catalog, folder

    @property
    def names(self) -> Names:
        """What `@dogs` and `like:#12` stand for here."""
        return Names(saved=self._query, results=self._results)

    def all(self) -> list[SavedSearch]:
        """Those that were saved, by name."""
        return self._catalog.searches()

    def named(self, name: str) -> SavedSearch:
        """The one of that name. Raises QueryError."""
        return meant(name.removeprefix("@"), self.all())

    def save(self, name: str, query: Query) -> SavedSearch:
        """Save a query under a name; files in it are named so that any folder will do."""
        name = name.removeprefix("@")
        if not _NAME.fullmatch(name):
            raise QueryError(f"{name!r} is no name: use letters, digits, _ and -, at most 64")
        query = settled(query)
        text = str(query)
        if len(text) > LONGEST or parse(text) != query:
            raise QueryError(f"this query is too long, or too odd, to be saved: {text[:80]}…")
        with self._catalog.begin() as change:
            change.save_search(name, text)
        return self.named(name)

    def remove(self, name: str) -> SavedSearch:
        """Forget the one of that name. Raises QueryError."""
        found = self.named(name)
        with self._catalog.begin() as change:
            change.remove_search(found.name)
        return found

    def _query(self, name: str) -> str:
        try:
            return self.named(name).query
        except QueryError as error:
            raise QueryError(f'{error} (to look for the word, write "@{name}")') from None

    def _results(self, text: str) -> list[Result]:
        numbers = results.numbers(text)
        last = results.last(self._folder)
        return [last.named(number) for number in numbers]
