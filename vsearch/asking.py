"""What is asked of a library: terms to one vector, and its moments by the index as it is now."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.named import named
from vsearch.catalog.tags import meant
from vsearch.errors import QueryError, SpaceMismatchError, VSearchError
from vsearch.search.clip import Clip
from vsearch.search.confidence import Confidence, told
from vsearch.search.copies import Copies, first
from vsearch.search.engine import Engine
from vsearch.search.querybank import Querybank
from vsearch.search.terms import combine, term_vector
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vsearch.analysis.duplicates import Shared
    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Parts
    from vsearch.model import Model
    from vsearch.protocols import Encoder, Pooler
    from vsearch.search.current import Current, CurrentIndex
    from vsearch.search.engine import Weigh
    from vsearch.types import Ids, Moment, Query, Space, Times
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)

PER_VIDEO = 3  # moments of one video among the results, while others fit


class Asking:
    """Answers queries from the parts of one library. Safe to use from several threads."""

    def __init__(
        self,
        catalog: Catalog,
        features: FeatureStore,
        current: CurrentIndex,
        model: Model,
        confidence: Confidence,
        *,
        pooler: Callable[[], Pooler],
        parts: Callable[[], Parts],
    ) -> None:
        """`pooler` and `parts`, which a clip passes through, are made when they are needed."""
        self._catalog, self._features, self._current = catalog, features, current
        self._model, self._pooler, self._parts = model, pooler, parts
        self._confidence = confidence

    def search(self, query: Query, k: int, per_video: int | None) -> list[Moment]:
        """The k best moments, see `Library.search`."""
        if k < 1 or (per_video is not None and per_video < 1):
            raise QueryError("k and per_video must be at least 1")
        limit = per_video or min(PER_VIDEO, math.ceil(k / 2))
        answering = self._answering()
        if answering is None:
            return []
        current, encoder = answering
        words = all(term.kind == "text" for term in query.terms)
        bank = Querybank.of(encoder) if words else Querybank.empty(encoder.space.dim)
        engine = Engine(self._catalog, self._features, current, bank, self._weigh())
        among = self._among(query)
        clips = {
            term: self._clip(Path(term.value), term.span, encoder.space)
            for term in query.terms
            if term.kind == "clip"
        }
        vectors = [
            clips[term].vector if term in clips else term_vector(term, encoder)
            for term in query.terms
        ]
        vector = combine(vectors, [term.weight for term in query.terms], engine.sample)
        found = engine.search(vector, k, among=among, per_video=limit, fill=per_video is None)
        calibrated = self._confidence.calibration(
            query.terms, encoder, current, engine.sample, bank, among
        )
        alone = clips.get(query.terms[0]) if len(query.terms) == 1 else None
        if alone is None or alone.video is not None:  # what is in the library finds itself
            return told(found, calibrated)
        finder = Copies(self._catalog, self._features, current, engine.sample, among)
        return told(first(finder.of(alone), found, k, per_video), calibrated)

    def similar(self, path: Path, span: Span | None, k: int, *, same_video: bool) -> list[Moment]:
        """The k moments most like a video or a span of it, see `Library.similar`."""
        if k < 1:
            raise QueryError("k must be at least 1")
        answering = self._answering()
        if answering is None:
            return []
        current, encoder = answering
        clip = self._clip(self._meant(path), span, encoder.space)
        engine = Engine(self._catalog, self._features, current, Querybank.empty(encoder.space.dim))
        among = self._others(clip, current.ids, same_video=same_video)
        limit = min(PER_VIDEO, math.ceil(k / 2))
        return engine.search(clip.vector, k, among=among, per_video=limit)

    def duplicates(self, paths: Sequence[str]) -> Iterator[Shared]:
        """What videos share with others, see `Library.duplicates`."""
        from vsearch.analysis.duplicates import duplicates, exact  # deferred: brings a decoder
        from vsearch.media.discovery import find_videos, fingerprint

        space = self._catalog.space()
        asked = named(self._catalog, paths) if paths else self._catalog.videos()
        known = {video.path for video in asked}
        files = [one.path for one in find_videos(paths) if one.error is None] if paths else []
        if not asked and not files:
            raise QueryError(f"{', '.join(paths)}: no such video, in the library or on disk")
        for path in files:
            twins = self._catalog.by_fingerprint(fingerprint(path)) if path not in known else []
            yield from (exact(path, twin) for twin in twins)
        if space is not None:
            yield from duplicates(self._catalog, self._features, space, asked)

    def _meant(self, path: Path) -> Path:
        """The file that a path is; a name that no file has is that of a video in the library.

        The same content elsewhere in the library is taken in its stead: that is not decoded.
        """
        from vsearch.media.discovery import fingerprint  # deferred: a text query needs none

        file = path.expanduser()
        if not file.is_file():
            found = named(self._catalog, [str(path)])
            if len(found) > 1:
                raise QueryError(f"{path}: {len(found)} videos are called that; name one by path")
            return found[0].path if found else file
        if self._catalog.find(Path(os.path.abspath(file))):  # noqa: PTH100 - as discovery does
            return file
        return next((one.path for one in self._catalog.by_fingerprint(fingerprint(file))), file)

    def _others(self, clip: Clip, ids: Ids, *, same_video: bool) -> Ids | None:
        """The segments that are not of the clip's video; with `same_video`, not of the clip."""
        if clip.video is None:
            return None
        own = [
            segment.id
            for segment in self._catalog.segments_of(clip.video.id)
            if not same_video
            or (segment.span.start < clip.span.end and clip.span.start < segment.span.end)
        ]
        return np.setdiff1d(ids, own)

    def _weigh(self) -> Weigh | None:
        """What tells the weight of frames; a pooler that is lost or damaged stops no search."""
        try:
            found: Weigh | None = getattr(self._pooler(), "weigh", None)
        except VSearchError as error:
            log.warning("%s", error)
            return None
        return found

    def _answering(self) -> tuple[Current, Encoder] | None:
        """The present index and the model of its space; None while nothing is indexed."""
        while (current := self._current.get()) is not None:
            try:
                return current, self._model.fitting(current.space, self._catalog)
            except SpaceMismatchError:
                if self._catalog.space() == current.space:
                    raise  # else another space has just come to answer
        return None

    def _clip(self, named: Path, span: Span | None, space: Space) -> Clip:
        """A part of a video as it went in, where it is in the library, else decoded the same way.

        Raises MediaError, and QueryError where the video ends before the part.
        """
        from vsearch.ingest import describe, pooled  # deferred: a text query needs no decoder

        path = named.expanduser()
        known = self._catalog.find(Path(os.path.abspath(path)))  # noqa: PTH100 - as discovery does
        if known is not None:
            features, end = self._features.load(known.id, space), known.duration
            cuts = np.array([one.span.start for one in self._catalog.segments_of(known.id)])
        else:
            described = describe(path, self._parts(), span=span)
            features, end, cuts = described.features, described.end, described.cuts
        if span is not None and span.start >= end:
            raise QueryError(f"{path} ends after {end:.1f} s, before the part that was asked for")
        span = Span(span.start, min(span.end, end)) if span else Span(0.0, end)
        features = features.within(span)
        spans = _segments(features.times, cuts, span)
        return Clip(path, span, features, spans, pooled(features, spans, self._pooler()), known)

    def _among(self, query: Query) -> Ids | None:
        """The segments that the filters of a query leave; None where there are none."""
        left: Ids | None = None
        if query.filters.videos:
            videos = named(self._catalog, list(query.filters.videos))
            left = self._catalog.segment_ids([video.id for video in videos])
        known = self._catalog.labels() if query.filters.tags else []
        for tag in query.filters.tags:
            left = self._catalog.tagged(meant(tag, known), left)
        return left


def _segments(times: Times, cuts: Times, span: Span) -> tuple[Span, ...]:
    """The segments of a part of a video, as if it were a whole one."""
    from vsearch.media.sampling import segments

    found = segments(times - span.start, cuts - span.start, span.duration)
    moved = (Span(one.start + span.start, one.end + span.start) for one in found)
    return tuple(moved) or (span,)
