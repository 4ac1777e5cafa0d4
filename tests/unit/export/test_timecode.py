"""Timecode, compared with OpenTimelineIO."""

from __future__ import annotations

from fractions import Fraction

import opentimelineio as otio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.errors import ExportError
from vsearch.export.timeline import TIMELINE_RATES, format_timecode, parse_timecode

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


def test_timecode_is_limited_to_a_day() -> None:
    assert format_timecode(24 * 3600 * 25 - 1, Fraction(25)) == "23:59:59:24"
    with pytest.raises(ExportError, match="24 hours"):
        format_timecode(24 * 3600 * 25, Fraction(25))


@pytest.mark.parametrize("code", [None, "", "soon", "10:00:00", "10:00:00:30", "10:99:00:00"])
def test_invalid_timecode_is_0(code: str | None) -> None:
    assert parse_timecode(code, Fraction(25)) == 0
    assert parse_timecode("01:00:00:00", None) == 0
