"""Saved searches and relevance feedback of a library on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.client.queries import quote_path, storable_query
from vsearch.client.responses import relevance_label_from_dict, saved_search_from_dict
from vsearch.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

    from vsearch.client.connection import ServerConnection
    from vsearch.query.model import Query, SavedSearch
    from vsearch.types import Moment, RelevanceLabel

    # because the method `list` hides the type in annotations of its class
    SavedSearchList: TypeAlias = list[SavedSearch]
    LabelList: TypeAlias = list[RelevanceLabel]


class RemoteSavedSearches:
    """Saved searches of a library on a server (`Remote.saved_searches`)."""

    def __init__(self, connection: ServerConnection) -> None:
        """Use `Remote.saved_searches`."""
        self._connection = connection

    def list(self) -> SavedSearchList:
        """Return the saved searches, sorted by name."""
        payload = self._connection.request_json("GET", "/saved-searches")
        with self._connection.validate_response():
            return list(map(saved_search_from_dict, payload["items"]))

    def get(self, name: str) -> SavedSearch:
        """Return a saved search; the name may start with `@`.

        Raises:
            QueryError: If there is no search with that name.
        """
        name = name.removeprefix("@")
        for saved_search in self.list():
            if saved_search.name == name:
                return saved_search
        raise QueryError(f"@{name}: no saved search with that name at {self._connection.url}")

    def add(self, name: str, query: str | Query) -> SavedSearch:
        """Save a query, to be run again as `@name`; replaces an earlier one with that name.

        Args:
            name: Name of letters, digits, `_` and `-`.
            query: Query without local files.

        Returns:
            The saved search.

        Raises:
            QueryError: If the name or the query is invalid.
        """
        request_body = {"q": storable_query(str(query))}
        payload = self._connection.request_json(
            "PUT", f"/saved-searches/{quote_path(name)}", json=request_body
        )
        with self._connection.validate_response():
            return saved_search_from_dict(payload)

    def remove(self, name: str) -> SavedSearch:
        """Delete a saved search and return it; the name may start with `@`.

        Raises:
            QueryError: If there is no search with that name.
        """
        saved_search = self.get(name)
        self._connection.request_json("DELETE", f"/saved-searches/{quote_path(saved_search.name)}")
        return saved_search


class RemoteFeedback:
    """Relevance labels of a library on a server (`Remote.feedback`)."""

    def __init__(self, connection: ServerConnection) -> None:
        """Use `Remote.feedback`."""
        self._connection = connection

    def add(
        self, query: str | Query, moments: Iterable[Moment], *, relevant: bool | None = True
    ) -> LabelList:
        """Label results as relevant or irrelevant to a query (relevance feedback).

        Args:
            query: The query without local files.
            moments: Moments to label.
            relevant: True, False, or None to remove the labels.

        Returns:
            All labels of the query.

        Raises:
            QueryError: If the query is invalid.
        """
        query_text = storable_query(str(query))
        for moment in moments:
            label_fields = {"q": query_text, "video_id": moment.video.id, "relevant": relevant}
            span_fields = {"start": moment.span.start, "end": moment.span.end}
            self._connection.request_json("POST", "/feedback", json={**label_fields, **span_fields})
        return self.list(query_text)

    def list(self, query: str | Query | None = None) -> LabelList:
        """Return the relevance labels of a query, or of all queries, newest first."""
        params = {} if query is None else {"q": storable_query(str(query))}
        payload = self._connection.request_json("GET", "/feedback", params=params)
        with self._connection.validate_response():
            return list(map(relevance_label_from_dict, payload["items"]))

    def clear(self, query: str | Query) -> int:
        """Delete the relevance labels of a query and return their number."""
        payload = self._connection.request_json(
            "DELETE", "/feedback", params={"q": storable_query(str(query))}
        )
        with self._connection.validate_response():
            return int(payload["deleted_count"])
