"""Remaining-time estimates of index jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.progress import Progress
from vsearch.server.jobs.eta import EtaEstimator
from vsearch.types import Video


def progress(name: str, seconds: float, after: float, pass_number: int = 1) -> Progress:
    """Return progress within a video of 100 s and 1,000 bytes."""
    passes = 2 if pass_number else 1
    return Progress(Path(name), 0, 2, seconds, 100.0, 1_000, 0.0, after, pass_number or 1, passes)


def film(name: str) -> Video:
    return Video(1, Path(name), "", 1_000, 0, 100.0, 25.0, 64, 48, "h264", 100)


def test_there_is_no_estimate_in_the_first_second(fake_clock: list[float]) -> None:
    estimator = EtaEstimator()
    fake_clock[0] += 0.5
    assert estimator.estimate_seconds(progress("a", 50, 1_000, 0)) is None


def test_remaining_video_takes_as_long_as_finished_video(fake_clock: list[float]) -> None:
    estimator = EtaEstimator()
    fake_clock[0] += 10  # for 50 s of video; 50 s of this file and 100 s of unopened files remain
    assert estimator.estimate_seconds(progress("a", 50, 1_000, 0)) == pytest.approx(30)
    fake_clock[0] += 10
    estimator.finish_file(Path("a"), film("a"))
    assert estimator.estimate_seconds(progress("b", 50, 0, 0)) == pytest.approx(50 * 20 / 150)


def test_skipped_files_do_not_affect_the_speed(fake_clock: list[float]) -> None:
    estimator = EtaEstimator()
    for number in range(1_000):
        estimator.finish_file(Path(f"known {number}"), None)
    fake_clock[0] += 10
    assert estimator.estimate_seconds(progress("a", 50, 0, 0)) == pytest.approx(10)


def test_the_key_frame_pass_is_a_tenth_of_the_work(fake_clock: list[float]) -> None:
    estimator = EtaEstimator()
    fake_clock[0] += 10
    assert estimator.estimate_seconds(progress("a", 50, 0, 1)) == pytest.approx(10 + 9 * 20)
    fake_clock[0] += 10
    assert estimator.estimate_seconds(progress("a", 10, 0, 2)) is None  # passes differ in speed
    fake_clock[0] += 10
    assert estimator.estimate_seconds(progress("a", 50, 0, 2)) == pytest.approx(10)
