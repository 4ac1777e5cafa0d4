"""Label files of videos and their splits."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.support.moving_scenes import VIDEO_COUNT, make_library
from vsearch.errors import DatasetError
from vsearch.training.labeled_dataset import LabelLine, join_with_library, read_label_lines
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with make_library(tmp_path) as library:
        yield library


def test_csv_times_are_optional(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("path,start,end,label\na.mp4,,,dog\nx/../b.mp4,1.5,,cat\nb.mp4,0,2,dog\n")
    first, second, third = read_label_lines(file)
    assert first == LabelLine(tmp_path / "a.mp4", "dog", 0.0, None, None, None)
    assert (second.video_path, second.start_time, second.end_time) == (
        tmp_path / "b.mp4",
        1.5,
        None,
    )
    assert third.end_time == 2


def test_json_lines_are_read(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    row = {"path": "a.mp4", "label": "dog", "group": 7, "split": "val"}
    file.write_text(json.dumps(row))
    assert read_label_lines(file) == [LabelLine(tmp_path / "a.mp4", "dog", 0.0, None, "7", "val")]


def test_an_oversized_integer_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps({"path": "a.mp4", "label": "dog", "end": 10**400}))
    with pytest.raises(DatasetError, match="jsonl:1"):
        read_label_lines(file)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("path,name\na.mp4,dog\n", "csv:2: path and label are required"),
        ("path,label\na.mp4,\n", "csv:2: '' is not a valid label"),
        ("path,label\n,dog\n", "must be non-empty text"),
        ("path,label,start,end\na.mp4,dog,3,2\n", "end must be after start"),
        ("path,label,start\na.mp4,dog,soon\n", "csv:2"),
        ("path,label,start\na.mp4,dog,nan\n", "end must be after start"),
        ("path,label,end\na.mp4,dog,inf\n", "end must be after start"),
        ("path,label,split\na.mp4,dog,exam\n", "split must be"),
    ],
)
def test_an_invalid_line_is_rejected(tmp_path: Path, row: str, message: str) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(row)
    with pytest.raises(DatasetError, match=message):
        read_label_lines(file)


def make_label_lines(
    folder: Path, label: str, *numbers: int, group: str | None = None
) -> list[LabelLine]:
    return [LabelLine(folder / f"{n}.mp4", label, 0.0, None, group, None) for n in numbers]


def test_every_label_is_in_every_split_and_no_video_in_two(
    library: Library, tmp_path: Path
) -> None:
    rows = [
        *make_label_lines(tmp_path, "dog", *range(10)),
        *make_label_lines(tmp_path, "cat", *range(10, 13)),
        *make_label_lines(tmp_path, "fox", *range(13, VIDEO_COUNT)),
        *make_label_lines(tmp_path, "cat", *range(4)),  # two labels of one video
    ]
    for seed in range(10):
        dataset = join_with_library("rows", rows, library, seed)
        splits_by_video: dict[int, set[str]] = {}
        for row in dataset.labeled_spans:
            splits_by_video.setdefault(row.video.id, set()).add(row.split_name)
        assert all(len(splits) == 1 for splits in splits_by_video.values())
        counts = Counter((row.label_index, row.split_name) for row in dataset.labeled_spans)
        for label in range(3):
            assert all(counts[label, split_name] for split_name in ("train", "val", "test")), counts
        assert len(dataset.select_split("train")) > len(dataset.select_split("val"))
    assert join_with_library("rows", rows, library, 3) == join_with_library(
        "rows", rows, library, 3
    )
    assert join_with_library("rows", rows, library, 3) != join_with_library(
        "rows", rows, library, 4
    )


def test_a_group_is_never_split(library: Library, tmp_path: Path) -> None:
    rows = [
        *make_label_lines(tmp_path, "dog", *range(4), group="park"),
        *make_label_lines(tmp_path, "dog", *range(4, 8)),
        *make_label_lines(tmp_path, "cat", *range(8, 12)),
        *make_label_lines(tmp_path, "cat", 0, group="home"),  # which connects park and home
        *make_label_lines(tmp_path, "cat", *range(12, 15), group="home"),
    ]
    for seed in range(5):
        dataset = join_with_library("rows", rows, library, seed)
        split_names = {
            row.split_name
            for row in dataset.labeled_spans
            if int(row.video.path.stem) in {0, 1, 2, 3, 12}
        }
        assert len(split_names) == 1


def test_missing_videos_and_rare_labels_are_reported(library: Library, tmp_path: Path) -> None:
    rows = [
        *make_label_lines(tmp_path, "dog", *range(5)),
        *make_label_lines(tmp_path, "cat", *range(5, 10)),
        *make_label_lines(tmp_path, "fox", 10, 11),
        *make_label_lines(tmp_path, "dog", 900),
    ]
    dataset = join_with_library("rows", rows, library)
    assert dataset.label_names == ("cat", "dog")
    missing, rare = dataset.skipped_reasons
    assert "900.mp4" in missing
    assert "'fox': in 2 videos" in rare


def test_given_splits_are_kept(library: Library, tmp_path: Path) -> None:
    def row(number: int, split_name: str, label: str) -> LabelLine:
        return LabelLine(tmp_path / f"{number}.mp4", label, 0.0, None, None, split_name)  # type: ignore[arg-type]

    rows = [row(n, "train" if n < 8 else "val", "dog" if n % 2 else "cat") for n in range(12)]
    dataset = join_with_library("rows", rows, library)
    assert Counter(labeled_span.split_name for labeled_span in dataset.labeled_spans) == {
        "train": 8,
        "val": 4,
    }
    with pytest.raises(DatasetError, match="must have the same split"):
        join_with_library("rows", [*rows, row(0, "val", "dog")], library)
    with pytest.raises(DatasetError, match="and others val"):
        join_with_library(
            "rows", [row(n, "train", "dog" if n % 2 else "cat") for n in range(12)], library
        )


def test_a_span_is_clipped_to_the_video(library: Library, tmp_path: Path) -> None:
    rows = [
        *make_label_lines(tmp_path, "dog", *range(4)),
        *make_label_lines(tmp_path, "cat", *range(4, 8)),
    ]
    late = LabelLine(tmp_path / "0.mp4", "dog", 4.0, 99.0, None, None)
    dataset = join_with_library("rows", [*rows, late], library)
    assert dataset.labeled_spans[0].span == Span(0, 10)
    assert dataset.labeled_spans[-1].span.start == 4
    after = LabelLine(tmp_path / "0.mp4", "dog", 50.0, None, None, None)
    smaller_dataset = join_with_library("rows", [*rows, late, after], library)
    assert smaller_dataset.labeled_spans == dataset.labeled_spans, "only the late row is dropped"
    [message] = smaller_dataset.skipped_reasons
    assert "0.mp4: ends at 10.0 s, before 50 s" in message


def test_labels_that_differ_in_case_are_unified(library: Library, tmp_path: Path) -> None:
    rows = [*make_label_lines(tmp_path, "Dog", 0), *make_label_lines(tmp_path, "dog", *range(1, 4))]
    dataset = join_with_library(
        "rows", [*rows, *make_label_lines(tmp_path, "cat", *range(4, 8))], library
    )
    assert dataset.label_names == ("Dog", "cat")
    assert Counter(row.label_index for row in dataset.labeled_spans) == {0: 4, 1: 4}
