"""Selective decoding yields what full decoding yields: images, times and end."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from benchmarks.soak.sample_media import keep_scheduling
from vsearch.errors import MediaError
from vsearch.media.reader import AvVideoReader
from vsearch.media.sample_times import SampleTimes
from vsearch.media.sampler import Sampler
from vsearch.media.selective_decoding import SelectiveDecoder
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vsearch.types import GrayImages, Images, Times

RATES = (0.1, 0.5, 1, 2.5, 7, 60)
SPANS = (None, Span(1.3, 4.2), Span(5, 5))


@dataclass(frozen=True)
class Kind:
    """Encoding of a test file."""

    name: str
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    gop: int = 50
    b_frames: int | None = None
    pix_fmt: str = "yuv420p"
    uneven: bool = False  # irregular frame times


def x264(params: str, name: str = "a.mp4", **more: int | bool) -> Kind:
    return Kind(name, options={"preset": "veryfast", "x264-params": params}, **more)  # type: ignore[arg-type]


KINDS = {
    "h264": x264("bframes=3"),
    "h264 in Matroska": x264("bframes=3", "a.mkv"),
    "h264 in a transport stream": x264("bframes=3", "a.ts"),
    "h264 in Flash": x264("bframes=3", "a.flv"),
    "h264 without B-frames": x264("bframes=0"),
    "h264 b-pyramid": x264("bframes=8:b-adapt=2:b-pyramid=normal", "a.mkv"),
    "h264 open GOP": x264("bframes=5:b-adapt=0:open-gop=1", "a.mkv"),
    "h264 open GOP in a transport stream": x264("bframes=5:b-adapt=0:open-gop=1", "a.ts"),
    "h264 intra refresh": x264("intra-refresh=1:bframes=0", "a.mkv"),
    "h264 interlaced": x264("interlaced=1:bframes=2"),
    "h264 short GOP": x264("bframes=2", gop=5),
    "h264 one key frame": x264("bframes=3:scenecut=0", gop=9999),
    "h264 irregular times": x264("bframes=3", uneven=True),
    "h264 irregular times in Matroska": x264("bframes=3", "a.mkv", uneven=True),
    "hevc": Kind("a.mp4", "libx265", {"x265-params": "log-level=none:open-gop=0"}),
    "hevc open GOP": Kind("a.mkv", "libx265", {"x265-params": "log-level=none:bframes=6"}),
    "hevc in a transport stream": Kind("a.ts", "libx265", {"x265-params": "log-level=none"}),
    "hevc temporal layers": Kind(
        "a.mp4", "libx265", {"x265-params": "log-level=none:temporal-layers=3:bframes=6"}
    ),
    "hevc RADL": Kind("a.mp4", "libx265", {"x265-params": "log-level=none:radl=2:open-gop=0"}),
    "vp9": Kind("a.webm", "libvpx-vp9", {"auto-alt-ref": "1", "cpu-used": "8"}),
    "vp8": Kind("a.webm", "libvpx", {"auto-alt-ref": "1", "lag-in-frames": "16"}),
    "av1": Kind("a.mkv", "libsvtav1", {"preset": "12"}),
    "mpeg2": Kind("a.mpg", "mpeg2video", b_frames=2, gop=12),
    "mpeg2 in a transport stream": Kind("a.ts", "mpeg2video", b_frames=2, gop=15),
    "mpeg2 in Matroska": Kind("a.mkv", "mpeg2video", b_frames=2, gop=15),
    "mpeg4": Kind("a.mp4", "mpeg4", b_frames=2, gop=40),
    "mpeg4 in AVI": Kind("a.avi", "mpeg4", b_frames=2, gop=40),
    "mjpeg": Kind("a.mkv", "mjpeg", pix_fmt="yuvj420p"),
    "prores": Kind("a.mov", "prores_ks", pix_fmt="yuv422p10le"),
}  # fmt: skip
QUICK = ("h264", "h264 open GOP", "h264 irregular times", "mpeg2", "mpeg4", "vp9")


def scene(index: int) -> Images:
    """Draw one of a series of distinct images with a cut every 70 frames, uint8 (96, 128, 3)."""
    rng = np.random.default_rng(index // 70)
    picture = rng.integers(0, 256, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    picture = np.roll(picture, (index * 2, index * 3), (0, 1))
    picture[:16, : 1 + index % 128] = 255 - picture[:16, : 1 + index % 128]
    return picture


def encoded(path: Path, kind: Kind, frames: int = 260) -> Path:
    """Write such images at 25 fps; skip if the encoder is missing."""
    if kind.codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {kind.codec}")
    rng = np.random.default_rng(3)
    base = Fraction(1, 1000) if kind.uneven else Fraction(1, 25)
    steps = rng.integers(5, 90, frames) if kind.uneven else np.ones(frames, int)
    with keep_scheduling(), av.open(str(path), "w") as container:
        stream = container.add_stream(kind.codec, rate=25, options=kind.options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, kind.pix_fmt
        stream.codec_context.time_base = base
        stream.codec_context.gop_size = kind.gop
        if kind.b_frames is not None:
            stream.codec_context.max_b_frames = kind.b_frames
        for index, pts in enumerate(np.cumsum(steps).tolist()):
            frame = av.VideoFrame.from_ndarray(scene(index))
            frame.pts, frame.time_base = pts, base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@dataclass(frozen=True)
class Sampled:
    """All output of a sampler."""

    images: list[str]  # digests
    times: list[float]
    end: float
    note: str | None


def sampled(path: Path, fps: float, span: Span | None) -> Sampled | str:
    """Return the output of a sampler, or its error."""
    sampler = Sampler(path, fps=fps, short_side=96, span=span)
    images: list[str] = []
    times: list[float] = []
    try:
        for batch in sampler:
            images.extend(sha256(image.tobytes()).hexdigest() for image in batch.images)
            times.extend(batch.frame_times.tolist())
    except MediaError as error:
        return str(error)
    return Sampled(images, times, sampler.end_time, sampler.warning)


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sampled | str]:
    """As `sampled`, with all frames decoded."""

    def decode(path: Path, fps: float, span: Span | None) -> Sampled | str:
        with monkeypatch.context() as patched:
            patched.setattr(AvVideoReader, "_list_decode_plans", lambda *_: [])
            return sampled(path, fps, span)

    return decode


CASES = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow, id=name) for name in KINDS
]


@pytest.mark.parametrize("name", CASES)
def test_skipping_packets_changes_no_output(
    tmp_path: Path, everything: Callable[..., Sampled], name: str
) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name])
    for fps in RATES:
        for span in SPANS:
            assert sampled(path, fps, span) == everything(path, fps, span)


@pytest.mark.slow
def test_skipping_packets_of_real_clips_changes_no_output(
    real_clips: Path, everything: Callable[..., Sampled]
) -> None:
    for path in sorted(real_clips.iterdir()):
        for fps in (0.5, 2.5):
            assert sampled(path, fps, None) == everything(path, fps, None)


def without_damage_count(output: Sampled) -> Sampled:
    note = re.sub(r"^(a part|\d+ parts)", "parts", output.note or "")
    return replace(output, images=[], note=note)


@pytest.mark.slow
def test_skipping_packets_of_broken_files_changes_no_output(
    broken_media: Path, everything: Callable[..., Sampled]
) -> None:
    """Images and numbers of damaged parts vary from run to run, by races of FFmpeg's threads."""
    for path in sorted(broken_media.iterdir()):
        for span in (None, Span(1.3, 4.2)):
            found, true = sampled(path, 1, span), everything(path, 1, span)
            if isinstance(found, Sampled) and path.name.startswith(("decode_error", "corrupted")):
                found, true = without_damage_count(found), without_damage_count(true)
            assert found == true


