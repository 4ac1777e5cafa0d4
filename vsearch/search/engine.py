"""From a query vector to moments: nearest segments, grouped, bounded and explained."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.search.moments import Stretch, choose, stretches
from vsearch.types import Moment, Why

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vsearch.catalog.repository import Catalog
    from vsearch.search.current import Current
    from vsearch.types import Ids, Matrix, Vector
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)

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
        chosen = choose(found, k, per_video)
        shown = self._catalog.videos_by_id({stretch.video_id for stretch in chosen})
        return [
            Moment(
                shown[stretch.video_id],
                stretch.span,
                stretch.score,
                None,
                self._why(stretch, query),
            )
            for stretch in chosen
            if stretch.video_id in shown  # removed by another process since
        ]

    def _stretches(
        self, query: Vector, videos: Iterable[int], background: float
    ) -> Iterator[Stretch]:
        for video_id in videos:
            segments = self._catalog.segments_of(video_id)
            ids = np.array([segment.id for segment in segments], np.int64)
            _, vectors = self._catalog.vectors(ids, self._current.space)
            yield from stretches(segments, vectors @ query, background)

    def _why(self, stretch: Stretch, query: Vector) -> Why:
        """The frame that fits best; without stored features the middle stands for it."""
        try:
            frames = self._features.load(stretch.video_id).within(stretch.span)
        except DamagedLibraryError as error:
            log.warning("%s", error)
            middle = (stretch.span.start + stretch.span.end) / 2
            return Why(middle, stretch.score, stretch.segments)
        curve = frames.matrix @ query
        best = int(curve.argmax())
        return Why(float(frames.times[best]), float(curve[best]), stretch.segments)
