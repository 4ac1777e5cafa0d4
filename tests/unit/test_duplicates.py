"""More like a video, and what is in a library twice."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from copying import Copying, copy, wandering, write
from fakes import FakeEncoder
from vsearch import Library, Span, VSearchError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.analysis.duplicates import Shared


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3):
        write(folder / f"{number}.mp4", wandering(16, number), 10, 20)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", encoder=FakeEncoder()) as library:
        yield library


def index(library: Library, folder: Path) -> None:
    assert [one.error for one in library.index([folder]) if one.error] == []


def names(one: Shared) -> set[str]:
    return {one.one.name, one.other.name}


def spans(one: Shared) -> dict[str, Span]:
    return {one.one.name: one.span, one.other.name: one.other_span}


def copied(films: Path, name: str, span: Span, how: Copying = Copying(fps=12)) -> Path:  # noqa: B008
    return copy(films / "0.mp4", span, films / name, how, np.random.default_rng(1))


def test_similar_leaves_the_video_itself_out(library: Library, films: Path) -> None:
    index(library, films)
    found = library.similar(films / "0.mp4", (2, 6))
    assert found
    assert "0.mp4" not in {moment.video.path.name for moment in found}


def test_with_the_same_video_all_but_the_span_itself_counts(library: Library, films: Path) -> None:
    index(library, films)
    found = library.similar(films / "0.mp4", (2, 6), same_video=True)
    own = [moment for moment in found if moment.video.path.name == "0.mp4"]
    assert own
    assert all(moment.span.start >= 6 or moment.span.end <= 2 for moment in own)


def test_similar_to_what_is_indexed_decodes_nothing(tmp_path: Path, films: Path) -> None:
    encoder = FakeEncoder()
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        index(library, films)
        seen = encoder.seen
        shutil.copy(films / "1.mp4", tmp_path / "same.mp4")
        by_path, by_name, by_content = (
            library.similar(name) for name in (films / "1.mp4", "1.mp4", tmp_path / "same.mp4")
        )
        assert [one.span for one in by_path] == [one.span for one in by_name]
        assert [one.span for one in by_path] == [one.span for one in by_content]
        assert encoder.seen == seen


def test_similar_to_any_other_file_decodes_it(
    library: Library, films: Path, tmp_path: Path
) -> None:
    index(library, films)
    assert library.similar(write(tmp_path / "other.mp4", wandering(5, 1), 10, 20))


def test_similar_to_what_is_nowhere_is_an_error(library: Library, films: Path) -> None:
    index(library, films)
    with pytest.raises(VSearchError, match=r"nowhere\.mp4"):
        library.similar("nowhere.mp4")


def test_different_films_are_no_duplicates(library: Library, films: Path) -> None:
    index(library, films)
    assert list(library.duplicates()) == []


def test_a_smaller_cropped_copy_is_the_same_video(library: Library, films: Path) -> None:
    copied(films, "copy.mp4", Span(0, 16))
    index(library, films)
    [found] = library.duplicates()
    assert (found.kind, names(found), found.seen) == ("near", {"0.mp4", "copy.mp4"}, True)


def test_a_part_is_told_with_its_spans_on_both_sides(library: Library, films: Path) -> None:
    copied(films, "part.mp4", Span(5, 12))
    index(library, films)
    [found] = library.duplicates()
    assert (found.kind, names(found)) == ("part", {"0.mp4", "part.mp4"})
    assert spans(found)["0.mp4"].iou(Span(5, 12)) > 0.7
    assert spans(found)["part.mp4"].iou(Span(0, 7)) > 0.7


def test_a_copy_with_an_intro_is_found_behind_it(library: Library, films: Path) -> None:
    write(films / "longer.mp4", [*wandering(6, 77), *wandering(16, 0)], 10, 26)
    index(library, films)
    [found] = library.duplicates()
    assert found.kind == "part"
    assert spans(found)["longer.mp4"].iou(Span(6, 22)) > 0.8
    assert spans(found)["0.mp4"].iou(Span(0, 16)) > 0.8


def test_only_what_concerns_the_named_videos_is_told(library: Library, films: Path) -> None:
    copied(films, "part.mp4", Span(5, 12))
    index(library, films)
    assert list(library.duplicates(["1.mp4"])) == []
    assert len(list(library.duplicates(["part.mp4"]))) == 1


def test_a_file_of_the_same_content_is_told_though_it_is_not_indexed(
    library: Library, films: Path, tmp_path: Path
) -> None:
    index(library, films)
    more = tmp_path / "more"
    more.mkdir()
    shutil.copy(films / "2.mp4", more / "again.mp4")
    [found] = library.duplicates([more])
    assert (found.kind, names(found)) == ("exact", {"2.mp4", "again.mp4"})


def test_black_that_two_films_share_is_no_copy(library: Library, films: Path) -> None:
    for name, seed in (("a.mp4", 11), ("b.mp4", 12)):
        black = [np.zeros((72, 96, 3), np.uint8)] * 60
        write(films / name, [*black, *wandering(6, seed), *black], 10, 20)
    index(library, films)
    assert list(library.duplicates()) == []


def test_without_their_files_frames_tell_what_is_certain(library: Library, films: Path) -> None:
    copied(films, "copy.mp4", Span(0, 16), Copying(fps=10, crop=0, scale=1))
    index(library, films)
    (films / "copy.mp4").unlink()
    [found] = library.duplicates()
    assert (found.kind, found.seen) == ("near", False)


def test_duplicates_of_what_is_nowhere_is_an_error(library: Library) -> None:
    with pytest.raises(VSearchError, match="nowhere"):
        list(library.duplicates(["nowhere"]))
