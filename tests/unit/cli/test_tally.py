"""What `vsearch index` sums up, without a clock or a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vsearch.cli.tally import Tally, messages, tell_timings
from vsearch.types import Ingested, Outcome, Timings, Video

if TYPE_CHECKING:
    from collections.abc import Callable

    Come = Callable[..., Ingested]


@pytest.fixture
def tally(clock: list[float]) -> Tally:
    return Tally(_began=clock[0])


@pytest.fixture
def come(tally: Tally, clock: list[float]) -> Come:
    """A file is done at a time, its key frames only or all of it."""

    def counted(
        at: float, name: str, outcome: Outcome, *, coarse: bool = False, note: str | None = None
    ) -> Ingested:
        clock[0] = 100.0 + at
        path = Path(name)
        video = Video(
            id=1, path=path, fingerprint="", size=1, modified=1, duration=600.0, fps=25.0,
            width=1, height=1, codec="", frames=1, keyframes=coarse, note=note,
        )  # fmt: skip
        failed = outcome is Outcome.FAILED
        one = Ingested(path, outcome, None if failed else video)
        tally.count(one)
        return one

    return counted


def test_the_first_pass_ends_with_its_last_video_and_not_when_the_first_is_filled_in(
    tally: Tally, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    come(5, "a", Outcome.INDEXED, coarse=True)
    come(9, "b", Outcome.INDEXED, coarse=True)
    come(300, "a", Outcome.FILLED)
    come(600, "b", Outcome.FILLED)
    tally.sum_up()
    told = capsys.readouterr()
    assert told.out == (
        "2 indexed   (0:20:00 of video in 0:10:00, 2.0× real time; by key frames after 0:00:09)\n"
    )
    assert told.err == ""


def test_what_could_not_be_filled_in_is_still_told_to_be_known_by_key_frames(
    tally: Tally, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    come(5, "a", Outcome.INDEXED, coarse=True)
    come(6, "b", Outcome.UPDATED, coarse=True)
    come(300, "a", Outcome.FILLED)
    come(400, "b", Outcome.FAILED)
    tally.sum_up()
    told = capsys.readouterr()
    assert told.out.startswith("1 indexed · 1 failed   (0:20:00 of video in 0:06:40, 3.0×")
    assert told.err.startswith("1 by key frames only")


def test_how_far_key_frames_are_apart_is_told_once_and_what_else_is_noted_of_each(
    tally: Tally, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    gaps = "key frames only, up to {} s apart"
    plain = come(5, "a", Outcome.INDEXED, coarse=True, note=gaps.format(2.4))
    broken = come(6, "b", Outcome.INDEXED, coarse=True, note=gaps.format(10.0) + "; damaged")
    assert list(messages(plain)) == []
    assert list(messages(broken)) == ["note       b: damaged"]
    assert list(messages(broken, brief=True)) == []
    tally.sum_up()
    assert capsys.readouterr().err.startswith("2 by key frames only, up to 10.0 s apart: ")


def test_both_passes_over_a_video_are_one_row_of_the_timings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = [(Outcome.INDEXED, 1.0), (Outcome.FILLED, 2.5)]
    tell_timings([Ingested(Path("a"), how, timings=Timings(decode=took)) for how, took in both])
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert [line[0] for line in lines] == ["decode", "3.50", "3.50", "100"]


def test_where_nothing_was_decoded_there_is_no_table_of_timings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tell_timings([Ingested(Path("a"), Outcome.UNCHANGED)])
    assert capsys.readouterr().err.startswith("No video was looked at")


def test_without_two_passes_nothing_is_said_of_them(
    tally: Tally, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    come(5, "a", Outcome.INDEXED)
    come(9, "b", Outcome.FILLED)
    come(9, "c", Outcome.UNCHANGED)
    tally.sum_up()
    assert "by key frames" not in capsys.readouterr().out


def test_of_nothing_it_is_told_that_it_is_nothing(
    tally: Tally, capsys: pytest.CaptureFixture[str]
) -> None:
    tally.sum_up()
    assert capsys.readouterr() == ("", "There are no videos in it.\n")