class Fed:
    """Counter of packets passed to the decoder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.packets = self.again = 0
        decode, begin = AvVideoReader._decode_packet, AvVideoReader._restart_reading

        def counted(
            video_reader: AvVideoReader, packet: av.Packet[av.VideoStream] | None
        ) -> object:
            self.packets += packet is not None
            return decode(video_reader, packet)

        def begun(video_reader: AvVideoReader, *args: object) -> None:
            self.again += 1
            begin(video_reader, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(AvVideoReader, "_decode_packet", counted)
        monkeypatch.setattr(AvVideoReader, "_restart_reading", begun)


@pytest.mark.parametrize("name", ["h264", "mpeg4", "vp9"])
def test_sparse_sampling_skips_the_frames_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name], frames=500)
    fed = Fed(monkeypatch)
    sampled(path, 0.1, None)
    assert fed.packets < 250
    assert not fed.again


def test_refresh_keyframes_are_not_random_access_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoded(tmp_path / "a.mkv", KINDS["h264 intra refresh"])
    fed = Fed(monkeypatch)
    sampled(path, 0.1, None)
    assert fed.packets == 260


def key_times(path: Path) -> list[float]:
    """Return the display times of keyframes in seconds."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        shown = [p for p in container.demux(stream) if p.is_keyframe and p.pts is not None]
        return [float(p.pts * p.time_base) for p in shown]  # type: ignore[operator]


