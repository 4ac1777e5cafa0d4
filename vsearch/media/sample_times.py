"""Select the frames to sample: those displayed at k / fps seconds."""

from __future__ import annotations

import math
from threading import Event
from typing import TYPE_CHECKING

from vsearch.media.timestamps import TIME_RESOLUTION

if TYPE_CHECKING:
    from fractions import Fraction


class SampleTimes:
    """Sampling clock: the instants k / `fps` within a span, and the frames displayed at them.

    Call it with frames in presentation order. Frames that would not be sampled may be skipped.

    Args:
        fps: Instants per second.
        start_time: Start of the span in seconds.
        end_time: End of the span in seconds; None means the end of the video.
        watch_all: Decode the frames between the instants too, except isolated non-reference ones,
            for example for shot detection.
    """

    def __init__(
        self,
        fps: Fraction,
        start_time: Fraction,
        end_time: Fraction | None,
        *,
        watch_all: bool = False,
    ) -> None:
        self.watch_all = watch_all
        self.stop_event = Event()  # set to end sampling early
        self._fps, self._start_time, self._end_time = fps, start_time, end_time
        self._next_index: int | None = None  # of the next instant; None before the first frame
        self._next_time = start_time  # seconds; frames replaced by then are not sampled

    def copy_from_start(self) -> SampleTimes:
        """Return a clock that restarts at the beginning and shares the stop event."""
        restarted_times = SampleTimes(
            self._fps, self._start_time, self._end_time, watch_all=self.watch_all
        )
        restarted_times.stop_event = self.stop_event
        return restarted_times

    @property
    def has_claimed_frame(self) -> bool:
        """True if a frame was sampled."""
        return self._next_index is not None

    def is_past_end(self, frame_time: Fraction) -> bool:
        """Return whether a frame that appears at `frame_time` (seconds) comes after the end."""
        return self._end_time is not None and frame_time >= max(
            self._end_time - TIME_RESOLUTION, self._start_time + TIME_RESOLUTION
        )

    def claim_frame(self, start_time: Fraction, end_time: Fraction) -> bool:
        """Return whether to sample a frame, and advance the clock if so.

        Times may be rounded by up to one tick, so a frame counts as replaced that much earlier.

        Args:
            start_time: Seconds at which the frame appears.
            end_time: Seconds at which the next frame replaces it.
        """
        if end_time <= self._next_time:
            return False
        replaced_time = end_time - min(TIME_RESOLUTION, (end_time - start_time) / 2)
        next_index = math.ceil(replaced_time * self._fps)
        if replaced_time <= self._start_time or (
            self._next_index is not None and next_index <= self._next_index
        ):
            return False
        self._next_index, self._next_time = next_index, next_index / self._fps
        return True
