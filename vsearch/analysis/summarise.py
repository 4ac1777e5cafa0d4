"""A video in short: the spans that show most of what there is to see, within a length.

Parts of segments are the candidates: `frames.py` says how well each shows the video, `coverage.py`
how they are chosen. What the budget leaves lets the chosen ones grow within their segments.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.analysis.coverage import Coverage
from vsearch.analysis.frames import Frames
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.analysis.length import Length
    from vsearch.types import Features, Vector

SHORTEST, LONGEST = 2.0, 5.0  # seconds of one excerpt: enough to see what it is, and no more
_JOINED = 1e-6  # seconds: excerpts that are no further apart touch
_PACE = 0.4  # a summary of 100 s has excerpts of 4 s: a longer one more of them, and longer ones


@dataclass(frozen=True, slots=True)
class Material:
    """A video to be summarised."""

    path: Path
    features: Features
    segments: Sequence[Span]  # that tile it and follow its shots
    duration: float  # seconds


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A span that was chosen, and why."""

    span: Span
    peak: float  # seconds: the frame that stands for it
    share: float  # of the video that looks more like it than like any other excerpt, in [0, 1]
    relevance: float | None = None  # similarity of that frame to the query


@dataclass(frozen=True, slots=True)
class Summary:
    """A video in short."""

    path: Path  # of the video
    duration: float  # seconds of the video
    excerpts: tuple[Excerpt, ...]  # as they follow each other, none overlaps another
    coverage: float  # how well what counts is shown, in [0, 1]; 1 is all of it

    @property
    def length(self) -> float:
        """Seconds of all excerpts."""
        return math.fsum(one.span.duration for one in self.excerpts)


def summarise(material: Material, length: Length, query: Vector | None = None) -> Summary:
    """The excerpts of at most that length that show most of a video, or of what a query asks for.

    An excerpt is a part of one segment, or of several that touch. `query` is float32 (D,) of unit
    length. The same arguments give the same summary; a length of all of it, the whole video. What
    is shown already is not shown again, so it may be shorter than asked.
    """
    features, segments = material.features, material.segments
    if not (material.duration > 0 and segments and len(features.times)):
        return Summary(material.path, max(material.duration, 0.0), (), 0.0)
    budget = length.within(material.duration)
    frames = Frames(features, material.duration, len(segments), query)
    if budget >= material.duration - _JOINED:
        return _told([Span(0.0, material.duration)], frames, material)
    usual = min(budget, max(SHORTEST, min(LONGEST, _PACE * math.sqrt(budget))))
    windows = [_around(frames.peak(span), usual, span) for span in segments]
    coverage = Coverage(frames.shown_by(windows), frames.weights)
    chosen = sorted(coverage.choose([window.duration for window in windows], budget))
    grown = _grown([(windows[c], segments[c]) for c in chosen], budget)
    return _told(grown, frames, material)


def _grown(chosen: list[tuple[Span, Span]], length: float) -> list[Span]:
    """Windows, each with its segment, that share what the budget leaves; those that touch join."""
    sizes = [window.duration for window, _ in chosen]
    for done, i in enumerate(sorted(range(len(chosen)), key=lambda i: _room(*chosen[i]))):
        share = (length - math.fsum(sizes)) / (len(chosen) - done)
        sizes[i] += max(0.0, min(share, _room(*chosen[i])))
    spans: list[Span] = []
    for (window, segment), size in zip(chosen, sizes, strict=True):
        span = _around((window.start + window.end) / 2, size, segment)
        touches = spans and span.start - spans[-1].end < _JOINED
        spans.append(Span(spans.pop().start, span.end) if touches else span)
    return spans


def _room(window: Span, segment: Span) -> float:
    """Seconds that a window may grow."""
    return segment.duration - window.duration


def _told(spans: Sequence[Span], frames: Frames, material: Material) -> Summary:
    """The summary that these spans make."""
    shares = frames.shares(spans)
    coverage = Coverage(frames.shown_by(spans), frames.weights).value(range(len(spans)))
    excerpts = []
    for span, share in zip(spans, shares, strict=True):
        peak = frames.peak(span)
        excerpts.append(Excerpt(span, peak, share, frames.relevance_at(peak)))
    return Summary(material.path, material.duration, tuple(excerpts), coverage)


def _around(peak: float, length: float, span: Span) -> Span:
    """The part of a span of that length that has `peak` in its middle, or as near as can be."""
    length = min(length, span.duration)
    start = min(max(peak - length / 2, span.start), span.end - length)
    return Span(start, start + length)
