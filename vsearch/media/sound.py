"""The sound of a video from some instant on, at one rate, without a gap: stereo, or mono.

What cannot be decoded is silence, so that sound stays where it belongs beside the pictures.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from av.stream import Discard

from vsearch.errors import MediaError
from vsearch.media.container import codec_of, exact, open_file, origin
from vsearch.media.film import ContainerFilm
from vsearch.media.timestamps import Timestamps
from vsearch.media.video import opened

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

Samples: TypeAlias = npt.NDArray[np.float32]  # (2, N) left and right, in [-1, 1]
Mono: TypeAlias = npt.NDArray[np.float32]  # (N,) in [-1, 1]

RATE = 48_000  # samples a second
_SLACK = 20  # the part of a second that timestamps may be off before sound is moved: not heard
_BEFORE = Fraction(1)  # seconds decoded before the start: codecs need a run-up
_RATES = range(1_000, 1_000_000)  # samples a second; a file that claims another is not believed


class Sound:
    """The sound of `path` from `start` seconds on, to be taken piece by piece."""

    def __init__(self, path: Path, start: Fraction) -> None:
        self._blocks = _blocks(path, start)
        self._left: Samples = np.zeros((2, 0), np.float32)

    def take(self, count: int) -> Samples:
        """The next samples, float32 (2, `count`); silence after the end."""
        pieces, missing = [self._left], count - self._left.shape[1]
        while missing > 0:
            block = next(self._blocks, None)
            if block is None:
                block = np.zeros((2, missing), np.float32)
            pieces.append(block)
            missing -= block.shape[1]
        joined = np.concatenate(pieces, axis=1)
        self._left = joined[:, count:]
        return joined[:, :count]

    def close(self) -> None:
        """Let go of the file."""
        self._blocks.close()


def mono(path: Path, rate: int) -> Generator[Mono, None, None]:
    """The whole sound, float32 (N,) at `rate` samples a second: blocks of a second at most.

    Nothing where there is none. A hole may be hours of silence: whoever takes it, ends it. Raises
    MediaError for a file that cannot be opened.
    """
    with opened(path):
        pass
    for block in _blocks(path, Fraction(0), _Kind("mono", rate)):
        for begin in range(0, block.shape[1], rate):
            yield block[0, begin : begin + rate]


def has_sound(path: Path) -> bool:
    """Whether there is any sound that can be decoded."""
    with closing(_blocks(path, Fraction(0))) as blocks:
        return next(blocks, None) is not None


@dataclass(frozen=True, slots=True)
class _Kind:
    """Of samples that come out."""

    layout: str
    rate: int


_STEREO = _Kind("stereo", RATE)


def _blocks(path: Path, start: Fraction, kind: _Kind = _STEREO) -> Generator[Samples, None, None]:
    """Samples from `start` on as they follow each other, float32 (channels, N) each."""
    slack = kind.rate // _SLACK
    done = 0  # samples
    try:
        for frame, time in _frames(path, start, kind):
            samples = np.ascontiguousarray(frame.to_ndarray(), np.float32)
            due = round((time - start) * kind.rate)
            while due > done + slack:  # a hole, however long
                silence = min(due - done, kind.rate)
                yield np.zeros((len(samples), silence), np.float32)
                done += silence
            if due < done - slack or (due < 0 and not done):
                samples = samples[:, done - due :]
            if samples.shape[1]:
                yield samples
            done += samples.shape[1]
    except (FFmpegError, MediaError, OSError, ValueError, OverflowError):
        return


def _frames(path: Path, start: Fraction, kind: _Kind) -> Iterator[tuple[AudioFrame, Fraction]]:
    """Frames of floats of one kind, and the time at which each is heard."""
    seeks = start > _BEFORE and _runs_through(path)
    with closing(open_file(path)) as container:
        stream = next((s for s in container.streams.audio if codec_of(s)), None)
        if stream is None:
            return
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        base = exact(stream.time_base) or Fraction(1, av.time_base)
        zero = origin(container, stream)
        if seeks:
            container.seek(int((start - _BEFORE + zero) / base), stream=stream)
        times = Timestamps(base, zero, Fraction(1, 50), sought=seeks)
        even = _Evener(kind)
        for frame in _decoded(container, stream):
            time = times.read(frame.pts)
            for one in even.take(frame):
                yield one, time
                time += Fraction(one.samples, kind.rate)


def _runs_through(path: Path) -> bool:
    with closing(ContainerFilm(path)) as film:
        return film.runs_through()


class _Evener:
    """Frames of any kind to floats of one."""

    def __init__(self, wanted: _Kind) -> None:
        self._wanted = wanted
        self._kind: tuple[str, str, int] | None = None
        self._resampler = self._new()

    def take(self, frame: AudioFrame) -> list[AudioFrame]:
        if frame.sample_rate not in _RATES:
            return []
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self._kind:  # a new one: a resampler takes one kind only
            self._kind, self._resampler = kind, self._new()
        frame.pts = None  # times are told by whoever asks
        try:
            return self._resampler.resample(frame)
        except (FFmpegError, ValueError):
            return []

    def _new(self) -> AudioResampler:
        return AudioResampler("fltp", self._wanted.layout, self._wanted.rate)


def _decoded(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    for packet in _packets(container, stream):
        if packet.has_sidedata("encryption_info"):
            return
        try:
            yield from stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):
            continue  # a damaged packet is a hole


def _packets(container: InputContainer, stream: AudioStream) -> Iterator[Packet[AudioStream]]:
    """Packets; a container that fails to read on is asked again, within bounds."""
    for _ in range(100):
        try:
            yield from container.demux(stream)
        except (FFmpegError, ValueError):
            continue
        except IndexError:  # as in media/film.py
            return
        return
