"""Timecode: frames counted as hh:mm:ss:ff."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vsearch.errors import ExportError

if TYPE_CHECKING:
    from fractions import Fraction

_CODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d{1,3})")
_HOURS = 24


def timecode(frame: int, rate: Fraction) -> str:
    """The timecode of a frame, counted without dropping any. ExportError after 24 hours."""
    whole = round(rate)
    seconds, rest = divmod(frame, whole)
    if seconds >= _HOURS * 3600:
        raise ExportError(f"timecode ends after {_HOURS} hours: export excerpts that are earlier")
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{rest:02}"


def frame_of(code: str | None, rate: Fraction | None) -> int:
    """Which frame a file's timecode means at its rate; 0 for none, and for what is none.

    After `;` numbers are left out ("drop frame"), as 29.97 frames a second fall behind 30: two in
    every minute but each tenth, at 59.94 four.
    """
    match = _CODE.fullmatch(code or "")
    if match is None or rate is None:
        return 0
    hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
    whole = round(rate)
    if frames >= whole:
        return 0
    count = (hours * 3600 + minutes * 60 + seconds) * whole + frames
    if match[4] == ":" or whole % 30 or rate.denominator != 1001:
        return count
    passed = hours * 60 + minutes
    return count - whole // 15 * (passed - passed // 10)
