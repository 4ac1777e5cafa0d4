"""What the catalogue knows of a file, and what a pass over it brings in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.ingest import Stopwatch, gone, holds, pooled
from vsearch.media.discovery import fingerprint
from vsearch.media.sampling import segments
from vsearch.subtitling import is_of, stamped, subtitles
from vsearch.types import Ingested, Outcome, Timings

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.catalog.change import Change
    from vsearch.catalog.repository import Catalog
    from vsearch.ingest import Described, Parts, Stores
    from vsearch.subtitling import Subtitles
    from vsearch.types import Matrix, Span, Video
    from vsearch.words.subtitles import Folders


@dataclass(frozen=True, slots=True)
class Wish:
    """How files are to be known."""

    fps: float | None = None  # asks for that rate: what was sampled at another is indexed anew
    fast: bool = False  # key frames are enough
    again: bool = False  # index even what is known
    keep: bool = False  # keep the sampled frames


@dataclass(frozen=True, slots=True)
class Job:
    """A file that has to be decoded, as it was when that was decided."""

    path: Path
    size: int  # bytes
    modified: int  # nanoseconds since the epoch
    content: str  # its fingerprint


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was decoded, ready to be stored."""

    job: Job
    described: Described
    spans: list[Span]
    vectors: Matrix  # float32 (S, D)
    pooling: float  # seconds


def known(path: Path, stores: Stores, wish: Wish, folders: Folders) -> Ingested | Job:
    """What became of a file that the catalogue knows; what is to be done if it has to be decoded.

    Subtitles that came or changed since are read, whatever else is known; `folders` says where
    they are.
    """
    stat = path.stat()
    if not wish.again:
        found = _known(path, stores, wish, stat.st_size, stat.st_mtime_ns)
        if found is not None:
            return _reworded(found, stores.catalog, folders)
    return Job(path, stat.st_size, stat.st_mtime_ns, fingerprint(path))


def seen(job: Job, described: Described, parts: Parts) -> Seen:
    """Cut and pool what was described."""
    with Stopwatch() as watch:
        spans = segments(described.features.times, described.cuts, described.end)
        vectors = pooled(described.features, spans, parts.pooler)
    return Seen(job, described, spans, vectors, watch.seconds)


def store(found: Seen, stores: Stores, parts: Parts, wish: Wish, folders: Folders) -> Ingested:
    """Bring a video in, in place of what was known of that path: all of it or nothing."""
    with Stopwatch() as watch:
        one = _store(found, stores, parts, wish, folders)
    spent = Timings(pool=found.pooling, store=watch.seconds)
    return replace(one, timings=(found.described.timings or Timings()) + spent)


def _known(path: Path, stores: Stores, wish: Wish, size: int, modified: int) -> Ingested | None:
    """What the catalogue knows of this file; None if it has to be decoded."""
    catalog, space = stores.catalog, stores.catalog.space()
    video = catalog.find(path)
    if video is None:
        return _elsewhere(path, catalog, wish, size, modified)
    if space is None or not stores.features.has(video.id, space):
        return None
    if not _enough(video, catalog, wish):
        return None
    if (video.size, video.modified) != (size, modified):
        if video.fingerprint != fingerprint(path):
            return None
        with catalog.begin() as change:  # touched or copied back, the pictures are the same
            change.touch_video(video.id, size, modified)
    return Ingested(path, Outcome.UNCHANGED, video)


def _elsewhere(
    path: Path, catalog: Catalog, wish: Wish, size: int, modified: int
) -> Ingested | None:
    """What is known of the content of a file whose path is new."""
    content = fingerprint(path)
    twins = catalog.by_fingerprint(content)
    for twin in twins:
        if holds(twin, content):
            return Ingested(path, Outcome.DUPLICATE, twin)
    for twin in twins:
        if not gone(twin.path) or not _sampled(twin, catalog, wish):
            continue  # now another video, or to be sampled anew
        with catalog.begin() as change:
            change.move_video(twin.id, path, size, modified)
        moved = Ingested(path, Outcome.MOVED, catalog.find(path))
        return moved if _enough(twin, catalog, wish) else None
    return None


def _enough(video: Video, catalog: Catalog, wish: Wish) -> bool:
    """Whether a video was looked at as closely as is wished."""
    if wish.fast and not video.keyframes:
        return True
    return _sampled(video, catalog, wish) and (wish.fast or not video.keyframes)


def _sampled(video: Video, catalog: Catalog, wish: Wish) -> bool:
    return wish.fps in (None, catalog.sampled_at(video.id))


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


def _store(found: Seen, stores: Stores, parts: Parts, wish: Wish, folders: Folders) -> Ingested:
    job, described = found.job, found.described
    info, features = described.info, described.features
    old = stores.catalog.find(job.path)
    words = subtitles(job.path, folders)
    with stores.catalog.begin() as change:  # all of it or nothing
        change.set_space(features.space, parts.pooler.name, parts.model)
        if old is not None:
            change.set_aside(old.id)
        video = change.add_video(
            path=job.path,
            fingerprint=job.content,
            size=job.size,
            modified=job.modified,
            duration=described.end,
            fps=info.fps,
            width=info.width,
            height=info.height,
            codec=info.codec,
            frames=len(features.times),
            note=described.note,
            sampled_at=parts.fps,
            recorded=info.recorded,
            keyframes=described.keyframes,
        )
        change.add_segments(video.id, found.spans, found.vectors, features.space)
        change.add_features(video.id, features.space, parts.model)
        _put_words(change, video.id, words)
        if old is not None and old.fingerprint == job.content:  # what it shows is still true
            change.inherit(video.id, old.id)
        if old is not None:
            change.remove_videos([old.id])
        stores.features.save(video.id, features)
        if wish.keep:
            stores.frames.claim(video.id, job.content)
    if old is not None:
        stores.features.remove(old.id)
        stores.frames.remove(old.id)
    made = replace(video, model=parts.model)
    shots = len(described.cuts) + 1
    return Ingested(job.path, _outcome(old, made), made, shots=shots, notes=words.notes)


def _outcome(old: Video | None, new: Video) -> Outcome:
    if old is None:
        return Outcome.INDEXED
    same = old.fingerprint == new.fingerprint
    return Outcome.FILLED if same and old.keyframes and not new.keyframes else Outcome.UPDATED
