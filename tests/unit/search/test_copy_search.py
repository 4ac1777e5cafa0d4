"""Copy detection through the library."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.copies import CopyOptions, drifting_colors, make_copy, write_video
from tests.support.fakes import FakeEncoder
from vsearch import Library, Span

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the source videos, shared because they take long to encode."""
    folder = tmp_path_factory.mktemp("made")
    for number in range(4):
        write_video(folder / f"{number}.mp4", drifting_colors(25, number), 10, 20)
    return folder


@pytest.fixture
def films(tmp_path: Path, made: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "films"))


@pytest.fixture
def library(tmp_path: Path, films: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        assert [one.error for one in library.index([films]) if one.error] == []
        yield library


def cut(films: Path, number: int, span: Span, how: CopyOptions = CopyOptions(fps=12)) -> Path:  # noqa: B008
    rng = np.random.default_rng(number)
    return make_copy(films / f"{number}.mp4", span, films.parent / f"clip{number}.mp4", how, rng)


@pytest.mark.parametrize("number", range(4))
def test_a_clip_finds_its_source_and_its_span(library: Library, films: Path, number: int) -> None:
    span = Span(3.3 + 2 * number, 8.7 + 3 * number)
    best = library.search(clip=cut(films, number, span))[0]
    assert best.video.path.name == f"{number}.mp4"
    assert best.span.iou(span) > 0.9
    assert best.explanation.is_copy


def test_a_span_of_a_clip_is_located_at_that_span(library: Library, films: Path) -> None:
    clip = cut(films, 2, Span(4, 20))
    best = library.search(clip=clip, span=(6, 11))[0]
    assert best.explanation.is_copy
    assert best.span.iou(Span(10, 15)) > 0.85


@pytest.mark.parametrize("span", [Span(2, 5), Span(10, 24.5), Span(0, 1), Span(24, 25)])
def test_a_span_of_an_indexed_video_is_found_as_that_span(
    library: Library, films: Path, span: Span
) -> None:
    first, *others = library.search(clip=films / "2.mp4", span=(span.start, span.end), k=5)
    assert first.explanation.is_copy
    assert (first.video.path.name, first.span) == ("2.mp4", span)
    assert not [moment for moment in others if moment.explanation.is_copy]
    assert not [
        moment
        for moment in others
        if moment.video.path.name == "2.mp4" and moment.span.iou(span) > 0.5
    ]


def test_an_indexed_span_is_left_out_where_a_filter_excludes_it(
    library: Library, films: Path
) -> None:
    found = library.search(clip=films / "2.mp4", span=(2, 5), videos=["0.mp4"])
    assert found
    assert {moment.video.path.name for moment in found} == {"0.mp4"}


def test_a_source_without_its_file_is_located_by_frame_features(
    library: Library, films: Path
) -> None:
    clip = cut(films, 1, Span(7.5, 14.5), CopyOptions(crop=0.02))
    (films / "1.mp4").unlink()
    best = library.search(clip=clip)[0]
    assert best.video.path.name == "1.mp4"
    assert best.span.iou(Span(7.5, 14.5)) > 0.7


def test_a_clip_that_is_not_a_copy_finds_similar_moments(library: Library, tmp_path: Path) -> None:
    other = write_video(tmp_path / "other.mp4", drifting_colors(6, 99), 10, 20)
    found = library.search(clip=other)
    assert found
    assert not any(moment.explanation.is_copy for moment in found)


def test_copies_come_first_and_other_moments_follow_by_score(library: Library, films: Path) -> None:
    found = library.search(clip=cut(films, 3, Span(5, 10)), k=6)
    assert [moment.explanation.is_copy for moment in found] == [True] + [False] * (len(found) - 1)
    scores = [moment.score for moment in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) > 1


def test_copy_search_respects_video_filters(library: Library, films: Path) -> None:
    found = library.search(clip=cut(films, 3, Span(5, 10)), videos=["0.mp4"])
    assert {moment.video.path.name for moment in found} == {"0.mp4"}
    assert not any(moment.explanation.is_copy for moment in found)


def test_copy_search_respects_tag_filters(library: Library, films: Path) -> None:
    clip = cut(films, 3, Span(15, 21))
    library.tags.add(films / "3.mp4", "early", Span(0, 5))
    library.tags.add(films / "3.mp4", "late", Span(14, 24))
    early, late = (library.search(clip=clip, tags=[tag]) for tag in ("early", "late"))
    assert early
    assert not any(moment.explanation.is_copy for moment in early)
    assert late[0].explanation.is_copy


def test_a_clip_is_located_between_sparse_frames(tmp_path: Path) -> None:
    """With so few frames, a wrong offset may seem more likely, as in the last video."""
    begins = [12.3, 12.3, 12.3, 12.3, 16.2]
    films = tmp_path / "films"
    films.mkdir()
    for number in range(5):  # a new image every 5 seconds
        write_video(films / f"{number}.mp4", drifting_colors(12.5, number, fps=20), 10, 20)
    with Library.open(tmp_path / "sparse", encoder=FakeEncoder(), fps=0.2) as library:
        assert [one.error for one in library.index([films]) if one.error] == []
        for number, begin in enumerate(begins):
            span = Span(begin, begin + 6)
            best = library.search(clip=cut(films, number, span, CopyOptions(fps=12, crop=0)))[0]
            assert best.explanation.is_copy
            assert best.video.path.name == f"{number}.mp4"
            assert best.span.iou(span) > 0.9


def test_a_black_clip_can_be_searched(library: Library, films: Path, tmp_path: Path) -> None:
    black = (np.zeros((48, 64, 3), np.uint8) for _ in range(40))
    found = library.search(clip=write_video(tmp_path / "black.mp4", black, 10, 20))
    assert found
    assert not any(moment.explanation.is_copy for moment in found)


def test_a_downscaled_copy_of_a_video_is_located_as_a_whole(library: Library, films: Path) -> None:
    best = library.search(clip=cut(films, 0, Span(0, 25), CopyOptions(crop=0)))[0]
    assert best.explanation.is_copy
    assert best.span.iou(Span(0, 25)) > 0.95
