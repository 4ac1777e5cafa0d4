"""How long two videos show the same, once it is known how they lie on each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Span
from vsearch.vectors.alignment import interpolated

if TYPE_CHECKING:
    from vsearch.types import Features, Times, Vector

BAR = 0.5  # share of the way from any two frames to the same one, at which they count as the same


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two videos share."""

    one: Span  # seconds of the one
    shift: float  # seconds that the other is later
    likeness: float  # mean share of the way from any two frames to the same one

    def other(self, duration: float) -> Span:
        """The same seconds in the other video, which lasts that long."""
        start = min(max(0.0, self.one.start + self.shift), duration)
        return Span(start, min(max(start, self.one.end + self.shift), duration))


def overlap(
    one: Features, ends: tuple[float, float], other: Features, shift: float, floor: float
) -> Overlap | None:
    """The stretch that has most in common with what is `shift` seconds later in the other video.

    `ends` are the durations, `floor` the cosine of any two frames.
    """
    at = one.times + shift
    inside = np.flatnonzero((at >= 0) & (at < ends[1]))
    if not len(inside):
        return None
    cosines = (one.matrix[inside] * interpolated(other, at[inside])).sum(axis=1)
    shares = (cosines - floor) / max(1 - floor, 1e-6)
    first, last = _run(shares - BAR)
    if last <= first:
        return None
    span = Span(
        max(0.0, -shift, _from(one.times, inside[first], inside[0])),
        max(0.0, min(ends[0], ends[1] - shift, _until(one.times, inside[last - 1], ends[0]))),
    )
    return Overlap(span, shift, float(shares[first:last].mean())) if span.duration > 0 else None


def _from(times: Times, place: int, least: int) -> float:
    """When a frame begins to be shown; the first one on both, when both begin."""
    return float(times[place]) if place > least else 0.0


def _until(times: Times, place: int, end: float) -> float:
    """When a frame ceases to be shown."""
    return float(times[place + 1]) if place + 1 < len(times) else end


def _run(gains: Vector) -> tuple[int, int]:
    """First and last + 1 of the run with the greatest sum; (0, 0) where all are below 0."""
    sums = np.concatenate([[0.0], np.cumsum(gains)])
    lowest = np.minimum.accumulate(sums)
    end = int((sums - lowest).argmax())
    return int(sums[: end + 1].argmin()), end
