"""Convert a container's timestamps to seconds."""

from __future__ import annotations

from fractions import Fraction

TIME_RESOLUTION = Fraction(1, 1000)  # seconds to which containers round timestamps
MAX_STEP_SECONDS = Fraction(3600)  # a longer step between two frames is a broken timestamp
_RESTART_STEP_SECONDS = Fraction(1)  # a longer step back is a restart, as in joined recordings
_MIN_STEP_SECONDS = Fraction(1, 1_000_000)  # between frames with the same timestamp


class TimestampConverter:
    """Converter of timestamps to strictly rising seconds, however broken the timestamps are.

    Args:
        time_base: Seconds per tick.
        time_origin: Seconds that players show as 0:00.
        frame_step: Seconds from frame to frame where a timestamp is missing or implausible.
        is_after_seek: Accept any first timestamp.
    """

    def __init__(
        self,
        time_base: Fraction,
        time_origin: Fraction,
        frame_step: Fraction,
        *,
        is_after_seek: bool,
    ) -> None:
        self._time_base = time_base
        self._time_shift = -time_origin
        self._frame_step = frame_step
        self._is_after_seek = is_after_seek
        self._last_time: Fraction | None = None

    def to_seconds(self, pts: int | None) -> Fraction:
        """Return the time in seconds of the next frame, given its timestamp or None."""
        last_time = self._last_time
        expected_time = Fraction(0) if last_time is None else last_time + self._frame_step
        frame_time = expected_time if pts is None else pts * self._time_base + self._time_shift
        if (
            not (last_time is None and self._is_after_seek)
            and not -_RESTART_STEP_SECONDS < frame_time - (last_time or 0) < MAX_STEP_SECONDS
        ):
            self._time_shift += expected_time - frame_time
            frame_time = expected_time
        self._last_time = max(
            frame_time, Fraction(0) if last_time is None else last_time + _MIN_STEP_SECONDS
        )
        return self._last_time
