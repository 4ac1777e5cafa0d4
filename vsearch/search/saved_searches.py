"""Saved searches of a library, and name resolution for `@name` and `like:#12` in queries."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vsearch.catalog.annotation_rows import resolve_saved_search
from vsearch.errors import QueryError
from vsearch.query.arguments import check_text
from vsearch.query.model import Query
from vsearch.query.parser import MAX_QUERY_CHARS, NameResolver, parse_query, with_absolute_paths
from vsearch.search.last_search import load_last_search, parse_result_numbers

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TypeAlias

    from vsearch.catalog.catalog import Catalog
    from vsearch.query.model import ResultRef, SavedSearch

    # because the method `list` hides the type in annotations of its class
    SavedSearchList: TypeAlias = list[SavedSearch]
    ResultRefList: TypeAlias = list[ResultRef]

_NAME_RE = re.compile(r"[\w-]{1,64}")


class SavedSearches:
    """Saved searches of one library (`Library.saved_searches`); a query refers to one by `@name`.

    Writing does not take the writer lock, as it changes no video and no vector.
    """

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        """Use `Library.saved_searches`."""
        self._catalog, self._folder = catalog, folder

    @property
    def name_resolver(self) -> NameResolver:
        """Resolver for `@dogs` and `like:#12` in the text of a query."""
        return NameResolver(resolve_saved=self._saved_query, resolve_results=self._resolve_results)

    def list(self) -> SavedSearchList:
        """Return all saved searches, sorted by name."""
        return self._catalog.saved_searches()

    def get(self, name: str) -> SavedSearch:
        """Return a saved search; the name may start with `@`.

        Raises:
            QueryError: There is no such saved search.
        """
        return resolve_saved_search(check_text(name, "the name").removeprefix("@"), self.list())

    def add(self, name: str, query: str | Query) -> SavedSearch:
        """Save a query, with absolute paths so that it works from any folder.

        Args:
            name: Letters, digits, `_` and `-`, at most 64; may start with `@`.
            query: Query text or a parsed query; replaces an earlier one of the same name.

        Returns:
            The saved search.

        Raises:
            QueryError: The name or query is invalid, or the query cannot be written as text.
        """
        search_name = check_text(name, "the name").removeprefix("@")
        if not _NAME_RE.fullmatch(search_name):
            raise QueryError(
                f"{search_name!r} is not a valid name: use letters, digits, _ and -, at most 64"
            )
        if not isinstance(query, Query):
            query = parse_query(query, name_resolver=self.name_resolver)
        query = with_absolute_paths(query)
        query_text = str(query)
        if len(query_text) > MAX_QUERY_CHARS or parse_query(query_text) != query:
            raise QueryError(
                f"this query is too long or cannot be written as text: {query_text[:80]}…"
            )
        with self._catalog.begin() as transaction:
            transaction.save_search(search_name, query_text)
        return self.get(search_name)

    def remove(self, name: str) -> SavedSearch:
        """Delete a saved search and return it; the name may start with `@`.

        Raises:
            QueryError: There is no such saved search.
        """
        saved_search = self.get(name)
        with self._catalog.begin() as transaction:
            transaction.remove_saved_search(saved_search.name)
        return saved_search

    def _saved_query(self, search_name: str) -> str:
        try:
            return self.get(search_name).query_text
        except QueryError as error:
            raise QueryError(f'{error} (to look for the word, write "@{search_name}")') from None

    def _resolve_results(self, numbers_text: str) -> ResultRefList:
        result_numbers = parse_result_numbers(numbers_text)
        last_search = load_last_search(self._folder)
        return [last_search.get_result(result_number) for result_number in result_numbers]
