"""Formatting of times, paths, tables and results."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import pytest

from vsearch.cli.render import (
    escape_unprintable,
    format_bytes,
    format_count,
    format_duration,
    format_path,
    format_percent,
    format_span,
    format_time,
    print_moments,
    print_table,
    truncate_end,
    truncate_start,
)
from vsearch.search.serialization import moment_to_dict
from vsearch.types import Explanation, Moment, Quote, ScoreShares, Span, Video


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00:00"), (59.99, "0:00:59"), (3661, "1:01:01"), (-1, "0:00:00")]
)
def test_times_are_rounded_down(seconds: float, shown: str) -> None:
    assert format_time(seconds) == shown


def test_spans_are_rounded_outward() -> None:
    assert format_span(Span(3.2, 7.5)) == "0:00:03 – 0:00:08"
    assert format_span(Span(0, 0.04)) == "0:00:00 – 0:00:01"
    assert format_duration(60.0) == format_duration(60.0 + 1e-12) == "0:01:00"


def test_low_confidence_is_never_rounded_up() -> None:
    assert [format_percent(n) for n in (0.0, 0.1449, 0.2399, 0.2499, 0.25, 0.996)] == [
        "0 %", "14 %", "24 %", "24 %", "25 %", "100 %"
    ]  # fmt: skip


def test_sizes_and_counts_are_readable() -> None:
    assert [format_bytes(n) for n in (5, 1500, 2.5e9)] == ["5 B", "1.5 kB", "2.5 GB"]
    assert [format_count(1, "video"), format_count(2, "video")] == ["1 video", "2 videos"]


def test_paths_are_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert format_path(tmp_path / "a" / "b.mp4") == str(Path("a/b.mp4"))
    assert format_path(Path.home() / "c.mp4") == str(Path("~/c.mp4"))
    assert format_path(Path("/elsewhere/d.mp4").absolute()).endswith("d.mp4")


def test_text_cannot_steer_a_terminal() -> None:
    assert (
        escape_unprintable("a\x1b[2J\nb\u202ec\udce9 é日本") == "a\\x1b[2J\\nb\\u202ec\\udce9 é日本"
    )


def test_long_path_keeps_its_end() -> None:
    assert truncate_start("films/a.mp4", 11) == "films/a.mp4"
    assert truncate_start("long/films/a.mp4", 11) == "…ilms/a.mp4"
    assert truncate_start("日本語の映画.mp4", 9) == "…映画.mp4"


def test_long_text_keeps_its_beginning() -> None:
    assert truncate_end("a dog runs", 10) == "a dog runs"
    assert truncate_end("a dog runs", 7) == "a dog…"
    assert truncate_end("日本語の映画", 6) == "日本…"


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make stdout a terminal of 60 columns."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")


def wordy_moment() -> Moment:
    quote = Quote("speech", Span(61, 62.5), "thank you " * 20, 0.75)
    return replace(
        spoken_moment(), explanation=replace(spoken_moment().explanation, quotes=(quote,))
    )


def test_notes_fit_into_the_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_terminal(monkeypatch)
    print_moments([wordy_moment()])
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[2].startswith("   said at 0:01:01: “thank you thank you")
    assert lines[2].endswith("…")


def test_notes_are_complete_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_moments([wordy_moment()])
    assert "thank you " * 20 in capsys.readouterr().out


def test_chosen_column_is_truncated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_terminal(monkeypatch)
    print_table(
        [("query", "video"), ("a dog jumps " * 9, "a/film.mp4")],
        shrink_column=0,
        truncate_cell=truncate_end,
    )
    line = click.unstyle(capsys.readouterr().out).splitlines()[1]
    assert line.startswith("a dog jumps a dog")
    assert line.endswith("…  a/film.mp4")
    assert len(line) <= 60


def spoken_moment() -> Moment:
    video = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)
    quote = Quote("speech", Span(61, 62.5), "thank\x1b you", 0.75)
    explanation = Explanation(
        61.0,
        0.25,
        1,
        step_spans=(Span(61, 63), Span(70, 75)),
        quotes=(quote,),
        score_shares=ScoreShares(0.25, 0.75, 0.0),
        duplicates_hidden=2,
    )
    return Moment(video, Span(61, 75), 0.5, None, explanation)


def test_quote_steps_and_duplicates_are_printed_below_a_result(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_moments(
        [spoken_moment(), replace(spoken_moment(), explanation=Explanation(61.0, 0.5, 1))]
    )
    assert capsys.readouterr().out.splitlines()[1:] == [
        "1  0:01:01 – 0:01:15  0.500  0:01:01  /films/a.mp4",
        "   said at 0:01:01: “thank\\x1b you”",
        "   steps at 0:01:01, 0:01:10",
        "   2 near-duplicates hidden; show with --include-duplicates",
        "2  0:01:01 – 0:01:15  0.500  0:01:01  /films/a.mp4",
    ]


def test_weak_results_after_the_first_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    moments = [
        replace(spoken_moment(), confidence=confidence, explanation=Explanation(61.0, 0.5, 1))
        for confidence in (0.9, 0.2, 0.1, 0.3, 0.05, None, 0.01)
    ]
    assert print_moments(moments, max_weak=2) == 2
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[0] for row in rows] == ["1", "2", "3", "4", "6"]
    assert ["weak" in row for row in rows] == [False, True, True, False, False]
    assert print_moments(moments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 8


def test_json_explains_a_result() -> None:
    explanation = moment_to_dict(1, spoken_moment())["explanation"]
    assert explanation["quotes"] == [
        {"source": "speech", "start": 61, "end": 62.5, "text": "thank\x1b you", "score": 0.75}
    ]
    assert explanation["score_shares"] == {"visual": 0.25, "speech": 0.75, "ocr": 0.0}
    assert explanation["steps"] == [{"start": 61, "end": 63}, {"start": 70, "end": 75}]
    assert explanation["duplicates_hidden"] == 2
    plain = moment_to_dict(1, replace(spoken_moment(), explanation=Explanation(61.0, 0.5, 1)))
    assert set(plain["explanation"]) == {"peak", "peak_score", "segment_count"}


@pytest.mark.parametrize(
    ("confidence", "rounded", "is_low"),
    [(0.24999, 0.2499, True), (0.25, 0.25, False), (0.12345, 0.1235, True), (None, None, False)],
)
def test_json_marks_a_low_confidence(
    confidence: float | None, rounded: float | None, is_low: bool
) -> None:
    result = moment_to_dict(1, replace(spoken_moment(), confidence=confidence))
    assert (result["confidence"], result["low_confidence"]) == (rounded, is_low)
