"""Memory and time are bounded for any video, however large, long or broken."""

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

from tests.support.video_factory import RED, ColorScene, make_video
from vsearch.errors import NoPictureError, TooLargeError
from vsearch.media import container, reader
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.reader import AvVideoReader
from vsearch.media.rgb import RgbConverter
from vsearch.media.sampler import Sampler, probe_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vsearch.types import GrayImages, Times

MEASURE = """
import sys
from pathlib import Path
from vsearch.media.shot_detection import ContentDetector
from vsearch.media.sampler import Sampler
for _ in Sampler(Path(sys.argv[1]), fps=1, short_side=112, shot_detector=ContentDetector()):
    pass
(peak,) = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak.split()[1]) // 1024)
"""


def peak(path: Path) -> int:
    """Return the MiB a process takes to decode a video; getrusage() would include its parent."""
    if not sys.platform.startswith("linux"):
        pytest.skip("needs /proc")
    command = [sys.executable, "-c", MEASURE, str(path)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def blank_video(
    path: Path, sizes: Sequence[tuple[int, int]], *, codec: str = "png", pix_fmt: str = "rgb24"
) -> Path:
    """Write black frames of the given sizes (width, height), one per second."""
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
    """Encode one frame on its own, so that the next one may have another size."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = Fraction(1)
    return [*context.encode(frame), *context.encode(None)]


@pytest.mark.slow
def test_two_hours_need_as_little_memory_as_a_minute(tmp_path: Path) -> None:
    lengths = {
        seconds: make_video(
            tmp_path / f"{seconds}.mkv", [ColorScene(RED, seconds)], fps=2, gop_size=250
        )
        for seconds in (60, 7200)
    }
    assert peak(lengths[7200]) - peak(lengths[60]) < 60


def test_an_oversized_frame_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 1_000_000)
    with pytest.raises(NoPictureError, match="frames exceed 1 million pixels"):
        probe_video(blank_video(tmp_path / "a.mov", [(1001, 1001)]))


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


def test_too_many_pixels_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 64 * 48 - 1)
    with pytest.raises(TooLargeError, match="64 x 48"):
        probe_video(make_video(tmp_path / "a.mp4"))


def test_the_limit_counts_bits_per_pixel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container, "MAX_DECODING_BYTES", 64 * 48 * 4)
    probe_video(blank_video(tmp_path / "a.mov", [(64, 48)], pix_fmt="rgba"))
    with pytest.raises(TooLargeError, match="64 x 48"):
        probe_video(blank_video(tmp_path / "b.mov", [(64, 48)], pix_fmt="rgba64be"))


def test_animations_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [Image.new("RGB", (64, 48), shade) for shade in ("red", "blue")]
    pictures[0].save(tmp_path / "a.webp", save_all=True, append_images=pictures[1:])
    probe_video(tmp_path / "a.webp")
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 64 * 48 - 1)
    with pytest.raises(TooLargeError, match="64 x 48"):
        probe_video(tmp_path / "a.webp")


@pytest.mark.parametrize(("frames", "threads"), [(100, 16), (16, 16), (5, 5), (1, 1)])
def test_the_thread_count_is_bounded_by_frame_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, threads: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(container, "MAX_DECODING_BYTES", 64 * 48 * 3 * frames)
    opened = AvVideoReader(blank_video(tmp_path / "a.mov", [(64, 48)]))
    assert opened._video_stream.codec_context.thread_count == threads
    opened.close()


def test_frames_that_outgrow_the_thread_budget_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a bomb that starts small, so that all processors decode it."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(container, "MAX_DECODING_BYTES", 640 * 480 * 3)
    path = blank_video(tmp_path / "a.mov", [(64, 48)] * 3 + [(640, 480)] * 3)
    sampler = Sampler(path, fps=1, short_side=16)
    assert max(time for batch in sampler for time in batch.frame_times) <= 2
    assert sampler.warning == "damaged after 0:03; its headers claim a duration of 0:06"


def alive() -> int:
    """Count the video frames in memory; isinstance would wake lazy modules."""
    return sum(type(thing) is av.VideoFrame for thing in gc.get_objects())


def test_converted_frames_are_released(tmp_path: Path) -> None:
    opened = AvVideoReader(make_video(tmp_path / "a.mp4", rotation=90))
    painter = RgbConverter()
    gc.collect()
    gc.disable()
    try:
        before = alive()
        for frame in opened.iter_frames():
            painter.convert_frame(frame.video_frame, 16, frame.pixel_aspect)
        kept = alive() - before
    finally:
        gc.enable()
    opened.close()
    assert kept < 6


class BrokenDisk:
    """Container on a disk whose reads take a minute to fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads = 0
        monkeypatch.setattr(reader, "monotonic", lambda: 60.0 * self.reads)

    def demux(self, stream: av.VideoStream) -> Iterator[av.Packet[av.VideoStream]]:
        self.reads += 1
        raise FFmpegError(5, "Input/output error")
        yield

    def close(self) -> None:
        pass


def test_a_failing_disk_is_not_retried_for_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = AvVideoReader(make_video(tmp_path / "a.mp4"))
    opened.close()
    disk = BrokenDisk(monkeypatch)
    monkeypatch.setattr(opened, "_container", disk)
    assert list(opened._iter_packets()) == [None]
    assert disk.reads <= 2


class Counter:
    """Shot detector that counts frames."""

    def __init__(self) -> None:
        self.frames = 0

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        self.frames += len(frame_times)

    def cuts(self) -> Times:
        return np.empty(0)


def test_a_stopped_sampler_ends_at_the_next_frame(tmp_path: Path) -> None:
    sampler = Sampler(make_video(tmp_path / "a.mp4"), fps=10, short_side=16, batch_size=1)
    batches = iter(sampler)
    assert next(batches).frame_times == [0]
    sampler.stop()
    assert len(list(batches)) <= 1


def test_prefetching_ends_with_the_block(tmp_path: Path) -> None:
    counter = Counter()
    path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 30)], fps=50)
    with prefetch_batches(Sampler(path, fps=0.01, short_side=16, shot_detector=counter)):
        pass
    assert counter.frames < 1500
