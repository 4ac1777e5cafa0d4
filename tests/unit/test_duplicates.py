"""More like a video, and what is in a library twice."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from copying import Copying, copy, wandering, write
from fakes import FakeEncoder
from vsearch import Library, Span, VSearchError
from vsearch.analysis.duplicates import Finder
from vsearch.analysis.neighbours import Pair
from vsearch.types import Features, Space, Video
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Iterator

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


def test_after_so_many_pairs_frames_alone_tell_and_it_is_said(
    library: Library, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(films, "copy.mp4", Span(0, 16), Copying(fps=10, crop=0, scale=1))
    copy(
        films / "1.mp4", Span(0, 16), films / "other copy.mp4",
        Copying(fps=10, crop=0, scale=1), np.random.default_rng(1),
    )  # fmt: skip
    index(library, films)
    monkeypatch.setattr("vsearch.analysis.duplicates.MOST", 1)
    assert [one.seen for one in library.duplicates()] == [True, False]


def test_frames_of_few_videos_are_held_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[int] = []

    class Store(FeatureStore):
        def load(self, video_id: int, space: Space) -> Features:
            loaded.append(video_id)
            return Features(space, np.full((4, 4), 0.5, np.float32), np.arange(4.0))

    monkeypatch.setattr("vsearch.analysis.duplicates.MEMORY", 300)  # bytes: three videos of 96
    finder = Finder(Store(tmp_path), Space("small", 4, speaks_text=False), 0.0)
    films = {number: _film(number) for number in range(5)}
    for one, other in ((0, 1), (0, 2), (0, 1), (0, 3), (0, 2)):  # what was used last stays
        list(finder.shared(Pair(one, other, ()), films[one], films[other]))
    assert loaded == [0, 1, 2, 3, 2]


def _film(number: int) -> Video:
    path = Path(f"/{number}.mp4")
    return Video(number, path, str(number), 1, 0, 4.0, 1.0, 64, 48, "h264", 4)


def test_duplicates_of_what_is_nowhere_is_an_error(library: Library) -> None:
    with pytest.raises(VSearchError, match="nowhere"):
        list(library.duplicates(["nowhere"]))
