"""Convert a container's timestamps to seconds."""

from __future__ import annotations

from fractions import Fraction

TIME_RESOLUTION = Fraction(1, 1000)  # seconds to which containers round timestamps
MAX_STEP_SECONDS = Fraction(3600)  # a longer step between two frames is a broken timestamp
_RESTART_STEP_SECONDS = Fraction(1)  # a longer step back is a restart, as in joined recordings
_MIN_OUTLIER_SECONDS = Fraction(1, 4)  # smaller deviations of a timestamp are left as they are
_MIN_STEP_SECONDS = Fraction(1, 1_000_000)  # between frames with the same timestamp


class BestEffortTimestamps:
    """Choice between the two timestamps of decoded frames, in output order.

    Damage changes the order in which a decoder outputs frames, and some containers store no
    presentation timestamps. Whichever of the two kinds has failed to rise less often is used, as in
    `guess_correct_pts` of FFmpeg's libavcodec/decode.c, whose result PyAV does not expose.

    Args:
        has_pts: False where presentation timestamps are guesses of the demuxer, as in AVI.
        end_ticks: Timestamp of the end of the container; None if unknown. Decoding timestamps are
            late by the frames that the decoder holds back, and so do not move a frame beyond it.
    """

    def __init__(self, *, has_pts: bool = True, end_ticks: int | None = None) -> None:
        self._has_pts = has_pts
        self._end_ticks = end_ticks
        self._last_pts: int | None = None
        self._last_dts: int | None = None
        self._last_timestamp: int | None = None
        self._faulty_pts_count = 0
        self._faulty_dts_count = 0

    def choose(self, pts: int | None, dts: int | None) -> int | None:
        """Return the timestamp of the next frame in ticks; None if it has none.

        Args:
            pts: Presentation timestamp.
            dts: Timestamp of the packet that made the decoder output the frame.
        """
        if not self._has_pts:
            return dts
        if pts is not None and self._last_pts is not None:
            self._faulty_pts_count += pts <= self._last_pts
        if dts is not None and self._last_dts is not None:
            self._faulty_dts_count += dts <= self._last_dts
        self._last_pts = dts if pts is None else pts
        self._last_dts = pts if dts is None else dts
        timestamp = pts
        if pts is None or (dts is not None and self._faulty_pts_count > self._faulty_dts_count):
            timestamp = dts
        is_left_over = dts is None or (
            self._end_ticks is not None and timestamp == dts >= self._end_ticks
        )
        if pts is not None and is_left_over and self._last_timestamp is not None:
            timestamp = max(pts, self._last_timestamp)  # output at the end of the file
        self._last_timestamp = timestamp
        return timestamp


class TimestampConverter:
    """Converter of timestamps to strictly rising seconds, however broken the timestamps are.

    Args:
        time_base: Seconds per tick.
        time_origin: Seconds that players show as 0:00.
        frame_step: Seconds from frame to frame where a timestamp is missing or implausible.
        is_after_seek: Accept any first timestamp.
        may_restart: Time goes on where timestamps restart, as in joined recordings. Otherwise a
            timestamp that falls is damaged.
        end_time: Seconds at which frames without timestamps end; None if unknown.
    """

    def __init__(
        self,
        time_base: Fraction,
        time_origin: Fraction,
        frame_step: Fraction,
        *,
        is_after_seek: bool,
        may_restart: bool = True,
        end_time: Fraction | None = None,
    ) -> None:
        self._time_base = time_base
        self._time_shift = -time_origin
        self._frame_step = frame_step
        self._is_after_seek = is_after_seek
        self._may_restart = may_restart
        self._end_time = end_time
        self._last_time: Fraction | None = None

    def to_seconds(self, timestamp: int | None, next_timestamp: int | None = None) -> Fraction:
        """Return the time in seconds of the next frame.

        Args:
            timestamp: Ticks; None if unknown.
            next_timestamp: Ticks of the frame after it, which show whether an implausible step
                is damage of a single timestamp or lasts; None if unknown.
        """
        last_time = self._last_time
        min_time = Fraction(0) if last_time is None else last_time + _MIN_STEP_SECONDS
        self._last_time = max(min_time, self._convert(timestamp, next_timestamp))
        return self._last_time

    def _convert(self, timestamp: int | None, next_timestamp: int | None) -> Fraction:
        last_time = self._last_time or Fraction(0)
        expected_time = last_time if self._last_time is None else last_time + self._frame_step
        if timestamp is None:
            is_past_end = self._end_time is not None and expected_time >= self._end_time
            return last_time if is_past_end else expected_time
        frame_time = timestamp * self._time_base + self._time_shift
        if self._last_time is None and self._is_after_seek:
            return frame_time
        if self._is_outlier(frame_time, next_timestamp):
            return expected_time
        step, may_restart = frame_time - last_time, self._may_restart or self._last_time is None
        if step >= MAX_STEP_SECONDS or (may_restart and step <= -_RESTART_STEP_SECONDS):
            self._time_shift += expected_time - frame_time
            return expected_time
        return frame_time

    def _is_outlier(self, frame_time: Fraction, next_timestamp: int | None) -> bool:
        """Return whether a frame is early or late, but the next one continues the previous one."""
        last_time = self._last_time
        if last_time is None or next_timestamp is None:
            return False
        next_time = next_timestamp * self._time_base + self._time_shift
        if abs(frame_time - last_time) < _MIN_OUTLIER_SECONDS:
            return False
        limit = frame_time if frame_time > last_time else last_time + _RESTART_STEP_SECONDS
        return last_time < next_time < limit
