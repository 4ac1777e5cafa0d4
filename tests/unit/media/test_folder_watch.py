"""New files are reported once they are complete."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from vsearch.media.folder_watch import STABLE_SECONDS, FolderWatcher

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def write(path: Path, content: bytes, age: float = 0) -> Path:
    path.write_bytes(content)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


class Clock:
    """Clock that a test advances."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def test_a_growing_file_waits_until_it_stays_unchanged(folder: Path) -> None:
    clock = Clock()
    arrivals = FolderWatcher([str(folder)], clock=clock)
    video_path = folder / "a.mp4"
    for content in (b"1", b"12", b"123"):
        write(video_path, content, age=-3600)  # by another clock
        for _ in range(3):  # pauses longer than the polling interval
            assert (arrivals.poll_folders(), arrivals.incomplete_paths) == ([], [video_path])
            clock.now += 1.5
    clock.now += STABLE_SECONDS - 4.5
    assert (arrivals.poll_folders(), arrivals.incomplete_paths) == ([video_path], [])


def test_a_recent_file_waits_by_its_modification_time(folder: Path) -> None:
    clock = Clock()
    video_path = write(folder / "a.mp4", b"1", age=STABLE_SECONDS - 1)
    arrivals = FolderWatcher([str(folder)], clock=clock)
    assert arrivals.poll_folders() == []
    clock.now += 1.5
    assert arrivals.poll_folders() == [video_path]


def test_an_old_file_is_complete_at_once(folder: Path) -> None:
    old = write(folder / "old.mp4", b"1", age=3600)
    ahead = write(folder / "ahead.mp4", b"1", age=-3600)  # by another clock
    clock = Clock()
    arrivals = FolderWatcher([str(folder)], stable_seconds=60, clock=clock)
    assert (arrivals.poll_folders(), arrivals.incomplete_paths) == ([old], [ahead])
    clock.now += 60
    assert arrivals.poll_folders() == [ahead, old]


def test_an_acknowledged_file_returns_only_when_changed(folder: Path) -> None:
    video_path = write(folder / "a.mp4", b"1", age=3600)
    arrivals = FolderWatcher([str(folder)], stable_seconds=60)
    assert arrivals.poll_folders() == [video_path]
    assert arrivals.poll_folders() == [video_path], "it was not acknowledged"
    arrivals.acknowledge(video_path)
    assert arrivals.poll_folders() == []
    write(video_path, b"2", age=1800)
    assert arrivals.poll_folders() == [video_path]
    arrivals.acknowledge(video_path)
    video_path.unlink()
    assert arrivals.poll_folders() == []
    write(video_path, b"2", age=1800)
    assert arrivals.poll_folders() == [video_path]


def test_a_missing_folder_is_reported_until_it_exists(folder: Path) -> None:
    arrivals = FolderWatcher([str(folder / "later")], stable_seconds=60)
    assert arrivals.poll_folders() == []
    assert "no such file or folder" in arrivals.error_messages[0]
    (folder / "later").mkdir()
    video_path = write(folder / "later" / "a.mp4", b"1", age=3600)
    assert (arrivals.poll_folders(), arrivals.error_messages) == ([video_path], [])
