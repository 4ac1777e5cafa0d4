"""Decoding only what is needed gives what decoding everything gives: pictures, times and end."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest

from vsearch.errors import MediaError
from vsearch.media.film import ContainerFilm
from vsearch.media.instants import Instants
from vsearch.media.selective import Selection
from vsearch.media.video import Sampler
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vsearch.types import Grays, Images, Times

RATES = (0.1, 0.5, 1, 2.5, 7, 60)
SPANS = (None, Span(1.3, 4.2), Span(5, 5))


@dataclass(frozen=True)
class Kind:
    """How a file is encoded."""

    name: str
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=dict)
    gop: int = 50
    b_frames: int | None = None
    pix_fmt: str = "yuv420p"
    uneven: bool = False  # frames at irregular times


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
    """A picture of which no two are alike, with a cut every 70 frames: uint8 (96, 128, 3)."""
    rng = np.random.default_rng(index // 70)
    picture = rng.integers(0, 256, (12, 16, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    picture = np.roll(picture, (index * 2, index * 3), (0, 1))
    picture[:16, : 1 + index % 128] = 255 - picture[:16, : 1 + index % 128]
    return picture


def encoded(path: Path, kind: Kind, frames: int = 260) -> Path:
    """Write such pictures at 25 a second; skips where the encoder is missing."""
    if kind.codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no {kind.codec}")
    rng = np.random.default_rng(3)
    base = Fraction(1, 1000) if kind.uneven else Fraction(1, 25)
    steps = rng.integers(5, 90, frames) if kind.uneven else np.ones(frames, int)
    with av.open(str(path), "w") as container:
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
    """All that a sampler tells."""

    images: list[str]  # digests
    times: list[float]
    end: float
    note: str | None


def sampled(path: Path, fps: float, span: Span | None) -> Sampled | str:
    """What comes out, or why nothing does."""
    sampler = Sampler(path, fps=fps, short_side=96, span=span)
    images: list[str] = []
    times: list[float] = []
    try:
        for batch in sampler:
            images.extend(sha256(image.tobytes()).hexdigest() for image in batch.images)
            times.extend(batch.times.tolist())
    except MediaError as error:
        return str(error)
    return Sampled(images, times, sampler.end, sampler.note)


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sampled | str]:
    """As `sampled`, with all frames decoded."""

    def decode(path: Path, fps: float, span: Span | None) -> Sampled | str:
        with monkeypatch.context() as patched:
            patched.setattr(ContainerFilm, "_ways", lambda *_: [])
            return sampled(path, fps, span)

    return decode


CASES = [
    pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow, id=name) for name in KINDS
]


@pytest.mark.parametrize("name", CASES)
def test_what_is_left_out_changes_nothing(
    tmp_path: Path, everything: Callable[..., Sampled], name: str
) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name])
    for fps in RATES:
        for span in SPANS:
            assert sampled(path, fps, span) == everything(path, fps, span)


@pytest.mark.slow
def test_what_is_left_out_of_real_clips_changes_nothing(
    real_clips: Path, everything: Callable[..., Sampled]
) -> None:
    for path in sorted(real_clips.iterdir()):
        for fps in (0.5, 2.5):
            assert sampled(path, fps, None) == everything(path, fps, None)


@pytest.mark.slow
def test_what_is_left_out_of_broken_files_changes_nothing(
    broken_media: Path, everything: Callable[..., Sampled]
) -> None:
    """Pictures of damaged parts differ from run to run: FFmpeg's threads race for them."""
    for path in sorted(broken_media.iterdir()):
        for span in (None, Span(1.3, 4.2)):
            found, true = sampled(path, 1, span), everything(path, 1, span)
            if isinstance(found, Sampled) and path.name.startswith(("decode_error", "corrupted")):
                found.images.clear()
                true.images.clear()
            assert found == true


class Fed:
    """Counts what is handed to the decoder."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.packets = self.again = 0
        decode, begin = ContainerFilm._pictures, ContainerFilm._begin_again

        def counted(film: ContainerFilm, packet: av.Packet[av.VideoStream] | None) -> object:
            self.packets += packet is not None
            return decode(film, packet)

        def begun(film: ContainerFilm, *args: object) -> None:
            self.again += 1
            begin(film, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(ContainerFilm, "_pictures", counted)
        monkeypatch.setattr(ContainerFilm, "_begin_again", begun)


@pytest.mark.parametrize("name", ["h264", "mpeg4", "vp9"])
def test_sparse_rates_do_not_pay_for_the_frames_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name], frames=500)
    fed = Fed(monkeypatch)
    sampled(path, 0.1, None)
    assert fed.packets < 250
    assert not fed.again


def test_key_frames_that_only_begin_a_refresh_are_not_taken_for_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoded(tmp_path / "a.mkv", KINDS["h264 intra refresh"])
    fed = Fed(monkeypatch)
    sampled(path, 0.1, None)
    assert fed.packets == 260


def key_times(path: Path) -> list[float]:
    """When key frames are shown, in seconds."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        shown = [p for p in container.demux(stream) if p.is_keyframe and p.pts is not None]
        return [float(p.pts * p.time_base) for p in shown]  # type: ignore[operator]


