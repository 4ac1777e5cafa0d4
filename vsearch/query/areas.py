"""Areas of the filter `near:`: a place or coordinates with a radius."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vsearch.errors import QueryError
from vsearch.query.formatting import format_number
from vsearch.types import Location

EARTH_RADIUS_KM = 6_371.0088  # mean radius
DEFAULT_RADIUS_KM = 10.0
_MAX_RADIUS_KM = 20_040.0  # half of the circumference
_MAX_NAME_CHARS = 100
_KM_PER_UNIT = {"km": 1.0, "mi": 1.609344, "m": 0.001}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]*)?"
DISTANCE_PATTERN = rf"({_NUMBER})\s?(km|mi|m)"
_DISTANCE_RE = re.compile(DISTANCE_PATTERN, re.IGNORECASE)
_DEGREES = r"([+-]?[0-9]{1,3}(?:\.[0-9]*)?)\s?°?\s?"
_COORDINATES_RE = re.compile(rf"{_DEGREES}([NS]?)(?:\s?[,;]\s?|\s){_DEGREES}([EW]?)", re.IGNORECASE)
_NUMBERS_RE = re.compile(r"[0-9.,;+°\s-]+")


@dataclass(frozen=True, slots=True)
class Area:
    """All points within a distance of a place.

    Attributes:
        center: Coordinates, or the name of a place as typed.
        radius_km: Distance in kilometers along the surface of the Earth.
    """

    center: Location | str
    radius_km: float = DEFAULT_RADIUS_KM

    def __str__(self) -> str:
        """Return the value as in a query, without quotes."""
        return f"{self.center_text},{format_number(self.radius_km)}km"

    @property
    def center_text(self) -> str:
        """Coordinates or name of the center."""
        if isinstance(self.center, str):
            return self.center
        return f"{format_number(self.center.latitude)},{format_number(self.center.longitude)}"


def parse_area(area_text: str, distance_text: str | None = None) -> Area:
    """Parse `48.1,11.5`, `48.1,11.5,5km`, `Munich` or `Munich,5km`.

    Args:
        area_text: Latitude and longitude in degrees, or a name; then a radius, if any.
        distance_text: A radius that follows as a word of its own: `5km`, `500m` or `3mi`.

    Returns:
        The area.

    Raises:
        QueryError: A number is out of range, or there are two radii.
    """
    center_text, comma, last_part = area_text.rpartition(",")
    if comma and _DISTANCE_RE.fullmatch(last_part.strip()):
        if distance_text is not None:
            raise QueryError(
                f"near:{area_text} {distance_text}: has two distances; put words in quotes"
            )
        distance_text = last_part.strip()
    else:
        center_text = area_text
    radius_km = DEFAULT_RADIUS_KM if distance_text is None else _parse_distance(distance_text)
    return Area(_parse_center(" ".join(center_text.split())), radius_km)


def haversine_km(first: Location, second: Location) -> float:
    """Return the distance of two points on a sphere, by the haversine formula.

    Source: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984).

    Args:
        first: A point.
        second: Another point.

    Returns:
        Kilometers.
    """
    latitudes = math.radians(first.latitude), math.radians(second.latitude)
    half_height = (latitudes[1] - latitudes[0]) / 2
    half_width = math.radians(second.longitude - first.longitude) / 2
    haversine = (
        math.sin(half_height) ** 2
        + math.cos(latitudes[0]) * math.cos(latitudes[1]) * math.sin(half_width) ** 2
    )
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(haversine)))


def bounding_box(center: Location, radius_km: float) -> tuple[float, float, float]:
    """Return bounds that contain a circle: minimum and maximum latitude, and longitude difference.

    Source: J. P. Matuschek, "Finding Points Within a Distance of a Latitude/Longitude Using
    Bounding Coordinates" (2011).

    Args:
        center: Center of the circle.
        radius_km: Its radius in kilometers.

    Returns:
        Degrees; 180 as the longitude difference if the circle includes a pole.
    """
    angle = radius_km / EARTH_RADIUS_KM * (1 + 1e-9)
    angle_degrees = math.degrees(angle)
    south, north = center.latitude - angle_degrees, center.latitude + angle_degrees
    if south <= -90 or north >= 90:
        return max(south, -90.0), min(north, 90.0), 180.0
    half_width = math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(center.latitude))))
    return south, north, math.degrees(half_width)


def _parse_distance(distance_text: str) -> float:
    """Return kilometers; raise QueryError if there are too many or none."""
    distance_match = _DISTANCE_RE.fullmatch(distance_text)
    number, unit = distance_match.groups() if distance_match else ("0", "km")
    radius_km = float(number) * _KM_PER_UNIT[unit.lower()]
    if not 0 < radius_km <= _MAX_RADIUS_KM:
        raise QueryError(
            f"{distance_text}: a radius must be more than 0 and at most {_MAX_RADIUS_KM:.0f} km"
        )
    return radius_km


def _parse_center(center_text: str) -> Location | str:
    if coordinates := _COORDINATES_RE.fullmatch(center_text):
        latitude, north_or_south, longitude, east_or_west = coordinates.groups()
        try:
            return Location(
                float(latitude) * (-1 if north_or_south.upper() == "S" else 1),
                float(longitude) * (-1 if east_or_west.upper() == "W" else 1),
            )
        except ValueError as error:
            raise QueryError(f"near:{center_text}: {error}") from error
    if not center_text or _NUMBERS_RE.fullmatch(center_text) or len(center_text) > _MAX_NAME_CHARS:
        raise QueryError(
            f"near:{center_text[:_MAX_NAME_CHARS]}: write latitude and longitude without a blank, "
            "near:48.1,11.5, or the name of a place, near:Munich"
        )
    return center_text
