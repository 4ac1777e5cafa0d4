"""Timecode: labels that count frames, as SMPTE ST 12-1 defines them.

A label counts at the nominal rate, 30 for 29.97 fps. Drop-frame counting leaves out labels, not
frames, so that the labels keep up with the clock: at 29.97 fps the first two of every minute except
each tenth, at multiples of it (59.94, 119.88 fps) as many more. No other rate has it: 23.976 and
47.952 fps count every label. Labels start again after 24 hours.
"""

from __future__ import annotations

import re
from fractions import Fraction

NTSC_FACTOR = Fraction(1000, 1001)
_TIMECODE_RE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d{1,3})")
_DROP_FRAME_RATE = 30 * NTSC_FACTOR
_MAX_NOMINAL_RATE = 999  # frames in a label have three digits at most


def has_timecode(frame_rate: Fraction) -> bool:
    """Return whether labels can count frames at a rate: whole numbers and their NTSC variants."""
    return any(
        rate.denominator == 1 and 1 <= rate <= _MAX_NOMINAL_RATE
        for rate in (frame_rate, frame_rate / NTSC_FACTOR)
    )


def has_drop_frame(frame_rate: Fraction) -> bool:
    """Return whether drop-frame timecode is defined for a rate."""
    return frame_rate > 0 and frame_rate % _DROP_FRAME_RATE == 0


def is_drop_frame(timecode_text: str | None, frame_rate: Fraction | None) -> bool:
    """Return whether a valid timecode counts in drop-frame: with `;` or `.` before the frames."""
    match = _TIMECODE_RE.fullmatch(timecode_text or "")
    return bool(match and frame_rate and match[4] != ":" and has_drop_frame(frame_rate))


def parse_timecode(timecode_text: str | None, frame_rate: Fraction | None) -> int:
    """Convert a timecode to a frame number.

    Args:
        timecode_text: hh:mm:ss:ff, or None. `;` or `.` before the frames marks drop-frame timecode.
        frame_rate: Frames per second; None if unknown.

    Returns:
        The frame number; 0 for missing or invalid timecode.
    """
    match = _TIMECODE_RE.fullmatch(timecode_text or "")
    if match is None or frame_rate is None:
        return 0
    hours, minutes, seconds, frames = (int(match[group_index]) for group_index in (1, 2, 3, 5))
    nominal_rate = round(frame_rate)
    if frames >= nominal_rate or hours >= 24:
        return 0
    frame_count = (hours * 3600 + minutes * 60 + seconds) * nominal_rate + frames
    if not is_drop_frame(timecode_text, frame_rate):
        return frame_count
    total_minutes = hours * 60 + minutes
    return frame_count - _dropped_labels(nominal_rate) * (total_minutes - total_minutes // 10)


def format_timecode(frame_number: int, frame_rate: Fraction, *, drop_frame: bool = False) -> str:
    """Format a frame number as timecode, which starts again after 24 hours.

    Args:
        frame_number: The frame, from 0.
        frame_rate: Frames per second.
        drop_frame: Count in drop-frame; see `has_drop_frame`.

    Returns:
        hh:mm:ss:ff, with `;` before the frames for drop-frame timecode.
    """
    nominal_rate = round(frame_rate)
    label_number = frame_number % count_day_frames(frame_rate, drop_frame=drop_frame)
    if drop_frame:
        dropped_labels = _dropped_labels(nominal_rate)
        minute_frames = 60 * nominal_rate - dropped_labels  # of a minute with dropped labels
        tens, frames_in_ten = divmod(label_number, 10 * minute_frames + dropped_labels)
        minutes_with_drops = 9 * tens + max(0, frames_in_ten - dropped_labels) // minute_frames
        label_number += dropped_labels * minutes_with_drops
    seconds, frames = divmod(label_number, nominal_rate)
    separator = ";" if drop_frame else ":"
    frame_digits = len(str(nominal_rate - 1)) if nominal_rate > 100 else 2
    return (
        f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        f"{separator}{frames:0{frame_digits}}"
    )


def count_day_frames(frame_rate: Fraction, *, drop_frame: bool = False) -> int:
    """Return the number of frames with different labels: 24 hours of them."""
    nominal_rate = round(frame_rate)
    dropped_labels = _dropped_labels(nominal_rate) if drop_frame else 0
    return 24 * 6 * (600 * nominal_rate - 9 * dropped_labels)


def _dropped_labels(nominal_rate: int) -> int:
    """Return the number of labels that drop-frame timecode leaves out of a minute."""
    return nominal_rate // 15
