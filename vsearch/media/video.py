"""Videos to RGB frames with true times.

`Sampler` decodes a file once, no more of it than it needs (see `media/selective.py`). Every frame
that is decoded gives a tiny picture to the shot detector; those shown at 0, 1/fps, 2/fps … seconds
come out scaled, upright and in batches. Zero is what a player shows as 0:00. In here time is
`Fraction` seconds, so that no rounding shifts a frame.
"""

from __future__ import annotations

import math
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from av.error import FFmpegError

from vsearch.errors import NoPictureError, TooLargeError, UnreadableError
from vsearch.media import devices
from vsearch.media.batches import batched
from vsearch.media.film import ContainerFilm, clock
from vsearch.media.instants import Instants
from vsearch.media.kept import SHORT_SIDE
from vsearch.media.painter import Painter, shown_size
from vsearch.media.tiny import TinyPictures
from vsearch.media.webp import WebPFilm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from av.video.frame import VideoFrame

    from vsearch.media.film import Film, Frame
    from vsearch.protocols import ShotDetector
    from vsearch.types import FrameBatch, Images, Span

_CLOSE = 0.4  # frames a second from on which cuts can be told from what passes between two


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a video before it is decoded."""

    duration: float  # seconds, best estimate; 0 where unknown
    fps: float  # 0 where unknown
    width: int  # pixels as shown: after rotation and pixel aspect
    height: int
    codec: str
    timecode: str | None = None  # of the first frame, as a camera wrote it
    recorded: datetime | None = None  # UTC, as the file itself says


def probe(path: Path) -> VideoInfo:
    """Open `path` and decode one frame. Raises MediaError where there is none."""
    with opened(path) as film:
        for frame in film.frames():
            width, height = shown_size(frame.picture, frame.aspect)
            claims = film.claims()
            return VideoInfo(
                claims.duration,
                claims.fps,
                width,
                height,
                claims.codec,
                claims.timecode,
                claims.recorded,
            )
        raise film.reason()


class Sampler:
    """The frames of `path` shown at k / `fps` seconds, within `span`; to be iterated once.

    Yields batches of at most `batch_size` images of one shape: RGB, upright, square pixels, the
    short side `short_side`. A frame comes once however long it is shown, and the first one comes
    always. Raises MediaError where no frame can be had; damage further on is told by `note`.
    """

    def __init__(
        self,
        path: Path,
        *,
        fps: float,
        short_side: int,
        batch_size: int = 16,
        span: Span | None = None,
        detector: ShotDetector | None = None,
        keep: Callable[[Images, float], None] | None = None,
        keyframes: bool = False,
        hwaccel: str = "",
    ) -> None:
        """`keep` is given each frame as it is to be kept (see `media/kept.py`) and its time.

        `detector` is shown all but single frames to which no other refers. Below 0.4 frames a
        second, and of `keyframes`, it is shown nothing: too much would lie between them.

        With `keyframes` each instant is answered by the last key frame at or before it, and
        nothing else is decoded. `hwaccel` names a device that decodes ("cuda", "vaapi" …), "auto"
        takes any, "" none; software decodes what a device can't. SettingsError for an unknown name.
        """
        if not (math.isfinite(fps) and fps > 0) or short_side < 1 or batch_size < 1:
            raise ValueError("fps, short_side and batch_size must be above 0")
        devices.check(hwaccel)
        self._path = path
        self._short_side = short_side
        self._batch_size = batch_size
        self._span = span
        self._painter, self._small = Painter(), Painter()
        self._keep = keep
        close = fps >= _CLOSE and not keyframes
        self._tiny = TinyPictures(detector) if detector and close else None
        self._keyframes, self._hwaccel = keyframes, hwaccel
        self._sparse = fps < 1
        start, end = (span.start, span.end) if span else (0, None)
        self._wants = Instants(
            Fraction(fps).limit_denominator(1000) or Fraction(1, 1000),
            Fraction(start),
            None if end is None else Fraction(end),
            through=self._tiny is not None,
        )
        self.note: str | None = None  # what was wrong, once iterated
        self.end = 0.0  # seconds: when the last decoded frame ceases to be shown
        self.gap = 0.0  # seconds, the longest between frames of `keyframes` or below 1 fps, else 0
        self.shot_seconds = 0.0  # of this thread's CPU, on tiny pictures and the detector

    def stop(self) -> None:
        """End the iteration at the next decoded frame; any thread may ask for it."""
        self._wants.stopped.set()

    def __iter__(self) -> Iterator[FrameBatch]:
        frames = map(self._painted, self._wanted())  # each is let go at once
        yield from batched(frames, self._batch_size)

    def _painted(self, shown: _Shown) -> tuple[Images, float]:
        """The image of a frame, (H, W, 3), and its time in seconds."""
        try:
            if self._keep:
                small = self._small.paint(shown.picture, _kept_side(shown), shown.aspect)
                self._keep(small, float(shown.time))
            image = self._painter.paint(shown.picture, self._short_side, shown.aspect)
        except FFmpegError as error:
            raise NoPictureError(
                f"{self._path}: has pixels of an unknown kind ({shown.picture.format.name}); "
                "re-encode it, as H.264 say"
            ) from error
        return image, float(shown.time)

    def _wanted(self) -> Iterator[_Shown]:
        """The frames that are to come out; the first of a span is dated to its start."""
        start = Fraction(self._span.start) if self._span else Fraction(0)
        last: _Shown | None = None
        before: float | None = None
        wants = self._wants.again()
        with opened(self._path, keyframes=self._keyframes, hwaccel=self._hwaccel) as film:
            for shown in self._intervals(film, start):
                if wants.stopped.is_set():
                    return
                last = shown
                if wants.takes(shown.time, shown.until):
                    begin = max(shown.time, start)
                    self._passed(before, float(begin))
                    before = float(begin)
                    yield _Shown(shown.picture, shown.aspect, begin, shown.until)
            if last is None:
                raise film.reason()
            self._passed(before, self.end)
            self.note = film.note(self.end, whole=self._span is None)
            if not wants.met:
                self.note = f"ends at {clock(self.end)}, before the part that was asked for"
                yield last
        if self._tiny:
            self._tiny.flush()
            self.shot_seconds = self._tiny.seconds

    def _passed(self, before: float | None, now: float) -> None:
        """Keep the longest time in which nothing was looked at, where that is of interest."""
        if before is not None and (self._keyframes or self._sparse):
            self.gap = max(self.gap, now - before)

    def _intervals(self, film: Film, start: Fraction) -> Iterator[_Shown]:
        """Each frame up to the end of the span, with the time at which the next one replaces it."""
        held: Frame | None = None
        for frame in film.frames(start, self._wants.again()):
            again = held is not None and held.time == frame.time
            if held and not again:
                until = frame.time if held.until is None else held.until
                yield _Shown(held.picture, held.aspect, held.time, until)
            if self._wants.over(frame.time):
                self.end = float(frame.time)
                if held is None:  # nothing is shown before it
                    until = frame.time + frame.length
                    self.end = float(until)
                    yield _Shown(frame.picture, frame.aspect, frame.time, until)
                return
            if self._tiny and frame.time >= start and not again:
                self._tiny.take(frame)
            held = frame
            self.end = float(frame.time + frame.length)
        if held:
            yield _Shown(held.picture, held.aspect, held.time, held.time + held.length)


@dataclass(frozen=True, slots=True)
class _Shown:
    """A decoded frame and the interval in which it is seen."""

    picture: VideoFrame
    aspect: Fraction
    time: Fraction  # seconds
    until: Fraction


def _kept_side(shown: _Shown) -> int:
    """The short side of the frame that is kept: a small one is not made larger."""
    shortest = min(shown.picture.width * shown.aspect, Fraction(shown.picture.height))
    return min(SHORT_SIDE, max(1, round(shortest)))


@contextmanager
def opened(path: Path, *, keyframes: bool = False, hwaccel: str = "") -> Iterator[Film]:
    """Open `path` with what can read it; nothing but MediaError leaves the block."""
    try:
        with closing(_film(path, keyframes, hwaccel)) as film:
            yield film
    except FileNotFoundError as error:
        raise UnreadableError(f"{path}: there is no such file; check the path") from error
    except PermissionError as error:
        raise UnreadableError(f"{path}: may not be read; check its permissions") from error
    except MemoryError as error:
        raise TooLargeError(f"{path}: needs more memory than there is; re-encode it") from error
    except (FFmpegError, OSError) as error:
        raise UnreadableError(_unreadable(path)) from error


def _film(path: Path, keyframes: bool, hwaccel: str) -> Film:
    try:
        if _is_webp(path):
            return WebPFilm(path)
        return ContainerFilm(path, keyframes=keyframes, device=hwaccel)
    except (ValueError, OverflowError) as error:  # a null in the name, absurd numbers in a header
        raise UnreadableError(_unreadable(path)) from error


def _unreadable(path: Path) -> str:
    return (
        f"{path}: is no video that can be read, or is damaged at its start; re-encode or copy it "
        "again"
    )


def _is_webp(path: Path) -> bool:
    """FFmpeg reads no animated WebP. Refuses at once what is no file or is empty."""
    if path.exists() and not path.is_file():
        raise UnreadableError(f"{path}: is not a file; name a video")
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise UnreadableError(f"{path}: is empty; copy it again")
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"
