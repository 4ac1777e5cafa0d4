"""What is exported: spans of videos, and what is known of each."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction
    from pathlib import Path

    from vsearch.types import Quote


@dataclass(frozen=True, slots=True)
class Source:
    """A video that excerpts are taken from."""

    path: Path  # absolute
    duration: float  # seconds; 0 where unknown
    rate: Fraction | None = None  # frames a second, on average; None where unknown
    width: int = 0  # pixels as shown; 0 where unknown
    height: int = 0
    sound: bool = False
    timecode: str | None = None  # of its first frame, where a camera wrote one

    @property
    def name(self) -> str:
        """Its file's name on one line, whatever bytes are in it."""
        return one_line(self.path.name)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A span of a video, and how it was found."""

    source: Source
    span: Span
    rank: int  # among the results, from 1
    score: float | None = None
    confidence: float | None = None  # that this is what was asked
    note: str = ""  # what was asked
    quote: Quote | None = None  # words in it that answer

    @property
    def label(self) -> str:
        """What tells it from the others, on one line."""
        return one_line(f"#{self.rank} {self.note}".strip())


def leading(excerpts: Sequence[Excerpt]) -> Excerpt | None:
    """One whose pictures have the size that is seen for longest."""
    seconds: defaultdict[tuple[int, int], float] = defaultdict(float)
    for one in excerpts:
        seconds[one.source.width, one.source.height] += one.span.duration
    return max(excerpts, default=None, key=lambda one: seconds[one.source.width, one.source.height])


def padded(span: Span, pad: float, duration: float) -> Span | None:
    """A span with `pad` seconds more on both sides, within the video; None if nothing is left."""
    end = span.end + pad if duration <= 0 else min(span.end + pad, duration)
    start = max(0.0, span.start - pad)
    return Span(start, end) if start < end else None


def merged(excerpts: Sequence[Excerpt]) -> list[Excerpt]:
    """The excerpts without what they share: those of one video that overlap or touch are one.

    It stands where the best of them stood, and says what was found of that one.
    """
    joined: list[Excerpt] = []
    for one in excerpts:
        group = one
        while other := next((other for other in joined if _touch(group, other)), None):
            joined.remove(other)
            span = Span(
                min(group.span.start, other.span.start), max(group.span.end, other.span.end)
            )
            group = replace(min(group, other, key=lambda one: one.rank), span=span)
        joined.append(group)
    return sorted(joined, key=lambda one: one.rank)


def one_line(text: str) -> str:
    """Text that is one line of UTF-8, whatever it was."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )


def _touch(one: Excerpt, other: Excerpt) -> bool:
    return (
        one.source.path == other.source.path
        and one.span.start <= other.span.end
        and other.span.start <= one.span.end
    )
