"""Progress line: share, speed and remaining time, without a terminal or a clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.cli.progress import ProgressLine
from vsearch.progress import IndexResult, Outcome, Progress
from vsearch.types import Video


@pytest.fixture
def line(fake_clock: list[float]) -> ProgressLine:
    return ProgressLine()


def at(
    name: str,
    number: int,
    seconds: float,
    *,
    still: float,
    number_of_pass: int = 1,
    passes: int = 1,
) -> Progress:
    """Return progress within one of two files of 100 seconds and 1,000 bytes each."""
    return Progress(
        Path(name), number, 2, seconds, 100.0, 1_000, 1_000.0 - still, still, number_of_pass, passes
    )


def done(name: str) -> IndexResult:
    video = Video(
        id=1, path=Path(name), fingerprint="", size_bytes=1_000, mtime_ns=1, duration=100.0,
        fps=25.0, width=1, height=1, codec="", sampled_frames=1,
    )  # fmt: skip
    return IndexResult(Path(name), Outcome.INDEXED, video)


def output(line: ProgressLine) -> tuple[float, str, str, str]:
    """Return the displayed share, file count, speed and remaining time."""
    task = line._progress_bar.tasks[0]
    fields = task.fields
    return round(task.completed, 3), fields["count"], fields["rate"], fields["left"]


def test_unopened_files_are_estimated_from_previous_ones(
    line: ProgressLine, fake_clock: list[float]
) -> None:
    fake_clock[0] += 10
    line.update(at("a", 0, 50, still=1_000))
    assert output(line) == (0.25, "1/2", "5.0× real time", "0:00:30 left")
    line.finish_file(done("a"))
    fake_clock[0] += 10
    line.update(at("b", 1, 0, still=0))
    assert output(line) == (0.5, "2/2", "5.0× real time", "0:00:20 left")


def test_parallel_files_add_up(line: ProgressLine, fake_clock: list[float]) -> None:
    fake_clock[0] += 10
    line.update(at("b", 1, 50, still=1_000))
    line.update(at("a", 0, 50, still=500))
    assert output(line)[1:3] == ("2/2", "10.0× real time")


def test_passes_have_separate_speeds(line: ProgressLine, fake_clock: list[float]) -> None:
    fake_clock[0] += 10
    line.update(at("a", 0, 100, still=1_000, passes=2))
    # ten more seconds of this pass, then nine times the duration of this pass
    assert output(line) == (0.05, "key frames 1/2", "10.0× real time", "0:03:10 left")
    line.finish_file(done("a"))
    fake_clock[0] = 200.0
    line.update(at("a", 0, 0, still=1_000, number_of_pass=2, passes=2))
    fake_clock[0] = 300.0
    line.update(at("a", 0, 100, still=1_000, number_of_pass=2, passes=2))
    assert output(line) == (0.55, "1/2", "1.0× real time", "0:01:40 left")
