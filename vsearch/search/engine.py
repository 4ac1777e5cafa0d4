"""From a query vector to moments: nearest segments, grouped, bounded and explained."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.search.background import Background
from vsearch.search.bounds import sharpened
from vsearch.search.moments import Stretch, choose, settled
from vsearch.search.sequence import Chain, Step, chains
from vsearch.search.surroundings import Surroundings, allowed, grouped
from vsearch.search.why import why
from vsearch.types import Moment, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.repository import Catalog
    from vsearch.search.current import Current
    from vsearch.search.moments import Usual
    from vsearch.search.querybank import Querybank
    from vsearch.search.why import Weigh as Weigh
    from vsearch.types import Features, Ids, Matrix, Vector, Video
    from vsearch.vectors.features import FeatureStore


log = logging.getLogger(__name__)

LEAST = 64  # segments fetched at once, however few moments are asked for
NEARBY = 512  # segments, at least, among which one may score more than much nearer ones
MOST = 4_096  # segments looked at so; where more are needed, whole videos are read
STEPS = 1_000  # segments fetched for each step of a sequence
STANDS = 0.5  # of the lead of the best in the library over the background: else it is no such step
REACH = 16  # segments fetched for each moment asked for: a moment may hold several


class Engine:
    """Searches one state of a library: its catalogue, features and a caught-up index."""

    def __init__(
        self,
        catalog: Catalog,
        features: FeatureStore,
        current: Current,
        bank: Querybank,
        weigh: Weigh | None = None,
        background: Background | None = None,
    ) -> None:
        """`bank` for a query with words; pictures are compared as they are, with an empty one.

        `weigh` tells how much each frame of a segment counted in its vector, where that is known.
        `background` is that of `current` and `bank` where it was measured already.
        """
        self._catalog, self._features, self._current = catalog, features, current
        self.background = background or Background(catalog, current, bank)
        self._weigh = weigh

    @property
    def bank(self) -> Querybank:
        """What is taken off the scores, as it fits every query."""
        return self.background.bank

    @property
    def sample(self) -> Matrix:
        """Vectors of at most 1,000 segments drawn evenly from the library, float32 (M, D)."""
        return self.background.sample

    def search(
        self, query: Vector, k: int, *, among: Ids | None, per_video: int, fill: bool = True
    ) -> list[Moment]:
        """At most k moments, best first, no more than `per_video` of one video.

        `fill` gives places that would stay empty to further moments of the same videos.
        """
        usual = self.background.usual(query)
        chosen = choose(self._found(query, usual, k, among, per_video), k, per_video, fill=fill)
        shown = self._catalog.videos_by_id({stretch.video_id for stretch in chosen})
        told: dict[Stretch, Moment] = {}
        for video_id, video in shown.items():
            own = [stretch for stretch in chosen if stretch.video_id == video_id]
            frames = [self._frames_of(stretch) for stretch in own]
            spans = _sharpened(own, frames, query, usual)
            for stretch, span, near in zip(own, spans, frames, strict=True):
                reason = why(stretch, span, near, query, self._weigh)
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
        usual = [self.background.usual(step) for step in steps]
        found = self._chains(steps, usual, (None, *within), k, among)
        chosen = choose(found, k, per_video, fill=fill)
        shown = self._catalog.videos_by_id({chain.video_id for chain in chosen})
        told: dict[Chain, Moment] = {}
        for chain in chosen:
            if chain.video_id in shown:
                frames = self._frames_of(chain)
                told[chain] = _followed(shown[chain.video_id], chain, frames, steps, usual)
        return [told[chain] for chain in chosen if chain in told]

    def _found(
        self, query: Vector, usual: Usual, k: int, among: Ids | None, per_video: int
    ) -> list[Stretch]:
        """Stretches among which are the k to show.

        The surroundings of the nearest segments are looked at, of more and more of them, until
        what is left scores less. With a querybank that could gain by it as much as any like those
        of the sample; beyond `NEARBY` segments, what does is not worth the time.
        """
        around = Surroundings(self._catalog, self.background, query, usual, among)
        fetched = max(k * REACH, LEAST)
        nearby = max(NEARBY, 2 * fetched)
        while fetched <= MOST:
            near, nearest, vectors = self._current.nearest(query, fetched, among, self._catalog)
            gain = self.background.gain if fetched < nearby else 0.0
            least = -math.inf if len(near) < fetched else float(nearest[-1]) + gain
            groups = grouped(near, around.fitting(near, nearest, vectors))
            found, enough = around.found(groups, k, per_video, least)
            if enough or len(near) < fetched:
                return found
            fetched *= 2
        return self._found_in_whole_videos(around, query, k, among, per_video)

    def _found_in_whole_videos(
        self, around: Surroundings, query: Vector, k: int, among: Ids | None, per_video: int
    ) -> list[Stretch]:
        """Stretches among which are the k to show, where a few videos hold most of what is near.

        The videos of the nearest segments are looked at as a whole; then those of the nearest
        segments of all other videos.
        """
        found: list[Stretch] = []
        left, fetched = among, max(k * REACH, LEAST)  # left None: all
        while left is None or len(left):
            near, nearest = self._current.index.search(query, fetched, left)
            if not len(near):
                break
            found += around.in_videos(near, k)
            if settled(found, k, per_video, float(nearest[-1]) + self.background.gain):
                break
            fetched *= 2
            seen = self._catalog.segment_ids(set(self._catalog.videos_of(near).tolist()))
            left = np.setdiff1d(self._current.ids if left is None else left, [*near, *seen])
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
            may = allowed(segments, among)
            asked = [
                Step(self._scored(vectors, step, low), low, one, gap)
                for step, one, low, gap in zip(steps, usual, least, within, strict=True)
            ]
            found += islice(chains(segments, vectors, asked, may), k)
        return found

    def _may_hold(self, near: Sequence[tuple[Ids, Vector]], least: Sequence[float]) -> Ids:
        """Segments of all videos that may hold every step: those near to the rarest of them.

        Where all steps are so common that more segments than were fetched may be it, the videos
        nearest to any of them.
        """
        whole = [
            ids[scores + self.background.gain >= low]
            for (ids, scores), low in zip(near, least, strict=True)
            if len(ids) < STEPS or scores[-1] + self.background.gain < low
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
        near = scores + self.background.gain >= least
        scores[near] -= self.background.excess(vectors[near])
        return np.where(near, scores, np.float32(-1.0))

    def scores(self, vectors: Matrix, query: Vector) -> Vector:
        """What segments score, float32 (N,): as in a search, what fits every query taken off."""
        scores: Vector = vectors @ query - self.background.excess(vectors)
        return scores

    def _frames_of(self, stretch: Stretch | Chain) -> Features | None:
        """The frames that a stretch may show, as far as they are stored."""
        steps = stretch.steps if isinstance(stretch, Chain) else (stretch,)
        around = [span for step in steps for span in step.around]
        whole = Span(min(span.start for span in around), max(span.end for span in around))
        try:
            return self._features.part(stretch.video_id, self._current.space, whole)
        except DamagedLibraryError as error:
            log.warning("%s", error)
            return None


def _sharpened(
    chosen: Sequence[Stretch], frames: Sequence[Features | None], query: Vector, usual: Usual
) -> list[Span]:
    """Where the stretches of one video, the best first, begin and end; none has any of another.

    `frames` are those around each; without them, where their segments do.
    """
    spans: list[Span] = []
    for number, (stretch, features) in enumerate(zip(chosen, frames, strict=True)):
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
