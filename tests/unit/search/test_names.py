"""Names of files and folders as weak evidence, and the filter `name:`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.fakes import FakeEncoder
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch import Library, QueryError
from vsearch.query.parser import parse_query
from vsearch.search.names import rate_names
from vsearch.search.serialization import explanation_from_dict, explanation_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Moment

FILES = {
    "camera/BeachHoliday/IMG_2041.mp4": RED,
    "camera/BeachHoliday/IMG_2042.mp4": RED,
    "camera/party/blue balloon.mp4": GREEN,
    "camera/party/clip7.mp4": BLUE,
    "camera/zoo/Käfig 12.mp4": GREEN,
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("names")
    for number, (name, color) in enumerate(FILES.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        make_video(folder / name, [ColorScene(color, 2 + number / 2)])  # no two are equal
    with Library.open(folder / "library", create=True, encoder=FakeEncoder()) as library:
        assert [one.error for one in library.index([folder / "camera"]) if one.error] == []
        yield library


def names(moments: list[Moment]) -> set[str]:
    return {moment.video.path.name for moment in moments}


def matches(library: Library, text: str) -> dict[str, tuple[str, ...]]:
    return {
        moment.video.path.name: moment.explanation.name_match.words
        for moment in library.search(text, include_duplicates=True)
        if moment.explanation.name_match is not None
    }


def test_words_of_folders_and_files_are_matched(library: Library) -> None:
    assert matches(library, "a beach holiday") == {
        "IMG_2041.mp4": ("beach", "holiday"),
        "IMG_2042.mp4": ("beach", "holiday"),
    }
    assert matches(library, "holidays") == {
        "IMG_2041.mp4": ("holidays",),
        "IMG_2042.mp4": ("holidays",),
    }
    assert matches(library, "kafig") == {"Käfig 12.mp4": ("kafig",)}


def test_words_of_most_names_and_stop_words_say_nothing(library: Library) -> None:
    assert matches(library, "the camera") == {}
    assert matches(library, "the camera of the zoo") == {"Käfig 12.mp4": ("zoo",)}


def test_a_name_does_not_overrule_what_is_seen(library: Library) -> None:
    """The picture of clip7.mp4 is blue; the name of a green one says so."""
    found = library.search("blue")
    assert found[0].video.path.name == "clip7.mp4"
    named = next(moment for moment in found if moment.is_named_like_query)
    assert named.video.path.name == "blue balloon.mp4"


def test_a_named_video_gets_into_short_results(library: Library) -> None:
    found = library.search("blue balloon", k=3, per_video=1, include_duplicates=True)
    assert len(found) == 3
    assert found[0].video.path.name == "clip7.mp4"
    assert "blue balloon.mp4" in names(list(found))


def test_confidence_stays_that_of_the_picture(library: Library) -> None:
    with_name = next(m for m in library.search("blue balloon") if m.is_named_like_query)
    without = next(
        m
        for m in library.search("text:blue text:balloon -name:nowhere path:*balloon*")
        if m.video == with_name.video
    )
    assert with_name.confidence == pytest.approx(without.confidence, abs=0.2)
    assert with_name.has_low_confidence


def test_rare_words_weigh_more(library: Library) -> None:
    rated = rate_names(library._catalog, parse_query("party balloon").terms)
    by_name = {video.id: video.path.name for video in library.videos()}
    strength = {by_name[video_id]: evidence.strength for video_id, evidence in rated.items()}
    assert strength["blue balloon.mp4"] > 2 * strength["clip7.mp4"] > 0
    assert strength["blue balloon.mp4"] <= 1


def test_excluded_words_and_images_have_no_names(library: Library) -> None:
    assert rate_names(library._catalog, parse_query("red -beach").terms) == {}


def test_a_name_match_survives_json(library: Library) -> None:
    moment = next(m for m in library.search("beach holiday") if m.is_named_like_query)
    explanation = explanation_to_dict(moment.explanation)
    assert explanation["name_match"] == {"words": ["beach", "holiday"], "covers_query": True}
    read = explanation_from_dict(explanation)
    assert read.name_match == moment.explanation.name_match


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name:beach", {"IMG_2041.mp4", "IMG_2042.mp4"}),
        ('name:"IMG 2041"', {"IMG_2041.mp4"}),
        ("name:IMG_20", {"IMG_2041.mp4", "IMG_2042.mp4"}),
        ("name:img2042", {"IMG_2042.mp4"}),
        ("name:beach name:2042", {"IMG_2042.mp4"}),
        ("name:BeachHol", {"IMG_2041.mp4", "IMG_2042.mp4"}),
        ("name:käfig", {"Käfig 12.mp4"}),
        ("name:balloon blue", {"blue balloon.mp4"}),
        ("-name:img -name:party", {"Käfig 12.mp4"}),
        ("name:nowhere", set()),
        ('name:"\\" OR img"', set()),
    ],
)
def test_name_filters(library: Library, text: str, expected: set[str]) -> None:
    assert names(list(library.search(text))) == expected


def test_name_filters_are_formatted_as_typed() -> None:
    query = parse_query('name:"IMG 2041" -name:beach a dog')
    assert parse_query(str(query)) == query
    assert query.filters.names == ("IMG 2041",)
    assert query.exclude.names == ("beach",)


def test_a_name_without_letters_is_an_error() -> None:
    with pytest.raises(QueryError, match="name:_"):
        parse_query("name:_")


def test_names_of_duplicate_files_count_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    folder.mkdir()
    film = make_video(folder / "first.mp4", [ColorScene(RED, 2)])
    other = folder / "wedding.mp4"
    other.write_bytes(film.read_bytes())
    with Library.open(tmp_path / "library", create=True, encoder=FakeEncoder()) as library:
        list(library.index([folder]))
        assert len(library.videos()) == 1
        assert names(list(library.search("name:first"))) == {library.videos()[0].path.name}
        assert names(list(library.search("name:wedding"))) == {library.videos()[0].path.name}
        library.videos()[0].path.unlink()
        list(library.index([folder]))
        assert len(library.search("name:first")) + len(library.search("name:wedding")) == 1