@pytest.mark.parametrize("name", ["h264", "h264 open GOP", "hevc", "hevc open GOP", "mpeg2", "vp9"])
def test_key_frames_answer_for_the_instants_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name])
    exact = Sampler(path, fps=60, short_side=96)
    pictures = {time: b.images[n] for b in exact for n, time in enumerate(b.times.tolist())}
    fed = Fed(monkeypatch)
    sampler = Sampler(path, fps=60, short_side=96, keyframes=True)
    found = [(time, b.images[n]) for b in sampler for n, time in enumerate(b.times.tolist())]
    times = [time for time, _ in found]
    first = min(pictures)
    assert times == pytest.approx(np.array(key_times(path)) - key_times(path)[0] + first, abs=2e-3)
    for time, image in found:
        nearest = min(pictures, key=lambda other: abs(other - time))
        assert np.array_equal(image, pictures[nearest])
    assert fed.packets == len(times)
    assert sampler.end == pytest.approx(exact.end, abs=0.05)
    assert sampler.gap == pytest.approx(max(np.diff([*times, sampler.end])))
    assert exact.gap == 0
    assert sampler.note is None


def test_key_frames_come_once_and_only_where_an_instant_asks_for_them(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264 short GOP"])
    sampler = Sampler(path, fps=0.5, short_side=16, keyframes=True)
    assert [time for batch in sampler for time in batch.times] == [0, 2, 4, 6, 8, 10]
    assert sampler.gap == 2


@pytest.mark.parametrize("name", ["h264 intra refresh", "mpeg4 in AVI"])
def test_what_has_no_key_frames_to_go_by_is_decoded_as_ever(tmp_path: Path, name: str) -> None:
    path = encoded(tmp_path / KINDS[name].name, KINDS[name])
    fast = Sampler(path, fps=1, short_side=16, keyframes=True)
    exact = Sampler(path, fps=1, short_side=16)
    fast_times, exact_times = ([t for b in s for t in b.times] for s in (fast, exact))
    assert fast_times == exact_times


def test_key_frames_far_apart_do_not_stand_for_what_is_between(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264 one key frame"], frames=900)
    sampler = Sampler(path, fps=1, short_side=16, keyframes=True)
    times = [time for batch in sampler for time in batch.times]
    assert times == list(range(36))
    assert sampler.gap == 1
    assert sampler.note
    assert sampler.note.startswith("its key frames are over 30 s apart")


def test_a_sparse_rate_tells_the_gap_between_its_frames(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264"])
    sampler = Sampler(path, fps=0.2, short_side=16)
    assert [time for batch in sampler for time in batch.times] == [0, 5, 10]
    assert sampler.gap == 5


class Watcher:
    """A shot detector that remembers when."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def see(self, pictures: Grays, times: Times) -> None:
        self.times.extend(times.tolist())

    def cuts(self) -> Times:
        return np.empty(0)


def test_only_single_frames_are_kept_from_the_shot_detector(tmp_path: Path) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264"])
    watcher = Watcher()
    for _ in Sampler(path, fps=0.5, short_side=16, detector=watcher):
        pass
    assert len(watcher.times) < 200
    assert max(np.diff(watcher.times)) < 0.17
    assert watcher.times[-1] == pytest.approx(259 / 25, abs=0.09)


def test_who_stops_it_while_it_plans_does_not_have_all_decoded_instead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = encoded(tmp_path / "a.mp4", KINDS["h264"])
    wants = Instants(Fraction(25), Fraction(0), None)
    decoded: list[VideoFrame] = []
    decode = ContainerFilm._pictures

    def counted(film: ContainerFilm, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        pictures = decode(film, packet)
        decoded.extend(pictures)
        return pictures

    def planned(selection: Selection, packets: list[Packet[VideoStream]]) -> Any:
        if len(decoded) > 100:
            wants.stopped.set()
        return plan(selection, packets)

    plan = Selection._piece
    monkeypatch.setattr(ContainerFilm, "_pictures", counted)
    monkeypatch.setattr(Selection, "_piece", planned)
    with closing(ContainerFilm(path)) as film:
        seen = list(film.frames(wants=wants))
    assert 100 < len(seen) < 200
    assert len(decoded) < 200, "and not from the beginning"
