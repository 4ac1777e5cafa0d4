"""Stills and previews of videos, made once: kept on disk, as much as may be."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch import files
from vsearch.media.preview import preview
from vsearch.media.stills import still
from vsearch.types import Span
from vsearch.web.problems import Problem
from vsearch.web.turns import Turns
from vsearch.web.uploads import shown_name

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.library import Library
    from vsearch.types import Video

log = logging.getLogger(__name__)

WIDTHS = (160, 320, 640, 1280)  # pixels
MOST_BYTES = 2**29
_LEFT = 0.9  # the part of the most that is left when old ones go
_JPEG, _WEBP = "image/jpeg", "image/webp"
_SUFFIXES = {_JPEG: ".jpg", _WEBP: ".webp"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A picture of a video: what it shows, and how it is called."""

    video: Video
    span: Span  # seconds; of a still, the instant twice
    width: int
    mime: str

    @property
    def key(self) -> str:
        """A name that only this picture of only this content has."""
        span = f"{round(self.span.start * 1000)}-{round(self.span.end * 1000)}"
        words = f"1 {self.video.fingerprint} {span} {self.width} {self.mime}"
        return hashlib.sha256(words.encode()).hexdigest()[:40]

    @property
    def name(self) -> str:
        return self.key + _SUFFIXES[self.mime]


def wanted_still(video: Video, time: float, width: int) -> Wanted:
    """A still at `time` seconds, brought into the video."""
    at = _within(video, time)
    return Wanted(video, Span(at, at), snapped(width), _JPEG)


def wanted_preview(video: Video, start: float, end: float, width: int) -> Wanted:
    """A moving picture of a stretch, brought into the video."""
    begin = _within(video, start)
    return Wanted(video, Span(begin, max(begin, _within(video, end))), snapped(width), _WEBP)


def snapped(width: int) -> int:
    """The next larger width that pictures are made in."""
    return next((one for one in WIDTHS if one >= width), WIDTHS[-1])


class Stills:
    """The pictures of a library's videos; without a folder that can be written, made each time."""

    def __init__(
        self, library: Library, folder: Path | None = None, *, most_bytes: int = MOST_BYTES
    ) -> None:
        self._folder = folder or library.path / "stills"
        self._most_bytes = most_bytes
        self._bytes: int | None = None  # about, on disk; None until it was counted
        self._lock = threading.Lock()
        self.turns = Turns(os.cpu_count() or 1)  # of those that decode
        self._writes = True

    def kept(self, wanted: Wanted) -> bytes | None:
        """A picture that was made before."""
        try:
            return (self._folder / wanted.name).read_bytes() or None
        except OSError:
            return None

    def made(self, wanted: Wanted) -> bytes:
        """A picture, made if need be; take a turn for it. Raises MediaError and Problem."""
        content = self.kept(wanted)  # another one may have waited for the same
        if content is None:
            content = _painted(wanted)
            if _as_indexed(wanted.video):  # else it would go by the name of another content
                self._keep(wanted.name, content)
        return content

    def _keep(self, name: str, content: bytes) -> None:
        if not self._writes:
            return
        try:
            with self._lock:
                if self._bytes is None:
                    self._folder.mkdir(parents=True, exist_ok=True)
                    files.sweep(self._folder)
                    self._bytes = sum(size for _, size, _ in self._all())
            files.write(self._folder / name, content)
            with self._lock:
                self._bytes += len(content)
                if self._bytes > self._most_bytes:
                    self._bytes = self._thinned()
        except OSError as error:
            self._writes = False
            log.warning("%s: stills are not kept (%s)", self._folder, error.strerror)

    def _thinned(self) -> int:
        """Delete the oldest ones; returns how many bytes are left."""
        entries = sorted(self._all())
        size = sum(size for _, size, _ in entries)
        for _, one, path in entries:
            if size <= self._most_bytes * _LEFT:
                break
            path.unlink(missing_ok=True)
            size -= one
        return size

    def _all(self) -> list[tuple[int, int, Path]]:
        """When it was written, bytes and path of each picture; another process may delete some."""
        found = []
        for suffix in _SUFFIXES.values():
            for path in self._folder.glob(f"*{suffix}"):
                try:
                    status = path.stat()
                except FileNotFoundError:
                    continue
                found.append((status.st_mtime_ns, status.st_size, path))
        return found


def present(video: Video) -> Path:
    """The file of a video. Raises Problem."""
    try:
        there = video.path.is_file()
    except (OSError, ValueError):
        there = False
    if not there:
        name = shown_name(video.path.name)
        raise Problem(404, "gone", f"{name} is not where it was; index the folder it is in now")
    return video.path


def _as_indexed(video: Video) -> bool:
    """Whether a file has not changed since it was indexed."""
    try:
        now = video.path.stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (video.size, video.modified)


def _painted(wanted: Wanted) -> bytes:
    path = present(wanted.video)
    if wanted.mime == _WEBP:
        return preview(path, wanted.span, width=wanted.width)
    return still(path, wanted.span.start, width=wanted.width)


def _within(video: Video, time: float) -> float:
    """A time in the video, in whole milliseconds."""
    return round(min(max(time, 0.0), max(video.duration, 0.0)), 3)