@pytest.mark.parametrize("name", ["h264", "h264 open GOP", "hevc", "hevc open GOP", "mpeg2", "vp9"])
def test_keyframes_stand_for_the_times_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name])
    exact = Sampler(path, fps=60, short_side=96)
    pictures = {time: b.images[n] for b in exact for n, time in enumerate(b.frame_times.tolist())}
    fed = Fed(monkeypatch)
    sampler = Sampler(path, fps=60, short_side=96, keyframes_only=True)
    found = [(time, b.images[n]) for b in sampler for n, time in enumerate(b.frame_times.tolist())]
    times = [time for time, _ in found]
    first = min(pictures)
    assert times == pytest.approx(np.array(key_times(path)) - key_times(path)[0] + first, abs=2e-3)
    for time, image in found:
        nearest = min(pictures, key=lambda other: abs(other - time))
        assert np.array_equal(image, pictures[nearest])
    assert fed.packets == len(times)
    assert sampler.end_time == pytest.approx(exact.end_time, abs=0.05)
    assert sampler.max_frame_gap == pytest.approx(max(np.diff([*times, sampler.end_time])))
    assert exact.max_frame_gap == 0
    assert sampler.warning is None


def test_keyframes_are_sampled_once_and_only_when_due(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264 short GOP"])
    sampler = Sampler(path, fps=0.5, short_side=16, keyframes_only=True)
    assert [time for batch in sampler for time in batch.frame_times] == [0, 2, 4, 6, 8, 10]
    assert sampler.max_frame_gap == 2


@pytest.mark.parametrize("name", ["h264 intra refresh", "mpeg4 in AVI"])
def test_streams_without_marked_keyframes_are_decoded_fully(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name])
    fast = Sampler(path, fps=1, short_side=16, keyframes_only=True)
    exact = Sampler(path, fps=1, short_side=16)
    fast_times, exact_times = ([t for b in s for t in b.frame_times] for s in (fast, exact))
    assert fast_times == exact_times


def test_distant_keyframes_fall_back_to_other_frames(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264 one key frame"], frames=900)
    sampler = Sampler(path, fps=1, short_side=16, keyframes_only=True)
    times = [time for batch in sampler for time in batch.frame_times]
    assert times == list(range(36))
    assert sampler.max_frame_gap == 1
    assert sampler.warning
    assert sampler.warning.startswith("its keyframes are over 30 s apart")


def test_sparse_sampling_reports_the_frame_gap(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264"])
    sampler = Sampler(path, fps=0.2, short_side=16)
    assert [time for batch in sampler for time in batch.frame_times] == [0, 5, 10]
    assert sampler.max_frame_gap == 5


class Watcher:
    """Shot detector that records times."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        self.times.extend(frame_times.tolist())

    def cuts(self) -> Times:
        return np.empty(0)


def test_the_shot_detector_misses_only_isolated_frames(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264"])
    watcher = Watcher()
    for _ in Sampler(path, fps=0.5, short_side=16, shot_detector=watcher):
        pass
    assert len(watcher.times) < 200
    assert max(np.diff(watcher.times)) < 0.17
    assert watcher.times[-1] == pytest.approx(259 / 25, abs=0.09)


def test_stopping_while_planning_does_not_decode_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264"])
    wants = SampleTimes(Fraction(25), Fraction(0), None)
    decoded: list[VideoFrame] = []
    decode = AvVideoReader._decode_packet

    def counted(
        video_reader: AvVideoReader, packet: Packet[VideoStream] | None
    ) -> list[VideoFrame]:
        pictures = decode(video_reader, packet)
        decoded.extend(pictures)
        return pictures

    def planned(selection: SelectiveDecoder, packets: list[Packet[VideoStream]]) -> Any:
        if len(decoded) > 100:
            wants.stop_event.set()
        return plan(selection, packets)

    plan = SelectiveDecoder._build_gop
    monkeypatch.setattr(AvVideoReader, "_decode_packet", counted)
    monkeypatch.setattr(SelectiveDecoder, "_build_gop", planned)
    with closing(AvVideoReader(path)) as video_reader:
        seen = list(video_reader.iter_frames(sample_times=wants))
    assert 100 < len(seen) < 200
    assert len(decoded) < 200, "and not from the beginning"
