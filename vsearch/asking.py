"""What is asked of a library: its terms as a vector and as words, and the moments that answer."""

from __future__ import annotations

import logging
import math
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.named import named
from vsearch.catalog.narrowing import narrowed
from vsearch.errors import NoTextError, QueryError, SpaceMismatchError, VSearchError
from vsearch.listening import Listened, listened
from vsearch.search.background import Background
from vsearch.search.clip import Clip
from vsearch.search.confidence import Confidence, sure, told
from vsearch.search.copies import Copies, first
from vsearch.search.diversity import collapsed, diverse, limited
from vsearch.search.engine import Engine
from vsearch.search.following import following, outstanding
from vsearch.search.fusion import Place, Scale, by_words, fused
from vsearch.search.meanings import Meanings
from vsearch.search.querybank import Querybank
from vsearch.search.spoken import Spoken
from vsearch.search.terms import combine, term_vector
from vsearch.types import Curve, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vsearch.analysis.duplicates import Shared
    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Parts
    from vsearch.model import Model
    from vsearch.protocols import Encoder, Pooler
    from vsearch.search.calibration import Calibration
    from vsearch.search.current import Current, CurrentIndex
    from vsearch.search.excess import Excess
    from vsearch.search.teaching import Lesson
    from vsearch.search.why import Weigh
    from vsearch.types import Ids, Matrix, Moment, Query, Space, Term, Times, Vector, Video
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)

PER_VIDEO = 3  # moments of one video among the results, while others fit
SPARE = 10  # moments that are found beyond those asked for, as some may be nearly the same
STEP = 100  # moments of each step of A-then-B, where words are among them
LEAST_SPREAD = 0.02  # of scores, in a library of few scenes
SEEN = ("text", "image", "clip")  # what pictures can answer


@dataclass(frozen=True, slots=True)
class _Known:
    """What was measured last, of one state of the library."""

    current: Current
    encoder: Encoder
    backgrounds: dict[bool, Background]  # for queries of words alone, and for others

    def fits(self, answering: _Answering) -> bool:
        """Whether it is of that state; every other one has a list of ids of its own."""
        same_ids = self.current.ids is answering.current.ids
        return same_ids and self.encoder is answering.encoder


@dataclass(frozen=True, slots=True)
class _Answering:
    """The present index, and the model of its space."""

    current: Current
    encoder: Encoder


@dataclass(frozen=True, slots=True)
class _Asked:
    """How many moments are wanted, and of what."""

    k: int
    per_video: int
    fill: bool  # places that would stay empty are given to further moments of the same videos
    among: Ids | None  # segments; None: all
    outstanding: bool = False  # only what stands out as a step of a sequence has to
    lesson: Lesson | None = None  # what was marked for the query


@dataclass(frozen=True, slots=True)
class _Looking:
    """What terms mean in pictures, and what answers them."""

    engine: Engine
    vector: Vector  # float32 (D,)
    clip: Clip | None  # where nothing else was asked for, and it is not in the library

    @property
    def scale(self) -> Scale:
        """How the terms score on segments of the library."""
        scores = self.engine.sample @ self.vector
        if not len(scores):
            return Scale(0.0, LEAST_SPREAD)
        return Scale(float(scores.mean()), max(float(scores.std()), LEAST_SPREAD))


