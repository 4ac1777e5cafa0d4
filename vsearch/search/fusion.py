"""What is seen in a video, and what is said in it or shown as text, as one score.

Words that answer a query add to the score of the pictures at their place. What they add is counted
in spreads of the query's scores over the library, so that it weighs the same for every model; words
that say all that was asked outweigh any picture, and stray ones hardly count. That is the sum of
evidence of a naive Bayes model with logistic parts; `tests/benchmarks/bench_fusion.py` compares it
with reciprocal ranks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.search.calibration import SURE
from vsearch.types import Moment, Shares, Span, Why

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.types import Quote, Video

GAIN = 8.0  # spreads that words add which say all that was asked
SHARPNESS = 2.0  # a half of what was asked is worth a quarter
LEAST = 0.4  # of what was asked, that words have to say to be found without their pictures
NEAR = 2.0  # seconds between a picture and words that belong to it
SHORTEST = 1.0  # seconds of a moment that was found by words
QUOTES = 3  # that are told of one moment


@dataclass(frozen=True, slots=True)
class Scale:
    """How a query scores on the segments of a library, before words count."""

    background: float  # the mean
    spread: float  # the standard deviation


@dataclass(frozen=True, slots=True)
class Place:
    """Where words were heard or read that answer, and how the pictures there score."""

    video: Video
    quote: Quote
    seen: float = 0.0
    confidence: float | None = None  # by the pictures
    weight: float = 1.0  # of the words in the query

    @property
    def span(self) -> Span:
        """When the words are there; long enough to be seen."""
        end = max(self.quote.span.end, self.quote.span.start + SHORTEST)
        end = min(end, max(self.video.duration, self.quote.span.end))
        return Span(self.quote.span.start, end)

    def is_near(self, span: Span) -> bool:
        """Whether the words belong to a picture there."""
        there = self.quote.span
        return there.start < span.end + NEAR and span.start - NEAR < there.end


def fused(
    found: Sequence[Moment], places: Sequence[Place], scale: Scale, *, least: float = LEAST
) -> list[Moment]:
    """Moments by pictures and by words, best first.

    Words near a moment of pictures add to its score. Where they are worth more than its lead over
    the background, they are a moment of their own, for they know better when it is, if they say at
    least the share `least` of what was asked; of the pictures what is much longer stays.
    """
    by_video: dict[int, list[Place]] = {}
    for place in places:
        by_video.setdefault(place.video.id, []).append(place)
    told: set[Place] = set()  # by a moment of pictures
    alone = {place for place in places if place.quote.score >= least}
    joined: list[Moment] = []
    for moment in found:
        near = [each for each in by_video.get(moment.video.id, ()) if each.is_near(moment.span)]
        lead = max(0.0, moment.score - scale.background)
        louder = [each for each in near if _gain(each, scale) > lead and each in alone]
        if louder:
            if sum(each.span.duration for each in louder) < moment.span.duration / 2:
                joined.append(moment)
            continue
        joined.append(_heard(moment, near, lead, scale) if near else moment)
        told.update(near)
    joined += [_spoken(place, scale) for place in alone - told]
    return ranked(joined)


def by_words(places: Sequence[Place]) -> list[Moment]:
    """Moments where nothing but words was asked for, best first.

    Their score, in [0, 1], is how much of what was asked is said; so much is it what was asked.
    """
    return ranked(
        Moment(
            place.video,
            place.span,
            place.quote.score,
            min(SURE, place.quote.score),
            Why(place.quote.span.start, 0.0, 0, quotes=(place.quote,), shares=_shares(0.0, place)),
        )
        for place in places
    )


def ranked(found: Iterable[Moment]) -> list[Moment]:
    """Best first; equal ones in an order of their own."""
    return sorted(found, key=lambda one: (-one.score, one.video.id, one.span))


def _heard(moment: Moment, near: Sequence[Place], lead: float, scale: Scale) -> Moment:
    """A moment of pictures, and the words there."""
    best = sorted(near, key=lambda place: -_gain(place, scale))[:QUOTES]
    gain = _gain(best[0], scale)
    quotes = tuple(place.quote for place in best)
    seen = lead / (lead + gain) if lead + gain > 0 else 0.0
    why = replace(moment.why, quotes=quotes, shares=_shares(seen, best[0]))
    sure = _sure(moment.confidence, best[0])
    return replace(moment, score=moment.score + gain, confidence=sure, why=why)


def _spoken(place: Place, scale: Scale) -> Moment:
    """A moment of its own for what was heard."""
    gain, lead = _gain(place, scale), max(0.0, place.seen - scale.background)
    shares = _shares(lead / (lead + gain) if lead + gain > 0 else 0.0, place)
    why = Why(place.quote.span.start, place.seen, 0, quotes=(place.quote,), shares=shares)
    sure = _sure(place.confidence, place)
    return Moment(place.video, place.span, place.seen + gain, sure, why)


def _gain(place: Place, scale: Scale) -> float:
    return float(GAIN * scale.spread * place.weight * place.quote.score**SHARPNESS)


def _sure(seen: float | None, place: Place) -> float:
    """The chance that pictures or words are what was asked for, as if they did not depend."""
    wrong = (1 - (seen or 0.0)) * (1 - place.weight * place.quote.score**SHARPNESS)
    return float(min(SURE, 1 - wrong))


def _shares(seen: float, place: Place) -> Shares:
    shown = place.quote.source == "screen"
    return Shares(seen, 0.0 if shown else 1 - seen, 1 - seen if shown else 0.0)
