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
SHARPNESS = 3.0  # a half of what was asked is worth an eighth
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
    term: int = 0  # which of the terms of the query they answer

    @property
    def span(self) -> Span:
        """When the words are there; long enough to be seen."""
        end = max(self.quote.span.end, self.quote.span.start + SHORTEST)
        end = min(end, max(self.video.duration, self.quote.span.end))
        return Span(self.quote.span.start, end)

    @property
    def worth(self) -> float:
        """In [0, 1]: what the words tell of all that was asked."""
        return float(self.weight * self.quote.score**SHARPNESS)

    def is_near(self, span: Span) -> bool:
        """Whether the words belong to a picture there."""
        return _meet(self.quote.span, span, NEAR)


@dataclass(frozen=True, slots=True, eq=False)
class Event:
    """Words at one time: those of several terms, or of one, both said and shown."""

    places: tuple[Place, ...]  # what is worth most first

    @property
    def best(self) -> Place:
        return self.places[0]

    @property
    def each(self) -> list[Place]:
        """The best place of each term."""
        return list({place.term: place for place in reversed(self.places)}.values())

    @property
    def span(self) -> Span:
        """When all the terms are there."""
        spans = [place.span for place in self.each]
        return Span(min(span.start for span in spans), max(span.end for span in spans))

    @property
    def quotes(self) -> tuple[Quote, ...]:
        """The words, each once, though they may answer two terms."""
        return tuple(dict.fromkeys(place.quote for place in self.places))[:QUOTES]

    @property
    def worth(self) -> float:
        """In [0, 1]: what the words of all terms tell."""
        return sum(place.worth for place in self.each)


def events(places: Iterable[Place]) -> list[Event]:
    """Places that are near each other as one: in the same video, around what is worth most."""
    groups: dict[int, list[list[Place]]] = {}
    for place in sorted(places, key=lambda one: (-one.worth, one.span.duration, one.span)):
        own = groups.setdefault(place.video.id, [])
        group = next((each for each in own if _belongs(place, each)), None)
        if group is None:
            own.append([place])
        else:
            group.append(place)
    return [Event(tuple(group)) for own in groups.values() for group in own]


def _belongs(place: Place, others: Sequence[Place]) -> bool:
    """Another term may be said before or after; the same words said and shown are so at once."""
    again = any(place.term == other.term for other in others)
    return _meet(place.span, others[0].span, 0.0 if again else NEAR)


def _meet(one: Span, other: Span, gap: float) -> bool:
    return one.start < other.end + gap and other.start - gap < one.end


def fused(
    found: Sequence[Moment], places: Sequence[Place], scale: Scale, *, least: float = LEAST
) -> list[Moment]:
    """Moments by pictures and by words, best first.

    Words near a moment of pictures add to its score. Where they are worth more than its lead over
    the background, they are a moment of their own, for they know better when it is, if they say at
    least the share `least` of what was asked; of the pictures what is much longer stays.
    """
    by_video: dict[int, list[Event]] = {}
    for event in events(places):
        by_video.setdefault(event.best.video.id, []).append(event)
    told: set[Event] = set()  # by a moment of pictures
    alone = {
        event
        for own in by_video.values()
        for event in own
        if any(place.quote.score >= least for place in event.places)
    }
    joined: list[Moment] = []
    for moment in found:
        own = by_video.get(moment.video.id, ())
        near = [each for each in own if any(one.is_near(moment.span) for one in each.each)]
        lead = max(0.0, moment.score - scale.background)
        louder = [each for each in near if _gain(each, scale) > lead and each in alone]
        if louder:
            if sum(each.span.duration for each in louder) < moment.span.duration / 2:
                joined.append(moment)
            continue
        joined.append(_heard(moment, near, lead, scale) if near else moment)
        told.update(near)
    joined += [_spoken(event, scale) for event in alone - told]
    return ranked(joined)


def by_words(places: Sequence[Place]) -> list[Moment]:
    """Moments where nothing but words was asked for, best first.

    Their score, in [0, 1], is how much of what was asked is said; so much is it what was asked.
    """
    return ranked(map(_worded, events(places)))


def _worded(event: Event) -> Moment:
    best = event.best
    score = sum(place.weight * place.quote.score for place in event.each)
    why = Why(best.quote.span.start, 0.0, 0, quotes=event.quotes, shares=_shares(0.0, best))
    return Moment(best.video, event.span, score, min(SURE, score), why)


def ranked(found: Iterable[Moment]) -> list[Moment]:
    """Best first; equal ones in an order of their own."""
    return sorted(found, key=lambda one: (-one.score, one.video.id, one.span))


def _heard(moment: Moment, near: Sequence[Event], lead: float, scale: Scale) -> Moment:
    """A moment of pictures, and the words there."""
    places = [place for event in near for place in event.places]
    event = Event(tuple(sorted(places, key=lambda place: -place.worth)))
    gain = _gain(event, scale)
    seen = lead / (lead + gain) if lead + gain > 0 else 0.0
    why = replace(moment.why, quotes=event.quotes, shares=_shares(seen, event.best))
    sure = _sure(moment.confidence, event)
    return replace(moment, score=moment.score + gain, confidence=sure, why=why)


def _spoken(event: Event, scale: Scale) -> Moment:
    """A moment of its own for what was heard."""
    best, pictured = event.best, max(event.places, key=lambda place: place.seen)
    gain, lead = _gain(event, scale), max(0.0, pictured.seen - scale.background)
    shares = _shares(lead / (lead + gain) if lead + gain > 0 else 0.0, best)
    why = Why(best.quote.span.start, pictured.seen, 0, quotes=event.quotes, shares=shares)
    sure = _sure(pictured.confidence, event)
    return Moment(best.video, event.span, pictured.seen + gain, sure, why)


def _gain(event: Event, scale: Scale) -> float:
    return float(GAIN * scale.spread * event.worth)


def _sure(seen: float | None, event: Event) -> float:
    """The chance that pictures or words are what was asked for, as if they did not depend."""
    wrong = (1 - (seen or 0.0)) * (1 - event.worth)
    return float(min(SURE, 1 - wrong))


def _shares(seen: float, place: Place) -> Shares:
    shown = place.quote.source == "screen"
    return Shares(seen, 0.0 if shown else 1 - seen, 1 - seen if shown else 0.0)
