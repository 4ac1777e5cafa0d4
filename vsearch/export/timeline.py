"""Timelines in frames, the common model of all editing formats; frame rates and timecode."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsearch.errors import ExportError
from vsearch.export.excerpts import merge_overlapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.export.excerpts import ExportExcerpt, SourceVideo

TIMELINE_RATES = (  # supported by every editing program
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30),
    Fraction(50), Fraction(60000, 1001), Fraction(60),
)  # fmt: skip
_DEFAULT_RATE = Fraction(30)
_RATE_TOLERANCE = Fraction(1, 5000)  # relative: files round their rates
_MAX_FPS = 1000
_TIMECODE_RE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d{1,3})")
_MAX_HOURS = 24


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """An excerpt on a timeline."""

    excerpt: ExportExcerpt
    source_frame: int  # first frame in the source, at the rate of the timeline
    frame_count: int  # at the rate of the timeline, at least 1
    timeline_frame: int  # first frame on the timeline

    @property
    def source(self) -> SourceVideo:
        """The video of the excerpt."""
        return self.excerpt.source


@dataclass(frozen=True, slots=True)
class Timeline:
    """Consecutive, non-overlapping excerpts at one frame rate."""

    title: str
    frame_rate: Fraction  # frames per second
    events: tuple[TimelineEvent, ...]

    @classmethod
    def from_excerpts(cls, excerpts: Sequence[ExportExcerpt], title: str) -> Timeline:
        """Build a timeline of excerpts, merging those that overlap.

        Args:
            excerpts: The excerpts.
            title: Title of the timeline.

        Returns:
            The timeline, in order of rank.
        """
        frame_rate = choose_timeline_rate([excerpt.source for excerpt in excerpts])
        events: list[TimelineEvent] = []
        timeline_frame = 0
        for excerpt in merge_overlapping(excerpts):
            start_frame = nearest_frame(excerpt.span.start, frame_rate)
            end_frame = nearest_frame(excerpt.span.end, frame_rate)
            if excerpt.source.duration:
                end_frame = min(end_frame, count_frames(excerpt.source.duration, frame_rate))
            frame_count = max(1, end_frame - start_frame)
            events.append(TimelineEvent(excerpt, start_frame, frame_count, timeline_frame))
            timeline_frame += frame_count
        return cls(title, frame_rate, tuple(events))

    @property
    def frame_count(self) -> int:
        """Length in frames."""
        return sum(event.frame_count for event in self.events)


def nearest_frame(seconds: float | Fraction, frame_rate: Fraction) -> int:
    """Return the number of the frame that starts nearest to a time."""
    return round(Fraction(seconds) * frame_rate)


def count_frames(seconds: float, frame_rate: Fraction) -> int:
    """Return the number of whole frames in a duration (which may be rounded), at least 1."""
    return max(1, int(Fraction(seconds) * frame_rate + Fraction(1, 50)))


def start_offset(source: SourceVideo) -> Fraction:
    """Return the start timecode of a source in seconds; 0 if it has none."""
    if source.frame_rate is None:
        return Fraction(0)
    return parse_timecode(source.start_timecode, source.frame_rate) / source.frame_rate


def to_exact_rate(fps: float) -> Fraction | None:
    """Return the exact rate for a rounded one: 30000/1001 for 29.97. None for invalid rates."""
    if not 0 < fps <= _MAX_FPS:  # also excludes NaN
        return None
    rounded_rate = Fraction(fps).limit_denominator(1001)
    for standard_rate in TIMELINE_RATES:
        if abs(standard_rate - rounded_rate) < standard_rate * _RATE_TOLERANCE:
            return standard_rate
    return rounded_rate or None


def choose_timeline_rate(sources: Sequence[SourceVideo]) -> Fraction:
    """Return the most frequent frame rate of the sources.

    Args:
        sources: The source of each excerpt. A rate that timelines do not support counts as the
            lowest supported multiple of it.

    Returns:
        One of `TIMELINE_RATES`; the higher one on a tie.
    """
    rate_votes = Counter(map(_matching_rate, (source.frame_rate for source in sources)))
    return max(rate_votes, key=lambda rate: (rate_votes[rate], rate), default=_DEFAULT_RATE)


def _matching_rate(source_rate: Fraction | None) -> Fraction:
    if source_rate is None:
        return _DEFAULT_RATE
    return next(
        (standard_rate for standard_rate in TIMELINE_RATES if standard_rate % source_rate == 0),
        _DEFAULT_RATE,
    )


def format_timecode(frame_number: int, frame_rate: Fraction) -> str:
    """Format a frame number as non-drop-frame timecode hh:mm:ss:ff.

    Args:
        frame_number: The frame, from 0.
        frame_rate: Frames per second.

    Returns:
        The timecode.

    Raises:
        ExportError: The frame is after 24 hours.
    """
    nominal_rate = round(frame_rate)
    seconds, frame_remainder = divmod(frame_number, nominal_rate)
    if seconds >= _MAX_HOURS * 3600:
        raise ExportError(
            f"timecode cannot exceed {_MAX_HOURS} hours; export excerpts that are earlier"
        )
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}:{frame_remainder:02}"


def parse_timecode(timecode_text: str | None, frame_rate: Fraction | None) -> int:
    """Convert a timecode to a frame number.

    `;` before the frames marks drop-frame timecode: at 29.97 fps two frame numbers (at 59.94 fps
    four) are skipped every minute except each tenth, to keep up with the clock.

    Args:
        timecode_text: hh:mm:ss:ff, or None.
        frame_rate: Frames per second; None if unknown.

    Returns:
        The frame number; 0 for missing or invalid timecode.
    """
    match = _TIMECODE_RE.fullmatch(timecode_text or "")
    if match is None or frame_rate is None:
        return 0
    hours, minutes, seconds, frames = (int(match[group_index]) for group_index in (1, 2, 3, 5))
    nominal_rate = round(frame_rate)
    if frames >= nominal_rate:
        return 0
    frame_count = (hours * 3600 + minutes * 60 + seconds) * nominal_rate + frames
    if match[4] == ":" or nominal_rate % 30 or frame_rate.denominator != 1001:
        return frame_count
    total_minutes = hours * 60 + minutes
    return frame_count - nominal_rate // 15 * (total_minutes - total_minutes // 10)
