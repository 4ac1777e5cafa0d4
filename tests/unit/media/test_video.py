"""Decoding: which frames come out, when, and what they look like."""

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

from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch.errors import MediaError, NoPictureError, SettingsError, UnreadableError
from vsearch.media.video import Sampler, probe
from vsearch.types import Grays, Images, Span, Times

if TYPE_CHECKING:
    from pathlib import Path

LUMA = np.array([0.299, 0.587, 0.114])


class Watcher:
    """A shot detector that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[Grays, Times]] = []

    def see(self, pictures: Grays, times: Times) -> None:
        self.seen.append((pictures, times))

    def cuts(self) -> Times:
        return np.empty(0)

    @property
    def times(self) -> Times:
        return np.concatenate([times for _, times in self.seen])


def times_of(sampler: Sampler) -> list[float]:
    return [round(float(time), 6) for batch in sampler for time in batch.times]


def images_of(sampler: Sampler) -> list[Images]:
    return [image for batch in sampler for image in batch.images]


def near(pixel: Images, colour: tuple[int, int, int], within: int = 12) -> bool:
    return bool((np.abs(pixel.astype(int) - colour) <= within).all())


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"), ("a.mkv", "ffv1"), ("a.webm", "libvpx-vp9"), ("a.avi", "mpeg4"),
        ("a.mov", "mpeg4"), ("a.ts", "libx264"),
    ],
)  # fmt: skip
def test_frames_come_at_regular_instants_whatever_the_container(
    tmp_path: Path, name: str, codec: str
) -> None:
    path = make_video(tmp_path / name, codec=codec)
    sampler = Sampler(path, fps=2, short_side=32)
    assert times_of(sampler) == pytest.approx([0, 0.5, 1, 1.5], abs=0.002)
    assert sampler.end == pytest.approx(2, abs=0.02)
    assert sampler.note is None


def test_probe_tells_what_a_player_shows(tmp_path: Path) -> None:
    info = probe(make_video(tmp_path / "a.mp4", fps=12, size=(96, 64)))
    assert (info.width, info.height, info.codec) == (96, 64, "h264")
    assert (info.duration, info.fps) == pytest.approx((2, 12))


def test_colours_are_those_that_were_filmed(tmp_path: Path) -> None:
    first, last = images_of(Sampler(make_video(tmp_path / "a.mp4"), fps=1, short_side=48))
    assert first.shape == (48, 64, 3)
    assert near(first[4, -4], RED)
    assert near(last[4, -4], GREEN)


def test_hd_without_a_named_matrix_is_read_as_bt709(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(GREEN, 0.2, speed=0)], size=(1280, 720))
    (image,) = images_of(Sampler(path, fps=1, short_side=64))
    assert not near(image[4, -4], GREEN, within=4)  # our encoder writes BT.601
    assert near(image[4, -4], GREEN, within=40)


def test_rotated_video_comes_out_upright(tmp_path: Path) -> None:
    """The dark quarter is top left in the file."""
    plain = probe(make_video(tmp_path / "0.mp4"))
    for rotation, (row, column) in {90: (-8, 8), 180: (-20, -8), -90: (8, -8)}.items():
        path = make_video(tmp_path / f"{rotation}.mp4", [Scene(BLUE, 1, 0)], rotation=rotation)
        image = images_of(Sampler(path, fps=1, short_side=48))[0]
        info = probe(path)
        assert near(image[row, column], (10, 13, 66)), rotation
        swapped = rotation != 180
        shown = (plain.height, plain.width) if swapped else (plain.width, plain.height)
        assert (info.width, info.height) == shown


def test_frames_that_hold_exif_come_out_upright(tmp_path: Path) -> None:
    """As cameras write them, and as PyAV 18 can't take them apart."""
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
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


def test_batches_are_full_but_the_last(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    sizes = [len(batch) for batch in Sampler(path, fps=10, short_side=16, batch_size=8)]
    assert sizes == [8, 8, 4]


def test_a_frame_that_is_shown_for_long_comes_once(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", times=[0, 0.1, 0.2, 9.0, 9.1, 9.2])
    assert times_of(Sampler(path, fps=2, short_side=16)) == [0, 0.2, 9.0]


def test_the_shortest_clip_has_a_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 0.1)])
    assert times_of(Sampler(path, fps=0.1, short_side=16)) == [0]


