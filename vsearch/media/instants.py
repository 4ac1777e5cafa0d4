"""Which frames a film is asked for: those shown at k / fps seconds."""

from __future__ import annotations

import math
from threading import Event
from typing import TYPE_CHECKING

from vsearch.media.timestamps import TICK

if TYPE_CHECKING:
    from fractions import Fraction


class Instants:
    """The instants k / `fps` from `start` up to `end`, in seconds, and what is shown at them.

    To be told of frames in the order in which they are shown. That some are left out which it
    would not take changes nothing.
    """

    def __init__(
        self, fps: Fraction, start: Fraction, end: Fraction | None, *, through: bool = False
    ) -> None:
        """`through` asks for what lies between as well, but for single frames: it is watched."""
        self.through = through
        self.stopped = Event()  # set by whoever wants no more of them
        self._fps, self._start, self._end = fps, start, end
        self._due: int | None = None  # the next one to be shown; None before the first frame
        self._shown = start  # seconds: when that is; what is gone by then is not asked for

    def again(self) -> Instants:
        """The same from the start on, to be stopped together."""
        other = Instants(self._fps, self._start, self._end, through=self.through)
        other.stopped = self.stopped
        return other

    @property
    def met(self) -> bool:
        """Whether a frame was taken."""
        return self._due is not None

    def over(self, time: Fraction) -> bool:
        """Whether a frame that appears at `time` comes after the end."""
        return self._end is not None and time >= max(self._end - TICK, self._start + TICK)

    def takes(self, time: Fraction, until: Fraction) -> bool:
        """Whether the frame shown from `time` until `until` is one of those, for the first time.

        Times may be rounded, by a tick at most: so much earlier it counts as replaced.
        """
        if until <= self._shown:
            return False
        gone = until - min(TICK, (until - time) / 2)
        reached = math.ceil(gone * self._fps)
        if gone <= self._start or (self._due is not None and reached <= self._due):
            return False
        self._due, self._shown = reached, reached / self._fps
        return True
