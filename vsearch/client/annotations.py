"""Saved searches, relevance feedback and tags of a library on a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vsearch.client.queries import list_videos, quote_path, storable_query
from vsearch.client.responses import (
    relevance_label_from_dict,
    saved_search_from_dict,
    tag_from_dict,
)
from vsearch.errors import QueryError
from vsearch.query.arguments import check_text
from vsearch.query.model import Query
from vsearch.types import Moment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from vsearch.client.connection import ServerConnection
    from vsearch.query.model import SavedSearch
    from vsearch.types import PathInput, RelevanceLabel, Tag

    # because the method `list` hides the type in annotations of its class
    SavedSearchList: TypeAlias = list[SavedSearch]
    LabelList: TypeAlias = list[RelevanceLabel]
    TagList: TypeAlias = list[Tag]


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
        name = check_text(name, "the name").removeprefix("@")
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
        request_body = {"q": storable_query(_query_text(query))}
        payload = self._connection.request_json(
            "PUT", f"/saved-searches/{quote_path(check_text(name, 'the name'))}", json=request_body
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
        query_text = storable_query(_query_text(query))
        if not isinstance(moments, Iterable):
            raise QueryError(f"moments must be a list of results, not {moments!r:.60}")
        for moment in moments:
            if not isinstance(moment, Moment):
                raise QueryError(f"a result to mark must be a Moment, not {moment!r:.60}")
            label_fields = {"q": query_text, "video_id": moment.video.id, "relevant": relevant}
            span_fields = {"start": moment.span.start, "end": moment.span.end}
            self._connection.request_json("POST", "/feedback", json={**label_fields, **span_fields})
        return self.list(query_text)

    def list(self, query: str | Query | None = None) -> LabelList:
        """Return the relevance labels of a query, or of all queries, newest first."""
        params = {} if query is None else {"q": storable_query(_query_text(query))}
        payload = self._connection.request_json("GET", "/feedback", params=params)
        with self._connection.validate_response():
            return list(map(relevance_label_from_dict, payload["items"]))

    def clear(self, query: str | Query) -> int:
        """Delete the relevance labels of a query and return their number."""
        payload = self._connection.request_json(
            "DELETE", "/feedback", params={"q": storable_query(_query_text(query))}
        )
        with self._connection.validate_response():
            return int(payload["deleted_count"])


class RemoteTags:
    """Tags of a library on a server (`Remote.tags`), read only."""

    def __init__(self, connection: ServerConnection) -> None:
        """Use `Remote.tags`."""
        self._connection = connection

    def list(self, paths: Sequence[PathInput] = ()) -> TagList:
        """Return the tags of videos and their spans.

        Args:
            paths: Paths on the server, see `Remote.videos`; empty means all videos.

        Returns:
            The tags.
        """
        video_tags: TagList = []
        for video in list_videos(self._connection, paths):
            payload = self._connection.request_json("GET", f"/videos/{video.id}")
            with self._connection.validate_response():
                video_tags += [
                    tag_from_dict(video.id, tag_payload) for tag_payload in payload["tags"]
                ]
        return video_tags


def _query_text(query: object) -> str:
    """Return the text of a query; raise QueryError if it is something else."""
    return str(query) if isinstance(query, Query) else check_text(query, "the query")
