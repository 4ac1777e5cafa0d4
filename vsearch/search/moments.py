"""From segments that score to moments: neighbours that show one event."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Matrix, Segment, Vector

NEAR = 0.5  # a neighbour belongs if it keeps this share of the peak's lead over the background
SAME = 0.5  # and looks as the peak does: this far from what any two segments share to being equal
LONGEST = 60.0  # seconds of one moment: a whole film about dogs is no moment
AROUND = 8.0  # seconds before and behind a stretch in which it may really begin or end


class Found(Protocol):
    """What is ranked."""

    @property
    def video_id(self) -> int:
        """Of which video."""

    @property
    def span(self) -> Span:
        """When."""

    @property
    def score(self) -> float:
        """How well it fits."""


FoundT = TypeVar("FoundT", bound=Found)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring segments that show one event."""

    video_id: int
    span: Span
    score: float  # of its best segment
    segments: int
    first: int  # the place of its first segment among those of the video
    peak: int  # and of its best one
    best: Span  # of that segment
    around: tuple[Span, ...]  # its segments and those next to it that it may reach into


@dataclass(frozen=True, slots=True)
class Usual:
    """What segments share that have nothing to do with each other, or with the query."""

    score: float  # by the query
    likeness: float  # their cosine, below 1

    @property
    def alike(self) -> float:
        """The cosine from which on two segments show the same."""
        return self.likeness + SAME * (1 - self.likeness)


def stretches(
    segments: Sequence[Segment],
    vectors: Matrix,
    scores: Vector,
    usual: Usual,
    allowed: Sequence[bool] | None = None,
    peaks: Sequence[int] | None = None,
) -> Iterator[Stretch]:
    """The events of one video, or of a part of it, best first.

    `segments` in the order of time, `vectors` float32 (N, D), `scores` float32 (N,). A segment
    belongs to one stretch at most, and to none if it is not allowed to. `peaks` are the places of
    those that one may grow from, best first, which no other is better than; None: all.
    """
    spans = [segment.span for segment in segments]
    may = [True] * len(spans) if allowed is None else list(allowed)
    free = may.copy()
    order = map(int, np.argsort(-scores, kind="stable")) if peaks is None else peaks
    for peak in order:
        if not free[peak]:
            continue
        first, last = grown(spans, vectors, scores, peak, usual, free)
        free[first : last + 1] = [False] * (last + 1 - first)
        yield Stretch(
            segments[peak].video_id,
            Span(spans[first].start, spans[last].end),
            float(scores[peak]),
            last - first + 1,
            first,
            peak,
            spans[peak],
            _around(spans, first, last, may),
        )


def grown(
    spans: Sequence[Span],
    vectors: Matrix,
    scores: Vector,
    peak: int,
    usual: Usual,
    free: Sequence[bool],
) -> tuple[int, int]:
    """The first and the last of the spans that show what the peak does, a watershed's basin.

    It grows to both sides, to the better one first, while neighbours score nearly as well as the
    peak and look like it, never as the last one added, so that it cannot creep away.
    """
    enough = usual.score + NEAR * (scores[peak] - usual.score)
    first = last = peak
    while True:
        sides = [
            side
            for side in (first - 1, last + 1)
            if 0 <= side < len(spans)
            and free[side]
            and scores[side] >= enough
            and float(vectors[side] @ vectors[peak]) >= usual.alike
        ]
        if not sides:
            return first, last
        side = max(sides, key=lambda i: scores[i])
        wider = min(first, side), max(last, side)
        if spans[wider[1]].end - spans[wider[0]].start > LONGEST:
            return first, last
        first, last = wider


def _around(spans: Sequence[Span], first: int, last: int, may: Sequence[bool]) -> tuple[Span, ...]:
    """The spans of a stretch, and its neighbours as far as they may be searched."""
    start, end = spans[first].start, spans[last].end
    while first > 0 and may[first - 1] and start - spans[first - 1].end < AROUND:
        first -= 1
    while last + 1 < len(spans) and may[last + 1] and spans[last + 1].start - end < AROUND:
        last += 1
    return tuple(spans[first : last + 1])


def choose(found: Sequence[FoundT], k: int, per_video: int, *, fill: bool = True) -> list[FoundT]:
    """The k best, best first, at most `per_video` of one video.

    With `fill`, further ones of the same videos take places that would stay empty.
    """
    ranked = sorted(found, key=lambda s: (-s.score, s.video_id, s.span))
    chosen: list[FoundT] = []
    waiting: list[FoundT] = []
    taken: dict[int, int] = {}
    for one in ranked:
        count = taken.get(one.video_id, 0)
        (chosen if count < per_video else waiting).append(one)
        taken[one.video_id] = count + 1
    chosen = (chosen + waiting if fill else chosen)[:k]
    return sorted(chosen, key=lambda s: (-s.score, s.video_id, s.span))


def settled(found: Sequence[Found], k: int, per_video: int, floor: float) -> bool:
    """Whether k that score at least `floor` can be shown, `per_video` of a video."""
    counts = Counter(one.video_id for one in found if one.score >= floor)
    return sum(min(count, per_video) for count in counts.values()) >= k
