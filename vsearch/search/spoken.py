"""What is said and shown in words: the places in videos where a text, or most of it, is found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import numpy as np

from vsearch.search.asked import asked
from vsearch.search.lines import ASIDE, Lines
from vsearch.search.passages import Passage
from vsearch.types import CueSource

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy.typing as npt

    from vsearch.catalog.repository import Catalog
    from vsearch.search.asked import Asked, Token
    from vsearch.search.meanings import Meanings
    from vsearch.types import Ids, Quote, Span, Vector

    Found = tuple[float, Passage]  # and the share of what was asked that it says

SOURCES: frozenset[CueSource] = frozenset(get_args(CueSource))
SAID: frozenset[CueSource] = frozenset({"subtitles", "speech"})
SHOWN: frozenset[CueSource] = frozenset({"screen"})

LEAST = 0.5  # of what was asked that a passage has to say
POSTINGS = 3_000  # cues with one word that are looked at
NARROWED = 12_000  # the same where some sources or videos only are asked for
TRIED = 240  # passages that are read
SPARE = 8  # times as many, of which those are chosen
MIXED = 2_654_435_761  # Knuth's multiplier: neighbours end up far apart
PER_VIDEO = 20  # the part of these that may be of one video
NEAR = 5.0  # seconds between two hits that are told as one


@dataclass(frozen=True, slots=True)
class Heard:
    """A place where words in a video answer."""

    video_id: int
    quote: Quote
    hits: tuple[Token, ...] = ()  # what of the quote's text was asked for, and where it stands


class Spoken:
    """Looks for words in one library. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, meanings: Meanings | None = None) -> None:
        """Without `meanings` only words are compared."""
        self._catalog, self._meanings = catalog, meanings

    def find(
        self,
        text: str,
        *,
        exact: bool = False,
        sources: Collection[CueSource] = SOURCES,
        among: Ids | None = None,
        most: int = 100,
        each: bool = False,
    ) -> list[Heard]:
        """At most `most` places that say a text, or most of it, best first.

        `exact` asks for its words in this order, one after the other, in no other form. `among`
        are segments; what touches none of them is left out. A quote's score is the share of what
        was asked that is said there, rare words counting more: it compares across queries. Hits
        that are near each other are one place, and no video has more than a twentieth of those
        looked at, unless `each` of them is asked for. A text without a word finds nothing.

        What means the same in other words scores from 0.5 to 0.9; where `exact` words are asked
        for, it is told only if nobody says them.
        """
        index = self._catalog.cue_index
        words = self._asked(text, exact=exact) if index.size() else []
        if not words:
            return []
        videos = None if among is None else index.videos_of_segments(among)
        tried = max(TRIED, most)
        own = tried if each else tried // PER_VIDEO
        at = self._candidates(words, sources, videos, tried, own, exact=exact)
        around = np.unique((at[:, None] + np.arange(-ASIDE, ASIDE + 1)).ravel())
        lines = Lines(index.read(around), words, exact=exact)
        found = [best for id_ in at.tolist() if (best := lines.best(id_, LEAST)) is not None]
        if not (exact and found):
            found += self._meant(text, sources, videos, tried, own)
        if among is not None:
            found = self._touching(found, among)
        told = sorted(found, key=_order) if each else merged(found)
        return [_heard(*one, words, exact=exact) for one in told[:most]]

    def _meant(
        self, text: str, sources: Collection[CueSource], videos: Ids | None, most: int, own: int
    ) -> list[Found]:
        """What means the same in other words; at most `own` of one video."""
        if self._meanings is None:
            return []
        ids, scores = self._meanings.near(text)
        ids, scores = ids[:NARROWED], scores[:NARROWED]
        allowed, of = self._allowed(ids, sources, videos)
        ids = chosen(ids[allowed], scores[allowed], of[allowed], most, own)
        known = dict(zip(ids.tolist(), scores.tolist(), strict=False))
        return [(known[each.id], Passage((each,))) for each in self._catalog.cue_index.read(ids)]

    def _allowed(
        self, ids: Ids, sources: Collection[CueSource], videos: Ids | None
    ) -> tuple[npt.NDArray[np.bool_], Ids]:
        """Which cues may be told, (N,), and their videos, int64 (N,)."""
        own, of = self._catalog.cue_index.places(ids)
        allowed = np.array([each in sources for each in of], np.bool_) & (own >= 0)
        if videos is not None:
            allowed &= np.isin(own, videos)
        return allowed, own

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
        most: int,
        own: int,
        *,
        exact: bool,
    ) -> Ids:
        """Ids of the cues to be read, the most promising first, `own` of a video, int64 (N,).

        A passage that says enough has one of the rarest words: the rest together is not enough.
        """
        index = self._catalog.cue_index
        narrowed = videos is not None or bool(index.sources() - set(sources))
        looked_at = NARROWED if narrowed else POSTINGS

        def having(groups: Sequence[Collection[str]]) -> Ids:
            return index.having(groups, most=looked_at, videos=videos)

        whole = [[" ".join(word.text for word in words)]] if exact else [w.forms for w in words]
        needed = rarest(words, 1.0 if exact else LEAST)
        first = having(whole)
        postings = [(word.weight, having([word.forms])) for word in needed]
        found = np.unique(np.concatenate([first, *(ids for _, ids in postings)]))
        promise = np.isin(found, first) * sum(word.weight for word in words)
        promise = np.maximum(promise, sum(weight * near(found, ids) for weight, ids in postings))
        if not narrowed:  # of as promising ones any will do, from all over the library
            order = np.lexsort((found * MIXED % 2**32, -promise))[: SPARE * most]
            found, promise = found[order], promise[order]
        allowed, of = self._allowed(found, sources, videos)
        return chosen(found[allowed], promise[allowed], of[allowed], most, own)

    def _touching(self, found: Sequence[Found], among: Ids) -> list[Found]:
        """Those that are said in one of these segments."""
        allowed = set(among.tolist())
        spans: dict[int, list[Span]] = {}
        for video_id in {passage.video_id for _, passage in found}:
            own = self._catalog.segments_of(video_id)
            spans[video_id] = [segment.span for segment in own if segment.id in allowed]
        return [each for each in found if _touches(each[1].span, spans[each[1].video_id])]


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


