"""A folder with a catalogue, frame features and an index; wires the parts together."""

from __future__ import annotations

import math
import os
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch import config
from vsearch.catalog.lock import WriteLock
from vsearch.catalog.named import named
from vsearch.encoders.text_tower import TextTower
from vsearch.errors import (
    DamagedLibraryError,
    LibraryError,
    NoLibraryError,
    QueryError,
    SpaceMismatchError,
)
from vsearch.plugins import encoder as make_encoder
from vsearch.plugins import resolve
from vsearch.search.current import CurrentIndex
from vsearch.search.engine import Engine
from vsearch.search.query import query_of
from vsearch.search.terms import combine, term_vector
from vsearch.types import Info, Ingested, Outcome, Query
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Parts
    from vsearch.protocols import Encoder
    from vsearch.types import (
        Features,
        Ids,
        Matrix,
        Moment,
        Progress,
        Segment,
        Space,
        Span,
        Vector,
        Video,
    )

    Name = str | os.PathLike[str]

CATALOG = "catalog.sqlite3"
PER_VIDEO = 3  # moments of one video among the results, while others fit


class Library:
    """A library of videos. Safe to use from several threads; one process writes at a time."""

    def __init__(
        self,
        path: Path,
        catalog: Catalog,
        settings: config.Settings,
        encoder: Encoder | None,
        *,
        resample: bool,
    ) -> None:
        """Use `Library.open`. `resample` indexes anew what was sampled at another rate."""
        self.path, self.settings = path, settings
        self._encoder, self._resample = encoder, resample
        self._words: Encoder | None = None
        self._lock = threading.RLock()  # makes the parts
        self._catalog = catalog
        self._features = FeatureStore(path / "features")
        self._current = CurrentIndex(catalog, path / "vectors", settings.index)

    @classmethod
    def open(
        cls,
        path: Name | None = None,
        *,
        create: bool = True,
        model: str | None = None,
        text_model: str | None = None,
        device: str | None = None,
        fps: float | None = None,
        pooler: str | None = None,
        index: str | None = None,
        encoder: Encoder | None = None,
    ) -> Self:
        """Open the library in a folder, made if need be, or the default one.

        `encoder` stands in for the model that the settings name; `text_model` names another one
        whose words fit its pictures ("" for none). Settings that are None come from
        VSEARCH_* variables, the library's vsearch.toml or the defaults. Raises NoLibraryError
        (when it may not be created), NewerLibraryError, DamagedLibraryError and SettingsError.
        """
        from vsearch.catalog.repository import Catalog  # deferred: brings SQLAlchemy

        folder = config.library_path(path)
        if folder.exists() and not folder.is_dir():
            raise LibraryError(f"{folder}: is a file; a library is a folder of its own")
        if not create and not (folder / CATALOG).exists():
            raise NoLibraryError(
                f"{folder}: there is no library; make one with `vsearch --library {folder} "
                "index FOLDER`"
            )
        flags = {"model": model, "device": device, "fps": fps, "pooler": pooler, "index": index}
        flags["text_model"] = text_model
        settings = config.load(folder, flags)
        catalog = Catalog.open(folder / CATALOG, create=create)
        return cls(folder, catalog, settings, encoder, resample=fps is not None)

    def close(self) -> None:
        """Let go of the files."""
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- putting videos in and taking them out

    def index(
        self,
        paths: Iterable[Name],
        *,
        again: bool = False,
        progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[Ingested]:
        """Bring files, folders and globs into the library; one Ingested for each file.

        What is known is passed over, unless `again`; what changed is indexed anew; what moved is
        found by its content. May be stopped at any time and run again. Raises LockedError,
        SpaceMismatchError and ModelError.
        """
        from vsearch.ingest import Run, ingest  # deferred: a query needs no decoder
        from vsearch.media.discovery import find_videos

        with self._writing():
            queue = list(find_videos(map(Path, paths)))
            run = Run([_size(found.path) for found in queue], progress)
            for number, found in enumerate(queue):
                if found.error is not None:
                    yield Ingested(found.path, Outcome.FAILED, error=found.error)
                    continue
                yield ingest(
                    found.path,
                    self._catalog,
                    self._features,
                    self._parts_to_index,
                    fps=self.settings.fps if self._resample else None,
                    again=again,
                    progress=run.reporter(found.path, number),
                )

    def remove(self, paths: Iterable[Name]) -> list[Video]:
        """Take videos out of the library (see `videos`); the files themselves stay."""
        asked = list(paths)
        return self._remove(self.videos(asked) if asked else [])

    def _remove(self, videos: list[Video]) -> list[Video]:
        with self._writing():
            with self._catalog.begin() as change:
                change.remove_videos([video.id for video in videos])
            for video in videos:
                self._features.remove(video.id)
        return videos

    def forget_missing(self) -> list[Video]:
        """Take those videos out of the library whose files are gone."""
        return self._remove(self.missing())

    def rebuild(self) -> int:
        """Pool the stored features anew and rebuild the index; no video is decoded.

        Returns the number of segments. Raises DamagedLibraryError if features are missing.
        """
        from vsearch.ingest import pool_again  # deferred: a query needs no decoder

        with self._writing():
            self._current.forget()
            pool_again(self._catalog, self._features, self._parts().pooler)
        return self._catalog.counts().segments

    # --- asking

    def search(
        self,
        query: str | Query = "",
        *,
        image: Name | None = None,
        clip: Name | None = None,
        span: Span | tuple[float, float] | None = None,
        k: int = 10,
        videos: Sequence[str] = (),
        per_video: int | None = None,
    ) -> list[Moment]:
        """The k moments that fit best, best first.

        `query` is text or a Query; `image` a picture file; `clip` a video file and `span` the
        part of it that counts, in seconds. `videos` narrows the search, see `Library.videos`.
        No more than `per_video` moments of one video are given; where that is None, no more than 3,
        or half of k, while other videos fit. Raises QueryError, NoTextError and MediaError.
        """
        if not isinstance(query, Query):
            query = query_of(query, image, clip, span, videos)
        elif videos or (image, clip, span) != (None, None, None):
            raise QueryError("a Query holds its own pictures, clips and filters: give it alone")
        if k < 1 or (per_video is not None and per_video < 1):
            raise QueryError("k and per_video must be at least 1")
        limit = per_video or min(PER_VIDEO, math.ceil(k / 2))
        fill = per_video is None
        current = self._current.get()
        if current is None:
            return []
        self._same_space(current.space)
        engine = Engine(self._catalog, self._features, current)
        vector = self._vector(query, engine.sample)
        return engine.search(vector, k, among=self._among(query), per_video=limit, fill=fill)

    def still(self, video: Video, time: float, *, width: int = 320) -> bytes:
        """A JPEG of the frame shown at `time` seconds. Raises MediaError."""
        from vsearch.media.stills import still  # deferred: only who wants pictures pays for av

        return still(video.path, time, width=width)

    def videos(self, paths: Sequence[Name] = ()) -> list[Video]:
        """The videos in the library, sorted by path; if paths are given, those that they mean.

        A path means that video or all below that folder. What has `*`, `?` or `[` in it, and a
        name of which there is no file here, is a glob over the whole library.
        """
        return named(self._catalog, list(map(str, paths))) if paths else self._catalog.videos()

    def missing(self) -> list[Video]:
        """Videos in the library whose files are gone."""
        from vsearch.ingest import gone  # deferred: a query needs no decoder

        return [video for video in self._catalog.videos() if gone(video.path)]

    def segments(self, video: Video) -> tuple[list[Segment], Matrix]:
        """The segments of a video as they follow each other, and their vectors, float32 (S, D)."""
        space = self._catalog.space()
        segments = self._catalog.segments_of(video.id)
        if space is None or not segments:
            return [], np.empty((0, space.dim if space else 0), np.float32)
        ids = np.array([segment.id for segment in segments], np.int64)
        found, vectors = self._catalog.vectors(ids, space)
        have = set(found.tolist())
        return [segment for segment in segments if segment.id in have], vectors

    @property
    def space(self) -> Space | None:
        """The embedding space of the library; None while nothing is indexed."""
        return self._catalog.space()

    def info(self) -> Info:
        """What the library holds."""
        counts = self._catalog.counts()
        size = sum(map(_size, self.path.rglob("*")))
        return Info(
            self.path,
            self._catalog.space(),
            self._catalog.pooler(),
            counts.videos,
            counts.segments,
            counts.seconds,
            counts.frames,
            size,
        )

    def doctor(self) -> list[str]:
        """What is wrong with the library, a line each; empty when it is sound."""
        problems = self._catalog.check()
        try:
            videos = {video.id: video for video in self._catalog.videos()}
            space = self._catalog.space()
        except DamagedLibraryError:
            return problems  # which say so
        stored = self._features.ids()
        for video_id in sorted(videos.keys() - stored):
            problems.append(f"{videos[video_id].path}: frame features are missing; index it again")
        problems += [
            f"{videos[video_id].path}: its frame features are damaged; "
            "index it with `vsearch index --again`"
            for video_id in self._features.damaged(space)
            if video_id in videos
        ]
        if orphans := stored - videos.keys():
            problems.append(
                f"{len(orphans)} feature files belong to no video; the next `vsearch index` "
                "deletes them"
            )
        problems += [
            f"{video.path}: the file is gone; `vsearch remove --missing` forgets it"
            for video in self.missing()
        ]
        return problems

    # --- the parts, made when they are needed

    @property
    def encoder(self) -> Encoder:
        """The model of pictures, and of words where no other is named for them.

        Raises ModelError; what the other model raises is raised when words are encoded.
        """
        settings = self.settings
        if not settings.text_model:
            return self._pictures
        with self._lock:
            if self._words is None:
                load = partial(make_encoder, settings.text_model, settings.device)
                self._words = TextTower(self._pictures, settings.text_model, load)
            return self._words

    @property
    def _pictures(self) -> Encoder:
        """The model that the settings name: what indexes. Raises ModelError."""
        with self._lock:
            if self._encoder is None:
                self._encoder = make_encoder(self.settings.model, self.settings.device)
            return self._encoder

    def _parts(self) -> Parts:
        from vsearch.ingest import Parts  # deferred: a query needs no decoder

        with self._lock:
            pooler = resolve("poolers", self.settings.pooler)()
            detector = resolve("shots", self.settings.shots)
            return Parts(self._pictures, pooler, detector, self.settings.fps)

    def _parts_to_index(self) -> Parts:
        """Those that fit what the library holds; what an empty one is given becomes its own."""
        parts, space = self._parts(), self._catalog.space()
        if space is None or not self._catalog.counts().segments:
            config.save(self.path, self.settings)
            return parts
        self._same_space(space)
        if (known := self._catalog.pooler()) not in (None, parts.pooler.name):
            raise SpaceMismatchError(
                f"{self.path} holds segments pooled by {known}, not {parts.pooler.name}: run "
                "`vsearch rebuild` first, to pool them anew"
            )
        return parts

    def _same_space(self, space: Space) -> None:
        if self._pictures.space != space:
            raise SpaceMismatchError(
                f"{self.path} was indexed with {space.name}, but the model {self.settings.model} "
                f"is {self._pictures.space.name}: name the one that the library was made with by "
                "--model, or use another --library"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the one writer: clean up after an interrupted one first, save the index at the end."""
        with WriteLock(self.path):
            before = self._catalog.revision()
            self._features.sweep({video.id for video in self._catalog.videos()})
            self._current.sweep()
            try:
                yield
            finally:
                if self._catalog.revision() != before:
                    self._current.save()

    def _describe(self, path: Path, span: Span | None) -> Features:
        """Frame features of a clip: the stored ones if it is in the library, else decoded."""
        from vsearch.ingest import describe  # deferred: a text query needs no decoder

        known = self._catalog.find(Path(os.path.abspath(path)))  # noqa: PTH100 - as discovery does
        if known is not None:
            features, end = self._features.load(known.id, self._catalog.space()), known.duration
            features = features.within(span) if span else features
        else:
            described = describe(path, self._parts(), span=span)
            features, end = described.features, described.end
        if span is not None and span.start >= end:
            raise QueryError(f"{path} ends after {end:.1f} s, before the part that was asked for")
        return features

    def _vector(self, query: Query, sample: Matrix) -> Vector:
        pooler = resolve("poolers", self.settings.pooler)()
        vectors = [term_vector(term, self.encoder, pooler, self._describe) for term in query.terms]
        return combine(vectors, [term.weight for term in query.terms], sample)

    def _among(self, query: Query) -> Ids | None:
        if not query.videos:
            return None
        return self._catalog.segment_ids([video.id for video in self.videos(query.videos)])


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # gone meanwhile, or not to be read
        return 0
