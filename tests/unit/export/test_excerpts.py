"""Excerpts: padding, merging and names."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.export.excerpts import (
    ExportExcerpt,
    SourceVideo,
    longest_shown,
    make_clip_names,
    merge_overlapping,
    pad_span,
    to_one_line,
)
from vsearch.export.reels import make_reel_names
from vsearch.export.timeline import TIMELINE_RATES, choose_timeline_rate, to_exact_rate
from vsearch.types import Span

A, B = SourceVideo(Path("/v/a.mp4"), 60.0), SourceVideo(Path("/v/b.mp4"), 60.0)


def excerpt(source: SourceVideo, start: float, end: float, rank: int = 1) -> ExportExcerpt:
    return ExportExcerpt(source, Span(start, end), rank)


def test_spans_are_padded_within_the_video() -> None:
    assert pad_span(Span(5, 7), 1, 60) == Span(4, 8)
    assert pad_span(Span(0.5, 59.5), 1, 60) == Span(0, 60)
    assert pad_span(Span(58, 70), 0, 0) == Span(58, 70), "of a video whose length is unknown"
    assert pad_span(Span(61, 62), 0.5, 60) is None


def test_overlapping_or_touching_excerpts_are_merged_per_video() -> None:
    found = [
        excerpt(A, 10, 20, 1), excerpt(B, 12, 14, 2), excerpt(A, 30, 40, 3), excerpt(A, 20, 30, 4),
    ]  # fmt: skip
    assert merge_overlapping(found) == [excerpt(A, 10, 40, 1), excerpt(B, 12, 14, 2)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(1, 9)), max_size=12))
def test_merged_excerpts_cover_everything_once(
    drawn: list[tuple[bool, int, int]],
) -> None:
    found = [
        excerpt(A if first else B, start, start + length, rank)
        for rank, (first, start, length) in enumerate(drawn, 1)
    ]
    shown = [
        (one.source.video_path, second)
        for one in merge_overlapping(found)
        for second in range(int(one.span.start), int(one.span.end))
    ]
    assert len(shown) == len(set(shown))
    assert set(shown) == {
        (one.source.video_path, second)
        for one in found
        for second in range(int(one.span.start), int(one.span.end))
    }


def test_the_frame_size_shown_longest_wins() -> None:
    tall = SourceVideo(Path("/v/tall.mp4"), 60.0, None, 360, 640)
    wide = SourceVideo(Path("/v/wide.mp4"), 60.0, None, 1280, 720)
    found = [excerpt(tall, 0, 4, 1), excerpt(wide, 0, 3, 2), excerpt(wide, 5, 8, 3)]
    lead = longest_shown(found)
    assert lead is not None
    assert lead.source == wide
    assert longest_shown([]) is None


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", "-rf", ".hidden", "a/b\\c:d*e?f\"g<h>i|j", "new\nline\t\x1b[31m",
     "\udce9t\udce9", "x" * 400, "ü" * 300, " ", "con", "日本語の動画", "a%20b#c"],
)  # fmt: skip
def test_file_names_are_safe_on_all_platforms(name: str, tmp_path: Path) -> None:
    source = SourceVideo(Path("/v") / f"{name}.mp4", 60.0)
    [made] = make_clip_names([excerpt(source, 3661, 3662, 7)])
    assert made.startswith("07_")
    assert made.endswith("_1.01.01-1.01.02.mp4")
    (tmp_path / made).write_bytes(b"")
    assert [path.name for path in tmp_path.iterdir()] == [made]
    assert made.isprintable()
    assert not set(made) & set('/\\:*?"<>|%#')


def test_file_names_are_unique_even_for_equal_ranks() -> None:
    other = SourceVideo(Path("/w/A.mp4"), 60.0)
    names = make_clip_names([excerpt(A, 1, 2), excerpt(A, 1.2, 2.2), excerpt(other, 1, 2)])
    assert len({name.casefold() for name in names}) == 3
    assert names[0] == "01_a_0.00.01-0.00.02.mp4"


def test_reel_names_are_short_and_unique() -> None:
    paths = [
        Path("/v") / name
        for name in ("holiday 2024 a.mp4", "holiday 2024 b.mp4", "Été.mp4", "日本.mp4", "韓国.mp4",
                     "ax.mp4", "BL.mov", "x.mp4", "X.mov")
    ]  # fmt: skip
    named = make_reel_names(SourceVideo(path, 1.0) for path in (*paths, *paths))
    assert named[paths[0]] == "HOLIDAY2"
    assert named[paths[2]] == "ETE"
    assert len(set(named.values())) == len(paths)
    assert not {"AX", "BL"} & set(named.values())
    assert all(name.isascii() and name.isalnum() and len(name) <= 8 for name in named.values())


def test_truncated_reel_names_are_unique() -> None:
    paths = [Path(f"/v/{number}/recording of the day.mp4") for number in range(1200)]
    named = make_reel_names(SourceVideo(path, 1.0) for path in paths)
    assert len(set(named.values())) == 1200


def test_reel_names_are_read_from_the_files() -> None:
    def tape(name: str, reel: str | None, start: str | None = None) -> SourceVideo:
        return SourceVideo(
            Path("/v") / name, 60.0, Fraction(25), start_timecode=start, reel_name=reel
        )

    sources = [
        tape("tape01.mov", None), tape("a.mov", "Tape01", "01:00:00:00"),
        tape("b.mov", "Tape01", "02:00:00:00"), tape("c.mov", "Tape01", "02:00:30:00"),
        tape("d.mov", "A001_C002_0101"), tape("e.mov", "A001_C003_0101"), tape("f.mov", "日\n\x1b"),
        tape("g.mov", "bl"),
    ]  # fmt: skip
    named = list(make_reel_names(sources).values())
    by_path = {path.name: reel for path, reel in make_reel_names(sources).items()}
    assert by_path["a.mov"] == by_path["b.mov"] == "Tape01", "one tape, other timecodes"
    assert by_path["c.mov"] == "Tape012", "the timecodes of two files overlap"
    assert by_path["tape01.mov"] not in ("TAPE01", "Tape01")
    assert (by_path["d.mov"], by_path["e.mov"]) == ("A001_C00", "A001_C02")
    assert (by_path["f.mov"], by_path["g.mov"]) == ("F", "bl2")
    assert all(len(reel) <= 8 for reel in named)


@pytest.mark.parametrize(
    ("fps", "rate"),
    [(29.97, Fraction(30000, 1001)), (29.97002997, Fraction(30000, 1001)),
     (23.976, Fraction(24000, 1001)), (25.0, Fraction(25)), (59.94, Fraction(60000, 1001)),
     (14.96, Fraction(374, 25)), (0.0, None), (float("nan"), None), (-1.0, None), (1e9, None)],
)  # fmt: skip
def test_rates_are_exact(fps: float, rate: Fraction | None) -> None:
    assert to_exact_rate(fps) == rate


def test_a_timeline_has_the_rate_of_most_of_its_videos() -> None:
    pal, ntsc = (
        SourceVideo(Path("p"), 1, Fraction(25)),
        SourceVideo(Path("n"), 1, Fraction(30000, 1001)),
    )
    assert choose_timeline_rate([pal, ntsc, ntsc]) == Fraction(30000, 1001)
    assert choose_timeline_rate([pal, pal, ntsc]) == 25
    assert choose_timeline_rate([SourceVideo(Path("s"), 1, Fraction(25, 2))]) == 25, (
        "each frame twice"
    )
    assert choose_timeline_rate([SourceVideo(Path("s"), 1, Fraction(15))]) == 30
    assert choose_timeline_rate([SourceVideo(Path("s"), 1, Fraction(374, 25))]) in TIMELINE_RATES
    assert choose_timeline_rate([]) in TIMELINE_RATES


def test_text_is_escaped_to_one_line() -> None:
    assert to_one_line("a\nb\r\u2028\x1b\udce9") == "a\\nb\\r\\u2028\\x1b\\udce9"
