"""From a query vector to moments: nearest segments, grouped, bounded and explained."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.search.bounds import sharpened
from vsearch.search.moments import Stretch, Usual, choose, settled, stretches
from vsearch.search.sequence import Step, chains
from vsearch.search.why import why
from vsearch.types import Moment, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.search.current import Current
    from vsearch.search.querybank import Querybank
    from vsearch.search.sequence import Chain
    from vsearch.search.why import Weigh as Weigh
    from vsearch.types import Features, Ids, Matrix, Segment, Vector, Video
    from vsearch.vectors.features import FeatureStore


log = logging.getLogger(__name__)

SAMPLE = 1_000  # segments that stand for the library's background
LEAST = 64  # segments fetched at once, however few moments are asked for
USUAL = 5  # every fifth of those tells what fits every query
VARIED = 0.6  # mean cosine of segments: a library that is all of one kind still has scenes
STEPS = 1_000  # segments fetched for each step of a sequence
STANDS = 0.5  # of the lead of the best in the library over the background: else it is no such step
REACH = 8  # segments fetched for each moment asked for: a moment may hold several


class Engine:
    """Searches one state of a library: its catalogue, features and a caught-up index."""

    def __init__(
        self,
        catalog: Catalog,
        features: FeatureStore,
        current: Current,
        bank: Querybank,
        weigh: Weigh | None = None,
    ) -> None:
        """`bank` for a query with words; pictures are compared as they are, with an empty one.

        `weigh` tells how much each frame of a segment counted in its vector, where that is known.
        """
        self._catalog, self._features, self._current = catalog, features, current
        self.bank, self._weigh = bank, weigh

    @cached_property
    def sample(self) -> Matrix:
        """Vectors of at most 1,000 segments drawn evenly from the library, float32 (M, D)."""
        ids = self._current.ids
        step = max(1, -(-len(ids) // SAMPLE))
        return self._catalog.vectors(ids[::step], self._current.space)[1]

    def search(
        self, query: Vector, k: int, *, among: Ids | None, per_video: int, fill: bool = True
    ) -> list[Moment]:
        """At most k moments, best first, no more than `per_video` of one video.

        `fill` gives places that would stay empty to further moments of the same videos.
        """
        usual = self._usual(query)
        chosen = choose(self._found(query, usual, k, among, per_video), k, per_video, fill=fill)
        shown = self._catalog.videos_by_id({stretch.video_id for stretch in chosen})
        told: dict[Stretch, Moment] = {}
        for video_id, video in shown.items():  # one at a time: features may be large
            own = [stretch for stretch in chosen if stretch.video_id == video_id]
            features = self._features_of(video_id)
            spans = _sharpened(own, features, query, usual)
            for stretch, span in zip(own, spans, strict=True):
                reason = why(stretch, span, features, query, self._weigh)
                told[stretch] = Moment(video, span, stretch.score, None, reason)
        return [told[stretch] for stretch in chosen if stretch in told]  # not removed meanwhile

    def sequence(
        self,
        steps: Sequence[Vector],
        within: Sequence[float | None],
        k: int,
        *,
        among: Ids | None,
        per_video: int,
        fill: bool = True,
    ) -> list[Moment]:
        """At most k moments in which each step follows the one before, best first.

        `within` tells for each step but the first how many seconds after the end of the step
        before it begins at most; None is `sequence.WITHIN`. A step that does not stand out as it
        does elsewhere in the library is none, so a video that shows them in another order, or
        only some of them, is not found.
        """
        if not 2 <= len(steps) == len(within) + 1:
            raise ValueError(f"{len(steps)} steps do not fit {len(within)} gaps between them")
        usual = [self._usual(step) for step in steps]
        found = self._chains(steps, usual, (None, *within), k, among)
        chosen = choose(found, k, per_video, fill=fill)
        shown = self._catalog.videos_by_id({chain.video_id for chain in chosen})
        told: dict[Chain, Moment] = {}
        for video_id, video in shown.items():
            features = self._features_of(video_id)
            for chain in chosen:
                if chain.video_id == video_id:
                    told[chain] = _followed(video, chain, features, steps, usual)
        return [told[chain] for chain in chosen if chain in told]

    def _found(
        self, query: Vector, usual: Usual, k: int, among: Ids | None, per_video: int
    ) -> list[Stretch]:
        """Stretches among which are the k to show.

        The videos of the nearest segments are looked at as a whole; then those of the nearest
        segments of all other videos, until k stretches are at least as good as any that is left
        (with a querybank: as any like those of the sample that is left).
        """
        found: list[Stretch] = []
        left, fetched = among, max(k * REACH, LEAST)  # left None: all
        while left is None or len(left):
            near, nearest = self._current.index.search(query, fetched, left)
            if not len(near):
                break
            seen = near.tolist()
            for segments, vectors in self._catalog.whole_videos(near, self._current.space):
                allowed = _allowed(segments, among)
                own = list(islice(stretches(segments, vectors, vectors @ query, usual, allowed), k))
                taken = self._excess(vectors[[stretch.peak for stretch in own]])
                found += [
                    replace(stretch, score=stretch.score - float(less))
                    for stretch, less in zip(own, taken, strict=True)
                ]
                seen += [segment.id for segment in segments]
            if settled(found, k, per_video, float(nearest[-1]) + self._gain):
                break
            fetched *= 2
            left = np.setdiff1d(self._current.ids if left is None else left, seen)
        return found

    def _chains(
        self,
        steps: Sequence[Vector],
        usual: Sequence[Usual],
        within: Sequence[float | None],
        k: int,
        among: Ids | None,
    ) -> list[Chain]:
        """All ways through the videos in which every step stands out, at most k of a video."""
        near = [self._current.index.search(step, STEPS, among) for step in steps]
        least = [
            one.score + STANDS * (self._best(step, ids) - one.score)
            for step, one, (ids, _) in zip(steps, usual, near, strict=True)
        ]
        wanted = self._may_hold(near, least)
        found: list[Chain] = []
        for segments, vectors in self._catalog.whole_videos(wanted, self._current.space):
            allowed = _allowed(segments, among)
            asked = [
                Step(self._scored(vectors, step, low), low, one, gap)
                for step, one, low, gap in zip(steps, usual, least, within, strict=True)
            ]
            found += islice(chains(segments, vectors, asked, allowed), k)
        return found

    def _may_hold(self, near: Sequence[tuple[Ids, Vector]], least: Sequence[float]) -> Ids:
        """Segments of all videos that may hold every step: those near to the rarest of them.

        Where all steps are so common that more segments than were fetched may be it, the videos
        nearest to any of them.
        """
        whole = [
            ids[scores + self._gain >= low]
            for (ids, scores), low in zip(near, least, strict=True)
            if len(ids) < STEPS or scores[-1] + self._gain < low
        ]
        if whole:
            return min(whole, key=len)
        return np.unique(np.concatenate([ids for ids, _ in near]))

    def _best(self, query: Vector, near: Ids) -> float:
        """What the best of the nearest segments scores."""
        vectors = self._catalog.vectors(near[:LEAST], self._current.space)[1]
        return float(self.scores(vectors, query).max(initial=-1.0))

    def _scored(self, vectors: Matrix, query: Vector, least: float) -> Vector:
        """The scores of segments, float32 (N,); what cannot reach `least` is not worked out."""
        scores: Vector = vectors @ query
        near = scores + self._gain >= least
        scores[near] -= self._excess(vectors[near])
        return np.where(near, scores, np.float32(-1.0))

    def scores(self, vectors: Matrix, query: Vector) -> Vector:
        """What segments score, float32 (N,): as in a search, what fits every query taken off."""
        scores: Vector = vectors @ query - self._excess(vectors)
        return scores

    def _excess(self, vectors: Matrix) -> Vector:
        """What to take off the scores of segments, float32 (N,), beside what is usual."""
        less: Vector = self.bank.excess(vectors) - np.float32(self._middle)
        return less

    @cached_property
    def _middle(self) -> float:
        """What fits every query, on the average: added, so that scores stay cosines."""
        return float(self._usually.mean()) if len(self._usually) else 0.0

    @cached_property
    def _gain(self) -> float:
        """The most that a score can gain by what is taken off it."""
        return self._middle - float(self._usually.min(initial=self._middle))

    @cached_property
    def _usually(self) -> Vector:
        return self.bank.excess(self.sample[::USUAL])

    def _usual(self, query: Vector) -> Usual:
        """What segments of this library have in common, and with the query."""
        if not len(self.sample):
            return Usual(0.0, 0.0)
        mean = self.sample.mean(axis=0)
        return Usual(float(mean @ query), min(float(mean @ mean), VARIED))

    def _features_of(self, video_id: int) -> Features | None:
        try:
            return self._features.load(video_id, self._current.space)
        except DamagedLibraryError as error:
            log.warning("%s", error)
            return None


def _allowed(segments: Sequence[Segment], among: Ids | None) -> list[bool] | None:
    """Which segments of a video a search may give, of those `among`, ascending; None: all."""
    if among is None:
        return None
    ids = np.array([segment.id for segment in segments], np.int64)
    places = np.searchsorted(among, ids)  # `isin` would look at all of them for each video
    inside = places < len(among)
    inside[inside] = among[places[inside]] == ids[inside]
    found: list[bool] = inside.tolist()
    return found


def _sharpened(
    chosen: Sequence[Stretch], features: Features | None, query: Vector, usual: Usual
) -> list[Span]:
    """Where the stretches of one video, the best first, begin and end; none has any of another.

    Without stored features, where their segments do.
    """
    spans: list[Span] = []
    for number, stretch in enumerate(chosen):
        rest = [other.best for other in chosen[number + 1 :]]
        spans.append(
            sharpened(stretch, features, query, usual, [*spans, *rest])
            if features
            else stretch.span
        )
    return spans


def _followed(
    video: Video,
    chain: Chain,
    features: Features | None,
    steps: Sequence[Vector],
    usual: Sequence[Usual],
) -> Moment:
    """A sequence as it is shown: the best frame is the one of its first step."""
    spans: list[Span] = []
    for number, (stretch, step, one) in enumerate(zip(chain.steps, steps, usual, strict=True)):
        rest = [other.best for other in chain.steps[number + 1 :]]
        spans += (
            [sharpened(stretch, features, step, one, [*spans, *rest])]
            if features
            else [stretch.span]
        )
    first = why(chain.steps[0], spans[0], features, steps[0], None)
    joined = sum(step.segments for step in chain.steps)
    reason = replace(first, segments=joined, steps=tuple(spans))
    return Moment(video, Span(spans[0].start, spans[-1].end), chain.score, None, reason)
