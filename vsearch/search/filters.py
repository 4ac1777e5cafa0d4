"""What narrows a query, as it was typed: `path:holiday/* after:2024 has:speech`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.errors import QueryError
from vsearch.search.times import parse_date, parse_length, parse_span
from vsearch.types import Filters

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vsearch.search.grammar import Part

KINDS = ("speech", "subtitles", "screen", "tags")  # of what a video can have


def filters(parts: Iterable[Part], *, left_out: bool = False) -> Filters:
    """The filters that parts of a query mean. Raises QueryError.

    Of dates and lengths that are given twice the narrower counts: both of them hold. Of what is
    `left_out` the wider one does: neither is wanted.
    """
    found: dict[str, list[str]] = {}
    for part in parts:
        found.setdefault(part.name, []).append(part.value)

    def all_of(name: str) -> list[str]:
        return found.get(name, [])

    least, most = (min, max) if left_out else (max, min)
    return Filters(
        videos=tuple(all_of("path")),
        tags=tuple(all_of("tag")),
        after=least(map(parse_date, all_of("after")), default=None),
        before=most(map(parse_date, all_of("before")), default=None),
        longer=least(map(parse_length, all_of("longer")), default=None),
        shorter=most(map(parse_length, all_of("shorter")), default=None),
        at=tuple(map(parse_span, all_of("at"))),
        models=tuple(all_of("model")),
        has=tuple(map(_kind, all_of("has"))),
    )


def _kind(text: str) -> str:
    kind = text.lower()
    if kind not in KINDS:
        raise QueryError(f"has:{text}: a video can have {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    return kind
