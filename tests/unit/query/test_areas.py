"""Areas around places: distances, bounding boxes at the poles and at 180 degrees, and names."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.errors import QueryError
from vsearch.query.areas import EARTH_RADIUS_KM, bounding_box, haversine_km, parse_area
from vsearch.types import Location

BERLIN, PARIS = Location(52.52, 13.405), Location(48.8566, 2.3522)


@pytest.mark.parametrize(
    ("first", "second", "kilometers"),
    [
        (BERLIN, BERLIN, 0),
        (BERLIN, PARIS, 877.5),
        (Location(0, 179.9), Location(0, -179.9), 22.24),
        (Location(90, 0), Location(90, 123), 0),
        (Location(90, 0), Location(-90, 0), math.pi * EARTH_RADIUS_KM),
        (Location(0, 0), Location(0, 180), math.pi * EARTH_RADIUS_KM),
    ],
)
def test_distances_on_the_sphere(first: Location, second: Location, kilometers: float) -> None:
    assert haversine_km(first, second) == pytest.approx(kilometers, abs=0.5)
    assert haversine_km(second, first) == haversine_km(first, second)


locations = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))


@given(locations, locations, st.floats(0.001, 20_040))
def test_a_bounding_box_contains_its_circle(
    center: Location, point: Location, radius_km: float
) -> None:
    south, north, half_width = bounding_box(center, radius_km)
    longitude_difference = abs((point.longitude - center.longitude + 180) % 360 - 180)
    is_inside = south <= point.latitude <= north and longitude_difference <= half_width + 1e-9
    assert is_inside or haversine_km(center, point) > radius_km * (1 - 1e-9)


def test_a_circle_around_a_pole_has_every_longitude() -> None:
    assert bounding_box(Location(89.9, 10), 20)[2] == 180
    assert bounding_box(Location(-89.9, 10), 20)[2] == 180
    assert bounding_box(Location(89.9, 10), 5)[2] < 180


@pytest.mark.parametrize(
    "text", ["", " ", "48", "48.1,", ",", "1,2,3", "-91,0", "0,181", "x" * 101]
)
def test_other_texts_are_not_areas(text: str) -> None:
    with pytest.raises(QueryError, match=r"^near:"):
        parse_area(text)
