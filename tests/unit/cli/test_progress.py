"""The line of progress: how much is done, how fast, how long still. No terminal, no clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsearch.cli.progress import ProgressLine
from vsearch.types import Ingested, Outcome, Progress, Video


@pytest.fixture
def line(clock: list[float]) -> ProgressLine:
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
    """So many of 100 seconds of one of two files of 1,000 bytes; `still` bytes are left besides."""
    return Progress(
        Path(name), number, 2, seconds, 100.0, 1_000, 1_000.0 - still, still, number_of_pass, passes
    )


def done(name: str) -> Ingested:
    video = Video(
        id=1, path=Path(name), fingerprint="", size=1_000, modified=1, duration=100.0, fps=25.0,
        width=1, height=1, codec="", frames=1,
    )  # fmt: skip
    return Ingested(Path(name), Outcome.INDEXED, video)


def told(line: ProgressLine) -> tuple[float, str, str, str]:
    """The share that is done, which file, how fast, how long still."""
    task = line._bar.tasks[0]
    fields = task.fields
    return round(task.completed, 3), fields["count"], fields["rate"], fields["left"]


def test_files_not_yet_opened_are_as_long_as_those_before(
    line: ProgressLine, clock: list[float]
) -> None:
    clock[0] += 10
    line.update(at("a", 0, 50, still=1_000))
    assert told(line) == (0.25, "1/2", "5.0× real time", "0:00:30 left")
    line.finished(done("a"))
    clock[0] += 10
    line.update(at("b", 1, 0, still=0))
    assert told(line) == (0.5, "2/2", "5.0× real time", "0:00:20 left")


def test_files_side_by_side_are_counted_together(line: ProgressLine, clock: list[float]) -> None:
    clock[0] += 10
    line.update(at("b", 1, 50, still=1_000))
    line.update(at("a", 0, 50, still=500))
    assert told(line)[1:3] == ("2/2", "10.0× real time")


def test_the_first_of_two_passes_is_a_tenth_of_the_work_and_has_its_own_pace(
    line: ProgressLine, clock: list[float]
) -> None:
    clock[0] += 10
    line.update(at("a", 0, 100, still=1_000, passes=2))
    # ten seconds more of this pass, then nine times as long as it took
    assert told(line) == (0.05, "key frames 1/2", "10.0× real time", "0:03:10 left")
    line.finished(done("a"))
    clock[0] = 200.0
    line.update(at("a", 0, 0, still=1_000, number_of_pass=2, passes=2))
    clock[0] = 300.0
    line.update(at("a", 0, 100, still=1_000, number_of_pass=2, passes=2))
    assert told(line) == (0.55, "1/2", "1.0× real time", "0:01:40 left")
