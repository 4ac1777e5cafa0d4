"""Files of labelled videos, and how they are split."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from moving import COUNT, library
from vsearch.errors import DatasetError
from vsearch.training.labelled import Given, join, read
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch import Library


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Library]:
    with library(tmp_path) as opened:
        yield opened


def test_a_csv_may_leave_out_times(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,start,end,label\na.mp4,,,dog\nx/../b.mp4,1.5,,cat\nb.mp4,0,2,dog\n")
    first, second, third = read(file)
    assert first == Given(tmp_path / "a.mp4", "dog", 0.0, None, None, None)
    assert (second.path, second.start, second.end) == (tmp_path / "b.mp4", 1.5, None)
    assert third.end == 2


def test_json_lines_do_as_well(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    row = {"path": "a.mp4", "label": "dog", "group": 7, "split": "val"}
    file.write_text(json.dumps(row))
    assert read(file) == [Given(tmp_path / "a.mp4", "dog", 0.0, None, "7", "val")]


def test_an_integer_that_is_too_large_is_told(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps({"path": "a.mp4", "label": "dog", "end": 10**400}))
    with pytest.raises(DatasetError, match="jsonl:1"):
        read(file)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("path,name\na.mp4,dog\n", "csv:2: needs path and label"),
        ("path,label\na.mp4,\n", "csv:2: '' is no label"),
        ("path,label\n,dog\n", "must be words"),
        ("path,label,start,end\na.mp4,dog,3,2\n", "end must be after start"),
        ("path,label,start\na.mp4,dog,soon\n", "csv:2"),
        ("path,label,start\na.mp4,dog,nan\n", "end must be after start"),
        ("path,label,end\na.mp4,dog,inf\n", "end must be after start"),
        ("path,label,split\na.mp4,dog,exam\n", "split must be"),
    ],
)
def test_a_line_that_makes_no_sense_is_told(tmp_path: Path, row: str, told: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(row)
    with pytest.raises(DatasetError, match=told):
        read(file)


def given(folder: Path, label: str, *numbers: int, group: str | None = None) -> list[Given]:
    return [Given(folder / f"{n}.mp4", label, 0.0, None, group, None) for n in numbers]


def test_every_label_is_in_every_part_and_no_video_in_two(made: Library, tmp_path: Path) -> None:
    rows = [
        *given(tmp_path, "dog", *range(10)),
        *given(tmp_path, "cat", *range(10, 13)),
        *given(tmp_path, "fox", *range(13, COUNT)),
        *given(tmp_path, "cat", *range(4)),  # two labels of one video
    ]
    for seed in range(10):
        found = join("rows", rows, made, seed)
        parts: dict[int, set[str]] = {}
        for row in found.rows:
            parts.setdefault(row.video.id, set()).add(row.part)
        assert all(len(each) == 1 for each in parts.values())
        seen = Counter((row.label, row.part) for row in found.rows)
        for label in range(3):
            assert all(seen[label, part] for part in ("train", "val", "test")), seen
        assert len(found.of("train")) > len(found.of("val"))
    assert join("rows", rows, made, 3) == join("rows", rows, made, 3)
    assert join("rows", rows, made, 3) != join("rows", rows, made, 4)


def test_a_group_is_never_parted(made: Library, tmp_path: Path) -> None:
    rows = [
        *given(tmp_path, "dog", *range(4), group="park"),
        *given(tmp_path, "dog", *range(4, 8)),
        *given(tmp_path, "cat", *range(8, 12)),
        *given(tmp_path, "cat", 0, group="home"),  # so park and home hang together
        *given(tmp_path, "cat", *range(12, 15), group="home"),
    ]
    for seed in range(5):
        found = join("rows", rows, made, seed)
        together = {row.part for row in found.rows if int(row.video.path.stem) in {0, 1, 2, 3, 12}}
        assert len(together) == 1


def test_videos_that_are_not_there_and_rare_labels_are_told(made: Library, tmp_path: Path) -> None:
    rows = [
        *given(tmp_path, "dog", *range(5)),
        *given(tmp_path, "cat", *range(5, 10)),
        *given(tmp_path, "fox", 10, 11),
        *given(tmp_path, "dog", 900),
    ]
    found = join("rows", rows, made)
    assert found.labels == ("cat", "dog")
    missing, rare = found.left_out
    assert "900.mp4" in missing
    assert "'fox': in 2 videos" in rare


def test_splits_that_are_given_are_kept(made: Library, tmp_path: Path) -> None:
    def row(number: int, part: str, label: str) -> Given:
        return Given(tmp_path / f"{number}.mp4", label, 0.0, None, None, part)  # type: ignore[arg-type]

    rows = [row(n, "train" if n < 8 else "val", "dog" if n % 2 else "cat") for n in range(12)]
    found = join("rows", rows, made)
    assert Counter(one.part for one in found.rows) == {"train": 8, "val": 4}
    with pytest.raises(DatasetError, match="must be in one split"):
        join("rows", [*rows, row(0, "val", "dog")], made)
    with pytest.raises(DatasetError, match="val for others"):
        join("rows", [row(n, "train", "dog" if n % 2 else "cat") for n in range(12)], made)


def test_a_part_of_a_video_ends_with_it(made: Library, tmp_path: Path) -> None:
    rows = [*given(tmp_path, "dog", *range(4)), *given(tmp_path, "cat", *range(4, 8))]
    late = Given(tmp_path / "0.mp4", "dog", 4.0, 99.0, None, None)
    found = join("rows", [*rows, late], made)
    assert found.rows[0].span == Span(0, 10)
    assert found.rows[-1].span.start == 4
    after = Given(tmp_path / "0.mp4", "dog", 50.0, None, None, None)
    less = join("rows", [*rows, late, after], made)
    assert less.rows == found.rows, "what begins after the end is left out, and the rest is not"
    [told] = less.left_out
    assert "0.mp4: ends after 10.0 s, before 50 s" in told


def test_labels_that_differ_in_case_are_one_as_it_is_spelled_first(
    made: Library, tmp_path: Path
) -> None:
    rows = [*given(tmp_path, "Dog", 0), *given(tmp_path, "dog", *range(1, 4))]
    found = join("rows", [*rows, *given(tmp_path, "cat", *range(4, 8))], made)
    assert found.labels == ("Dog", "cat")
    assert Counter(row.label for row in found.rows) == {0: 4, 1: 4}
