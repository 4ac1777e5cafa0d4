"""One video in: decode, encode, cut, pool, store."""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import accumulate
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
from vsearch.media.sampling import segments
from vsearch.media.video import Sampler, probe
from vsearch.subtitling import is_of, stamped, subtitles
from vsearch.types import Features, Ingested, Outcome, Progress
from vsearch.words.subtitles import Folders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from vsearch.catalog.change import Change
    from vsearch.catalog.repository import Catalog
    from vsearch.media.kept import FrameStore
    from vsearch.media.video import VideoInfo
    from vsearch.protocols import Encoder, Pooler, ShotDetector
    from vsearch.subtitling import Subtitles
    from vsearch.types import FrameBatch, Images, Matrix, Span, Times, Video
    from vsearch.vectors.features import FeatureStore

log = logging.getLogger(__name__)

LAST = 1e-3  # seconds that the last frame is shown at least


@dataclass(frozen=True, slots=True)
class Described:
    """What one pass over a video gives."""

    info: VideoInfo
    features: Features
    cuts: Times
    end: float  # seconds: how far the pictures went
    note: str | None


@dataclass(frozen=True, slots=True)
class Parts:
    """What a video passes through on its way in."""

    encoder: Encoder
    pooler: Pooler
    detector: type[ShotDetector]
    fps: float  # frames sampled a second
    model: str  # by name, as it is noted


@dataclass(frozen=True, slots=True)
class Stores:
    """Where what is known of the videos is kept."""

    catalog: Catalog
    features: FeatureStore
    frames: FrameStore


class Run:
    """Progress within one file as progress of the whole run."""

    def __init__(self, sizes: Sequence[int], report: Callable[[Progress], None]) -> None:
        self._ends = list(accumulate(sizes, initial=0))  # bytes before each file, then all
        self._report = report

    def reporter(self, path: Path, number: int) -> Callable[[float, float], None]:
        """What tells of seconds done and the duration of that file."""
        before, end = self._ends[number : number + 2]
        files, after = len(self._ends) - 1, self._ends[-1] - end

        def tell(seconds: float, duration: float) -> None:
            now = Progress(path, number, files, seconds, duration, end - before, before, after)
            self._report(now)

        return tell


def _silent(seconds: float, duration: float) -> None:
    """Nobody asked for progress."""


def ingest(
    path: Path,
    stores: Stores,
    parts: Callable[[], Parts],
    *,
    fps: float | None = None,
    again: bool = False,
    keep: bool = False,
    folders: Folders | None = None,
    progress: Callable[[float, float], None] = _silent,
) -> Ingested:
    """Bring one file into the library, unless it is there as it is.

    What is wrong with the file becomes an outcome. What would stop every other file too is raised:
    LibraryError, ModelError and SettingsError. `parts` is called when there is something to
    encode, so that a run that finds nothing new loads no model. `fps` asks for that rate, so that
    what was sampled at another is indexed anew; `again` indexes even what is known; `keep` keeps
    the sampled frames. Subtitles that came or changed since are read, whatever else is known;
    `folders` says where they are. `progress` is told the seconds that are done and the duration.
    """
    folders = folders or Folders()

    def work() -> Ingested:
        found = None if again else _known(path, stores, fps)
        if found is not None:
            return _reworded(found, stores.catalog, folders)
        return _store(path, stores, parts(), keep, folders, progress)

    return attempted(path, work)


def attempted(path: Path, work: Callable[[], Ingested]) -> Ingested:
    """Do what there is to do with one file; what is wrong with that file becomes an outcome."""
    began = time.monotonic()
    try:
        found = work()
    except (LibraryError, ModelError, SettingsError):
        raise
    except VSearchError as error:
        found = Ingested(path, Outcome.FAILED, error=str(error))
    except OSError as error:
        found = Ingested(path, Outcome.FAILED, error=f"{path}: {error.strerror or error}")
    except Exception as error:
        log.info("%s", path, exc_info=True)
        reason = f"{path}: unexpected {type(error).__name__}: {error}; please report this"
        found = Ingested(path, Outcome.FAILED, error=reason)
    seconds = time.monotonic() - began
    log.info("%s: %s in %.1f s", path, found.outcome, seconds)
    return replace(found, seconds=seconds)


