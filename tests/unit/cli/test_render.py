from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from vsearch.cli.render import (
    clipped,
    clock,
    elided,
    length,
    moments,
    percent,
    period,
    plural,
    printable,
    short,
    size,
    table,
)
from vsearch.types import Moment, Quote, Shares, Span, Video, Why
from vsearch.wire import moment_json


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (59.99, "0:00:59"), (3661, "1:01:01"), (-1, "0:00:00")]
)
def test_times_are_shown_as_players_do(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


def test_a_moment_is_shown_in_the_whole_seconds_that_hold_it() -> None:
    assert period(Span(3.2, 7.5)) == "0:00:03 – 0:00:08"
    assert period(Span(0, 0.04)) == "0:00:00 – 0:00:01"
    assert length(60.0) == "0:01:00"


def test_what_is_weak_is_not_told_as_what_is_not() -> None:
    assert [percent(n) for n in (0.0, 0.1449, 0.2399, 0.2499, 0.25, 0.996)] == [
        "0 %", "14 %", "24 %", "24 %", "25 %", "100 %"
    ]  # fmt: skip


def test_sizes_and_counts_are_for_people() -> None:
    assert [size(n) for n in (5, 1500, 2.5e9)] == ["5 B", "1.5 kB", "2.5 GB"]
    assert [plural(1, "video"), plural(2, "video")] == ["1 video", "2 videos"]


def test_paths_below_here_are_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert short(tmp_path / "a" / "b.mp4") == str(Path("a/b.mp4"))
    assert short(Path.home() / "c.mp4") == str(Path("~/c.mp4"))
    assert short(Path("/elsewhere/d.mp4").absolute()).endswith("d.mp4")


def test_text_cannot_steer_a_terminal() -> None:
    assert printable("a\x1b[2J\nb\u202ec\udce9 é日本") == "a\\x1b[2J\\nb\\u202ec\\udce9 é日本"


def test_a_long_path_keeps_its_end() -> None:
    assert elided("films/a.mp4", 11) == "films/a.mp4"
    assert elided("long/films/a.mp4", 11) == "…ilms/a.mp4"
    assert elided("日本語の映画.mp4", 9) == "…映画.mp4"


def test_long_words_keep_their_beginning() -> None:
    assert clipped("a dog runs", 10) == "a dog runs"
    assert clipped("a dog runs", 7) == "a dog…"
    assert clipped("日本語の映画", 6) == "日本…"


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed from here on goes to a terminal of 60 columns."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")


def talkative() -> Moment:
    quote = Quote("speech", Span(61, 62.5), "thank you " * 20, 0.75)
    return replace(heard(), why=replace(heard().why, quotes=(quote,)))


def test_what_is_told_below_a_result_fits_into_the_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch)
    moments([talkative()])
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[2].startswith("   said at 0:01:01: “thank you thank you")
    assert lines[2].endswith("…")


def test_what_is_told_is_whole_where_no_terminal_is(capsys: pytest.CaptureFixture[str]) -> None:
    moments([talkative()])
    assert "thank you " * 20 in capsys.readouterr().out


def test_the_column_that_is_chosen_is_cut_as_it_is_chosen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal(monkeypatch)
    table([("query", "video"), ("a dog jumps " * 9, "a/film.mp4")], shrink=0, fit=clipped)
    line = click.unstyle(capsys.readouterr().out).splitlines()[1]
    assert line.startswith("a dog jumps a dog")
    assert line.endswith("…  a/film.mp4")
    assert len(line) <= 60


def heard() -> Moment:
    video = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)
    quote = Quote("speech", Span(61, 62.5), "thank\x1b you", 0.75)
    why = Why(
        61.0,
        0.25,
        1,
        steps=(Span(61, 63), Span(70, 75)),
        quotes=(quote,),
        shares=Shares(0.25, 0.75, 0.0),
        alike=2,
    )
    return Moment(video, Span(61, 75), 0.5, None, why)


def test_words_steps_and_likeness_are_told_below_a_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    moments([heard(), replace(heard(), why=Why(61.0, 0.5, 1))])
    assert capsys.readouterr().out.splitlines()[1:] == [
        "1  0:01:01 – 0:01:15  0.500  0:01:01  /films/a.mp4",
        "   said at 0:01:01: “thank\\x1b you”",
        "   steps at 0:01:01, 0:01:10",
        "   and 2 more like it: --alike shows all",
        "2  0:01:01 – 0:01:15  0.500  0:01:01  /films/a.mp4",
    ]


def test_evidence_is_told_to_programs() -> None:
    why = moment_json(1, heard())["why"]
    assert why["quotes"] == [
        {"source": "speech", "start": 61, "end": 62.5, "text": "thank\x1b you", "score": 0.75}
    ]
    assert why["shares"] == {"seen": 0.25, "said": 0.75, "shown": 0.0}
    assert why["steps"] == [{"start": 61, "end": 63}, {"start": 70, "end": 75}]
    assert why["alike"] == 2
    plain = moment_json(1, replace(heard(), why=Why(61.0, 0.5, 1)))
    assert set(plain["why"]) == {"peak", "peak_score", "segments"}
