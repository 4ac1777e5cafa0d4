"""What a clip was cut out of, through the library."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from copying import Copying, copy, wandering, write
from fakes import FakeEncoder
from vsearch import Library, Span

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The films, which take a while to write."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(4):
        write(folder / f"{number}.mp4", wandering(25, number), 10, 20)
    return folder


@pytest.fixture
def films(tmp_path: Path, made: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "films"))


@pytest.fixture
def library(tmp_path: Path, films: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        assert [one.error for one in library.index([films]) if one.error] == []
        yield library


def cut(films: Path, number: int, span: Span, how: Copying = Copying(fps=12)) -> Path:  # noqa: B008
    rng = np.random.default_rng(number)
    return copy(films / f"{number}.mp4", span, films.parent / f"clip{number}.mp4", how, rng)


@pytest.mark.parametrize("number", range(4))
def test_a_clip_finds_its_source_and_its_span(library: Library, films: Path, number: int) -> None:
    span = Span(3.3 + 2 * number, 8.7 + 3 * number)
    best = library.search(clip=cut(films, number, span))[0]
    assert best.video.path.name == f"{number}.mp4"
    assert best.span.iou(span) > 0.9
    assert best.why.copy


def test_a_part_of_a_clip_is_placed_where_that_part_is(library: Library, films: Path) -> None:
    clip = cut(films, 2, Span(4, 20))
    best = library.search(clip=clip, span=(6, 11))[0]
    assert best.why.copy
    assert best.span.iou(Span(10, 15)) > 0.85


def test_without_its_file_the_source_is_placed_by_its_frames(library: Library, films: Path) -> None:
    clip = cut(films, 1, Span(7.5, 14.5), Copying(crop=0.02))
    (films / "1.mp4").unlink()
    best = library.search(clip=clip)[0]
    assert best.video.path.name == "1.mp4"
    assert best.span.iou(Span(7.5, 14.5)) > 0.7


def test_what_is_no_copy_gives_moments_as_ever(library: Library, tmp_path: Path) -> None:
    other = write(tmp_path / "other.mp4", wandering(6, 99), 10, 20)
    found = library.search(clip=other)
    assert found
    assert not any(moment.why.copy for moment in found)


def test_copies_come_first_and_the_rest_follows_by_score(library: Library, films: Path) -> None:
    found = library.search(clip=cut(films, 3, Span(5, 10)), k=6)
    assert [moment.why.copy for moment in found] == [True] + [False] * (len(found) - 1)
    scores = [moment.score for moment in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) > 1


def test_only_the_videos_asked_for_are_looked_through(library: Library, films: Path) -> None:
    found = library.search(clip=cut(films, 3, Span(5, 10)), videos=["0.mp4"])
    assert {moment.video.path.name for moment in found} == {"0.mp4"}
    assert not any(moment.why.copy for moment in found)


def test_only_the_tagged_seconds_are_looked_through(library: Library, films: Path) -> None:
    clip = cut(films, 3, Span(15, 21))
    library.tag(films / "3.mp4", "early", Span(0, 5))
    library.tag(films / "3.mp4", "late", Span(14, 24))
    early, late = (library.search(clip=clip, tags=[tag]) for tag in ("early", "late"))
    assert early
    assert not any(moment.why.copy for moment in early)
    assert late[0].why.copy


def test_a_clip_is_placed_between_frames_that_are_far_apart(tmp_path: Path) -> None:
    """By so few frames other places in the same film may seem likelier: in the last one they do."""
    begins = [12.3, 12.3, 12.3, 12.3, 16.2]
    films = tmp_path / "films"
    films.mkdir()
    for number in range(5):  # a new picture every 5 seconds
        write(films / f"{number}.mp4", wandering(12.5, number, fps=20), 10, 20)
    with Library.open(tmp_path / "sparse", encoder=FakeEncoder(), fps=0.2) as library:
        assert [one.error for one in library.index([films]) if one.error] == []
        for number, begin in enumerate(begins):
            span = Span(begin, begin + 6)
            best = library.search(clip=cut(films, number, span, Copying(fps=12, crop=0)))[0]
            assert best.why.copy
            assert best.video.path.name == f"{number}.mp4"
            assert best.span.iou(span) > 0.9


def test_a_clip_of_black_finds_something_and_breaks_nothing(
    library: Library, films: Path, tmp_path: Path
) -> None:
    black = (np.zeros((48, 64, 3), np.uint8) for _ in range(40))
    found = library.search(clip=write(tmp_path / "black.mp4", black, 10, 20))
    assert found
    assert not any(moment.why.copy for moment in found)


def test_a_whole_film_made_smaller_is_the_whole_film(library: Library, films: Path) -> None:
    best = library.search(clip=cut(films, 0, Span(0, 25), Copying(crop=0)))[0]
    assert best.why.copy
    assert best.span.iou(Span(0, 25)) > 0.95
