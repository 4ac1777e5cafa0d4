"""Queries of those who are elsewhere: pictures and clips go by ids, never by paths of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch import results
from vsearch.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsearch.library import Library
    from vsearch.results import Result
    from vsearch.search.query import Names
    from vsearch.types import Filters, Moment, Query


def by_ids(
    library: Library,
    text: str,
    *,
    upload: Callable[[str], Path] | None = None,
    previous: Sequence[Moment] = (),
) -> Query:
    """What text asks of a library, in its whole language but for the names of files.

    A picture or clip is `video:12`, one of the library, or `upload:ID`, for which `upload` gives
    the file; `like:#3` means the third one of `previous`. Raises QueryError.
    """

    def file(name: str) -> str:
        kind, _, which = name.partition(":")
        if kind == "upload" and upload is not None:
            return str(upload(which))
        if kind == "video":
            return str(_video(library, which))
        raise QueryError(
            f"{name}: files are not named from here; a video of the library goes by its id, "
            "clip:video:12@3-8" + (", what was uploaded by upload:ID" if upload else "")
        )

    def found(numbers: str) -> list[Result]:
        held = results.Results("", tuple(map(results.Result.of, previous)))
        return [held.named(number) for number in results.numbers(numbers)]

    def names(known: Names) -> Names:
        return replace(known, file=file, results=found)

    query = library.query(text, names=names)
    return replace(query, filters=_foreign(query.filters), without=_foreign(query.without))


def _foreign(filters: Filters) -> Filters:
    """The same, that looks for no file on this machine's disk."""
    return replace(filters, elsewhere=True) if filters.videos else filters


def _video(library: Library, which: str) -> Path:
    video = library.video(int(which)) if which.isdecimal() and len(which) < 19 else None
    if video is None:
        raise QueryError(f"video:{which[:40]}: there is no such video in the library")
    return video.path
