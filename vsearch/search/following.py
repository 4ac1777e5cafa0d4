"""A, then B, where what was found for each step is moments: of words, or of words and pictures."""

from __future__ import annotations

from dataclasses import replace
from itertools import groupby, pairwise
from typing import TYPE_CHECKING

from vsearch.search.engine import STANDS
from vsearch.search.fusion import ranked
from vsearch.search.sequence import WITHIN
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.types import Moment

SHORTEST = 0.5  # seconds of a step before the next one


def following(found: Sequence[Sequence[Moment]], within: Sequence[float | None]) -> list[Moment]:
    """The ways from a moment of the first step over one of each other step, best first.

    `found` are the moments of each step, `within` the seconds from the end of a step to the start
    of the next, one fewer. A step starts half a second after the one before does, which ends there
    at the latest. The score of a way is the mean
    of its steps; of the ways that end in one moment the best is given.
    """
    steps = [_by_video(moments) for moments in found]
    shared = set(steps[0]).intersection(*steps[1:])
    gaps = [WITHIN if each is None else each for each in within]
    ways = (way for id_ in shared for way in _ways([step[id_] for step in steps], gaps))
    return ranked(map(_joined, ways))


def outstanding(found: Sequence[Moment], background: float) -> list[Moment]:
    """Moments that may be a step: words say it, or the score stands out as `Engine` has it."""
    best = max((moment.score for moment in found), default=background)
    least = background + STANDS * (best - background)
    return [moment for moment in found if moment.why.quotes or moment.score >= least]


def _by_video(moments: Sequence[Moment]) -> dict[int, list[Moment]]:
    in_order = sorted(moments, key=lambda one: one.video.id)
    return {id_: list(own) for id_, own in groupby(in_order, key=lambda one: one.video.id)}


def _ways(steps: Sequence[Sequence[Moment]], gaps: Sequence[float]) -> Iterator[list[Moment]]:
    """The best way to each moment of the last step."""
    ways = [[moment] for moment in steps[0]]
    for step, gap in zip(steps[1:], gaps, strict=True):
        longer = []
        for moment in step:
            reaching = [way for way in ways if _follows(way[-1].span, moment.span, gap)]
            if reaching:
                longer.append([*max(reaching, key=_sum), moment])
        ways = longer
    yield from ways


def _follows(one: Span, other: Span, gap: float) -> bool:
    return other.start - one.start >= SHORTEST and other.start - one.end <= gap


def _until(span: Span, following: Span) -> Span:
    """A step ends where the next one begins."""
    return Span(span.start, min(span.end, following.start))


def _sum(way: Sequence[Moment]) -> float:
    return sum(moment.score for moment in way)


def _joined(way: Sequence[Moment]) -> Moment:
    """One moment from the start of the first step to the end of the last."""
    best = max(way, key=lambda one: one.score)
    why = replace(
        best.why,
        steps=(*(_until(one.span, after.span) for one, after in pairwise(way)), way[-1].span),
        quotes=tuple(quote for moment in way for quote in moment.why.quotes[:1]),
        shares=None,
    )
    span = Span(way[0].span.start, way[-1].span.end)
    score, chances = _sum(way) / len(way), [moment.confidence for moment in way]
    known = [chance for chance in chances if chance is not None]
    sure = min(known) if len(known) == len(way) else None  # all of it has to be there
    return replace(best, span=span, score=score, confidence=sure, why=why)
