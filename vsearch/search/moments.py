"""From segments that score to moments: where in a video it starts and ends."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Segment, Vector

NEAR = 0.6  # a neighbour belongs if it keeps this share of the peak's lead over the background
LONGEST = 60.0  # seconds of one moment: a whole film about dogs is no moment


@dataclass(frozen=True, slots=True)
class Stretch:
    """Neighbouring segments that show one event."""

    video_id: int
    span: Span
    score: float  # of its best segment
    segments: int
    peak: int  # the place of its best segment among those of the video
    best: Span  # of that segment


def stretches(
    segments: Sequence[Segment],
    scores: Vector,
    background: float,
    allowed: Sequence[bool] | None = None,
) -> Iterator[Stretch]:
    """The events of one video, best first.

    `segments` in the order of time, `scores` float32 (N,), `background` the score of a segment
    that has nothing to do with the query. A stretch grows from its best segment to both sides
    while neighbours score nearly as well as that peak, never as the last one added, so that it
    cannot creep away through a video. A segment belongs to one stretch at most, and to none if it
    is not allowed to.
    """
    free = [True] * len(segments) if allowed is None else list(allowed)
    for peak in map(int, np.argsort(-scores, kind="stable")):
        if not free[peak]:
            continue
        enough = background + NEAR * (scores[peak] - background)
        first = last = peak
        while True:
            sides = [
                side
                for side in (first - 1, last + 1)
                if 0 <= side < len(segments) and free[side] and scores[side] >= enough
            ]
            if not sides:
                break
            side = max(sides, key=lambda i: scores[i])
            start = min(segments[first].span.start, segments[side].span.start)
            end = max(segments[last].span.end, segments[side].span.end)
            if end - start > LONGEST:
                break
            first, last = min(first, side), max(last, side)
        for taken in range(first, last + 1):
            free[taken] = False
        yield Stretch(
            segments[peak].video_id,
            Span(segments[first].span.start, segments[last].span.end),
            float(scores[peak]),
            last - first + 1,
            peak,
            segments[peak].span,
        )


def choose(found: Sequence[Stretch], k: int, per_video: int, *, fill: bool = True) -> list[Stretch]:
    """The k best, best first, at most `per_video` of one video.

    With `fill`, further stretches of the same videos take places that would stay empty.
    """
    ranked = sorted(found, key=lambda s: (-s.score, s.video_id, s.span))
    chosen: list[Stretch] = []
    waiting: list[Stretch] = []
    taken: dict[int, int] = {}
    for stretch in ranked:
        count = taken.get(stretch.video_id, 0)
        (chosen if count < per_video else waiting).append(stretch)
        taken[stretch.video_id] = count + 1
    chosen = (chosen + waiting if fill else chosen)[:k]
    return sorted(chosen, key=lambda s: (-s.score, s.video_id, s.span))


def settled(found: Sequence[Stretch], k: int, per_video: int, floor: float) -> bool:
    """Whether k stretches that score at least `floor` can be shown, `per_video` of a video."""
    counts = Counter(stretch.video_id for stretch in found if stretch.score >= floor)
    return sum(min(count, per_video) for count in counts.values()) >= k
