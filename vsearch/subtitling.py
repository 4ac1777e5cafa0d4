"""The subtitles of a video: files beside it and streams inside it, in every language there is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import MediaError
from vsearch.media.embedded import embedded
from vsearch.words.subtitles import CUES, Folders, cues, read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from vsearch.types import Cue


@dataclass(frozen=True, slots=True)
class Subtitles:
    """What was found; that there is nothing is worth knowing, too."""

    cues: tuple[Cue, ...]  # track after track, each in the order of time
    origin: str  # the files and streams, and the stamp
    language: str | None  # ISO 639; several with commas
    notes: tuple[str, ...]  # what could not be read, and why


@dataclass(frozen=True, slots=True)
class _Track:
    name: str
    language: str | None
    cues: list[Cue]


def subtitles(video: Path, folders: Folders) -> Subtitles:
    """All of a video's subtitles; what several tracks say at one time is told once.

    Nothing is raised: what cannot be read is noted. Nothing is decoded.
    """
    notes: list[str] = []
    stamp = stamped(video, folders)
    tracks = [*_beside(video, folders, notes), *_inside(video, notes)]
    found = tuple(_once(tracks))[:CUES]
    names = ", ".join(track.name for track in tracks) or "none"
    languages = dict.fromkeys(track.language for track in tracks if track.language)
    return Subtitles(found, f"{names} ({stamp})", ",".join(languages) or None, tuple(notes))


def stamped(video: Path, folders: Folders) -> str:
    """Tells whether the files beside a video are those that were read."""
    digest = hashlib.blake2b(digest_size=6)
    for each in folders.beside(video):
        try:
            stat = each.path.stat()
        except OSError:
            continue
        digest.update(f"{each.path.name!a} {stat.st_size} {stat.st_mtime_ns};".encode())
    return digest.hexdigest()


def is_of(origin: str, stamp: str) -> bool:
    """Whether an `origin` has that stamp."""
    return origin.endswith(f" ({stamp})")


def _beside(video: Path, folders: Folders, notes: list[str]) -> Iterator[_Track]:
    for each in folders.beside(video):
        try:
            found = read(each.path, each.language)
        except MediaError as error:
            notes.append(str(error))
            continue
        if found:
            yield _Track(each.path.name, each.language, found)
        else:
            notes.append(
                f"{each.path}: holds no subtitles that can be read; they should be SubRip, WebVTT, "
                "ASS or SSA"
            )


def _inside(video: Path, notes: list[str]) -> Iterator[_Track]:
    tracks, wrong = embedded(video)
    notes += [f"{video}: {each}" for each in wrong]
    for track in tracks:
        yield _Track(f"stream {track.stream}", track.language, cues(track.lines))


def _once(tracks: Iterable[_Track]) -> Iterator[Cue]:
    said: set[tuple[str, int]] = set()  # in other tracks: what, and in which second
    for track in tracks:
        mine = [(cue.text.casefold(), round(cue.span.start)) for cue in track.cues]
        for cue, (text, second) in zip(track.cues, mine, strict=True):
            if said.isdisjoint((text, second + off) for off in (-1, 0, 1)):
                yield cue
        said.update(mine)
