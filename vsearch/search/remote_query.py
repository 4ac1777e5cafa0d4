"""Queries from remote clients, which refer to images and clips by id instead of by path."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from vsearch.errors import QueryError
from vsearch.search.last_search import LastSearch, parse_result_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsearch.query.model import Filters, Query, ResultRef
    from vsearch.query.parser import NameResolver
    from vsearch.types import Video


class QueryableLibrary(Protocol):
    """The part of a library that `parse_remote_query` needs."""

    def query(
        self, query_text: str, *, with_names: Callable[[NameResolver], NameResolver]
    ) -> Query:
        """Parse a query, see `Library.query`."""

    def video(self, video_id: int) -> Video | None:
        """Return the video with an id, or None."""


def parse_remote_query(
    library: QueryableLibrary,
    query_text: str,
    *,
    upload_path: Callable[[str], Path] | None = None,
    previous_results: Sequence[ResultRef] = (),
) -> Query:
    """Parse a query from a remote client, which must not name files on this machine.

    Args:
        library: The library to query.
        query_text: The query. An image or clip is `video:12`, a video of the library, or
            `upload:ID`, an uploaded file.
        upload_path: Returns the file of an upload id; None: uploads are not supported.
        previous_results: Results that `like:#3` refers to, numbered from 1.

    Raises:
        QueryError: The query is malformed, names a file, or refers to something unknown.
    """

    def resolve_file(file_name: str) -> str:
        id_kind, _, id_text = file_name.partition(":")
        if id_kind == "upload" and upload_path is not None:
            return str(upload_path(id_text))
        if id_kind == "video":
            return str(_video_path(library, id_text))
        raise QueryError(
            f"{file_name}: remote queries cannot name files; refer to a video by its id, such as "
            "clip:video:12@3-8" + (", and to an upload by upload:ID" if upload_path else "")
        )

    def resolve_results(numbers_text: str) -> list[ResultRef]:
        last_search = LastSearch("", tuple(previous_results))
        return [
            last_search.get_result(result_number)
            for result_number in parse_result_numbers(numbers_text)
        ]

    def adapt_names(name_resolver: NameResolver) -> NameResolver:
        return replace(name_resolver, resolve_file=resolve_file, resolve_results=resolve_results)

    query = library.query(query_text, with_names=adapt_names)
    return replace(
        query,
        filters=_without_local_files(query.filters),
        exclude=_without_local_files(query.exclude),
    )


def _without_local_files(filters: Filters) -> Filters:
    """Return filters whose path patterns are not resolved on this machine's disk."""
    return replace(filters, remote=True) if filters.path_patterns else filters


def _video_path(library: QueryableLibrary, video_id: str) -> Path:
    video = library.video(int(video_id)) if video_id.isdecimal() and len(video_id) < 19 else None
    if video is None:
        raise QueryError(f"video:{video_id[:40]}: there is no such video in the library")
    return video.path
