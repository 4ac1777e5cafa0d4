"""Parsing of filter elements: `path:holiday/* after:2024 has:speech`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from vsearch.errors import QueryError
from vsearch.query.areas import parse_area
from vsearch.query.dates import parse_date, resolve_date
from vsearch.query.filter_values import (
    parse_clock_range,
    parse_codec,
    parse_frame_rates,
    parse_trait,
    parse_weekdays,
)
from vsearch.query.languages import parse_language
from vsearch.query.model import Filters
from vsearch.query.times import parse_duration, parse_time_range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vsearch.query.grammar import QueryToken

CONTENT_KINDS = ("speech", "music", "singing", "subtitles", "screen", "tags")  # values of `has:`


def parse_filters(query_tokens: Iterable[QueryToken], *, excluded: bool = False) -> Filters:
    """Combine filter elements (`path:holiday/* after:2024 has:speech`).

    Repeated bounds are combined so that all of them hold; excluded ones, so that a video matching
    any of them is excluded.

    Args:
        query_tokens: Filter elements of a query.
        excluded: The elements are excluded (`-after:2024`).

    Returns:
        The filters.

    Raises:
        QueryError: If a value is invalid.
    """
    tokens = list(query_tokens)
    values_by_name: dict[str, list[str]] = {}
    for token in tokens:
        values_by_name.setdefault(token.field_name, []).append(token.value_text)

    def values_of(filter_name: str) -> list[str]:
        return values_by_name.get(filter_name, [])

    combine_lower_bounds, combine_upper_bounds = (min, max) if excluded else (max, min)
    return Filters(
        path_patterns=tuple(values_of("path")),
        names=tuple(map(_check_name, values_of("name"))),
        tags=tuple(values_of("tag")),
        recorded_after=combine_lower_bounds(
            map(parse_date, values_of("after")), default=None, key=resolve_date
        ),
        recorded_before=combine_upper_bounds(
            map(parse_date, values_of("before")), default=None, key=resolve_date
        ),
        min_duration=combine_lower_bounds(map(parse_duration, values_of("longer")), default=None),
        max_duration=combine_upper_bounds(map(parse_duration, values_of("shorter")), default=None),
        spans=tuple(map(parse_time_range, values_of("at"))),
        models=tuple(values_of("model")),
        has=tuple(map(_parse_content_kind, values_of("has"))),
        traits=tuple(map(parse_trait, values_of("is"))),
        cameras=tuple(values_of("camera")),
        codecs=tuple(map(parse_codec, values_of("codec"))),
        frame_rates=tuple(map(parse_frame_rates, values_of("fps"))),
        languages=tuple(map(parse_language, values_of("lang"))),
        times_of_day=tuple(map(parse_clock_range, values_of("time"))),
        weekdays=tuple(
            dict.fromkeys(chain.from_iterable(map(parse_weekdays, values_of("weekday"))))
        ),
        areas=tuple(
            parse_area(token.value_text, token.span_text)
            for token in tokens
            if token.field_name == "near"
        ),
    )


def _check_name(name_text: str) -> str:
    if not any(character.isalnum() for character in name_text):
        raise QueryError(f"name:{name_text}: must contain letters or digits of a name")
    return name_text


def _parse_content_kind(kind_text: str) -> str:
    content_kind = kind_text.lower()
    if content_kind not in CONTENT_KINDS:
        raise QueryError(
            f"has:{kind_text}: must be {', '.join(CONTENT_KINDS[:-1])} or {CONTENT_KINDS[-1]}"
        )
    return content_kind
