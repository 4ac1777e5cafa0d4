"""Sampling: which frames, when, and how they look."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from av.codec.hwaccel import hwdevices_available
from av.stream import Disposition
from PIL import Image

from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch.errors import MediaError, NoPictureError, SettingsError, UnreadableError
from vsearch.media.sampler import Sampler, probe_video
from vsearch.types import GrayImages, Images, Span, Times

if TYPE_CHECKING:
    from pathlib import Path

LUMA = np.array([0.299, 0.587, 0.114])


class Watcher:
    """Shot detector that records what it gets."""

    def __init__(self) -> None:
        self.seen: list[tuple[GrayImages, Times]] = []

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        self.seen.append((luma_thumbnails, frame_times))

    def cuts(self) -> Times:
        return np.empty(0)

    @property
    def times(self) -> Times:
        return np.concatenate([times for _, times in self.seen])


def times_of(sampler: Sampler) -> list[float]:
    return [round(float(time), 6) for batch in sampler for time in batch.frame_times]


def images_of(sampler: Sampler) -> list[Images]:
    return [image for batch in sampler for image in batch.images]


def near(pixel: Images, color: tuple[int, int, int], within: int = 12) -> bool:
    return bool((np.abs(pixel.astype(int) - color) <= within).all())


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"), ("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"),
        ("a.mov", "mpeg4"), ("a.ts", "libx264"),
    ],
)  # fmt: skip
def test_frames_are_sampled_at_regular_times_in_any_container(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = make_video(tmp_path / name, codec=codec)
    sampler = Sampler(path, fps=2, short_side=32)
    assert times_of(sampler) == pytest.approx([0, 0.5, 1, 1.5], abs=0.002)
    assert sampler.end_time == pytest.approx(2, abs=0.02)
    assert sampler.warning is None


def test_probe_matches_a_player(tmp_path: Path) -> None:
    info = probe_video(make_video(tmp_path / "a.mp4", fps=12, frame_size=(96, 64)))
    assert (info.width, info.height, info.codec) == (96, 64, "h264")
    assert (info.duration, info.fps) == pytest.approx((2, 12))


def test_colors_are_preserved(tmp_path: Path) -> None:
    first, last = images_of(Sampler(make_video(tmp_path / "a.mp4"), fps=1, short_side=48))
    assert first.shape == (48, 64, 3)
    assert near(first[4, -4], RED)
    assert near(last[4, -4], GREEN)


def test_hd_without_a_color_matrix_is_bt709(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [ColorScene(GREEN, 0.2, speed=0)], frame_size=(1280, 720))
    (image,) = images_of(Sampler(path, fps=1, short_side=64))
    assert not near(image[4, -4], GREEN, within=4)  # our encoder writes BT.601
    assert near(image[4, -4], GREEN, within=40)


def test_rotated_video_is_upright(tmp_path: Path) -> None:
    """The dark quarter is top left in the file."""
    plain = probe_video(make_video(tmp_path / "0.mp4"))
    for rotation, (row, column) in {90: (-8, 8), 180: (-20, -8), -90: (8, -8)}.items():
        path = make_video(tmp_path / f"{rotation}.mp4", [ColorScene(BLUE, 1, 0)], rotation=rotation)
        image = images_of(Sampler(path, fps=1, short_side=48))[0]
        info = probe_video(path)
        assert near(image[row, column], (10, 13, 66)), rotation
        swapped = rotation != 180
        shown = (plain.height, plain.width) if swapped else (plain.width, plain.height)
        assert (info.width, info.height) == shown


def test_frames_with_exif_data_are_upright(tmp_path: Path) -> None:
    """As written by some cameras; PyAV 18 cannot parse it."""
    exif = Image.Exif()
    exif[274] = 6  # rotate clockwise
    picture = Image.new("RGB", (64, 48), BLUE)
    picture.paste(RED, (0, 0, 32, 48))
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif, quality=95)
    with av.open(str(tmp_path / "a.avi"), "w") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        packet = av.Packet(out.getvalue())
        packet.stream, packet.pts, packet.dts, packet.time_base = stream, 0, 0, Fraction(1)
        container.mux(packet)
    (image,) = images_of(Sampler(tmp_path / "a.avi", fps=1, short_side=48))
    assert image.shape == (64, 48, 3)
    assert near(image[8, 24], RED)
    assert near(image[-8, 24], BLUE)


def test_all_batches_but_the_last_are_full(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    sizes = [len(batch) for batch in Sampler(path, fps=10, short_side=16, batch_size=8)]
    assert sizes == [8, 8, 4]


def test_a_long_displayed_frame_is_sampled_once(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frame_times=[0, 0.1, 0.2, 9.0, 9.1, 9.2])
    assert times_of(Sampler(path, fps=2, short_side=16)) == [0, 0.2, 9.0]


def test_the_shortest_clip_has_a_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 0.1)])
    assert times_of(Sampler(path, fps=0.1, short_side=16)) == [0]


def test_the_shot_detector_gets_every_decoded_frame(tmp_path: Path) -> None:
    watcher = Watcher()
    path = make_video(tmp_path / "a.avi", [ColorScene(RED, 7), ColorScene(GREEN, 2)], codec="mpeg4")
    sampler = Sampler(path, fps=1, short_side=16, shot_detector=watcher)
    times_of(sampler)
    assert watcher.times == pytest.approx(np.arange(90) / 10)
    assert {pictures.shape[1:] for pictures, _ in watcher.seen} == {(36, 64)}
    assert watcher.seen[0][0][0, 2, -2] == pytest.approx(LUMA @ RED, abs=4)
    assert sampler.shot_seconds > 0


@pytest.mark.parametrize(("fps", "keyframes"), [(0.3, False), (1, True)])
def test_sparse_frames_are_not_passed_to_the_shot_detector(
    tmp_path: Path, fps: float, keyframes: bool
) -> None:
    watcher = Watcher()
    path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 7), ColorScene(GREEN, 2)])
    times_of(Sampler(path, fps=fps, short_side=16, shot_detector=watcher, keyframes_only=keyframes))
    assert not watcher.seen


def test_an_absent_device_falls_back_to_software(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    software = images_of(Sampler(path, fps=2, short_side=48))
    for name in ("auto", *hwdevices_available()):
        for image, other in zip(
            images_of(Sampler(path, fps=2, short_side=48, hwaccel=name)), software, strict=True
        ):
            assert np.abs(image.astype(int) - other).max() <= 8  # devices may round differently


def test_an_unknown_device_is_rejected_with_alternatives(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'abacus'; available: auto"):
        Sampler(tmp_path / "a.mp4", fps=1, short_side=16, hwaccel="abacus")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_span_has_the_same_frames_as_a_full_pass(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, [ColorScene(c, 4) for c in (RED, GREEN, BLUE)], gop_size=25)
    every = Sampler(path, fps=10, short_side=16)
    wanted = {
        round(float(time), 3): image
        for batch in every
        for time, image in zip(batch.frame_times, batch.images, strict=True)
        if 4.95 < time < 6.95
    }
    part = Sampler(path, fps=10, short_side=16, span=Span(5, 7))
    found = [
        (round(float(time), 3), image)
        for batch in part
        for time, image in zip(batch.frame_times, batch.images, strict=True)
    ]
    assert [time for time, _ in found] == pytest.approx(sorted(wanted), abs=0.002)
    for (_, image), same in zip(found, wanted.values(), strict=True):
        assert (image == same).all()


def test_a_span_within_one_frame_yields_that_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 1), ColorScene(BLUE, 1)])
    batches = list(Sampler(path, fps=1, short_side=16, span=Span(1.03, 1.04)))
    assert [batch.frame_times.tolist() for batch in batches] == [[1.03]]
    assert near(batches[0].images[0][2, -2], BLUE)


def test_a_span_past_the_end_yields_the_last_frame_and_a_warning(tmp_path: Path) -> None:
    sampler = Sampler(make_video(tmp_path / "a.mp4"), fps=1, short_side=16, span=Span(50, 60))
    assert times_of(sampler) == [1.9]
    assert sampler.warning == "ends at 0:02, before the requested span"


def test_extreme_shapes_stay_small(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", [ColorScene(RED, 0.2)], frame_size=(6000, 16), codec="ffv1"
    )
    (image,) = images_of(Sampler(path, fps=1, short_side=32))
    assert image.shape == (32, 128, 3)


@pytest.mark.parametrize("name", ["a.webp", "a.gif"])
def test_animations_are_videos(tmp_path: Path, name: str) -> None:
    pictures = [Image.new("RGB", (40, 30), color) for color in (RED, GREEN, BLUE)]
    pictures[0].save(
        tmp_path / name, save_all=True, append_images=pictures[1:], duration=[500, 1000, 500]
    )
    sampler = Sampler(tmp_path / name, fps=2, short_side=30)
    batch = next(iter(sampler))
    assert batch.frame_times.tolist() == [0, 0.5, 1.5]
    assert near(batch.images[2][5, 5], BLUE)
    assert probe_video(tmp_path / name).duration == pytest.approx(2)


@pytest.mark.parametrize("name", ["concat:a.mp4", "-a.mp4", "a%03d.mp4", "http:a.mp4", "ä 日.mp4"])
def test_ffmpeg_syntax_in_a_file_name_is_literal(tmp_path: Path, name: str) -> None:
    make_video(tmp_path / "plain.mp4").rename(tmp_path / name)
    assert probe_video(tmp_path / name).width == 64


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nreal.mp4\n",
        "ffconcat version 1.0\nfile real.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
        "just words\n",
    ],
)
def test_a_file_that_refers_to_other_files_is_rejected(tmp_path: Path, text: str) -> None:
    make_video(tmp_path / "real.mp4")
    for name in ("list.mp4", "list.m3u8", "list.ffconcat", "list.sdp"):
        (tmp_path / name).write_text(text)
        with pytest.raises(UnreadableError):
            probe_video(tmp_path / name)


def test_missing_and_special_files_are_reported(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, words in {
        tmp_path / "none.mp4": "no such file",
        tmp_path: "not a regular file",
        tmp_path / "pipe.mp4": "not a regular file",
        tmp_path / "nul\0.mp4": "not a readable video",
        tmp_path / "empty.mp4": "is empty",
    }.items():
        with pytest.raises(UnreadableError, match=words):
            probe_video(path)


def test_damage_in_the_middle_is_skipped_with_a_warning(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [ColorScene(RED, 6), ColorScene(GREEN, 6)], codec="mpeg4")
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + 600] = bytes(600)
    path.write_bytes(content)
    sampler = Sampler(path, fps=1, short_side=16)
    assert len(times_of(sampler)) >= 6
    assert sampler.end_time > 10
    assert sampler.warning == "a part could not be decoded, first at 0:02"


def test_a_title_with_invalid_encoding_is_accepted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv")
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    assert probe_video(path).width == 64


def test_a_truncated_file_yields_its_remaining_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [ColorScene(RED, 20), ColorScene(GREEN, 20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sampler = Sampler(path, fps=1, short_side=16)
    assert times_of(sampler)[:3] == [0, 1, 2]
    assert sampler.warning
    assert sampler.warning.startswith("damaged after 0:")


@pytest.mark.parametrize("seed", range(30))
def test_corrupted_files_raise_only_vsearch_errors(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    name = ("a.mp4", "a.mkv", "a.avi", "a.ts", "a.webm")[seed % 5]
    codec = {"a.webm": "libvpx-vp9", "a.avi": "mpeg4"}.get(name, "libx264")
    path = make_video(tmp_path / name, codec=codec)
    content = np.frombuffer(path.read_bytes(), np.uint8).copy()
    where = rng.integers(0, len(content), 1 + len(content) // 100)
    content[where] = rng.integers(0, 256, len(where))
    path.write_bytes(content.tobytes())
    sampler = Sampler(path, fps=2, short_side=16)
    with suppress(MediaError):
        times = times_of(sampler)
        assert times == sorted(set(times))
        assert 0 < sampler.end_time < 3600 * 24


class Careless(Watcher):
    """A plugin with a mistake in it."""

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        raise ValueError("my own fault")


def test_an_error_in_a_detector_is_not_a_media_error(tmp_path: Path) -> None:
    sampler = Sampler(
        make_video(tmp_path / "a.mp4"), fps=1, short_side=16, shot_detector=Careless()
    )
    with pytest.raises(ValueError, match="my own fault"):
        times_of(sampler)


def test_a_cover_image_is_not_the_video(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "cover.png")
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        container.add_attachment("cover.png", "image/png", (tmp_path / "cover.png").read_bytes())
        samples = av.AudioFrame(format="s16", layout="stereo", samples=800)
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
    with pytest.raises(NoPictureError, match="no video stream"):
        probe_video(tmp_path / "a.mka")


@pytest.mark.parametrize("name", ["a.mp3", "a.mp4"])
def test_a_song_with_a_cover_has_no_video_stream(tmp_path: Path, name: str) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        sound = container.add_stream("mp3", rate=44100)
        cover = container.add_stream("png", rate=1, width=16, height=16, pix_fmt="rgb24")
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame(16, 16, "rgb24")))
        silence = np.zeros((2, 1152), np.float32)
        samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="stereo")
        samples.sample_rate = 44100
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    with pytest.raises(NoPictureError, match="no video stream"):
        probe_video(tmp_path / name)
