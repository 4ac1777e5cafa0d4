"""From segments that score to moments: neighbours that show one event."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, TypeVar

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
Times: TypeAlias = "Sequence[Sequence[float]]"  # when each segment starts and ends


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


class Place(NamedTuple):
    """Where among the segments of a video, or of a part of it, an event is."""

    peak: int  # its best one
    first: int
    last: int
    begin: int  # the first one that it may reach into, next to it
    end: int  # and the last one


def stretches(
    segments: Sequence[Segment],
    vectors: Matrix,
    scores: Vector,
    usual: Usual,
    allowed: Sequence[bool] | None = None,
) -> Iterator[Stretch]:
    """The events of one video, best first; see `places`."""
    times = [(segment.span.start, segment.span.end) for segment in segments]
    for place in places(times, vectors, scores, usual, allowed):
        yield stretch(segments[place.peak].video_id, times, place, float(scores[place.peak]))


def stretch(video_id: int, times: Times, place: Place, score: float) -> Stretch:
    """What is at a place."""
    return Stretch(
        video_id,
        Span(times[place.first][0], times[place.last][1]),
        score,
        place.last - place.first + 1,
        place.first,
        place.peak,
        Span(*times[place.peak]),
        tuple(Span(*each) for each in times[place.begin : place.end + 1]),
    )


def places(
    times: Times,
    vectors: Matrix,
    scores: Vector,
    usual: Usual,
    allowed: Sequence[bool] | None = None,
    peaks: Sequence[int] | None = None,
) -> Iterator[Place]:
    """Where the events of one video, or of a part of it, are, best first.

    `times` are those of its segments in their order, `vectors` float32 (N, D), `scores` float32
    (N,). A segment belongs to one event at most, and to none if it is not allowed to. `peaks` are
    those that one may grow from, best first, which no other is better than; None: all.
    """
    may = [True] * len(times) if allowed is None else list(allowed)
    free = may.copy()
    order = np.argsort(-scores, kind="stable").tolist() if peaks is None else peaks
    values = scores.tolist()
    for peak in order:
        if free[peak]:
            first, last = grown(times, vectors, values, peak, usual, free)
            free[first : last + 1] = [False] * (last + 1 - first)
            yield Place(peak, first, last, *_around(times, first, last, may))


def grown(
    times: Times,
    vectors: Matrix,
    scores: Sequence[float],
    peak: int,
    usual: Usual,
    free: Sequence[bool],
) -> tuple[int, int]:
    """The first and the last of the times that show what the peak does, a watershed's basin.

    It grows to both sides, to the better one first, while neighbours score nearly as well as the
    peak and look like it, never as the last one added, so that it cannot creep away.
    """
    enough = usual.score + NEAR * (scores[peak] - usual.score)

    def joins(side: int) -> bool:
        return (
            0 <= side < len(times)
            and free[side]
            and scores[side] >= enough
            and float(vectors[side] @ vectors[peak]) >= usual.alike
        )

    first = last = peak
    before, behind = joins(peak - 1), joins(peak + 1)
    while before or behind:
        if before and (not behind or scores[first - 1] >= scores[last + 1]):
            if times[last][1] - times[first - 1][0] > LONGEST:
                break
            first -= 1
            before = joins(first - 1)
        else:
            if times[last + 1][1] - times[first][0] > LONGEST:
                break
            last += 1
            behind = joins(last + 1)
    return first, last


def _around(times: Times, first: int, last: int, may: Sequence[bool]) -> tuple[int, int]:
    """The first and the last of a stretch, and of its neighbours as far as they may be searched."""
    start, end = times[first][0], times[last][1]
    while first > 0 and may[first - 1] and start - times[first - 1][1] < AROUND:
        first -= 1
    while last + 1 < len(times) and may[last + 1] and times[last + 1][0] - end < AROUND:
        last += 1
    return first, last


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
