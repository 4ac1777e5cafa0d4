"""Duplicates and copies that are mirrored, rotated, in grayscale, faster or slower."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.altered_copies import TurnBlindEncoder, write_altered
from tests.support.copies import drifting_colors, write_video
from vsearch import Library, Span
from vsearch.cli.similar import _duplicate_to_dict
from vsearch.copies.alterations import Alteration
from vsearch.search.serialization import explanation_to_dict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MIRRORED = Alteration(is_mirrored=True)
ALTERATIONS = [
    MIRRORED,
    Alteration(rotation_degrees=90),
    Alteration(rotation_degrees=180),
    Alteration(is_mirrored=True, rotation_degrees=270),
    Alteration(is_mirrored=True, is_grayscale=True),
    Alteration(speed=1.5),
    Alteration(speed=0.5),
]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3):
        write_video(folder / f"{number}.mp4", drifting_colors(16, number), 10, 20)
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", create=True, encoder=TurnBlindEncoder()) as library:
        yield library


def index(library: Library, folder: Path) -> None:
    assert [one.error for one in library.index([folder]) if one.error] == []


@pytest.mark.parametrize("how", ALTERATIONS, ids=Alteration.describe)
def test_an_altered_copy_is_a_near_duplicate(
    library: Library, films: Path, how: Alteration
) -> None:
    write_altered(films / "0.mp4", Span(0, 16), films / "copy.mp4", how)
    index(library, films)
    [found] = library.duplicates()
    assert (found.first_path.name, found.second_path.name) == ("0.mp4", "copy.mp4")
    assert found.is_verified
    assert found.kind == "near" or how.speed != 1  # where frames differ, a part is reported
    assert found.first_span.duration >= 8
    assert found.alteration.describe() == how.describe()
    entry = _duplicate_to_dict(found)["alteration"]
    assert entry == {
        "mirrored": how.is_mirrored,
        "rotation": how.rotation_degrees,
        "speed": how.speed,
        "grayscale": how.is_grayscale,
    }


def test_a_mirrored_part_has_its_span_in_both_videos(library: Library, films: Path) -> None:
    how = Alteration(is_mirrored=True, speed=1.25)
    write_altered(films / "0.mp4", Span(4, 14), films / "part.mp4", how)
    index(library, films)
    [found] = library.duplicates()
    assert found.kind == "part"
    assert found.first_span.iou(Span(4, 14)) > 0.5
    assert found.second_span.iou(Span(0, 8)) > 0.5


def test_different_videos_are_not_altered_copies(library: Library, films: Path) -> None:
    index(library, films)
    assert list(library.duplicates()) == []


def test_a_gray_copy_that_is_not_otherwise_altered_is_named_so(
    library: Library, films: Path
) -> None:
    write_altered(films / "0.mp4", Span(0, 16), films / "copy.mp4", Alteration(is_grayscale=True))
    index(library, films)
    [found] = library.duplicates()
    assert found.alteration == Alteration(is_grayscale=True)


def test_without_its_file_no_altered_copy_is_reported(library: Library, films: Path) -> None:
    copy = write_altered(films / "0.mp4", Span(0, 16), films / "copy.mp4", MIRRORED)
    index(library, films)
    copy.write_bytes(b"damaged")
    assert [one for one in library.duplicates() if one.alteration.describe()] == []


def test_comparisons_are_limited(
    library: Library, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_altered(films / "0.mp4", Span(0, 16), films / "copy.mp4", MIRRORED)
    index(library, films)
    monkeypatch.setattr("vsearch.copies.altered_duplicates.MAX_CHECKS", 0)
    assert list(library.duplicates()) == []


@pytest.mark.parametrize(
    "how",
    [MIRRORED, Alteration(rotation_degrees=90), Alteration(is_mirrored=True, speed=1.5)],
    ids=Alteration.describe,
)
def test_an_example_clip_finds_its_source_if_it_was_altered(
    library: Library, films: Path, tmp_path: Path, how: Alteration
) -> None:
    index(library, films)
    clip = write_altered(films / "1.mp4", Span(3, 13), tmp_path / "clip.mp4", how)
    best = library.search(clip=clip)[0]
    assert best.video.path.name == "1.mp4"
    assert best.explanation.is_copy
    assert best.explanation.copy_alteration == how.describe()
    assert best.span.iou(Span(3, 13)) > 0.8


def test_a_plain_clip_is_not_called_altered(library: Library, films: Path, tmp_path: Path) -> None:
    index(library, films)
    clip = write_altered(films / "1.mp4", Span(3, 13), tmp_path / "clip.mp4", Alteration())
    best = library.search(clip=clip)[0]
    assert best.explanation.is_copy
    assert best.explanation.copy_alteration == ""
    assert "copy_alteration" not in explanation_to_dict(best.explanation)
