"""One video seen: decode, encode, cut, pool."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.encoders.changes import ChangedFrames
from vsearch.errors import (
    LibraryError,
    ModelError,
    NoPictureError,
    SettingsError,
    VSearchError,
)
from vsearch.media.ahead import ahead
from vsearch.media.discovery import fingerprint
from vsearch.media.video import Sampler, probe
from vsearch.types import Features, Ingested, Outcome, Progress, Timings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from vsearch.catalog.repository import Catalog
    from vsearch.media.kept import FrameStore
    from vsearch.media.video import VideoInfo
    from vsearch.protocols import Encoder, Pooler, ShotDetector
    from vsearch.types import FrameBatch, Images, Matrix, Span, Times, Video
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)

LAST = 1e-3  # seconds that the last frame is shown at least


class Halted(Exception):  # noqa: N818 - nothing is wrong
    """Somebody asked for the work to end."""


class Halt:
    """Ends the work of other threads, each at its next decoded frame."""

    def __init__(self) -> None:
        self._lock, self._asked = threading.Lock(), False
        self._samplers: set[Sampler] = set()

    def ask(self) -> None:
        """End what is going on, and what would begin later."""
        with self._lock:
            self._asked = True
            for sampler in self._samplers:
                sampler.stop()

    @contextmanager
    def ending(self, sampler: Sampler) -> Iterator[None]:
        """Let the sampler be stopped within the block, which then ends by Halted."""
        with self._lock:
            if self._asked:
                raise Halted
            self._samplers.add(sampler)
        try:
            yield
        finally:
            with self._lock:
                self._samplers.discard(sampler)
        if self._asked:
            raise Halted


@dataclass(slots=True)
class Stopwatch:
    """Adds up the seconds spent in its blocks."""

    seconds: float = 0.0
    _began: float = field(default=0.0, repr=False)

    def __enter__(self) -> Self:
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began


class TimedSampler(Sampler):
    """A sampler that knows for how many seconds it was at work; shots are part of that."""

    seconds = 0.0

    def __iter__(self) -> Iterator[FrameBatch]:
        batches, watch = super().__iter__(), Stopwatch()
        while True:
            with watch:
                batch = next(batches, None)
            self.seconds = watch.seconds
            if batch is None:
                return
            yield batch


@dataclass(frozen=True, slots=True)
class Described:
    """What one pass over a video gives."""

    info: VideoInfo
    features: Features
    cuts: Times
    end: float  # seconds: how far the pictures went
    note: str | None
    keyframes: bool = False  # nothing else was looked at
    timings: Timings | None = None


@dataclass(frozen=True, slots=True)
class Parts:
    """What a video passes through on its way in."""

    encoder: Encoder
    pooler: Pooler
    detector: type[ShotDetector]
    fps: float  # frames sampled a second
    model: str  # by name, as it is noted
    hwaccel: str = ""  # a device that decodes


@dataclass(frozen=True, slots=True)
class Stores:
    """Where what is known of the videos is kept."""

    catalog: Catalog
    features: FeatureStore
    frames: FrameStore


class Run:
    """Progress within files, of which several may be in hand, as progress of the whole run."""

    def __init__(
        self,
        sizes: Sequence[int],
        report: Callable[[Progress], None],
        *,
        number: int = 1,
        passes: int = 1,
    ) -> None:
        """`sizes` of the files in bytes; `number` of the pass over them, of so many."""
        self._sizes, self._total, self._report = sizes, sum(sizes), report
        self._number, self._passes = number, passes
        self._reached: dict[int, float] = {}  # bytes of each file that was begun
        self._done = 0.0  # the sum of that

    def reporter(self, path: Path, number: int) -> Callable[[float, float], None]:
        """What tells of seconds done and the duration of that file."""
        size = self._sizes[number]

        def tell(seconds: float, duration: float) -> None:
            here = size * min(1.0, seconds / duration) if duration > 0 else 0.0
            self._reach(number, here)
            before = max(self._done - here, 0.0)
            after = max(self._total - size - before, 0.0)
            now = Progress(
                path, number, len(self._sizes), seconds, duration, size, before, after,
                self._number, self._passes,
            )  # fmt: skip
            self._report(now)

        return tell

    def finished(self, number: int) -> None:
        """That file is done, or passed over."""
        self._reach(number, float(self._sizes[number]))

    def _reach(self, number: int, size: float) -> None:
        self._done += size - self._reached.get(number, 0.0)
        self._reached[number] = size


def _silent(seconds: float, duration: float) -> None:
    """Nobody asked for progress."""


def attempted(path: Path, work: Callable[[], Ingested]) -> Ingested:
    """Do what there is to do with one file; what is wrong with that file becomes an outcome."""
    began = time.monotonic()
    try:
        found = work()
    except Exception as error:
        found = failed(path, error)
    seconds = time.monotonic() - began
    log.info("%s: %s in %.1f s", path, found.outcome, seconds)
    return replace(found, seconds=seconds)


def failed(path: Path, error: Exception) -> Ingested:
    """What is wrong with a file, as an outcome; what would stop every other file too is raised."""
    if isinstance(error, LibraryError | ModelError | SettingsError):
        raise error
    if isinstance(error, VSearchError):
        return Ingested(path, Outcome.FAILED, error=str(error))
    if isinstance(error, OSError):
        return Ingested(path, Outcome.FAILED, error=f"{path}: {error.strerror or error}")
    log.info("%s", path, exc_info=error)
    reason = f"{path}: unexpected {type(error).__name__}: {error}; please report this"
    return Ingested(path, Outcome.FAILED, error=reason)


def gone(path: Path) -> bool:
    """Whether there certainly is no such file; one in a folder that may not be entered may be."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def holds(video: Video, content: str) -> bool:
    """Whether a file that the catalogue knows is there and still has that fingerprint."""
    try:
        stat = video.path.stat()
    except OSError:
        return False
    same = (video.size, video.modified) == (stat.st_size, stat.st_mtime_ns)
    return same or fingerprint(video.path) == content


