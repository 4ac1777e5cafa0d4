"""What is said and shown in words: the places in videos where a text, or most of it, is found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.cue_index import SOURCES
from vsearch.search.asked import Asked, Token, asked
from vsearch.search.passages import ASIDE, Passage, passages

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.types import CueSource, Ids, Matrix, Quote, Span, Vector

SAID: frozenset[CueSource] = frozenset({"subtitles", "speech"})
SHOWN: frozenset[CueSource] = frozenset({"screen"})

LEAST = 0.5  # of what was asked that a passage has to say
POSTINGS = 5_000  # cues with one word that are looked at
TRIED = 400  # passages that are read
PER_VIDEO = 20  # of these in one video
NEAR = 5.0  # seconds between two hits that are told as one


@dataclass(frozen=True, slots=True)
class Heard:
    """A place where words in a video answer."""

    video_id: int
    quote: Quote
    hits: tuple[Token, ...] = ()  # what of the quote's text was asked for, and where it stands


class Spoken:
    """Looks for words in one library. Safe to use from several threads."""

    def __init__(
        self, catalog: Catalog, encode: Callable[[Sequence[str]], Matrix] | None = None
    ) -> None:
        """`encode` reads texts as the cues' vectors were made; None: only words are compared."""
        self._catalog, self._encode = catalog, encode

    def find(
        self,
        text: str,
        *,
        exact: bool = False,
        sources: Collection[CueSource] = SOURCES,
        among: Ids | None = None,
        most: int = 100,
    ) -> list[Heard]:
        """At most `most` places that say a text, or most of it, best first.

        `exact` asks for its words in this order, one after the other, in no other form. `among`
        are segments; what touches none of them is left out. A quote's score is the share of what
        was asked that is said there, rare words counting more: it compares across queries. Hits
        that are near each other are one place. A text without a word finds nothing.
        """
        index = self._catalog.cue_index
        words = self._asked(text, exact=exact)
        if not words:
            return []
        videos = None if among is None else index.videos_of_segments(among)
        at = self._candidates(words, sources, videos, exact=exact)
        heard = self._read(at, words, exact=exact)
        if among is not None:
            heard = self._touching(heard, among)
        return merged(heard)[:most]

    def _asked(self, text: str, *, exact: bool) -> list[Asked]:
        index = self._catalog.cue_index

        def count(word: Asked) -> int:
            return index.count([word.forms], POSTINGS)

        return asked(text, exact=exact, count=count, size=index.size())

    def _candidates(
        self,
        words: Sequence[Asked],
        sources: Collection[CueSource],
        videos: Ids | None,
        *,
        exact: bool,
    ) -> Ids:
        """Ids of the cues to be read, the most promising first, int64 (N,).

        A passage that says enough has one of the rarest words: the rest together is not enough.
        """
        index = self._catalog.cue_index

        def having(groups: Sequence[Collection[str]], most: int) -> Ids:
            return index.having(groups, most=most, sources=sources, videos=videos)

        whole = [[" ".join(word.text for word in words)]] if exact else [w.forms for w in words]
        first = having(whole, TRIED)
        needed = rarest(words, 1.0 if exact else LEAST)
        postings = [(word.weight, having([word.forms], POSTINGS)) for word in needed]
        found = np.unique(np.concatenate([first, *(ids for _, ids in postings)]))
        if not len(found):
            return found
        promise = np.isin(found, first) * sum(word.weight for word in words)
        promise = np.maximum(promise, sum(weight * near(found, ids) for weight, ids in postings))
        return chosen(found, promise, index.videos(found))

    def _read(self, at: Ids, words: Sequence[Asked], *, exact: bool) -> list[Heard]:
        around = np.unique((at[:, None] + np.arange(-ASIDE, ASIDE + 1)).ravel())
        known = {each.id: each for each in self._catalog.cue_index.read(around)}
        heard: list[Heard] = []
        for id_ in at.tolist():
            best = _best(list(passages(id_, known)), words, exact=exact) if id_ in known else None
            if best is not None:
                passage, score = best
                quote, hits = passage.quote(score, passage.hits(words, exact=exact))
                heard.append(Heard(passage.video_id, quote, hits))
        return heard

    def _touching(self, heard: Sequence[Heard], among: Ids) -> list[Heard]:
        """Those that are said in one of these segments."""
        allowed = set(among.tolist())
        spans: dict[int, list[Span]] = {}
        for video_id in {each.video_id for each in heard}:
            own = self._catalog.segments_of(video_id)
            spans[video_id] = [segment.span for segment in own if segment.id in allowed]
        return [each for each in heard if _touches(each.quote.span, spans[each.video_id])]


def rarest(words: Sequence[Asked], least: float) -> list[Asked]:
    """The fewest words of which one has to be said for a share of at least `least`."""
    left = sum(word.weight for word in words)
    needed = least * left
    found: list[Asked] = []
    for word in sorted({each.text: each for each in words}.values(), key=lambda each: -each.weight):
        found.append(word)
        left -= word.weight * sum(each.text == word.text for each in words)
        if left < needed - 1e-9:
            break
    return found


def near(ids: Ids, others: Ids) -> Vector:
    """1 for each id that has one of the others in a passage with it, else 0, float32 (N,)."""
    at = np.searchsorted(others, ids - ASIDE)
    inside = at < len(others)
    inside[inside] = others[at[inside]] <= ids[inside] + ASIDE
    return inside.astype(np.float32)


def chosen(ids: Ids, promise: Vector, videos: Ids) -> Ids:
    """At most 400 ids, the most promising first, and no more than 20 of one video."""
    order = np.lexsort((ids, -promise))
    own = videos[order]
    by_video = np.argsort(own, kind="stable")
    begins = np.searchsorted(own[by_video], own[by_video])
    place = np.empty(len(ids), np.int64)  # among those of the same video, from 0
    place[by_video] = np.arange(len(ids)) - begins
    return ids[order][place < PER_VIDEO][:TRIED]


def merged(heard: Sequence[Heard]) -> list[Heard]:
    """Best first; of those that are near each other in a video only the best one."""
    kept: dict[tuple[int, bool], list[Heard]] = {}
    for each in sorted(heard, key=_order):
        others = kept.setdefault((each.video_id, each.quote.source in SHOWN), [])
        if not any(_touches(each.quote.span, [other.quote.span], NEAR) for other in others):
            others.append(each)
    return sorted((each for others in kept.values() for each in others), key=_order)


def _order(heard: Heard) -> tuple[float, ...]:
    """Best first, of equals the shortest."""
    quote = heard.quote
    return (-quote.score, len(quote.text), heard.video_id, quote.span.start)


def _touches(span: Span, others: Sequence[Span], gap: float = 0.0) -> bool:
    return any(
        span.start == other.start or (span.start < other.end + gap and other.start < span.end + gap)
        for other in others
    )


def _best(
    found: Sequence[Passage], words: Sequence[Asked], *, exact: bool
) -> tuple[Passage, float] | None:
    """The passage that says most, of equals the shortest; None if none says enough."""
    if exact:
        return next(((each, 1.0) for each in found if each.says(words)), None)
    best: tuple[Passage, float] | None = None
    for passage in found:
        score = passage.share(words)
        if score >= LEAST and (best is None or score > best[1] + 1e-6):
            best = passage, score
        if best is not None and math.isclose(best[1], 1.0):
            break
    return best
