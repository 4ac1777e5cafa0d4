"""Timecode, against OpenTimelineIO's own."""

from __future__ import annotations

from fractions import Fraction

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.errors import ExportError
from vsearch.export.rates import TIMELINES
from vsearch.export.timecode import frame_of, timecode

NTSC = Fraction(30000, 1001)


@given(st.integers(0, 24 * 3600 * 24 - 1), st.sampled_from(TIMELINES))
def test_timecode_is_what_another_reads_from_it(frame: int, rate: Fraction) -> None:
    code = timecode(frame, rate)
    assert frame_of(code, rate) == frame
    assert otio.opentime.from_timecode(code, float(rate)).to_frames() == frame


@given(st.integers(0, 24 * 3600 * 29), st.sampled_from([NTSC, Fraction(60000, 1001)]))
def test_dropped_numbers_are_counted_as_another_counts_them(frame: int, rate: Fraction) -> None:
    time = otio.opentime.RationalTime(frame, float(rate))
    code = time.to_timecode(float(rate), drop_frame=True)
    assert ";" in code
    assert frame_of(code, rate) == frame


def test_a_day_is_all_that_can_be_counted() -> None:
    assert timecode(24 * 3600 * 25 - 1, Fraction(25)) == "23:59:59:24"
    with pytest.raises(ExportError, match="24 hours"):
        timecode(24 * 3600 * 25, Fraction(25))


@pytest.mark.parametrize("code", [None, "", "soon", "10:00:00", "10:00:00:30", "10:99:00:00"])
def test_what_is_no_timecode_is_0(code: str | None) -> None:
    assert frame_of(code, Fraction(25)) == 0
    assert frame_of("01:00:00:00", None) == 0