def describe(
    path: Path,
    parts: Parts,
    *,
    span: Span | None = None,
    fast: bool = False,
    keep: Callable[[Images, float], None] | None = None,
    progress: Callable[[float, float], None] = _silent,
    halt: Halt | None = None,
) -> Described:
    """Decode and encode a video, or a span of it, in one pass. Raises MediaError.

    `fast` looks at key frames only. Raises Halted once `halt` is asked, and SettingsError for a
    device that is not known.
    """
    with Stopwatch() as probing:
        info = probe(path)
    detector, encoding = parts.detector(), Stopwatch()
    try:
        sampler = TimedSampler(
            path,
            fps=parts.fps,
            short_side=parts.encoder.image_size,
            span=span,
            detector=detector,
            keep=keep,
            keyframes=fast,
            hwaccel=parts.hwaccel,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error
    with (halt or Halt()).ending(sampler), ahead(sampler) as batches:
        features = encoded(
            batches, parts.encoder, lambda time: progress(time, info.duration), encoding
        )
    if features is None:
        raise NoPictureError(
            f"{path}: no frame could be decoded; play it to see whether it is whole"
        )
    shots, gap = sampler.shot_seconds, sampler.gap if fast else 0.0
    return Described(
        info,
        features,
        detector.cuts(),
        max(sampler.end, float(features.times[-1]) + LAST),
        _note(gap, sampler.note),
        keyframes=gap > 0,
        timings=Timings(
            probing.seconds + max(sampler.seconds - shots, 0.0), shots, encoding.seconds
        ),
    )


def _note(gap: float, note: str | None) -> str | None:
    """What was not looked at, and what was wrong."""
    coarse = f"key frames only, up to {gap:.1f} s apart" if gap > 0 else None
    return "; ".join(each for each in (coarse, note) if each) or None


def encoded(
    batches: Iterable[FrameBatch],
    encoder: Encoder,
    progress: Callable[[float], None],
    watch: Stopwatch | None = None,
) -> Features | None:
    """The features of frames, None if there are none; `progress` is told seconds."""
    changed, watch = ChangedFrames(encoder), watch or Stopwatch()
    matrices: list[npt.NDArray[np.float16]] = []  # (N, D) each
    times: list[Times] = []
    for batch in batches:
        with watch:
            matrices.append(changed.encode(batch.images).astype(np.float16))  # as it is stored
        times.append(batch.times)
        progress(float(batch.times[-1]))
    if not matrices:
        return None
    matrix = np.concatenate(matrices, dtype=np.float32)
    return Features(encoder.space, matrix, np.concatenate(times))


def pool_again(catalog: Catalog, store: FeatureStore, pooler: Pooler) -> None:
    """Give every segment a new vector from the stored features, all of them or none.

    The segments get new ids, so their vectors in other spaces go; the features there stay, and
    whoever goes back to such a space has them pooled anew.
    """
    space = catalog.space()
    if space is None:
        return
    described = catalog.described_in(space)
    with catalog.begin() as change:
        change.set_space(space, pooler.name)
        for video in catalog.videos():
            spans = [segment.span for segment in catalog.segments_of(video.id)]
            left_out = video.id not in described and not store.has(video.id, space)
            if not spans or left_out:
                continue  # doctor tells
            vectors = pooled(store.load(video.id, space), spans, pooler)
            change.remove_segments(video.id)  # new ids, so that every index notices
            change.add_segments(video.id, spans, vectors, space)


def pooled(features: Features, spans: Sequence[Span], pooler: Pooler) -> Matrix:
    """A vector for each span, float32 (N, D)."""
    parts = map(features.within, spans)
    return np.stack([pooler.pool(part.matrix, part.times) for part in parts])
