"""From a query vector to moments: nearest segments, grouped, bounded and explained."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.search.moments import Stretch, choose, settled, stretches
from vsearch.types import Heeded, Moment, Why

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from vsearch.catalog.repository import Catalog
    from vsearch.search.current import Current
    from vsearch.search.querybank import Querybank
    from vsearch.types import Features, Ids, Matrix, Segment, Times, Vector
    from vsearch.vectors.features import FeatureStore

    Weigh: TypeAlias = Callable[[Matrix, Times], Vector]

log = logging.getLogger(__name__)

SAMPLE = 1_000  # segments that stand for the library's background
LEAST = 64  # segments fetched at once, however few moments are asked for
USUAL = 5  # every fifth of those tells what fits every query
HEEDED = 5  # frames of a segment that are told
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
        self._bank, self._weigh = bank, weigh

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
        chosen = choose(self._found(query, k, among, per_video), k, per_video, fill=fill)
        shown = self._catalog.videos_by_id({stretch.video_id for stretch in chosen})
        whys = self._whys(chosen, query)
        return [
            Moment(shown[stretch.video_id], stretch.span, stretch.score, None, whys[stretch])
            for stretch in chosen
            if stretch.video_id in shown  # removed by another process since
        ]

    def _found(self, query: Vector, k: int, among: Ids | None, per_video: int) -> list[Stretch]:
        """Stretches among which are the k to show.

        The videos of the nearest segments are looked at as a whole; then those of the nearest
        segments of all other videos, until k stretches are at least as good as any that is left
        (with a querybank: as any like those of the sample that is left).
        """
        usual = self._bank.excess(self.sample[::USUAL])
        middle = float(usual.mean()) if len(usual) else 0.0  # scores stay on the scale of cosines
        most = middle - float(usual.min(initial=middle))  # that a score can gain
        background = float((self.sample @ query).mean()) if len(self.sample) else 0.0
        found: list[Stretch] = []
        left, fetched = among, max(k * REACH, LEAST)  # left None: all
        while left is None or len(left):
            near, nearest = self._current.index.search(query, fetched, left)
            if not len(near):
                break
            seen = near.tolist()
            for segments, vectors in self._catalog.whole_videos(near, self._current.space):
                allowed = _allowed(segments, among)
                own = list(islice(stretches(segments, vectors @ query, background, allowed), k))
                taken = self._bank.excess(vectors[[stretch.peak for stretch in own]]) - middle
                found += [
                    replace(stretch, score=stretch.score - float(less))
                    for stretch, less in zip(own, taken, strict=True)
                ]
                seen += [segment.id for segment in segments]
            if settled(found, k, per_video, float(nearest[-1]) + most):
                break
            fetched *= 2
            left = np.setdiff1d(self._current.ids if left is None else left, seen)
        return found

    def _whys(self, chosen: Sequence[Stretch], query: Vector) -> dict[Stretch, Why]:
        """Why each was chosen; the features of one video at a time, for they may be large."""
        whys: dict[Stretch, Why] = {}
        for video_id in {stretch.video_id for stretch in chosen}:
            features = self._features_of(video_id)
            for stretch in chosen:
                if stretch.video_id == video_id:
                    whys[stretch] = _why(stretch, features, query, self._weigh)
        return whys

    def _features_of(self, video_id: int) -> Features | None:
        try:
            return self._features.load(video_id, self._current.space)
        except DamagedLibraryError as error:
            log.warning("%s", error)
            return None


def _allowed(segments: Sequence[Segment], among: Ids | None) -> list[bool] | None:
    """Which segments of a video a search may give; None: all."""
    if among is None:
        return None
    return list(map(bool, np.isin([segment.id for segment in segments], among)))


def _why(stretch: Stretch, features: Features | None, query: Vector, weigh: Weigh | None) -> Why:
    """The frame that fits best; without stored features the middle stands for it."""
    if features is None:
        middle = (stretch.span.start + stretch.span.end) / 2
        return Why(middle, stretch.score, stretch.segments)
    frames = features.within(stretch.span)
    curve = frames.matrix @ query  # (T,)
    best = int(curve.argmax())
    heeded = () if weigh is None else _heeded(features.within(stretch.best), weigh)
    return Why(float(frames.times[best]), float(curve[best]), stretch.segments, heeded=heeded)


def _heeded(frames: Features, weigh: Weigh) -> tuple[Heeded, ...]:
    """The frames that count most in the vector of a segment."""
    shares = weigh(frames.matrix, frames.times)
    order = np.argsort(-shares, kind="stable")[:HEEDED]
    return tuple(Heeded(float(frames.times[i]), float(shares[i])) for i in order)
