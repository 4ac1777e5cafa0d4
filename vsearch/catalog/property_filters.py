"""Translation of filters on the properties of videos into SQL: shape, camera, place, local time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from vsearch.catalog.dialect import CLOCK_SQL, WEEKDAY_SQL
from vsearch.catalog.reader import IN_JSON_SQL, IN_JSON_TEXTS_SQL
from vsearch.query.areas import bounding_box, haversine_km
from vsearch.query.filter_values import WEEKDAYS
from vsearch.query.gazetteer import find_place
from vsearch.query.languages import language_codes
from vsearch.types import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.query.areas import Area
    from vsearch.query.filter_values import ClockRange
    from vsearch.query.model import Filters

_TRAITS_SQL = {
    "wide": "width > height",
    "vertical": "width < height",
    "square": "width = height",
    "4k": "max(width, height) >= 3840 AND min(width, height) >= 1600",  # also 3840 × 1600 of films
    "photo": "is_photo",
    "video": "NOT is_photo",
}
_FRAME_RATE_SQL = "fps > 0 AND fps >= ? AND fps < ?"  # 0 is not known
_LANGUAGE_SQL = """EXISTS (SELECT 1 FROM transcripts, json_each(?)
    WHERE video_id = videos.id
        AND instr(',' || replace(lower(language), '_', '-') || ',', value) > 0)"""


def iter_property_conditions(
    filters: Filters, cameras: Sequence[str] | None, nearby_ids: Iterable[int] | None
) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Yield an SQL condition on `videos` and its parameters for each filter.

    A condition is NULL where the property of a video is not known.

    Args:
        filters: The filters.
        cameras: Names of cameras as stored, from `find_cameras`; None: no filter.
        nearby_ids: Ids of videos, from `find_nearby`; None: no filter.
    """
    for trait in filters.traits:
        yield _TRAITS_SQL[trait], ()
    if cameras is not None:
        yield f"camera {IN_JSON_TEXTS_SQL}", (json.dumps(cameras),)
    if filters.codecs:
        yield f"lower(codec) {IN_JSON_TEXTS_SQL}", (json.dumps(filters.codecs),)
    if filters.frame_rates:
        yield (
            _join_alternatives([_FRAME_RATE_SQL] * len(filters.frame_rates)),
            sum((frame_rates.bounds() for frame_rates in filters.frame_rates), ()),
        )
    if filters.languages:
        codes = [code for language in filters.languages for code in language_codes(language)]
        patterns = [f",{code}{end}" for code in codes for end in ",-"]  # also de-AT
        yield _LANGUAGE_SQL, (json.dumps(patterns),)
    if filters.times_of_day:
        clock_conditions, clock_values = zip(*map(_match_clock, filters.times_of_day), strict=True)
        yield _join_alternatives(clock_conditions), sum(clock_values, ())
    if filters.weekdays:
        day_numbers = [str((WEEKDAYS.index(day) + 1) % 7) for day in filters.weekdays]
        yield f"{WEEKDAY_SQL} {IN_JSON_TEXTS_SQL}", (json.dumps(day_numbers),)
    if nearby_ids is not None:
        yield f"videos.id {IN_JSON_SQL}", (json.dumps(list(nearby_ids)),)


def find_cameras(catalog: Catalog, camera_words: Iterable[str]) -> list[str]:
    """Return the cameras of the library whose name contains all words of any text, ignoring case.

    Args:
        catalog: The catalog.
        camera_words: Texts such as `iphone` or `canon eos`.
    """
    word_lists = [words.casefold().split() for words in camera_words]
    return [
        camera
        for camera in catalog.cameras()
        if any(all(word in camera.casefold() for word in words) for words in word_lists)
    ]


def find_nearby(catalog: Catalog, areas: Iterable[Area]) -> set[int]:
    """Return the ids of the videos that were recorded in any of the areas.

    Args:
        catalog: The catalog.
        areas: Circles; names of places are resolved.

    Raises:
        QueryError: There is no place with one of the names.
    """
    nearby_ids: set[int] = set()
    for area in areas:
        center = locate_center(area)
        south, north, half_width = bounding_box(center, area.radius_km)
        nearby_ids.update(
            video_id
            for video_id, latitude, longitude in catalog.locations(south, north)
            if abs((longitude - center.longitude + 180) % 360 - 180) <= half_width
            and haversine_km(center, Location(latitude, longitude)) <= area.radius_km
        )
    return nearby_ids


def locate_center(area: Area) -> Location:
    """Return the coordinates of the center of an area; raise QueryError if it is not known."""
    return find_place(area.center).location if isinstance(area.center, str) else area.center


def _match_clock(clock_range: ClockRange) -> tuple[str, tuple[object, ...]]:
    """Return the condition that a recording began in a part of the day."""
    conjunction = "OR" if clock_range.includes_midnight else "AND"
    return (
        f"{CLOCK_SQL} >= ? {conjunction} {CLOCK_SQL} < ?",
        (clock_range.start_text, clock_range.end_text),
    )


def _join_alternatives(conditions: Iterable[str]) -> str:
    return " OR ".join(f"({condition})" for condition in conditions)