def chosen(ids: Ids, promise: Vector, videos: Ids, most: int, own: int) -> Ids:
    """At most so many ids, the most promising first, and no more than `own` of one video."""
    order = np.lexsort((ids, -promise))
    of = videos[order]
    by_video = np.argsort(of, kind="stable")
    begins = np.searchsorted(of[by_video], of[by_video])
    place = np.empty(len(ids), np.int64)  # among those of the same video, from 0
    place[by_video] = np.arange(len(ids)) - begins
    return ids[order][place < own][:most]


def merged(found: Sequence[Found]) -> list[Found]:
    """Best first; of those that are near each other in a video only the best one."""
    kept: dict[tuple[int, bool], list[Found]] = {}
    for each in sorted(found, key=_order):
        passage = each[1]
        others = kept.setdefault((passage.video_id, passage.source in SHOWN), [])
        if not _touches(passage.span, [other.span for _, other in others], NEAR):
            others.append(each)
    return sorted((each for others in kept.values() for each in others), key=_order)


def _order(found: Found) -> tuple[float, ...]:
    """Best first, of equals the shortest."""
    share, passage = found
    return (-share, len(passage.text), passage.video_id, passage.span.start)


def _heard(share: float, passage: Passage, words: Sequence[Asked], *, exact: bool) -> Heard:
    quote, hits = passage.quote(share, passage.hits(words, exact=exact))
    return Heard(passage.video_id, quote, hits)


def _touches(span: Span, others: Sequence[Span], gap: float = 0.0) -> bool:
    return any(
        span.start == other.start or (span.start < other.end + gap and other.start < span.end + gap)
        for other in others
    )
