"""Durations, frame rates and frame times of unusual and damaged containers."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from PIL import Image

from benchmarks.bench_damaged import FrameWatcher, compare_file, make_damaged, make_sources
from tests.conftest import SHARED_FOLDER
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, render_frames
from vsearch.export.mp4 import ClipSpan, export_clips
from vsearch.media.fragmented_mp4 import open_stream
from vsearch.media.playback import determine_playback
from vsearch.media.sampler import Sampler, open_video, probe_video
from vsearch.media.thumbnails import render_thumbnail
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SCENES = [ColorScene(RED, 1), ColorScene(GREEN, 1), ColorScene(BLUE, 1)]


def make_film(
    path: Path,
    *,
    rate: Fraction = Fraction(25),
    b_frames: int = 0,
    codec: str = "libx264",
    ticks_per_frame: int = 1,
    empty_packets: int = 0,
    scenes: Sequence[ColorScene] = SCENES,
    seconds: float = 3,
) -> Path:
    """Write a film at `rate`, timed with `rate` x `ticks_per_frame` ticks per second.

    Each packet is followed by `empty_packets` ones, which repeat its frame.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate * ticks_per_frame)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.gop_size = 20
        if codec == "libx264":
            stream.options = {"bf": str(b_frames), "b-adapt": "0", "preset": "veryfast"}
        images = list(render_frames(scenes, fps=25, frame_size=(64, 48)))
        tick = 1 / (rate * ticks_per_frame)
        for index in range(round(seconds * rate)):
            frame = av.VideoFrame.from_ndarray(images[index * len(images) // round(seconds * rate)])
            frame.pts, frame.time_base = index * ticks_per_frame, tick
            for packet in stream.encode(frame):
                container.mux(packet)
                for repeat in range(1, empty_packets + 1):
                    empty = av.Packet(b"")
                    empty.stream, empty.time_base = stream, tick
                    empty.pts = empty.dts = index * ticks_per_frame + repeat
                    container.mux(empty)
        container.mux(stream.encode(None))
    return path


def frame_times(path: Path) -> list[float]:
    with open_video(path) as video_reader:
        return [float(frame.start_time) for frame in video_reader.iter_frames()]


def sample(path: Path, *, watched: bool = False, keyframes_only: bool = False) -> Sampler:
    """Sample all of a file."""
    detector = FrameWatcher() if watched else None
    sampler = Sampler(
        path, fps=2, short_side=16, shot_detector=detector, keyframes_only=keyframes_only
    )
    times = [float(time) for batch in sampler for time in batch.frame_times]
    assert all(earlier < later for earlier, later in pairwise(times))
    assert times[-1] < sampler.end_time
    return sampler


def end_times(path: Path) -> list[float]:
    """Return the ends that all kinds of sampling find, in seconds."""
    samplers = [sample(path), sample(path, watched=True), sample(path, keyframes_only=True)]
    return [sampler.end_time for sampler in samplers]


# AVI stores decoding timestamps only


@pytest.fixture
def avi(tmp_path: Path) -> Path:
    """H.264 with B-frames in AVI, where every second packet is empty, as some recorders write."""
    return make_film(tmp_path / "a.avi", b_frames=2, ticks_per_frame=2)


def test_frames_of_an_avi_with_b_frames_are_evenly_spaced(avi: Path) -> None:
    times = frame_times(avi)
    assert len(times) == 75
    assert times[:-2] == pytest.approx([times[0] + index / 25 for index in range(73)])
    assert 0 <= times[0] <= 0.08
    assert times[-1] < 3


def test_an_avi_with_b_frames_has_its_own_rate_and_end(avi: Path) -> None:
    assert probe_video(avi).fps == 25
    assert end_times(avi) == pytest.approx([3, 3, 3], abs=0.001)
    assert max(end_times(avi)) <= 3 + 1e-5


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_an_exported_second_has_every_picture(tmp_path: Path, name: str) -> None:
    film = make_film(tmp_path / name, b_frames=2)
    clip = ClipSpan(film, Span(1.0, 2.0))
    exported = export_clips([clip], tmp_path / "clip.mp4").path
    times = frame_times(exported)
    assert len(times) == 25
    assert times == pytest.approx(np.arange(25) / 25, abs=0.002)


def test_an_avi_with_b_frames_is_transcoded_for_browsers(avi: Path, tmp_path: Path) -> None:
    assert determine_playback(avi).method == "transcode"
    assert determine_playback(make_film(tmp_path / "b.avi")).method == "remux"
    (tmp_path / "stream.mp4").write_bytes(b"".join(open_stream(avi, 1.0)))
    times = frame_times(tmp_path / "stream.mp4")
    assert times[:40] == pytest.approx(np.arange(40) / 25, abs=0.002)


def test_thumbnails_of_an_avi_with_b_frames_show_their_time(avi: Path) -> None:
    for time, color in ((0.5, RED), (1.5, GREEN), (2.5, BLUE), (2.99, BLUE)):
        batch = next(iter(Sampler(avi, fps=1, short_side=48, span=Span(time, time))))
        assert np.abs(batch.images[0][4, -4].astype(int) - color).max() < 40
    assert render_thumbnail(avi, 1.5)


# Frame rates


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts", "avi", "flv"])
@pytest.mark.parametrize("rate", ["1000", "600", "1/2", "1/10", "24000/1001", "30000/1001"])
def test_any_frame_rate_is_reported(tmp_path: Path, suffix: str, rate: str) -> None:
    wanted = Fraction(rate)
    seconds = max(0.2, float(6 / wanted))
    film = make_film(tmp_path / f"a.{suffix}", rate=wanted, seconds=seconds)
    assert probe_video(film).fps == pytest.approx(float(wanted), rel=0.001)


@pytest.mark.parametrize("ticks", [1000, 90_000])
@pytest.mark.parametrize("suffix", ["mkv", "flv"])
def test_the_clock_of_a_container_is_not_a_frame_rate(
    tmp_path: Path, suffix: str, ticks: int
) -> None:
    film = make_film(tmp_path / f"a.{suffix}", ticks_per_frame=ticks // 25)
    assert probe_video(film).fps == pytest.approx(25, rel=0.02)


@pytest.mark.parametrize("rate", [15, 24, 30, 50])
def test_a_bare_stream_has_the_frame_rate_of_its_codec(tmp_path: Path, rate: int) -> None:
    film = make_film(tmp_path / "a.h264", rate=Fraction(rate))
    assert probe_video(film).fps == rate
    assert frame_times(film) == pytest.approx(np.arange(3 * rate) / rate)


# Packets without data


@pytest.mark.parametrize("watched", [False, True])
def test_empty_packets_repeat_a_frame(tmp_path: Path, watched: bool) -> None:
    film = make_film(tmp_path / "a.nut", codec="mpeg4", ticks_per_frame=4, empty_packets=3)
    sampler = sample(film, watched=watched)
    assert sampler.warning is None
    assert sampler.end_time == pytest.approx(3, abs=0.011)


# Ends


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.flv", "a.avi"])
def test_no_frame_lasts_beyond_the_container(tmp_path: Path, name: str) -> None:
    film = make_film(tmp_path / name, b_frames=2)
    with av.open(str(film)) as container:
        claimed = float(Fraction(container.duration or 0, av.time_base))
    for end_time in end_times(film):
        assert end_time == pytest.approx(3, abs=0.09)  # FLV: includes the delay of B-frames
        assert end_time <= max(claimed, 3)


@pytest.mark.parametrize("kept_every", [2, 3, 20])
@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.ts", "a.flv"])
def test_no_frame_of_a_variable_rate_lasts_beyond_the_container(
    tmp_path: Path, name: str, b_frames: int, kept_every: int
) -> None:
    film = make_variable_film(tmp_path / name, b_frames, kept_every)
    assert end_times(film) == pytest.approx([10, 10, 10], abs=0.001)


def make_variable_film(path: Path, b_frames: int, kept_every: int) -> Path:
    """Write 10 s, with fewer frames after 4 s; the last one begins at 9.96 s and lasts 40 ms."""
    tick = Fraction(1, 25)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = tick
        stream.options = {"bf": str(b_frames), "b-adapt": "0", "preset": "veryfast"}
        for index, image in enumerate(
            render_frames([ColorScene(RED, 10)], fps=25, frame_size=(64, 48))
        ):
            if index < 100 or index % kept_every == 0 or index == 249:
                frame = av.VideoFrame.from_ndarray(image)
                frame.pts, frame.time_base, frame.duration = index, tick, 1
                container.mux(stream.encode(frame))
        for packet in stream.encode(None):
            packet.duration = packet.duration or 1
            container.mux(packet)
    return path


@pytest.mark.parametrize("claimed", [0.0, 0.5, 60.0, float("nan"), 1e18])
def test_wrong_durations_in_headers_change_no_time(tmp_path: Path, claimed: float) -> None:
    film = make_film(tmp_path / "a.mkv", b_frames=2)
    content = film.read_bytes()
    position = content.index(b"\x44\x89\x88") + 3  # Duration, a float of 8 bytes
    film.write_bytes(content[:position] + struct.pack(">d", claimed) + content[position + 8 :])
    assert end_times(film) == pytest.approx([3, 3, 3], abs=0.002)


def test_the_last_image_of_an_animation_lasts_as_long_as_it_claims(tmp_path: Path) -> None:
    images = [Image.new("RGB", (32, 32), color) for color in (RED, GREEN, BLUE)]
    for name in ("a.gif", "a.webp"):
        images[0].save(
            tmp_path / name, save_all=True, append_images=images[1:], duration=[500, 500, 4000]
        )
        assert sample(tmp_path / name).end_time == pytest.approx(5, abs=0.01)


# Damage


# In files 97, 189, 721 the decoder still holds frames behind damage at the end.
@pytest.mark.parametrize(
    "seeds", [range(10), range(10, 20), range(20, 30), range(30, 40), (97, 189, 721)], ids=str
)
def test_times_of_damaged_files_are_those_of_ffmpeg(tmp_path: Path, seeds: Sequence[int]) -> None:
    sources = make_sources(tmp_path)
    for seed in seeds:
        source = sources[seed % len(sources)]
        damage = make_damaged(source, damaged := tmp_path / f"damaged{source.suffix}", seed)
        assert compare_file(damaged) == [], (seed, source.name, damage)


@pytest.fixture
def hevc_packets(tmp_path: Path) -> list[tuple[bytes, int, int, bool]]:
    """Data, pts, dts and keyframe flag of 100 frames of HEVC with a keyframe every 25."""
    if "libx265" not in av.codecs_available:
        pytest.skip("this FFmpeg has no libx265")
    with av.open(str(tmp_path / "whole.mkv"), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        params = "log-level=none:keyint=25:min-keyint=25:open-gop=0:repeat-headers=1"
        stream.options = {"x265-params": params}
        scenes = [ColorScene(RED, 2), ColorScene(GREEN, 2)]
        images = render_frames(scenes, fps=25, frame_size=(128, 96))
        packets = [
            packet
            for image in images
            for packet in stream.encode(av.VideoFrame.from_ndarray(image))
        ] + stream.encode(None)
        return [(bytes(p), p.pts or 0, p.dts or 0, p.is_keyframe) for p in packets]


def write_hevc(path: Path, packets: Sequence[tuple[bytes, int, int, bool]]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.options = {"x265-params": "log-level=none:repeat-headers=1"}
        for data, pts, dts, is_keyframe in packets:
            packet = av.Packet(data)
            packet.pts, packet.dts, packet.time_base = pts, dts, Fraction(1, 25)
            packet.is_keyframe, packet.stream = is_keyframe, stream
            container.mux(packet)
    return path


@pytest.mark.parametrize("damaged_gop", [2, 3])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_frames_behind_a_damaged_hevc_keyframe_show_the_last_intact_one(
    tmp_path: Path,
    hevc_packets: list[tuple[bytes, int, int, bool]],
    name: str,
    damaged_gop: int,
) -> None:
    key_indexes = [n for n, packet in enumerate(hevc_packets) if packet[3]]
    key_index = key_indexes[damaged_gop]
    data, *times = hevc_packets[key_index]
    damaged = bytes(len(data))  # of which nothing is left
    film = write_hevc(
        tmp_path / name,
        [*hevc_packets[:key_index], (damaged, *times), *hevc_packets[key_index + 1 :]],  # type: ignore[list-item]
    )
    for sampler in (sample(film), sample(film, watched=True)):
        assert sampler.end_time == pytest.approx(4, abs=0.001)
        assert "could not be decoded, first at 0:0" in (sampler.warning or "")
    if damaged_gop == 2:
        assert max(frame_times(film)) == pytest.approx(3.96, abs=0.002)
    for seconds in (1.0, 2.5, 3.0, 3.5, 3.9):
        [batch] = Sampler(film, fps=1, short_side=96, span=Span(seconds, seconds))
        color = RED if seconds < 2 or (damaged_gop == 2 and seconds < 3) else GREEN
        assert np.abs(batch.images[0][4, -4].astype(int) - color).max() < 40, seconds


@pytest.mark.parametrize("name", ["a.mkv", "a.ts"])
def test_hevc_that_starts_between_keyframes_has_no_gray_frames(
    tmp_path: Path, hevc_packets: list[tuple[bytes, int, int, bool]], name: str
) -> None:
    film = write_hevc(tmp_path / name, hevc_packets[10:])
    with open_video(film) as video_reader:
        frames = list(video_reader.iter_frames())
    assert len(frames) == 75
    assert not any(frame.video_frame.is_corrupt for frame in frames)
    assert sample(film).warning is None


@pytest.mark.parametrize(
    ("name", "end_time", "warning"),
    [
        ("mp4_damaged_middle_grows.mp4", 20, "could not be decoded"),
        ("avi_bframes.avi", 6, ""),
        ("pattern.ogv", 97 / 30, ""),
    ],
)
def test_files_that_had_wrong_times(name: str, end_time: float, warning: str) -> None:
    path = SHARED_FOLDER / "faults" / name
    if not path.exists():
        pytest.skip("requires files that are not in the repository")
    for sampler in (sample(path), sample(path, watched=True)):
        assert sampler.end_time == pytest.approx(end_time, abs=0.001)
        assert warning in (sampler.warning or "")
        assert bool(warning) == bool(sampler.warning)
