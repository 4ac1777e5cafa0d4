"""How long a job will still take, by how fast it went until now."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.types import Progress, Video
from vsearch.web.pace import Pace


def progress(name: str, seconds: float, after: float, number_of_pass: int = 1) -> Progress:
    """Within a video of 100 s and 1,000 bytes."""
    passes = 2 if number_of_pass else 1
    return Progress(
        Path(name), 0, 2, seconds, 100.0, 1_000, 0.0, after, number_of_pass or 1, passes
    )


def film(name: str) -> Video:
    return Video(1, Path(name), "", 1_000, 0, 100.0, 25.0, 64, 48, "h264", 100)


def test_nothing_is_said_in_the_first_second(clock: list[float]) -> None:
    pace = Pace()
    clock[0] += 0.5
    assert pace.left(progress("a", 50, 1_000, 0)) is None


def test_what_is_left_takes_as_long_as_what_is_done(clock: list[float]) -> None:
    pace = Pace()
    clock[0] += 10  # for 50 s of video: 50 s here, and 100 s in files that are not open yet
    assert pace.left(progress("a", 50, 1_000, 0)) == pytest.approx(30)
    clock[0] += 10
    pace.finished(Path("a"), film("a"))
    assert pace.left(progress("b", 50, 0, 0)) == pytest.approx(50 * 20 / 150)


def test_files_that_were_passed_over_make_nothing_faster(clock: list[float]) -> None:
    pace = Pace()
    for number in range(1_000):
        pace.finished(Path(f"known {number}"), None)
    clock[0] += 10
    assert pace.left(progress("a", 50, 0, 0)) == pytest.approx(10)


def test_key_frames_of_all_are_a_tenth_of_the_work(clock: list[float]) -> None:
    pace = Pace()
    clock[0] += 10
    assert pace.left(progress("a", 50, 0, 1)) == pytest.approx(10 + 9 * 20)
    clock[0] += 10
    assert pace.left(progress("a", 10, 0, 2)) is None  # seconds of another kind
    clock[0] += 10
    assert pace.left(progress("a", 50, 0, 2)) == pytest.approx(10)