def _known(path: Path, stores: Stores, fps: float | None) -> Ingested | None:
    """What the catalogue knows of this file; None if it has to be decoded."""
    catalog, stat = stores.catalog, path.stat()
    video = catalog.find(path)
    if video is not None and fps not in (None, catalog.sampled_at(video.id)):
        return None
    space = catalog.space()
    if video is not None and (space is None or not stores.features.has(video.id, space)):
        return None
    if video is not None and (video.size, video.modified) == (stat.st_size, stat.st_mtime_ns):
        return Ingested(path, Outcome.UNCHANGED, video)
    content = fingerprint(path)
    if video is not None:
        if video.fingerprint != content:
            return None
        with catalog.begin() as change:  # touched or copied back, the pictures are the same
            change.touch_video(video.id, stat.st_size, stat.st_mtime_ns)
        return Ingested(path, Outcome.UNCHANGED, video)
    twins = catalog.by_fingerprint(content)
    for twin in twins:
        if holds(twin, content):
            return Ingested(path, Outcome.DUPLICATE, twin)
    for twin in twins:
        if not gone(twin.path) or fps not in (None, catalog.sampled_at(twin.id)):
            continue  # now another video, or to be sampled anew
        with catalog.begin() as change:
            change.move_video(twin.id, path, stat.st_size, stat.st_mtime_ns)
        return Ingested(path, Outcome.MOVED, catalog.find(path))
    return None


def _reworded(found: Ingested, catalog: Catalog, folders: Folders) -> Ingested:
    """The same, after the subtitles of a known video were read, unless they are as they were."""
    video = found.video
    if video is None or found.outcome not in (Outcome.UNCHANGED, Outcome.MOVED):
        return found
    known = [one.origin for one in catalog.transcripts([video.id]) if one.source == "subtitles"]
    stamp = stamped(found.path, folders)
    if any(is_of(origin, stamp) for origin in known):
        return found
    words = subtitles(found.path, folders)
    with catalog.begin() as change:
        _put_words(change, video.id, words)
    told = [f"{found.path}: {len(words.cues)} subtitles read"] if words.cues or known else []
    return replace(found, notes=(*told, *words.notes))


def _put_words(change: Change, video_id: int, words: Subtitles) -> None:
    change.replace_cues(
        video_id, "subtitles", words.cues, origin=words.origin, language=words.language
    )


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


def _store(
    path: Path,
    stores: Stores,
    parts: Parts,
    keep: bool,
    folders: Folders,
    progress: Callable[[float, float], None],
) -> Ingested:
    stat, content = path.stat(), fingerprint(path)
    with stores.frames.keeping() if keep else nullcontext() as keeper:
        described = describe(path, parts, keep=keeper.add if keeper else None, progress=progress)
    info, features = described.info, described.features
    spans = segments(features.times, described.cuts, described.end)
    vectors = pooled(features, spans, parts.pooler)
    old = stores.catalog.find(path)
    words = subtitles(path, folders)
    with stores.catalog.begin() as change:  # all of it or nothing
        change.set_space(features.space, parts.pooler.name, parts.model)
        if old is not None:
            change.set_aside(old.id)
        video = change.add_video(
            path=path,
            fingerprint=content,
            size=stat.st_size,
            modified=stat.st_mtime_ns,
            duration=described.end,
            fps=info.fps,
            width=info.width,
            height=info.height,
            codec=info.codec,
            frames=len(features.times),
            note=described.note,
            sampled_at=parts.fps,
            recorded=info.recorded,
        )
        change.add_segments(video.id, spans, vectors, features.space)
        change.add_features(video.id, features.space, parts.model)
        _put_words(change, video.id, words)
        if old is not None and old.fingerprint == content:  # what it shows is still true
            change.inherit(video.id, old.id)
        if old is not None:
            change.remove_videos([old.id])
        stores.features.save(video.id, features)
        if keep:
            stores.frames.claim(video.id)
    if old is not None:
        stores.features.remove(old.id)
        stores.frames.remove(old.id)
    outcome = Outcome.UPDATED if old is not None else Outcome.INDEXED
    made = replace(video, model=parts.model)
    shots = len(described.cuts) + 1
    return Ingested(path, outcome, made, shots=shots, notes=words.notes)


def describe(
    path: Path,
    parts: Parts,
    *,
    span: Span | None = None,
    keep: Callable[[Images, float], None] | None = None,
    progress: Callable[[float, float], None] = _silent,
) -> Described:
    """Decode and encode a video, or a span of it, in one pass. Raises MediaError."""
    info = probe(path)
    detector = parts.detector()
    sampler = Sampler(
        path,
        fps=parts.fps,
        short_side=parts.encoder.image_size,
        span=span,
        detector=detector,
        keep=keep,
    )
    with ahead(sampler) as batches:
        features = encoded(batches, parts.encoder, lambda time: progress(time, info.duration))
    if features is None:
        raise NoPictureError(
            f"{path}: no frame could be decoded; play it to see whether it is whole"
        )
    end = max(sampler.end, float(features.times[-1]) + LAST)
    return Described(info, features, detector.cuts(), end, sampler.note)


def encoded(
    batches: Iterable[FrameBatch], encoder: Encoder, progress: Callable[[float], None]
) -> Features | None:
    """The features of frames, None if there are none; `progress` is told seconds."""
    changed = ChangedFrames(encoder)
    matrices: list[npt.NDArray[np.float16]] = []  # (N, D) each
    times: list[Times] = []
    for batch in batches:
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
