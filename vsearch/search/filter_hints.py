"""Hints on filters that leave nothing: what there is instead, and which place a name stands for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.catalog.property_filters import find_cameras, locate_center
from vsearch.query.areas import haversine_km
from vsearch.query.gazetteer import find_place
from vsearch.query.languages import language_codes, language_name
from vsearch.types import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.query.areas import Area
    from vsearch.query.model import Filters

_MAX_NAMES = 6  # that a hint lists


def iter_place_hints(filters: Filters) -> Iterator[str]:
    """Yield a hint for each name that may stand for several places.

    Args:
        filters: Filters whose places are known.
    """
    for area in filters.areas:
        if isinstance(area.center, str) and (place := find_place(area.center)).alternatives:
            yield (
                f"near:{area.center} is {place}; for another one write "
                + " or ".join(f'near:"{alternative}"' for alternative in place.alternatives)
                + "."
            )


def iter_filter_hints(catalog: Catalog, filters: Filters) -> Iterator[str]:
    """Yield a hint for each filter that no video passes.

    Args:
        catalog: The catalog.
        filters: The filters of a query without results; names of places are known.
    """
    for camera_words in filters.cameras:
        if not find_cameras(catalog, [camera_words]):
            yield (
                f"camera:{camera_words}: no such camera in the library; "
                f"{_list_names(catalog.cameras(), 'no video names its camera')}."
            )
    known_codecs = catalog.codecs() if filters.codecs else []
    for codec in filters.codecs:
        if codec not in known_codecs:
            yield f"codec:{codec}: no such video in the library; {_list_names(known_codecs)}."
    known_languages = catalog.languages() if filters.languages else []
    for language in filters.languages:
        known_codes = {
            code.partition("-")[0]
            for codes in known_languages
            for code in codes.lower().replace("_", "-").split(",")
        }
        if not known_codes & set(language_codes(language)):
            names = sorted(set(map(language_name, known_codes)))
            yield (
                f"lang:{language}: no transcript is in {language_name(language)}; "
                f"{_list_names(names, 'no transcript names its language')}."
            )
    if filters.areas:
        locations = catalog.locations()
        yield from (_describe_nearest(area, locations) for area in filters.areas)


def _describe_nearest(area: Area, locations: Sequence[tuple[int, float, float]]) -> str:
    if not locations:
        return f"near:{area.center_text}: no video of the library has a location."
    center = locate_center(area)
    distance_km = min(
        haversine_km(center, Location(latitude, longitude)) for _, latitude, longitude in locations
    )
    center_text = str(find_place(area.center)) if isinstance(area.center, str) else area.center_text
    return f"The video nearest to {center_text} is {distance_km:.1f} km away."


def _list_names(names: Iterable[str], without_names: str = "it is empty") -> str:
    known_names = list(names)
    if not known_names:
        return without_names
    more_text = ", …" if len(known_names) > _MAX_NAMES else ""
    return f"known: {', '.join(known_names[:_MAX_NAMES])}{more_text}"