def test_the_shot_detector_sees_every_frame_that_is_decoded(tmp_path: Path) -> None:
    watcher = Watcher()
    path = make_video(tmp_path / "a.avi", [Scene(RED, 7), Scene(GREEN, 2)], codec="mpeg4")
    sampler = Sampler(path, fps=1, short_side=16, detector=watcher)
    times_of(sampler)
    assert watcher.times == pytest.approx(np.arange(90) / 10)
    assert {pictures.shape[1:] for pictures, _ in watcher.seen} == {(36, 64)}
    assert watcher.seen[0][0][0, 2, -2] == pytest.approx(LUMA @ RED, abs=4)
    assert sampler.shot_seconds > 0


@pytest.mark.parametrize(("fps", "keyframes"), [(0.3, False), (1, True)])
def test_frames_far_apart_are_not_shown_to_the_shot_detector(
    tmp_path: Path, fps: float, keyframes: bool
) -> None:
    watcher = Watcher()
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 7), Scene(GREEN, 2)])
    times_of(Sampler(path, fps=fps, short_side=16, detector=watcher, keyframes=keyframes))
    assert not watcher.seen


def test_a_device_that_is_not_there_leaves_the_work_to_software(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4")
    software = images_of(Sampler(path, fps=2, short_side=48))
    for name in ("auto", *hwdevices_available()):
        for image, other in zip(
            images_of(Sampler(path, fps=2, short_side=48, hwaccel=name)), software, strict=True
        ):
            assert np.abs(image.astype(int) - other).max() <= 8  # a device may round otherwise


def test_a_device_that_cannot_be_meant_is_refused_with_those_that_can(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'abacus' decodes here; there is: auto"):
        Sampler(tmp_path / "a.mp4", fps=1, short_side=16, hwaccel="abacus")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_span_holds_the_very_frames_of_a_full_pass(tmp_path: Path, name: str) -> None:
    path = make_video(tmp_path / name, [Scene(c, 4) for c in (RED, GREEN, BLUE)], gop=25)
    every = Sampler(path, fps=10, short_side=16)
    wanted = {
        round(float(time), 3): image
        for batch in every
        for time, image in zip(batch.times, batch.images, strict=True)
        if 4.95 < time < 6.95
    }
    part = Sampler(path, fps=10, short_side=16, span=Span(5, 7))
    found = [
        (round(float(time), 3), image)
        for batch in part
        for time, image in zip(batch.times, batch.images, strict=True)
    ]
    assert [time for time, _ in found] == pytest.approx(sorted(wanted), abs=0.002)
    for (_, image), same in zip(found, wanted.values(), strict=True):
        assert (image == same).all()


def test_a_span_inside_one_frame_gives_that_frame(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 1), Scene(BLUE, 1)])
    batches = list(Sampler(path, fps=1, short_side=16, span=Span(1.03, 1.04)))
    assert [batch.times.tolist() for batch in batches] == [[1.03]]
    assert near(batches[0].images[0][2, -2], BLUE)


def test_a_span_beyond_the_end_gives_the_last_frame_and_says_so(tmp_path: Path) -> None:
    sampler = Sampler(make_video(tmp_path / "a.mp4"), fps=1, short_side=16, span=Span(50, 60))
    assert times_of(sampler) == [1.9]
    assert sampler.note == "ends at 0:02, before the part that was asked for"


def test_extreme_shapes_stay_small(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [Scene(RED, 0.2)], size=(6000, 16), codec="ffv1")
    (image,) = images_of(Sampler(path, fps=1, short_side=32))
    assert image.shape == (32, 128, 3)


@pytest.mark.parametrize("name", ["a.webp", "a.gif"])
def test_animations_are_videos(tmp_path: Path, name: str) -> None:
    pictures = [Image.new("RGB", (40, 30), colour) for colour in (RED, GREEN, BLUE)]
    pictures[0].save(
        tmp_path / name, save_all=True, append_images=pictures[1:], duration=[500, 1000, 500]
    )
    sampler = Sampler(tmp_path / name, fps=2, short_side=30)
    batch = next(iter(sampler))
    assert batch.times.tolist() == [0, 0.5, 1.5]
    assert near(batch.images[2][5, 5], BLUE)
    assert probe(tmp_path / name).duration == pytest.approx(2)


