"""A, then B: where in a video one step after the other is."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.search.moments import stretches
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.search.moments import Stretch, Usual
    from vsearch.types import Matrix, Segment, Times, Vector

WITHIN = 60.0  # seconds from the end of a step to the start of the next, where nobody says
OWN = 0.85  # of the lead of the best in its video over the background: else the step is elsewhere


@dataclass(frozen=True, slots=True)
class Step:
    """What a step scores in a video, and from which score on a segment may be it."""

    scores: Vector  # float32 (N,)
    least: float
    usual: Usual
    within: float | None = None  # seconds after the step before


@dataclass(frozen=True, slots=True)
class Chain:
    """A stretch for each step, in their order."""

    video_id: int
    steps: tuple[Stretch, ...]
    score: float  # the mean of its steps

    @property
    def span(self) -> Span:
        """From the start of the first step to the end of the last."""
        return Span(self.steps[0].span.start, self.steps[-1].span.end)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a step may be in a video: of each segment, the stretch that it is in."""

    scores: Vector  # float32 (N,), -inf where it cannot be
    begins: Times  # float64 (N,) seconds: of that stretch
    ends: Times
    found: dict[int, Stretch]  # by segment


def chains(
    segments: Sequence[Segment],
    vectors: Matrix,
    steps: Sequence[Step],
    allowed: Sequence[bool] | None = None,
) -> Iterator[Chain]:
    """The ways through one video, best first; no segment is in the same step of two of them.

    Every step is a segment that reaches its `least` and is nearly the best of the video, and comes
    after that of the step before; the stretches around both are at most `within` seconds apart. All
    allowed ways are compared (dynamic programming), in time that grows with the segments, not with
    their pairs.
    """
    places = [_places(segments, vectors, step, allowed) for step in steps]
    gaps = [WITHIN if step.within is None else step.within for step in steps[1:]]
    while (way := _best(places, gaps)) is not None:
        yield _chain(segments, places, way)
        for place, taken in zip(places, way, strict=True):
            stretch = place.found[taken]
            place.scores[(place.begins == stretch.span.start)] = -np.inf


def _places(
    segments: Sequence[Segment],
    vectors: Matrix,
    step: Step,
    allowed: Sequence[bool] | None,
) -> _Places:
    """Where a step stands out."""
    count = len(segments)
    seen = step.scores if allowed is None else step.scores[np.array(allowed, bool)]
    best = float(seen.max(initial=-1.0))
    least = max(step.least, step.usual.score + OWN * (best - step.usual.score))
    places = _Places(np.full(count, -np.inf, np.float32), np.zeros(count), np.zeros(count), {})
    for stretch in stretches(segments, vectors, step.scores, step.usual, allowed):
        if stretch.score < least:
            break
        for index in range(stretch.first, stretch.first + stretch.segments):
            places.found[index] = stretch
            places.begins[index], places.ends[index] = stretch.span.start, stretch.span.end
            if step.scores[index] >= least:
                places.scores[index] = step.scores[index]
    return places


def _best(places: Sequence[_Places], gaps: Sequence[float]) -> list[int] | None:
    """The segment of each step, so that their scores add up to the most; None: there is no way."""
    total = places[0].scores.astype(np.float64)  # (N,) of the best way that ends here
    came: list[npt.NDArray[np.int64]] = []  # (N,) the segment of the step before
    for before, step, gap in zip(places[:-1], places[1:], gaps, strict=True):
        earlier = _earlier(total, before.ends, step, gap)
        came.append(earlier)
        total = np.where(earlier >= 0, total[earlier], -np.inf) + step.scores
    last = int(total.argmax())
    if total[last] == -np.inf:
        return None
    way = [last]
    for earlier in reversed(came):
        way.append(int(earlier[way[-1]]))
    return way[::-1]


def _earlier(
    total: npt.NDArray[np.float64], ends: Times, step: _Places, gap: float
) -> npt.NDArray[np.int64]:
    """For each segment the best one to come from, -1 where there is none: (N,).

    The stretches of a step follow each other, so what has fallen too far behind one segment has
    for all later ones.
    """
    found = np.full(len(total), -1, np.int64)
    near: deque[int] = deque()  # ever later, ever worse
    for now in range(1, len(total)):
        if total[now - 1] > -np.inf:
            while near and total[near[-1]] <= total[now - 1]:
                near.pop()
            near.append(now - 1)
        if step.scores[now] == -np.inf:
            continue
        while near and step.begins[now] - ends[near[0]] > gap:
            near.popleft()
        if near:
            found[now] = near[0]
    return found


def _chain(segments: Sequence[Segment], places: Sequence[_Places], way: Sequence[int]) -> Chain:
    """The stretches of a way, each no further than to the segments of its neighbours."""
    found: list[Stretch] = []
    edge = 0.0
    for number, (place, index) in enumerate(zip(places, way, strict=True)):
        whole = place.found[index]
        behind = segments[way[number + 1]].span.start if number + 1 < len(way) else math.inf
        span = Span(max(whole.span.start, edge), min(whole.span.end, behind))
        inside = [
            i
            for i in range(whole.first, whole.first + whole.segments)
            if span.start <= segments[i].span.start < span.end
        ]
        step = replace(whole, span=span, score=float(place.scores[index]), segments=len(inside))
        found.append(replace(step, first=inside[0], peak=index, best=segments[index].span))
        edge = span.end
    score = float(np.mean([step.score for step in found]))
    return Chain(found[0].video_id, tuple(found), score)
