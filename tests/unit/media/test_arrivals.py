"""Files that arrive are given once they are complete."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from vsearch.media.arrivals import QUIET, Arrivals

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
    """Stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def test_a_file_that_grows_waits_until_looks_far_apart_find_it_the_same(folder: Path) -> None:
    clock = Clock()
    arrivals = Arrivals([str(folder)], now=clock)
    film = folder / "a.mp4"
    for content in (b"1", b"12", b"123"):
        write(film, content, age=-3600)  # by a clock that is not ours
        for _ in range(3):  # it pauses for longer than what is between two looks
            assert (arrivals.look(), arrivals.waiting) == ([], [film])
            clock.now += 1.5
    clock.now += QUIET - 4.5
    assert (arrivals.look(), arrivals.waiting) == ([film], [])


def test_what_was_written_a_moment_ago_waits_by_its_own_time(folder: Path) -> None:
    clock = Clock()
    film = write(folder / "a.mp4", b"1", age=QUIET - 1)
    arrivals = Arrivals([str(folder)], now=clock)
    assert arrivals.look() == []
    clock.now += 1.5
    assert arrivals.look() == [film]


def test_a_file_left_alone_for_long_is_complete_at_once(folder: Path) -> None:
    old = write(folder / "old.mp4", b"1", age=3600)
    ahead = write(folder / "ahead.mp4", b"1", age=-3600)  # by a clock that is not ours
    clock = Clock()
    arrivals = Arrivals([str(folder)], quiet=60, now=clock)
    assert (arrivals.look(), arrivals.waiting) == ([old], [ahead])
    clock.now += 60
    assert arrivals.look() == [ahead, old]


def test_what_was_given_comes_again_only_when_it_changed(folder: Path) -> None:
    film = write(folder / "a.mp4", b"1", age=3600)
    arrivals = Arrivals([str(folder)], quiet=60)
    assert arrivals.look() == [film]
    assert arrivals.look() == [film], "nobody said that it was dealt with"
    arrivals.given(film)
    assert arrivals.look() == []
    write(film, b"2", age=1800)
    assert arrivals.look() == [film]
    arrivals.given(film)
    film.unlink()
    assert arrivals.look() == []
    write(film, b"2", age=1800)
    assert arrivals.look() == [film]


def test_a_folder_that_is_not_there_is_told_until_it_is(folder: Path) -> None:
    arrivals = Arrivals([str(folder / "later")], quiet=60)
    assert arrivals.look() == []
    assert "no such file or folder" in arrivals.errors[0]
    (folder / "later").mkdir()
    film = write(folder / "later" / "a.mp4", b"1", age=3600)
    assert (arrivals.look(), arrivals.errors) == ([film], [])
