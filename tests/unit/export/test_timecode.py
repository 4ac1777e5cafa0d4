"""Timecode, compared with OpenTimelineIO."""

from __future__ import annotations

from fractions import Fraction

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.export.timecode import (
    count_day_frames,
    format_timecode,
    has_drop_frame,
    has_timecode,
    is_drop_frame,
    parse_timecode,
)
from vsearch.export.timeline import TIMELINE_RATES

NTSC = Fraction(30000, 1001)


@given(st.integers(0, 24 * 3600 * 24 - 1), st.sampled_from(TIMELINE_RATES))
def test_timecode_matches_opentimelineio(frame: int, rate: Fraction) -> None:
    code = format_timecode(frame, rate)
    assert parse_timecode(code, rate) == frame
    assert otio.opentime.from_timecode(code, float(rate)).to_frames() == frame


@given(st.integers(0, 24 * 3600 * 29), st.sampled_from([NTSC, Fraction(60000, 1001)]))
def test_drop_frame_timecode_matches_opentimelineio(frame: int, rate: Fraction) -> None:
    time = otio.opentime.RationalTime(frame, float(rate))
    code = time.to_timecode(float(rate), drop_frame=True)
    assert ";" in code
    assert parse_timecode(code, rate) == frame
    assert format_timecode(frame, rate, drop_frame=True) == code


@pytest.mark.parametrize("rate", [NTSC, 2 * NTSC, 4 * NTSC])
def test_drop_frame_leaves_out_labels_of_each_minute_but_the_tenth(rate: Fraction) -> None:
    nominal = round(rate)
    skipped = nominal // 15
    minute = 60 * nominal
    digits = 3 if nominal > 100 else 2
    codes = [format_timecode(frame, rate, drop_frame=True) for frame in (minute - 1, minute)]
    assert codes == [f"00:00:59;{nominal - 1:0{digits}}", f"00:01:00;{skipped:0{digits}}"]
    ten = 10 * minute - 9 * skipped
    assert format_timecode(ten, rate, drop_frame=True) == f"00:10:00;{0:0{digits}}"
    assert format_timecode(ten - 1, rate, drop_frame=True).startswith("00:09:59;")
    for frame in (*range(minute - 5, minute + 5), *range(ten - 5, ten + 5)):
        assert parse_timecode(format_timecode(frame, rate, drop_frame=True), rate) == frame


def test_timecode_starts_again_after_a_day() -> None:
    assert format_timecode(24 * 3600 * 25 - 1, Fraction(25)) == "23:59:59:24"
    assert format_timecode(24 * 3600 * 25, Fraction(25)) == "00:00:00:00"
    day = count_day_frames(NTSC, drop_frame=True)
    assert day == 2_589_408
    assert format_timecode(day - 1, NTSC, drop_frame=True) == "23:59:59;29"
    assert format_timecode(day, NTSC, drop_frame=True) == "00:00:00;00"


def test_only_multiples_of_2997_have_drop_frame() -> None:
    film, pal, double_film = Fraction(24000, 1001), Fraction(25), Fraction(48000, 1001)
    assert [has_drop_frame(rate) for rate in (NTSC, 2 * NTSC, 4 * NTSC)] == [True] * 3
    assert not any(map(has_drop_frame, (film, pal, double_film, Fraction(30), Fraction(60))))
    assert parse_timecode("01:00:00;00", film) == 86400, "23.976 counts every label"
    assert is_drop_frame("01:00:00.00", NTSC)
    assert not is_drop_frame("01:00:00:00", NTSC)
    assert not is_drop_frame("01:00:00;00", film)


def test_labels_count_whole_rates_and_their_ntsc_variants() -> None:
    assert all(map(has_timecode, (*TIMELINE_RATES, Fraction(15), Fraction(120000, 1001))))
    assert not any(map(has_timecode, (Fraction(25, 2), Fraction(374, 25))))


@pytest.mark.parametrize(
    "code", [None, "", "soon", "10:00:00", "10:00:00:30", "10:99:00:00", "24:00:00:00"]
)
def test_invalid_timecode_is_0(code: str | None) -> None:
    assert parse_timecode(code, Fraction(25)) == 0
    assert parse_timecode("01:00:00:00", None) == 0
