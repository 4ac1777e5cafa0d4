"""However large, long or broken a video is, it takes bounded memory and time."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.error import FFmpegError
from PIL import Image

from synth import RED, Scene, make_video
from vsearch.errors import NoPictureError, TooLargeError
from vsearch.media import film, limits
from vsearch.media.ahead import ahead
from vsearch.media.film import ContainerFilm
from vsearch.media.painter import Painter
from vsearch.media.video import Sampler, probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.types import Grays, Times

MEASURE = """
import sys
from pathlib import Path
from vsearch.media.shots import ContentDetector
from vsearch.media.video import Sampler
for _ in Sampler(Path(sys.argv[1]), fps=1, short_side=112, detector=ContentDetector()):
    pass
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""


def peak(path: Path) -> int:
    """MiB that a process takes to decode a video; getrusage() would count what started it, too."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    command = [sys.executable, "-c", MEASURE, str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def blank_video(
    path: Path, sizes: Sequence[tuple[int, int]], *, codec: str = "png", pix_fmt: str = "rgb24"
) -> Path:
    """A video of black frames of those sizes (width, height), one a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=1)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *sizes[0], pix_fmt
        for index, (width, height) in enumerate(sizes):
            frame = av.VideoFrame(width, height, pix_fmt)
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            for packet in encoded(frame, codec):
                packet.stream, packet.pts, packet.dts = stream, index, index
                packet.time_base = Fraction(1)
                container.mux(packet)
    return path


def encoded(frame: av.VideoFrame, codec: str) -> list[av.Packet[av.VideoStream]]:
    """One frame on its own, so that the next one may have another size."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = Fraction(1)
    return [*context.encode(frame), *context.encode(None)]


@pytest.mark.slow
def test_two_hours_need_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    lengths = {
        seconds: make_video(tmp_path / f"{seconds}.mkv", [Scene(RED, seconds)], fps=2, gop=250)
        for seconds in (60, 7200)
    }
    assert peak(lengths[7200]) - peak(lengths[60]) < 60


def test_a_frame_too_large_to_be_opened_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 1_000_000)
    with pytest.raises(NoPictureError, match="larger than 1 million pixels"):
        probe(blank_video(tmp_path / "a.mov", [(1001, 1001)]))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "pix_fmt"), [((8192, 4096), "rgba64be"), ((8192, 8192), "rgb24")])
def test_the_largest_frames_stay_within_a_gigabyte_and_a_half(
    tmp_path: Path, size: tuple[int, int], pix_fmt: str
) -> None:
    path = blank_video(tmp_path / "a.mov", [size] * 6, pix_fmt=pix_fmt)
    assert path.stat().st_size < 3_000_000
    assert peak(path) < 1500


def test_8k_is_decoded(tmp_path: Path) -> None:
    path = blank_video(tmp_path / "a.mov", [(7680, 4320)])
    assert next(iter(Sampler(path, fps=1, short_side=16))).images.shape == (1, 16, 28, 3)


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(TooLargeError, match="64 x 48"):
        probe(make_video(tmp_path / "a.mp4"))


def test_what_counts_is_the_memory_that_pixels_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_BYTES", 64 * 48 * 4)
    probe(blank_video(tmp_path / "a.mov", [(64, 48)], pix_fmt="rgba"))
    with pytest.raises(TooLargeError, match="64 x 48"):
        probe(blank_video(tmp_path / "b.mov", [(64, 48)], pix_fmt="rgba64be"))


def test_animations_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [Image.new("RGB", (64, 48), shade) for shade in ("red", "blue")]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:])
    probe(tmp_path / "a.webp")
    monkeypatch.setattr(limits, "MAX_PIXELS", 64 * 48 - 1)
    with pytest.raises(TooLargeError, match="64 x 48"):
        probe(tmp_path / "a.webp")


@pytest.mark.parametrize(("frames", "threads"), [(100, 16), (16, 16), (5, 5), (1, 1)])
def test_threads_are_as_many_as_their_frames_fit_into_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(limits, "MAX_BYTES", 64 * 48 * 3 * frames)
    opened = ContainerFilm(blank_video(tmp_path / "a.mov", [(64, 48)]))
    assert opened._stream.codec_context.thread_count == threads
    opened.close()


def test_frames_that_grow_past_what_their_thread_may_take_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a bomb that starts small, so that all processors work on it."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(limits, "MAX_BYTES", 640 * 480 * 3)
    path = blank_video(tmp_path / "a.mov", [(64, 48)] * 3 + [(640, 480)] * 3)
    sampler = Sampler(path, fps=1, short_side=16)
    assert max(time for batch in sampler for time in batch.times) <= 2
    assert sampler.note == "damaged after 0:02, though it claims to last 0:06"


def alive() -> int:
    """How many pictures there are; isinstance would wake lazy modules."""
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())


def test_a_painted_picture_is_let_go(tmp_path: Path) -> None:
    opened = ContainerFilm(make_video(tmp_path / "a.mp4", rotation=90))
    painter = Painter()
    gc.collect()
    gc.disable()
    try:
        before = alive()
        for frame in opened.frames():
            painter.paint(frame.picture, 16, frame.aspect)
        kept = alive() - before
    finally:
        gc.enable()
    opened.close()
    assert kept < 6


class BrokenDisk:
    """A container on a disk that takes a minute to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        monkeypatch.setattr(film, "monotonic", lambda: 60.0 * self.reads)

    def demux(self, stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
        self.reads += 1
        raise FFmpegError(5, "Input/output error")
        yield

    def close(self) -> None:
        pass


def test_a_disk_that_fails_is_not_asked_for_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = ContainerFilm(make_video(tmp_path / "a.mp4"))
    opened.close()
    disk = BrokenDisk(monkeypatch)
    monkeypatch.setattr(opened, "_container", disk)
    assert list(opened._packets()) == [None]
    assert disk.reads <= 2


class Counter:
    """A shot detector that counts frames."""

    def __init__(self) -> None:
        self.frames = 0

    def see(self, pictures: Grays, times: Times) -> None:
        self.frames += len(times)

    def cuts(self) -> Times:
        return np.empty(0)


def test_a_sampler_that_is_stopped_ends_at_the_next_frame(tmp_path: Path) -> None:
    sampler = Sampler(make_video(tmp_path / "a.mp4"), fps=10, short_side=16, batch_size=1)
    batches = iter(sampler)
    assert next(batches).times == [0]
    sampler.stop()
    assert len(list(batches)) <= 1


def test_decoding_ahead_ends_with_the_block_not_with_the_batch(tmp_path: Path) -> None:
    counter = Counter()
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 30)], fps=50)
    with ahead(Sampler(path, fps=0.01, short_side=16, detector=counter)):
        pass
    assert counter.frames < 1500
