"""The record of the folders that were indexed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vsearch.indexing.indexed_folders import (
    INDEXED_FOLDERS_FILE,
    MAX_FOLDERS,
    read_indexed_folders,
    record_indexed_folders,
)


def test_folders_and_the_folders_of_single_videos_are_recorded(tmp_path: Path) -> None:
    films, clips = tmp_path / "films", tmp_path / "clips"
    for folder in (films / "2024", clips):
        folder.mkdir(parents=True)
    videos = [films / "2024" / "a.mp4", clips / "b.mp4"]
    record_indexed_folders(tmp_path, [films, clips / "*.mp4"], videos)
    assert set(read_indexed_folders(tmp_path)) == {films, clips}


def test_a_video_in_a_recorded_folder_adds_nothing(tmp_path: Path) -> None:
    films = tmp_path / "films"
    (films / "2024").mkdir(parents=True)
    record_indexed_folders(tmp_path, [films], [])
    video = films / "2024" / "a.mp4"
    record_indexed_folders(tmp_path, [video], [video])
    assert read_indexed_folders(tmp_path) == [films]


def test_drives_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drive = tmp_path / "films" / "usb"
    (drive / "x").mkdir(parents=True)
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == drive)
    record_indexed_folders(tmp_path, [tmp_path / "films"], [drive / "x" / "a.mp4"])
    assert set(read_indexed_folders(tmp_path)) == {tmp_path / "films", drive}


@pytest.mark.parametrize("content", ["", "{}", "[1, null]", '["relative"]', "[" * 10_000, "\0"])
def test_an_invalid_record_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEXED_FOLDERS_FILE).write_text(content)
    assert read_indexed_folders(tmp_path) == []
    record_indexed_folders(tmp_path, [tmp_path], [])
    assert read_indexed_folders(tmp_path) == [tmp_path]


def test_the_record_is_bounded(tmp_path: Path) -> None:
    names = [f"/films/{number}" for number in range(2 * MAX_FOLDERS)]
    (tmp_path / INDEXED_FOLDERS_FILE).write_text(json.dumps(names))
    record_indexed_folders(tmp_path, [tmp_path], [])
    assert len(read_indexed_folders(tmp_path)) == MAX_FOLDERS
    assert read_indexed_folders(tmp_path)[0] == tmp_path
