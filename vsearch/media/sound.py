"""The sound of a video from some instant on: stereo at one rate, without a gap.

What cannot be decoded is silence, so that sound stays where it belongs beside the pictures.
"""

from __future__ import annotations

from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from av.stream import Discard

from vsearch.errors import MediaError
from vsearch.media.film import ContainerFilm, codec_of, exact, open_file, origin
from vsearch.media.timestamps import Timestamps

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

Samples: TypeAlias = npt.NDArray[np.float32]  # (2, N) left and right, in [-1, 1]

RATE = 48_000  # samples a second
_SLACK = RATE // 20  # samples that timestamps may be off before sound is moved: nobody hears it
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


def has_sound(path: Path) -> bool:
    """Whether there is any sound that can be decoded."""
    with closing(_blocks(path, Fraction(0))) as blocks:
        return next(blocks, None) is not None


def _blocks(path: Path, start: Fraction) -> Generator[Samples, None, None]:
    """Samples from `start` on as they follow each other, float32 (2, N) each."""
    done = 0  # samples
    try:
        for frame, time in _frames(path, start):
            samples = np.ascontiguousarray(frame.to_ndarray(), np.float32)
            due = round((time - start) * RATE)
            while due > done + _SLACK:  # a hole, however long
                silence = min(due - done, RATE)
                yield np.zeros((2, silence), np.float32)
                done += silence
            if due < done - _SLACK or (due < 0 and not done):
                samples = samples[:, done - due :]
            if samples.shape[1]:
                yield samples
            done += samples.shape[1]
    except (FFmpegError, MediaError, OSError, ValueError, OverflowError):
        return


def _frames(path: Path, start: Fraction) -> Iterator[tuple[AudioFrame, Fraction]]:
    """Frames of stereo floats at RATE, and the time at which each is heard."""
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
        even = _Evener()
        for frame in _decoded(container, stream):
            time = times.read(frame.pts)
            for one in even.take(frame):
                yield one, time
                time += Fraction(one.samples, RATE)


def _runs_through(path: Path) -> bool:
    with closing(ContainerFilm(path)) as film:
        return film.runs_through()


class _Evener:
    """Frames of any kind to stereo floats at RATE."""

    def __init__(self) -> None:
        self._kind: tuple[str, str, int] | None = None
        self._resampler = AudioResampler("fltp", "stereo", RATE)

    def take(self, frame: AudioFrame) -> list[AudioFrame]:
        if frame.sample_rate not in _RATES:
            return []
        kind = frame.format.name, frame.layout.name, frame.sample_rate
        if kind != self._kind:  # a new one: a resampler takes one kind only
            self._kind, self._resampler = kind, AudioResampler("fltp", "stereo", RATE)
        frame.pts = None  # times are told by whoever asks
        try:
            return self._resampler.resample(frame)
        except (FFmpegError, ValueError):
            return []


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