def test_a_still_webp_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.webp")
    with pytest.raises(NoPictureError, match="still picture"):
        probe(tmp_path / "a.webp")


@pytest.mark.parametrize("name", ["concat:a.mp4", "-a.mp4", "a%03d.mp4", "http:a.mp4", "ä 日.mp4"])
def test_a_name_that_means_something_to_ffmpeg_is_just_a_name(tmp_path: Path, name: str) -> None:
    make_video(tmp_path / "plain.mp4").rename(tmp_path / name)
    assert probe(tmp_path / name).width == 64


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nreal.mp4\n",
        "ffconcat version 1.0\nfile real.mp4\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=video 5004 RTP/AVP 96\n",
        "just words\n",
    ],
)
def test_a_file_that_names_other_files_is_refused(tmp_path: Path, text: str) -> None:
    make_video(tmp_path / "real.mp4")
    for name in ("list.mp4", "list.m3u8", "list.ffconcat", "list.sdp"):
        (tmp_path / name).write_text(text)
        with pytest.raises(UnreadableError):
            probe(tmp_path / name)


def test_what_is_no_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    for path, words in {
        tmp_path / "none.mp4": "no such file",
        tmp_path: "not a file",
        tmp_path / "pipe.mp4": "not a file",
        tmp_path / "nul\0.mp4": "no video",
        tmp_path / "empty.mp4": "is empty",
    }.items():
        with pytest.raises(UnreadableError, match=words):
            probe(path)


def test_damage_in_the_middle_is_skipped_and_told(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [Scene(RED, 6), Scene(GREEN, 6)], codec="mpeg4")
    content = bytearray(path.read_bytes())
    third = len(content) // 3
    content[third : third + 600] = bytes(600)
    path.write_bytes(content)
    sampler = Sampler(path, fps=1, short_side=16)
    assert len(times_of(sampler)) >= 6
    assert sampler.end > 10
    assert sampler.note == "a part could not be decoded, first at 0:02"


def test_a_title_in_odd_letters_is_no_hindrance(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv")
    path.write_bytes(path.read_bytes().replace(b"Lavf", b"\xff\xfe\xfd\xfc"))
    assert probe(path).width == 64


def test_a_cut_short_file_gives_what_is_there(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [Scene(RED, 20), Scene(GREEN, 20)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sampler = Sampler(path, fps=1, short_side=16)
    assert times_of(sampler)[:3] == [0, 1, 2]
    assert sampler.note
    assert sampler.note.startswith("damaged after 0:")


@pytest.mark.parametrize("seed", range(30))
def test_garbled_files_never_raise_anything_but_our_own_errors(tmp_path: Path, seed: int) -> None:
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
        assert 0 < sampler.end < 3600 * 24


class Careless(Watcher):
    """A plugin with a mistake in it."""

    def see(self, pictures: Grays, times: Times) -> None:
        raise ValueError("my own fault")


def test_a_mistake_in_a_detector_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    sampler = Sampler(make_video(tmp_path / "a.mp4"), fps=1, short_side=16, detector=Careless())
    with pytest.raises(ValueError, match="my own fault"):
        times_of(sampler)


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "cover.png")
    with av.open(str(tmp_path / "a.mka"), "w", format="matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        container.add_attachment("cover.png", "image/png", (tmp_path / "cover.png").read_bytes())
        samples = av.AudioFrame(format="s16", layout="stereo", samples=800)
        samples.sample_rate = 8000
        container.mux(sound.encode(samples))
    with pytest.raises(NoPictureError, match="no moving pictures"):
        probe(tmp_path / "a.mka")


@pytest.mark.parametrize("name", ["a.mp3", "a.mp4"])
def test_a_song_with_a_cover_has_no_moving_pictures(tmp_path: Path, name: str) -> None:
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
    with pytest.raises(NoPictureError, match="no moving pictures"):
        probe(tmp_path / name)
