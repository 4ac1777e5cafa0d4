"""Summary of `vsearch index`, without a clock or a decoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vsearch.cli.index import IndexSummary, iter_messages, print_timings
from vsearch.progress import IndexResult, Outcome, Timings
from vsearch.types import Video

if TYPE_CHECKING:
    from collections.abc import Callable

    Come = Callable[..., IndexResult]


@pytest.fixture
def tally(fake_clock: list[float]) -> IndexSummary:
    return IndexSummary(_start_time=fake_clock[0])


@pytest.fixture
def come(tally: IndexSummary, fake_clock: list[float]) -> Come:
    """Return a function that adds the result of a file at a given time."""

    def counted(
        at: float,
        name: str,
        outcome: Outcome,
        *,
        coarse: bool = False,
        gap: float | None = None,
        warning: str | None = None,
    ) -> IndexResult:
        fake_clock[0] = 100.0 + at
        path = Path(name)
        video = Video(
            id=1, path=path, fingerprint="", size_bytes=1, mtime_ns=1, duration=600.0, fps=25.0,
            width=1, height=1, codec="", sampled_frames=1, keyframes_only=coarse, warning=warning,
            max_keyframe_gap=gap,
        )  # fmt: skip
        failed = outcome is Outcome.FAILED
        one = IndexResult(path, outcome, None if failed else video)
        tally.add_result(one)
        return one

    return counted


def test_first_pass_ends_with_its_last_new_video(
    tally: IndexSummary, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    come(5, "a", Outcome.INDEXED, coarse=True)
    come(9, "b", Outcome.INDEXED, coarse=True)
    come(300, "a", Outcome.REFINED)
    come(600, "b", Outcome.REFINED)
    tally.print_summary()
    output = capsys.readouterr()
    assert output.out == (
        "2 indexed   (0:20:00 of video in 0:10:00, 2.0× real time; by key frames after 0:00:09)\n"
    )
    assert output.err == ""


def test_videos_that_were_not_refined_are_reported(
    tally: IndexSummary, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    come(5, "a", Outcome.INDEXED, coarse=True)
    come(6, "b", Outcome.UPDATED, coarse=True)
    come(300, "a", Outcome.REFINED)
    come(400, "b", Outcome.FAILED)
    tally.print_summary()
    output = capsys.readouterr()
    assert output.out.startswith("1 indexed · 1 failed   (0:20:00 of video in 0:06:40, 3.0×")
    assert output.err.startswith("1 by key frames only")


def test_keyframe_gap_is_printed_once_and_warnings_per_video(
    tally: IndexSummary, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = come(5, "a", Outcome.INDEXED, coarse=True, gap=2.4)
    broken = come(6, "b", Outcome.INDEXED, coarse=True, gap=10.0, warning="damaged")
    assert list(iter_messages(plain)) == []
    assert list(iter_messages(broken)) == ["warning    b: damaged"]
    assert list(iter_messages(broken, brief=True)) == []
    tally.print_summary()
    assert capsys.readouterr().err.startswith("2 by key frames only, up to 10.0 s apart; ")


def test_timings_add_up_both_passes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    both = [(Outcome.INDEXED, 1.0), (Outcome.REFINED, 2.5)]
    print_timings([IndexResult(Path("a"), how, timings=Timings(decode=took)) for how, took in both])
    lines = [line.split() for line in capsys.readouterr().err.splitlines()]
    assert [line[0] for line in lines] == ["decode", "3.50", "3.50", "100"]


def test_no_timings_without_decoding(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_timings([IndexResult(Path("a"), Outcome.UNCHANGED)])
    assert capsys.readouterr().err.startswith("No video was processed")


def test_single_pass_summary_mentions_no_passes(
    tally: IndexSummary, come: Come, capsys: pytest.CaptureFixture[str]
) -> None:
    come(5, "a", Outcome.INDEXED)
    come(9, "b", Outcome.REFINED)
    come(9, "c", Outcome.UNCHANGED)
    tally.print_summary()
    assert "by key frames" not in capsys.readouterr().out


def test_empty_run_is_reported(tally: IndexSummary, capsys: pytest.CaptureFixture[str]) -> None:
    tally.print_summary()
    assert capsys.readouterr() == ("", "No videos found.\n")
