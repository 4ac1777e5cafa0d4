"""Timelines in frames, the common model of all editing formats, and frame rates.

Each event counts its source in the frames of the source, and the timeline in its own frames.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vsearch.export.excerpts import merge_overlapping
from vsearch.export.timecode import (
    NTSC_FACTOR,
    format_timecode,
    has_timecode,
    is_drop_frame,
    parse_timecode,
)
from vsearch.media.shown_frames import find_shown_frames
from vsearch.media.timestamps import TIME_RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vsearch.export.excerpts import ExportExcerpt, SourceVideo
    from vsearch.media.shown_frames import FrameTimes, ShownFrames
    from vsearch.types import Span

TIMELINE_RATES = (  # supported by every editing program
    24 * NTSC_FACTOR, Fraction(24), Fraction(25), 30 * NTSC_FACTOR, Fraction(30),
    Fraction(50), 60 * NTSC_FACTOR, Fraction(60),
)  # fmt: skip
_DEFAULT_RATE = Fraction(30)
_RATE_TOLERANCE = Fraction(1, 5000)  # relative: files round their rates
_STEP_TOLERANCE = 2 * TIME_RESOLUTION  # seconds between frames of a constant rate
_MAX_FPS = 1000
_MAX_FRAME_ERROR = Fraction(1, 10)  # of a frame, by which rounded times may be off
START_HOUR = 1  # programs start at 01:00:00:00 by convention


@dataclass(frozen=True, slots=True)
class TimelineRate:
    """A frame rate, and the way in which timecode counts it."""

    frame_rate: Fraction  # frames per second
    drop_frame: bool = False

    @property
    def start_frame(self) -> int:
        """Frame number of the timecode at which timelines start."""
        separator = ";" if self.drop_frame else ":"
        return parse_timecode(f"{START_HOUR:02}:00:00{separator}00", self.frame_rate)

    def format_frame(self, frame_number: int) -> str:
        """Return the timecode of a frame."""
        return format_timecode(frame_number, self.frame_rate, drop_frame=self.drop_frame)


RATE_NAMES: Mapping[str, TimelineRate] = {
    "23.976": TimelineRate(24 * NTSC_FACTOR),
    "23.98": TimelineRate(24 * NTSC_FACTOR),
    "24": TimelineRate(Fraction(24)),
    "25": TimelineRate(Fraction(25)),
    "29.97": TimelineRate(30 * NTSC_FACTOR),
    "29.97df": TimelineRate(30 * NTSC_FACTOR, drop_frame=True),
    "30": TimelineRate(Fraction(30)),
    "50": TimelineRate(Fraction(50)),
    "59.94": TimelineRate(60 * NTSC_FACTOR),
    "59.94df": TimelineRate(60 * NTSC_FACTOR, drop_frame=True),
    "60": TimelineRate(Fraction(60)),
}


@dataclass(frozen=True, slots=True)
class TimelineEvent:
    """An excerpt on a timeline."""

    excerpt: ExportExcerpt
    source_rate: Fraction  # frames per second of the source, or the timeline's if unknown
    source_frame: int  # first frame, from the first one of the source
    source_frame_count: int  # at least 1
    source_length: int  # frames of the complete source, or up to the last excerpt if unknown
    frame_count: int  # at the rate of the timeline, at least 1
    timeline_frame: int  # first frame on the timeline

    @property
    def source(self) -> SourceVideo:
        """The video of the excerpt."""
        return self.excerpt.source

    def count_source_at(self, frame_rate: Fraction) -> tuple[int, int]:
        """Return the first source frame and the number of frames, counted at another rate.

        At that rate, these are the frames at whose times the source shows the excerpt.
        """
        first_frame = math.ceil(self.source_frame / self.source_rate * frame_rate)
        source_end = (self.source_frame + self.source_frame_count) / self.source_rate
        return first_frame, max(1, math.ceil(source_end * frame_rate) - first_frame)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Consecutive, non-overlapping excerpts at one frame rate."""

    title: str
    rate: TimelineRate
    events: tuple[TimelineEvent, ...]

    @classmethod
    def from_excerpts(
        cls, excerpts: Sequence[ExportExcerpt], title: str, rate: TimelineRate | None = None
    ) -> Timeline:
        """Build a timeline of excerpts, merging those that overlap.

        The frames of each source are found by its timestamps, if the file can be read.

        Args:
            excerpts: The excerpts.
            title: Title of the timeline.
            rate: Rate of the timeline; None chooses the most frequent one of the sources.

        Returns:
            The timeline, in order of rank.
        """
        measured_excerpts = _measure_excerpts(merge_overlapping(excerpts))
        rate = rate or _choose_rate([excerpt.source for excerpt, _ in measured_excerpts])
        events: list[TimelineEvent] = []
        source_lengths: Counter[Path] = Counter()
        timeline_frame = 0
        for excerpt, shown_frames in measured_excerpts:
            event = _make_event(excerpt, shown_frames, rate.frame_rate, timeline_frame)
            events.append(event)
            timeline_frame += event.frame_count
            source_lengths |= Counter({event.source.video_path: event.source_length})  # maximum
        complete_events = (
            replace(event, source_length=source_lengths[event.source.video_path])
            for event in events
        )
        return cls(title, rate, tuple(complete_events))

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second."""
        return self.rate.frame_rate

    @property
    def frame_count(self) -> int:
        """Length in frames."""
        return sum(event.frame_count for event in self.events)


def _make_event(
    excerpt: ExportExcerpt,
    shown_frames: ShownFrames | None,
    timeline_rate: Fraction,
    timeline_frame: int,
) -> TimelineEvent:
    source_rate = excerpt.source.frame_rate or timeline_rate
    source_frame, end_frame = _find_source_frames(excerpt, shown_frames, source_rate)
    source_frame_count = max(1, end_frame - source_frame)
    source_length = source_frame + source_frame_count
    if duration := excerpt.source.duration:
        source_length = max(source_length, count_frames(duration, source_rate))
    exact_count = source_frame_count / source_rate * timeline_rate
    is_at_end = shown_frames is not None and shown_frames.next_time is None
    # An editing program rejects a clip that is longer than its source.
    frame_count = math.floor(exact_count) if is_at_end else math.ceil(exact_count)
    return TimelineEvent(
        excerpt,
        source_rate,
        source_frame,
        source_frame_count,
        source_length,
        max(1, frame_count),
        timeline_frame,
    )


def _find_source_frames(
    excerpt: ExportExcerpt, shown_frames: ShownFrames | None, source_rate: Fraction
) -> tuple[int, int]:
    """Return the first frame shown in an excerpt, and the one after the last."""
    if shown_frames is None:  # the rate is all that is known
        first_frame = round(Fraction(excerpt.span.start) * source_rate)
        end_frame = round(Fraction(excerpt.span.end) * source_rate)
        if excerpt.source.duration:
            frame_total = count_frames(excerpt.source.duration, source_rate)
            first_frame = min(first_frame, frame_total - 1)
            end_frame = min(end_frame, frame_total)
        return first_frame, end_frame
    tolerance = min(TIME_RESOLUTION * source_rate, _MAX_FRAME_ERROR)  # in frames
    # The first frame number at whose time a frame of the source is shown.
    first_frame = math.ceil(shown_frames.first_time * source_rate - tolerance)
    if shown_frames.next_time is None:
        return first_frame, math.ceil(shown_frames.last_time * source_rate - tolerance) + 1
    return first_frame, math.ceil(shown_frames.next_time * source_rate - tolerance)


def _measure_excerpts(
    excerpts: Sequence[ExportExcerpt],
) -> list[tuple[ExportExcerpt, ShownFrames | None]]:
    """Pair excerpts with the frames they show; set the nominal rates of their sources."""
    spans_by_path: dict[Path, list[Span]] = {}
    for excerpt in excerpts:
        spans_by_path.setdefault(excerpt.source.video_path, []).append(excerpt.span)
    frame_times = {path: find_shown_frames(path, spans) for path, spans in spans_by_path.items()}
    shown_frames = {path: iter(times.shown_frames) for path, times in frame_times.items() if times}
    measured_excerpts: list[tuple[ExportExcerpt, ShownFrames | None]] = []
    for excerpt in excerpts:
        source = excerpt.source
        if times := frame_times[source.video_path]:
            nominal_rate = find_nominal_rate(source.frame_rate, times)
            excerpt_frames = next(shown_frames[source.video_path])
            measured_source = replace(source, frame_rate=nominal_rate)
            measured_excerpts.append((replace(excerpt, source=measured_source), excerpt_frames))
        else:
            measured_excerpts.append((excerpt, None))
    return measured_excerpts


def find_nominal_rate(average_rate: Fraction | None, frame_times: FrameTimes) -> Fraction | None:
    """Return the rate at which frames are counted.

    Args:
        average_rate: The average rate of the video; None if unknown.
        frame_times: Measured times.

    Returns:
        The average rate if the time from frame to frame is constant. Else a rate of timelines, at
        which every frame has a number of its own as far as possible.
    """
    if not frame_times.min_step:  # a single frame
        return average_rate
    if average_rate and all(
        abs(1 / average_rate - step) <= _STEP_TOLERANCE
        for step in (frame_times.min_step, frame_times.max_step)
    ):
        return average_rate
    candidate_rates = [rate for rate in (average_rate,) if rate in TIMELINE_RATES]
    return next(
        (
            rate
            for rate in (*candidate_rates, Fraction(30), Fraction(60))
            if rate and 1 / rate <= frame_times.min_step + TIME_RESOLUTION
        ),
        Fraction(60),
    )


def count_frames(seconds: float, frame_rate: Fraction) -> int:
    """Return the number of whole frames in a duration (which may be rounded), at least 1."""
    return max(1, int(Fraction(seconds) * frame_rate + Fraction(1, 50)))


def start_offset(source: SourceVideo) -> Fraction:
    """Return the start timecode of a source in seconds; 0 if it has none."""
    if source.frame_rate is None:
        return Fraction(0)
    return parse_timecode(source.start_timecode, source.frame_rate) / source.frame_rate


def find_timecode_rate(event: TimelineEvent, timeline_rate: TimelineRate) -> TimelineRate:
    """Return the rate and counting of an event's source timecode.

    Args:
        event: The event.
        timeline_rate: Used where timecode cannot count the frames of the source.
    """
    if not has_timecode(event.source_rate):
        return TimelineRate(timeline_rate.frame_rate)
    return TimelineRate(
        event.source_rate, is_drop_frame(event.source.start_timecode, event.source_rate)
    )


def to_exact_rate(fps: float) -> Fraction | None:
    """Return the exact rate for a rounded one: 30000/1001 for 29.97. None for invalid rates."""
    if not 0 < fps <= _MAX_FPS:  # also excludes NaN
        return None
    rounded_rate = Fraction(fps).limit_denominator(1001)
    for nominal_rate in (24, 25, 30, 48, 50, 60, 100, 120, 240):
        for standard_rate in (nominal_rate * NTSC_FACTOR, Fraction(nominal_rate)):
            if abs(standard_rate - rounded_rate) < standard_rate * _RATE_TOLERANCE:
                return standard_rate
    return rounded_rate or None


def choose_timeline_rate(sources: Sequence[SourceVideo]) -> Fraction:
    """Return the most frequent frame rate of the sources.

    Args:
        sources: The source of each excerpt. A rate that timelines do not support counts as the
            lowest supported multiple of it, or as the highest supported rate that divides it.

    Returns:
        One of `TIMELINE_RATES`; the higher one on a tie.
    """
    rate_votes = Counter(_matching_rate(source.frame_rate) for source in sources)
    return max(rate_votes, key=lambda rate: (rate_votes[rate], rate), default=_DEFAULT_RATE)


def _choose_rate(sources: Sequence[SourceVideo]) -> TimelineRate:
    """Return the most frequent rate; in drop-frame if most of its sources with timecode are."""
    frame_rate = choose_timeline_rate(sources)
    counting_votes = Counter(
        is_drop_frame(source.start_timecode, source.frame_rate)
        for source in sources
        if source.start_timecode and source.frame_rate == frame_rate
    )
    return TimelineRate(frame_rate, counting_votes[True] > counting_votes[False])


def _matching_rate(source_rate: Fraction | None) -> Fraction:
    if source_rate is None:
        return _DEFAULT_RATE
    multiples = [rate for rate in TIMELINE_RATES if rate % source_rate == 0]
    divisors = [rate for rate in TIMELINE_RATES if source_rate % rate == 0]
    return next(iter((*multiples, *reversed(divisors))), _DEFAULT_RATE)
