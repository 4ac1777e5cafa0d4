"""A folder with a catalogue, frame features and an index; wires the parts together."""

from __future__ import annotations

import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch import config
from vsearch.catalog.lock import WriteLock
from vsearch.errors import NoLibraryError, QueryError, SpaceMismatchError
from vsearch.plugins import resolve
from vsearch.search.current import CurrentIndex
from vsearch.search.engine import Engine
from vsearch.search.query import parse
from vsearch.search.terms import combine, term_vector
from vsearch.types import Ingested, Outcome, Progress, Query, Span, Term
from vsearch.vectors.features import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Self

    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Parts
    from vsearch.protocols import Encoder, Pooler
    from vsearch.types import Features, Ids, Matrix, Moment, Space, Vector, Video

    Name = str | os.PathLike[str]

CATALOG = "catalog.sqlite3"
PER_VIDEO = 3  # moments of one video among the results, while others fit


@dataclass(frozen=True, slots=True)
class Info:
    """What a library holds."""

    path: Path
    space: Space | None  # None while nothing is indexed
    pooler: str | None
    videos: int
    segments: int
    seconds: float  # of video
    frames: int  # sampled
    size: int  # bytes on disk


class Library:
    """A library of videos. Safe to use from several threads; one process writes at a time."""

    def __init__(
        self, path: Path, catalog: Catalog, settings: config.Settings, encoder: Encoder | None
    ) -> None:
        """Use `Library.open`."""
        self.path, self.settings = path, settings
        self._encoder = encoder
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
        device: str | None = None,
        fps: float | None = None,
        pooler: str | None = None,
        index: str | None = None,
        encoder: Encoder | None = None,
    ) -> Self:
        """Open the library in a folder, made if need be, or the default one.

        `encoder` stands in for the model that the settings name. Settings that are None come from
        VSEARCH_* variables, the library's vsearch.toml or the defaults. Raises NoLibraryError
        (when it may not be created), NewerLibraryError, DamagedLibraryError and SettingsError.
        """
        from vsearch.catalog.repository import Catalog  # deferred: brings SQLAlchemy

        folder = config.library_path(path)
        if not create and not (folder / CATALOG).exists():
            raise NoLibraryError(
                f"{folder}: there is no library; make one with `vsearch --library {folder} "
                "index FOLDER`"
            )
        flags = {"model": model, "device": device, "fps": fps, "pooler": pooler, "index": index}
        settings = config.load(folder, flags)
        return cls(folder, Catalog.open(folder / CATALOG, create=create), settings, encoder)

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
        from vsearch.ingest import ingest  # deferred: a query needs no decoder
        from vsearch.media.discovery import find_videos

        with self._writing():
            queue = list(find_videos(map(Path, paths)))
            sizes = [_size(found.path) for found in queue]
            for number, found in enumerate(queue):
                if found.error is not None:
                    yield Ingested(found.path, Outcome.FAILED, error=found.error)
                    continue
                yield ingest(
                    found.path,
                    self._catalog,
                    self._features,
                    lambda: self._parts,
                    fps=self.settings.fps,
                    again=again,
                    progress=_reporter(found.path, number, sizes, progress),
                )

    def remove(self, paths: Iterable[Name]) -> list[Video]:
        """Take videos out of the library, by path or glob; the files themselves stay."""
        globs = [str(path) for path in paths]
        return self._remove(self._catalog.videos(globs) if globs else [])

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
            pool_again(self._catalog, self._features, self._pooler)
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
        part of it that counts, in seconds. `videos` are globs that the video's path must match.
        No more than `per_video` moments of one video are given while others fit: 3 by default, and
        never more than half of k. Raises QueryError, NoTextError and MediaError.
        """
        asked = query if isinstance(query, Query) else _query(query, image, clip, span, videos)
        if k < 1:
            raise QueryError(f"k must be at least 1, not {k}")
        limit = per_video or min(PER_VIDEO, math.ceil(k / 2))
        current = self._current.get()
        if current is None:
            return []
        self._same_space(current.space)
        engine = Engine(self._catalog, self._features, current)
        vector = self._vector(asked, engine.sample)
        return engine.search(vector, k, among=self._among(asked), per_video=limit)

    def still(self, video: Video, time: float, *, width: int = 320) -> bytes:
        """A JPEG of the frame shown at `time` seconds. Raises MediaError."""
        from vsearch.media.stills import still  # deferred: only who wants pictures pays for av

        return still(video.path, time, width=width)

    def videos(self, globs: Sequence[str] = ()) -> list[Video]:
        """The videos in the library, by path; those that match a glob, if any is given."""
        return self._catalog.videos(globs)

    def missing(self) -> list[Video]:
        """Videos in the library whose files are gone."""
        return [video for video in self._catalog.videos() if not video.path.exists()]

    @property
    def space(self) -> Space | None:
        """The embedding space of the library; None while nothing is indexed."""
        return self._catalog.space()

    def info(self) -> Info:
        """What the library holds."""
        counts = self._catalog.counts()
        size = sum(file.stat().st_size for file in self.path.rglob("*") if file.is_file())
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
        videos = {video.id: video for video in self._catalog.videos()}
        stored = self._features.ids()
        for video_id in sorted(videos.keys() - stored):
            problems.append(
                f"{videos[video_id].path}: frame features are missing; "
                "index it again with `vsearch index --again`"
            )
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

    @cached_property
    def encoder(self) -> Encoder:
        """The model that the settings name. Raises ModelError."""
        if self._encoder is not None:
            return self._encoder
        name, _, argument = self.settings.model.partition(":")
        encoder: Encoder = resolve("encoders", name)(argument, device=self.settings.device)
        return encoder

    @cached_property
    def _pooler(self) -> Pooler:
        pooler: Pooler = resolve("poolers", self.settings.pooler)()
        return pooler

    @cached_property
    def _parts(self) -> Parts:
        from vsearch.ingest import Parts  # deferred: a query needs no decoder

        space = self._catalog.space()
        detector = resolve("shots", self.settings.shots)
        parts = Parts(self.encoder, self._pooler, detector, self.settings.fps)
        if space is not None and self._catalog.counts().segments:
            self._same_space(space)
        else:  # what the first video is indexed with becomes the library's
            config.save(self.path, self.settings)
        return parts

    def _same_space(self, space: Space) -> None:
        if self.encoder.space != space:
            raise SpaceMismatchError(
                f"{self.path} was indexed with {space.name}, but --model {self.settings.model} is "
                f"{self.encoder.space.name}: leave --model out, or use another --library"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Be the one writer: clean up after an interrupted one first, save the index at the end."""
        with WriteLock(self.path):
            before = self._catalog.revision()
            self._features.sweep({video.id for video in self._catalog.videos()})
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
            features = self._features.load(known.id)
            return features.within(span) if span else features
        return describe(path, self._parts, span=span).features

    def _vector(self, query: Query, sample: Matrix) -> Vector:
        vectors = [
            term_vector(term, self.encoder, self._pooler, self._describe) for term in query.terms
        ]
        return combine(vectors, [term.weight for term in query.terms], sample)

    def _among(self, query: Query) -> Ids | None:
        if not query.videos:
            return None
        return self._catalog.segment_ids([v.id for v in self._catalog.videos(query.videos)])


def _query(
    text: str,
    image: Name | None,
    clip: Name | None,
    span: Span | tuple[float, float] | None,
    videos: Sequence[str],
) -> Query:
    """The Query that `Library.search`'s plain arguments mean."""
    clips = []
    if clip is not None:
        part = Span(*span) if isinstance(span, tuple) else span
        clips = [Term("clip", str(clip), span=part)]
    images = [] if image is None else [str(image)]
    return parse(text, images=images, clips=clips, videos=videos)


def _reporter(
    path: Path, number: int, sizes: Sequence[int], report: Callable[[Progress], None]
) -> Callable[[float, float], None]:
    """Turns the progress within one file into progress of the whole run."""
    before, total = sum(sizes[:number]), sum(sizes)

    def tell(seconds: float, duration: float) -> None:
        share = min(1.0, seconds / duration) if duration > 0 else 0.0
        done = before + share * sizes[number]
        report(Progress(path, number, len(sizes), seconds, duration, done, total))

    return tell


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
