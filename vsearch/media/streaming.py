"""A video from some instant on as a stream that browsers play: fragments of MP4 as they are made.

The pictures are the video's own packets where browsers take them (see `media/remuxing.py`), from
the key frame before that instant on; otherwise they are decoded and encoded anew, as H.264 of 720
lines at most, from that very instant on. Sound is always encoded anew. Nothing is made before it
is asked for, and no more than about a second is held.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from vsearch.errors import VSearchError
from vsearch.media.canvas import Canvas
from vsearch.media.container import codec_of, open_file
from vsearch.media.remuxing import source
from vsearch.media.sound import Sound
from vsearch.media.timestamps import TICK
from vsearch.media.tracks import MOST, Pictures, SoundTrack
from vsearch.media.video import opened

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from av.container import OutputContainer

    from vsearch.media.film import Film, Frame
    from vsearch.media.remuxing import Source

log = logging.getLogger(__name__)

LINES = 720  # of a picture that is encoded anew, at most
_RATE = Fraction(25)  # frames a second, where a file does not tell
_KEYS = Fraction(2)  # seconds between key frames
_OPTIONS = {
    # the header waits for the first fragment: so it can say what decoders must leave out
    "movflags": "frag_keyframe+delay_moov+default_base_moof",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
}
_ENCODER: dict[str, object] = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "crf": "23",
    "bf": "0",
    "forced-idr": "1",
}
_BROKEN = (VSearchError, FFmpegError, OSError, ValueError, OverflowError, MemoryError)


class Stream:
    """The bytes of an MP4, piece by piece; close it wherever it is left.

    A piece may be empty: that is an occasion to leave it. Damage ends it.
    """

    def __init__(self, path: Path, made: Generator[bytes, None, None], begins: Fraction) -> None:
        self.begins = float(begins)  # seconds in the video that are second 0 of the stream
        self._path, self._made = path, made
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            with self._lock:
                return next(self._made)
        except _BROKEN as error:
            log.info("%s: the stream ends early: %s", self._path, error)
            raise StopIteration from error

    def close(self) -> None:
        """Let go of all files; any thread may ask for it."""
        with self._lock:
            self._made.close()


def stream(path: Path, start: float, *, anew: bool = False) -> Stream:
    """The video from `start` seconds on, or a little before; `anew` never copies packets.

    Raises MediaError, and ValueError for a start that is no time.
    """
    begins = Fraction(start)  # ValueError and OverflowError where it is not finite
    if begins < 0:
        raise ValueError(f"a stream cannot start at {start}")
    copied = None if anew else source(path, begins)
    made = _copied(path, copied) if copied else _encoded(path, begins)
    next(made)  # so that what is wrong is raised here
    return Stream(path, made, copied.begins if copied else begins)


# --- the pictures


def _copied(path: Path, copied: Source) -> Generator[bytes, None, None]:
    sink = _Sink()
    with closing(copied), _written(sink) as container:
        out = container.add_stream_from_template(copied.stream, opaque=True)
        out.time_base = copied.stream.time_base
        with closing(_Voice(container, path, copied.begins)) as voice:
            yield b""
            end = Fraction(0)
            for packet in copied.packets:
                end = (packet.pts or 0) * copied.base
                for _ in voice.until(end):
                    yield sink.taken()
                end += (packet.duration or 0) * copied.base
                packet.stream = out
                container.mux(packet)
                yield sink.taken()
            for _ in voice.until(end):
                yield sink.taken()
    yield sink.taken()


def _encoded(path: Path, start: Fraction) -> Generator[bytes, None, None]:
    sink = _Sink()
    with opened(path) as film:
        shown = _shown(film, start)
        first = next(one for one in shown if one)
        canvas, last = _canvas(first[0]), Fraction(0)
        with _written(sink) as container:
            pictures = _Pictures(container, (canvas.width, canvas.height), _rate(film))
            with closing(_Voice(container, path, start)) as voice:
                yield b""
                for frame, since, until in filter(None, chain([first], shown)):
                    key = not since or since - last >= _KEYS
                    last = since if key else last
                    pictures.add(canvas.paint(frame), since, first=key)
                    for _ in voice.until(until):
                        yield sink.taken()
                    yield sink.taken()
                pictures.close(until)
    yield sink.taken()


def _shown(film: Film, start: Fraction) -> Iterator[tuple[Frame, Fraction, Fraction] | None]:
    """Frames, from and until when they are seen, in seconds from `start`; None for those before."""
    held: Frame | None = None
    since = Fraction(0)
    for frame in film.frames(start):
        if held is not None and frame.time > start + TICK:
            yield held, since, frame.time - start
            since = frame.time - start
        else:
            yield None
        held = frame
    if held is None:
        raise film.reason()
    yield held, since, max(held.time + held.length - start, since + 1 / _RATE)


def _canvas(frame: Frame) -> Canvas:
    """As `Canvas.of`, of fewer lines."""
    whole = Canvas.of(frame)
    short = min(whole.width, whole.height)
    if short <= LINES:
        return whole
    width, height = (side * LINES // short // 2 * 2 for side in (whole.width, whole.height))
    return Canvas(width, height)


def _rate(film: Film) -> Fraction:
    rate = Fraction(film.claims().fps).limit_denominator(1001)
    return min(max(rate or _RATE, Fraction(1)), Fraction(MOST))


class _Pictures(Pictures):
    """Pictures that are encoded while they are watched."""

    def __init__(self, container: OutputContainer, size: tuple[int, int], rate: Fraction) -> None:
        super().__init__(container, size, rate)
        self._stream.options = _ENCODER


# --- the sound, and the bytes


class _Voice:
    """The sound beside the pictures, if there is any."""

    def __init__(self, container: OutputContainer, path: Path, start: Fraction) -> None:
        self._track = SoundTrack(container) if _sounds(path) else None
        self._heard = Sound(path, start)
        self._filled = Fraction(0)

    def until(self, end: Fraction) -> Iterator[None]:
        """Take sound up to `end` seconds, no more than one at a time."""
        while self._track and self._filled < end:
            self._filled = min(self._filled + 1, end)
            self._track.fill(self._filled, self._heard)
            yield

    def close(self) -> None:
        self._heard.close()
        if self._track:
            self._track.close()


def _sounds(path: Path) -> bool:
    try:
        with closing(open_file(path)) as container:
            codecs = map(codec_of, container.streams.audio)
            return any(getattr(codec, "sample_rate", 0) > 0 for codec in codecs)
    except (FFmpegError, OSError, ValueError, OverflowError):
        return False


class _Sink:
    """A file for PyAV to write to, from which what was written is taken."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        piece, self._pieces = b"".join(self._pieces), []
        return piece


@contextmanager
def _written(sink: _Sink) -> Iterator[OutputContainer]:
    container = av.open(sink, "w", format="mp4", options=_OPTIONS)
    try:
        yield container
    finally:
        with suppress(*_BROKEN):  # what is left matters no more
            container.close()
