"""The timestamps of a container, and the seconds that they stand for."""

from __future__ import annotations

from fractions import Fraction

TICK = Fraction(1, 1000)  # seconds; containers round times to it
LEAP = Fraction(3600)  # seconds; a longer step between two frames is a broken timestamp
_RETURN = Fraction(1)  # seconds; a longer step back is a new start, as in joined recordings
_NEXT = Fraction(1, 1_000_000)  # seconds from a frame to the next one of the same timestamp


class Timestamps:
    """Timestamps to seconds that always rise, whatever the file says."""

    def __init__(self, base: Fraction, origin: Fraction, step: Fraction, *, sought: bool) -> None:
        self._base = base
        self._shift = -origin
        self._step = step  # seconds, where a timestamp is missing or absurd
        self._sought = sought  # then the first timestamp may be any
        self._last: Fraction | None = None

    def read(self, pts: int | None) -> Fraction:
        """The time in seconds of the next frame, whose timestamp is `pts`."""
        last = self._last
        due = Fraction(0) if last is None else last + self._step
        time = due if pts is None else pts * self._base + self._shift
        if not (last is None and self._sought) and not -_RETURN < time - (last or 0) < LEAP:
            self._shift += due - time
            time = due
        self._last = max(time, Fraction(0) if last is None else last + _NEXT)
        return self._last
