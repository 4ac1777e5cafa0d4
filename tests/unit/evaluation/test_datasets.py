from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from vsearch.errors import DatasetError
from vsearch.evaluation.datasets import CaptionItem, normalize_caption, read_dataset
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '{"path": "clips/a.mp4", "caption": "x"}'


@pytest.fixture(autouse=True)
def _videos(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "clips" / name).write_bytes(b"video")


def test_json_lines_and_csv_are_equivalent(tmp_path: Path) -> None:
    rows = [
        {"path": "clips/a.mp4", "caption": "a dog, a cat", "start": 1, "end": 2.5, "group": "pets"},
        {"path": "clips/b.mp4", "caption": "rain"},
        {"path": "clips/gone.mp4", "caption": "snow"},
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "set.csv").write_text(
        "path,caption,start,end,group\n"
        'clips/a.mp4,"a dog, a cat",1,2.5,pets\n'
        "clips/b.mp4,rain,,,\nclips/gone.mp4,snow,,,\n"
    )
    dataset = read_dataset(tmp_path / "set.jsonl")
    assert dataset == read_dataset(tmp_path / "set.csv")
    assert dataset.items == (
        CaptionItem(tmp_path / "clips" / "a.mp4", "a dog, a cat", Span(1, 2.5), "pets"),
        CaptionItem(tmp_path / "clips" / "b.mp4", "rain"),
    )
    assert dataset.missing_paths == (tmp_path / "clips" / "gone.mp4",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no json", "JSON"),
        ("[" * 100_000, "JSON"),
        ("[1]", "path and caption are required"),
        ('{"path": "clips/a.mp4"}', "path and caption are required"),
        ('{"path": "clips/a.mp4", "caption": 3}', "non-empty text"),
        ('{"path": "clips/a.mp4", "caption": "x", "start": 3}', "both be given"),
        ('{"path": "clips/a.mp4", "caption": "x", "start": 3, "end": 3}', "after start"),
        ('{"path": "clips/a.mp4", "caption": "x", "start": NaN, "end": 3}', "both be given"),
        (f'{{"path": "clips/a.mp4", "caption": "x", "start": 0, "end": 1{400 * "0"}}}', "both"),
    ],
)
def test_errors_name_the_invalid_line(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "set.jsonl"
    file.write_text(f"{GOOD}\n{line}")
    with pytest.raises(DatasetError, match=rf"set\.jsonl:2: .*{message}"):
        read_dataset(file)


def test_a_dataset_without_videos_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"path": "gone.mp4", "caption": "x"}')
    with pytest.raises(DatasetError, match="none of the videos"):
        read_dataset(tmp_path / "set.jsonl")
    with pytest.raises(DatasetError, match="there is no such file"):
        read_dataset(tmp_path / "nowhere.jsonl")


def test_unusual_line_separators_are_part_of_a_caption(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text(
        json.dumps({"path": "clips/a.mp4", "caption": "one\u2028two"}, ensure_ascii=False), "utf-8"
    )
    assert read_dataset(tmp_path / "set.jsonl").items[0].caption == "one\u2028two"


def test_invalid_csv_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "set.csv").write_text("path,caption\nclips/a.mp4," + "x" * 200_000)
    with pytest.raises(DatasetError, match="invalid CSV"):
        read_dataset(tmp_path / "set.csv")


def test_paths_are_normalized_like_those_of_a_library(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('{"path": "clips/../clips/a.mp4", "caption": "x"}')
    assert read_dataset(tmp_path / "set.jsonl").items[0].video_path == tmp_path / "clips" / "a.mp4"


def test_captions_are_compared_without_case_and_white_space() -> None:
    assert normalize_caption(" A  Red\nball ") == normalize_caption("a red BALL") == "a red ball"
