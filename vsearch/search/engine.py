"""From a query vector to moments: nearest segments, grouped, bounded and explained."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.moments import Stretch, choose, stretches
from vsearch.types import Moment, Why

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vsearch.catalog.repository import Catalog
    from vsearch.search.current import Current
    from vsearch.types import Ids, Matrix, Vector
    from vsearch.vectors.features import FeatureStore

SAMPLE = 1_000  # segments that stand for the library's background
LEAST = 64  # segments fetched, however few moments are asked for
REACH = 8  # segments fetched for each moment asked for: a moment may hold several


class Engine:
    """Searches one state of a library: its catalogue, features and a caught-up index."""

    def __init__(self, catalog: Catalog, features: FeatureStore, current: Current) -> None:
        self._catalog, self._features, self._current = catalog, features, current

    @cached_property
    def sample(self) -> Matrix:
        """Vectors of at most 1,000 segments drawn evenly from the library, float32 (M, D)."""
        ids = self._current.ids
        step = max(1, -(-len(ids) // SAMPLE))
        return self._catalog.vectors(ids[::step], self._current.space)[1]

    def search(self, query: Vector, k: int, *, among: Ids | None, per_video: int) -> list[Moment]:
        """At most k moments, best first, no more than `per_video` of one video if others fit."""
        background = float((self.sample @ query).mean()) if len(self.sample) else 0.0
        ids, _ = self._current.index.search(query, max(k * REACH, LEAST), among)
        videos = dict.fromkeys(segment.video_id for segment in self._catalog.segments(ids))
        found = list(self._stretches(query, videos, background))
        return [self._moment(stretch, query) for stretch in choose(found, k, per_video)]

    def _stretches(
        self, query: Vector, videos: Iterable[int], background: float
    ) -> Iterator[Stretch]:
        for video_id in videos:
            segments = self._catalog.segments_of(video_id)
            ids = np.array([segment.id for segment in segments], np.int64)
            _, vectors = self._catalog.vectors(ids, self._current.space)
            yield from stretches(segments, vectors @ query, background)

    def _moment(self, stretch: Stretch, query: Vector) -> Moment:
        frames = self._features.load(stretch.video_id).within(stretch.span)
        curve = frames.matrix @ query
        best = int(curve.argmax())
        why = Why(float(frames.times[best]), float(curve[best]), stretch.segments)
        video = self._catalog.video(stretch.video_id)
        return Moment(video, stretch.span, stretch.score, None, why)