class Asking:
    """Answers queries from the parts of one library. Safe to use from several threads."""

    def __init__(
        self,
        catalog: Catalog,
        features: FeatureStore,
        current: CurrentIndex,
        model: Model,
        confidence: Confidence,
        excess: Excess,
        *,
        pooler: Callable[[], Pooler],
        parts: Callable[[], Parts],
        lesson: Callable[[Query, Space], Lesson | None],
    ) -> None:
        """`pooler` and `parts`, which a clip passes through, are made when they are needed.

        `lesson` tells what was marked for a query.
        """
        self._lesson = lesson
        self._catalog, self._features, self._current = catalog, features, current
        self._model, self._pooler, self._parts = model, pooler, parts
        self._confidence, self._excess = confidence, excess
        self._meanings = Meanings(catalog, lambda: model.pictures)
        self._known: _Known | None = None
        self._lock = threading.Lock()

    def search(
        self, query: Query, k: int, per_video: int | None, *, varied: bool, alike: bool
    ) -> list[Moment]:
        """The k best moments, see `Library.search`."""
        if k < 1 or (per_video is not None and per_video < 1):
            raise QueryError("k and per_video must be at least 1")
        for terms in (query.terms, *(step.terms for step in query.then)):
            if all(term.weight < 0 for term in terms):
                raise QueryError("this only says what not to look for: say what to look for, too")
        limit, fill = per_video or min(PER_VIDEO, math.ceil(k / 2)), per_video is None
        if (answering := self._answering()) is None:
            return []
        more = k + min(k, SPARE) if varied or not alike else k
        lesson = self._lesson(query, answering.current.space)
        asked = _Asked(more, limit, fill, narrowed(self._catalog, query), lesson=lesson)
        if query.then:
            found = self._followed(query, answering, asked)
        else:
            found = self._answered(query.terms, answering, asked)
        if varied or not alike:
            vectors = self._vectors(found, answering.current.space)
            if varied:
                found = diverse(found, vectors, len(found))
                vectors = self._vectors(found, answering.current.space)
            if not alike:
                found = collapsed(found, vectors)
        if lesson is not None:
            found = lesson.ordered(found)
        return limited(found, k, limit, fill=fill)

    def _answered(
        self, terms: Sequence[Term], answering: _Answering, asked: _Asked
    ) -> list[Moment]:
        """What answers terms, in pictures and in words, best first."""
        heard = self._listened(terms, asked.among)
        seen = [term for term in terms if term.kind in SEEN]
        if not seen:
            return by_words(heard.places)
        try:
            looking = self._looking(seen, answering)
        except NoTextError:
            if not heard.places or any(term.kind != "text" for term in seen):
                raise
            return by_words(heard.places)  # they are said, though the model reads no words
        if asked.lesson is not None:
            vector = asked.lesson.taught(looking.vector, looking.engine.sample)
            looking = replace(looking, vector=vector)
        found = looking.engine.search(
            looking.vector,
            asked.k,
            among=heard.among,
            per_video=asked.per_video,
            fill=asked.fill,
        )
        if looking.clip is not None:
            sample = looking.engine.sample
            finder = Copies(self._catalog, self._features, answering.current, sample, heard.among)
            found = first(finder.of(looking.clip), found, asked.k, None)
        calibrated = self._calibration(seen, looking, answering, heard.among)
        found = told(found, calibrated)
        if heard.places:
            places = self._scored(heard.places, looking, answering)
            found = fused(found, sure(places, found, calibrated), looking.scale)
        if asked.outstanding:
            found = outstanding(found, looking.scale.background)
        return found

    def _calibration(
        self, terms: Sequence[Term], looking: _Looking, answering: _Answering, among: Ids | None
    ) -> Calibration | None:
        engine = looking.engine
        return self._confidence.calibration(
            terms, answering.encoder, answering.current, engine.sample, engine.bank, among
        )

    def _followed(self, query: Query, answering: _Answering, asked: _Asked) -> list[Moment]:
        """What answers one step after the other."""
        steps = [query.terms, *(step.terms for step in query.then)]
        within = [step.within for step in query.then]
        if all(term.kind in SEEN for terms in steps for term in terms):
            looking = [self._looking(terms, answering) for terms in steps]
            found = looking[0].engine.sequence(
                [each.vector for each in looking],
                within,
                asked.k,
                among=asked.among,
                per_video=asked.per_video,
                fill=asked.fill,
            )
            return self._sure(found, list(zip(looking, steps, strict=True)), answering, asked)
        each = replace(asked, k=STEP, per_video=STEP, outstanding=True)
        return following([self._answered(terms, answering, each) for terms in steps], within)

    def _sure(
        self,
        found: Sequence[Moment],
        steps: Sequence[tuple[_Looking, Sequence[Term]]],
        answering: _Answering,
        asked: _Asked,
    ) -> list[Moment]:
        """Sequences with their confidence: that of the weakest step, for all of it has to be so."""
        chances: list[list[float]] = []
        for number, (looking, terms) in enumerate(steps):
            calibrated = self._calibration(terms, looking, answering, asked.among)
            if calibrated is None:
                return list(found)
            spans = [(moment.video.id, moment.why.steps[number]) for moment in found]
            chances.append(calibrated.confidences(self._scores(spans, looking, answering)))
        return [
            replace(moment, confidence=min(each))
            for moment, *each in zip(found, *chances, strict=True)
        ]

    def _looking(self, terms: Sequence[Term], answering: _Answering) -> _Looking:
        """What is asked of pictures. Raises QueryError, NoTextError and MediaError."""
        encoder = answering.encoder
        engine = self._engine(answering, words=all(term.kind == "text" for term in terms))
        clips = {
            term: self._clip(Path(term.value), term.span, encoder.space)
            for term in terms
            if term.kind == "clip"
        }
        vectors = [
            clips[term].vector if term in clips else term_vector(term, encoder) for term in terms
        ]
        vector = combine(vectors, [term.weight for term in terms], engine.sample)
        alone = clips.get(terms[0]) if len(terms) == 1 else None
        # what is in the library finds itself
        return _Looking(engine, vector, alone if alone and alone.video is None else None)

    def _engine(self, answering: _Answering, *, words: bool) -> Engine:
        """What searches the library as it is now; what it measured last is kept."""
        current, encoder = answering.current, answering.encoder
        with self._lock:
            known = self._known
            if known is None or not known.fits(answering):
                known = self._known = _Known(current, encoder, {})
            if (background := known.backgrounds.get(words)) is None:
                bank = Querybank.of(encoder) if words else Querybank.empty(encoder.space.dim)
                background = Background(self._catalog, current, bank, self._excess)
                known.backgrounds[words] = background
        return Engine(
            self._catalog, self._features, current, background.bank, self._weigh, background
        )

    def _listened(self, terms: Sequence[Term], among: Ids | None) -> Listened:
        if not any(term.kind in ("text", "said", "shown") for term in terms):
            return Listened([], among)
        spoken = Spoken(self._catalog, self._meanings)
        return listened(terms, among, self._catalog, spoken)

    def _scored(
        self, places: Sequence[Place], looking: _Looking, answering: _Answering
    ) -> list[Place]:
        """What the pictures score where words were found."""
        spans = [(place.video.id, place.span) for place in places]
        scores = self._scores(spans, looking, answering)
        return [replace(place, seen=seen) for place, seen in zip(places, scores, strict=True)]

    def _scores(
        self, spans: Sequence[tuple[int, Span]], looking: _Looking, answering: _Answering
    ) -> list[float]:
        """The best score of the segments that overlap spans of videos, named by their ids."""
        overlapping = self._catalog.overlapping(spans)
        wanted = _united(overlapping)
        known, rows = self._catalog.vectors(wanted, answering.current.space)
        scores = looking.engine.scores(rows, looking.vector)
        return [
            float(scores[np.isin(known, ids)].max(initial=looking.scale.background))
            for ids in overlapping
        ]

    def _vectors(self, found: Sequence[Moment], space: Space) -> Matrix:
        """The vectors of the segments that fit best, float32 (N, D)."""
        return self._catalog.shown_at([(one.video.id, one.why.peak) for one in found], space)

    def curve(self, query: Query, video: Video) -> Curve:
        """How well each stored frame of a video fits, see `Library.curve`."""
        empty: Vector = np.empty(0, np.float32)
        steps = [query.terms, *(step.terms for step in query.then)]
        seen = [[term for term in terms if term.kind in SEEN] for terms in steps]
        if (answering := self._answering()) is None or not any(seen):
            return Curve(np.empty(0, np.float64), empty, 0.0)
        space = answering.current.space
        features, lesson = self._features.load(video.id, space), self._lesson(query, space)
        scores, usual = np.full(len(features.times), -1.0, np.float32), -1.0
        for terms in filter(None, seen):
            looking = self._looking(terms, answering)
            if lesson is not None:
                taught = lesson.taught(looking.vector, looking.engine.sample)
                looking = replace(looking, vector=taught)
            own = looking.engine.scores(features.matrix, looking.vector)
            scores, usual = np.maximum(scores, own), max(usual, looking.scale.background)
        return Curve(features.times, scores, usual)

    def similar(self, path: Path, span: Span | None, k: int, *, same_video: bool) -> list[Moment]:
        """The k moments most like a video or a span of it, see `Library.similar`."""
        if k < 1:
            raise QueryError("k must be at least 1")
        answering = self._answering()
        if answering is None:
            return []
        current, encoder = answering.current, answering.encoder
        clip = self._clip(self._meant(path), span, encoder.space)
        engine = self._engine(answering, words=False)
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

        file = Path(os.path.expanduser(path))  # noqa: PTH111 - never raises
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

    def _weigh(self, frames: Matrix, times: Times) -> Vector:
        """How much each frame counts, float32 (T,).

        Nothing where the pooler does not tell; one that is lost or damaged stops no search.
        """
        nothing: Vector = np.empty(0, np.float32)
        try:
            weigh: Weigh | None = getattr(self._pooler(), "weigh", None)
        except VSearchError as error:
            log.warning("%s", error)
            return nothing
        return nothing if weigh is None else weigh(frames, times)

    def _answering(self) -> _Answering | None:
        """The present index and the model of its space; None while nothing is indexed."""
        while (current := self._current.get()) is not None:
            try:
                return _Answering(current, self._model.fitting(current.space, self._catalog))
            except SpaceMismatchError:
                if self._catalog.space() == current.space:
                    raise  # else another space has just come to answer
        return None

    def _clip(self, named: Path, span: Span | None, space: Space) -> Clip:
        """A part of a video as it went in, where it is in the library, else decoded the same way.

        Raises MediaError, and QueryError where the video ends before the part.
        """
        from vsearch.ingest import describe, pooled  # deferred: a text query needs no decoder

        path = Path(os.path.expanduser(named))  # noqa: PTH111 - never raises
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


def _united(ids: Iterable[Ids]) -> Ids:
    """All of some ids, ascending, each once; NumPy's own way to it is slow to load."""
    return np.array(sorted({one for some in ids for one in some.tolist()}), np.int64)


def _segments(times: Times, cuts: Times, span: Span) -> tuple[Span, ...]:
    """The segments of a part of a video, as if it were a whole one."""
    from vsearch.media.sampling import segments

    found = segments(times - span.start, cuts - span.start, span.duration)
    moved = (Span(one.start + span.start, one.end + span.start) for one in found)
    return tuple(moved) or (span,)
