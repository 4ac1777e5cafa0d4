"""Excerpts one after the other, in frames: what every editor's format says in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsearch.export.excerpts import merged
from vsearch.export.rates import timeline_rate
from vsearch.export.timecode import frame_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.export.excerpts import Excerpt, Source


@dataclass(frozen=True, slots=True)
class Event:
    """An excerpt on a timeline."""

    excerpt: Excerpt
    start: int  # first frame of it, counted by the timeline's rate from the source's 0:00
    count: int  # frames of the timeline, at least 1
    at: int  # where it begins on the timeline, in frames

    @property
    def source(self) -> Source:
        return self.excerpt.source


@dataclass(frozen=True, slots=True)
class Timeline:
    """Excerpts that follow each other at one rate; none shows what another one shows."""

    title: str
    rate: Fraction  # frames a second
    events: tuple[Event, ...]

    @classmethod
    def of(cls, excerpts: Sequence[Excerpt], title: str) -> Timeline:
        """The timeline of what a supercut shows: overlapping excerpts are one."""
        rate = timeline_rate([one.source for one in excerpts])
        events: list[Event] = []
        at = 0
        for one in merged(excerpts):
            start = nearest(one.span.start, rate)
            end = nearest(one.span.end, rate)
            if one.source.duration:
                end = min(end, frames_in(one.source.duration, rate))
            count = max(1, end - start)
            events.append(Event(one, start, count, at))
            at += count
        return cls(title, rate, tuple(events))

    @property
    def count(self) -> int:
        """How many frames it has."""
        return sum(event.count for event in self.events)


def nearest(seconds: float | Fraction, rate: Fraction) -> int:
    """The frame that begins nearest to a time."""
    return round(Fraction(seconds) * rate)


def frames_in(seconds: float, rate: Fraction) -> int:
    """How many whole frames a length of time holds; lengths may be rounded."""
    return max(1, int(Fraction(seconds) * rate + Fraction(1, 50)))


def begins(source: Source) -> Fraction:
    """What its own timecode says at its first frame, in seconds; 0 where there is none."""
    if source.rate is None:
        return Fraction(0)
    return frame_of(source.timecode, source.rate) / source.rate
