"""Similar moments and near-duplicate videos."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.copies import CopyOptions, drifting_colors, make_copy, write_video
from tests.support.fakes import FakeEncoder
from vsearch import Library, Span, VSearchError
from vsearch.copies.candidate_pairs import CandidatePair
from vsearch.copies.duplicates import DuplicateFinder
from vsearch.storage.feature_store import FeatureStore
from vsearch.types import Features, Space, Video

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.copies.duplicate_spans import DuplicateSpan


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3):
        write_video(folder / f"{number}.mp4", drifting_colors(16, number), 10, 20)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", create=True, encoder=FakeEncoder()) as library:
        yield library


def index(library: Library, folder: Path) -> None:
    assert [one.error for one in library.index([folder]) if one.error] == []


def names(one: DuplicateSpan) -> set[str]:
    return {one.first_path.name, one.second_path.name}


def spans(one: DuplicateSpan) -> dict[str, Span]:
    return {one.first_path.name: one.first_span, one.second_path.name: one.second_span}


def copied(films: Path, name: str, span: Span, how: CopyOptions = CopyOptions(fps=12)) -> Path:  # noqa: B008
    return make_copy(films / "0.mp4", span, films / name, how, np.random.default_rng(1))


def test_similar_excludes_the_query_video(library: Library, films: Path) -> None:
    index(library, films)
    found = library.similar(films / "0.mp4", (2, 6))
    assert found
    assert "0.mp4" not in {moment.video.path.name for moment in found}


def test_with_same_video_only_the_query_span_is_excluded(library: Library, films: Path) -> None:
    index(library, films)
    found = library.similar(films / "0.mp4", (2, 6), same_video=True)
    own = [moment for moment in found if moment.video.path.name == "0.mp4"]
    assert own
    assert all(moment.span.start >= 6 or moment.span.end <= 2 for moment in own)


def test_similar_to_an_indexed_video_decodes_nothing(tmp_path: Path, films: Path) -> None:
    encoder = FakeEncoder()
    with Library.open(tmp_path / "library", encoder=encoder) as library:
        index(library, films)
        seen = encoder.encoded_count
        shutil.copy(films / "1.mp4", tmp_path / "same.mp4")
        by_path, by_name, by_content = (
            library.similar(name) for name in (films / "1.mp4", "1.mp4", tmp_path / "same.mp4")
        )
        assert [one.span for one in by_path] == [one.span for one in by_name]
        assert [one.span for one in by_path] == [one.span for one in by_content]
        assert encoder.encoded_count == seen


def test_similar_to_any_other_file_decodes_it(
    library: Library, films: Path, tmp_path: Path
) -> None:
    index(library, films)
    assert library.similar(write_video(tmp_path / "other.mp4", drifting_colors(5, 1), 10, 20))


def test_similar_to_a_missing_file_is_an_error(library: Library, films: Path) -> None:
    index(library, films)
    with pytest.raises(VSearchError, match=r"nowhere\.mp4"):
        library.similar("nowhere.mp4")


def test_different_videos_are_not_duplicates(library: Library, films: Path) -> None:
    index(library, films)
    assert list(library.duplicates()) == []


def test_a_scaled_and_cropped_copy_is_a_near_duplicate(library: Library, films: Path) -> None:
    copied(films, "copy.mp4", Span(0, 16))
    index(library, films)
    [found] = library.duplicates()
    assert (found.kind, names(found), found.is_verified) == ("near", {"0.mp4", "copy.mp4"}, True)


def test_a_shared_part_has_its_span_in_both_videos(library: Library, films: Path) -> None:
    copied(films, "part.mp4", Span(5, 12))
    index(library, films)
    [found] = library.duplicates()
    assert (found.kind, names(found)) == ("part", {"0.mp4", "part.mp4"})
    assert spans(found)["0.mp4"].iou(Span(5, 12)) > 0.7
    assert spans(found)["part.mp4"].iou(Span(0, 7)) > 0.7


def test_a_copy_after_an_intro_is_found(library: Library, films: Path) -> None:
    write_video(films / "longer.mp4", [*drifting_colors(6, 77), *drifting_colors(16, 0)], 10, 26)
    index(library, films)
    [found] = library.duplicates()
    assert found.kind == "part"
    assert spans(found)["longer.mp4"].iou(Span(6, 22)) > 0.8
    assert spans(found)["0.mp4"].iou(Span(0, 16)) > 0.8


def test_only_pairs_of_the_named_videos_are_reported(library: Library, films: Path) -> None:
    copied(films, "part.mp4", Span(5, 12))
    index(library, films)
    assert list(library.duplicates(["1.mp4"])) == []
    assert len(list(library.duplicates(["part.mp4"]))) == 1


def test_an_identical_file_is_reported_even_if_not_indexed(
    library: Library, films: Path, tmp_path: Path
) -> None:
    index(library, films)
    more = tmp_path / "more"
    more.mkdir()
    shutil.copy(films / "2.mp4", more / "again.mp4")
    [found] = library.duplicates([more])
    assert (found.kind, names(found)) == ("exact", {"2.mp4", "again.mp4"})


def test_shared_black_frames_are_not_a_copy(library: Library, films: Path) -> None:
    for name, seed in (("a.mp4", 11), ("b.mp4", 12)):
        black = [np.zeros((72, 96, 3), np.uint8)] * 60
        write_video(films / name, [*black, *drifting_colors(6, seed), *black], 10, 20)
    index(library, films)
    assert list(library.duplicates()) == []


def test_without_files_only_certain_duplicates_are_reported(library: Library, films: Path) -> None:
    copied(films, "copy.mp4", Span(0, 16), CopyOptions(fps=10, crop=0, scale=1))
    index(library, films)
    (films / "copy.mp4").unlink()
    [found] = library.duplicates()
    assert (found.kind, found.is_verified) == ("near", False)


def test_after_the_verification_limit_results_are_unverified(
    library: Library, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied(films, "copy.mp4", Span(0, 16), CopyOptions(fps=10, crop=0, scale=1))
    make_copy(
        films / "1.mp4", Span(0, 16), films / "other copy.mp4",
        CopyOptions(fps=10, crop=0, scale=1), np.random.default_rng(1),
    )  # fmt: skip
    index(library, films)
    monkeypatch.setattr("vsearch.copies.duplicates.MAX_VERIFIED_PAIRS", 1)
    assert [one.is_verified for one in library.duplicates()] == [True, False]


def test_features_of_few_videos_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []

    class Store(FeatureStore):
        def load(self, video_id: int, space: Space) -> Features:
            loaded.append(video_id)
            return Features(space, np.full((4, 4), 0.5, np.float32), np.arange(4.0))

    monkeypatch.setattr(
        "vsearch.copies.duplicates.FEATURE_CACHE_BYTES", 300
    )  # three videos of 96 bytes
    finder = DuplicateFinder(Store(tmp_path), Space("small", 4, supports_text=False), 0.0)
    films = {number: _film(number) for number in range(5)}
    for one, other in ((0, 1), (0, 2), (0, 1), (0, 3), (0, 2)):  # least recently used first
        list(finder.find_shared(CandidatePair(one, other, ()), films[one], films[other]))
    assert loaded == [0, 1, 2, 3, 2]


def _film(number: int) -> Video:
    path = Path(f"/{number}.mp4")
    return Video(number, path, str(number), 1, 0, 4.0, 1.0, 64, 48, "h264", 4)


def test_duplicates_of_a_missing_file_is_an_error(library: Library) -> None:
    with pytest.raises(VSearchError, match="nowhere"):
        list(library.duplicates(["nowhere"]))


def test_an_empty_library_has_no_duplicates(library: Library) -> None:
    assert list(library.duplicates()) == []
