"""Videos as browser streams from any time on."""

from __future__ import annotations

import io
import os
import sys
import time
from contextlib import closing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video, render_frames
from vsearch.errors import MediaError
from vsearch.media.fragmented_mp4 import Mp4Stream, open_stream

SCENES = [ColorScene(RED, 2), ColorScene(GREEN, 2), ColorScene(BLUE, 2)]
PARTS = [SoundScene(SCENES[0]), SoundScene(SCENES[1], 440), SoundScene(SCENES[2], 1760)]


def read(made: Mp4Stream, *, most: float = 60) -> bytes:
    """Read a stream, up to `most` seconds of it."""
    ends = time.monotonic() + most
    pieces = []
    with closing(made):
        for piece in made:
            pieces.append(piece)
            if time.monotonic() > ends:
                break
    return b"".join(pieces)


def shown(data: bytes) -> list[tuple[float, np.ndarray]]:
    """Decode times and upright images of a stream with PyAV alone."""
    found = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            found.append((float(frame.time or 0), np.rot90(image, frame.rotation // 90)))
    assert all(a < b for (a, _), (b, _) in pairwise(found))
    return found


def is_near(image: np.ndarray, color: tuple[int, int, int]) -> bool:
    height, width = image.shape[:2]
    return bool(np.abs(image[height * 5 // 8, width - 4].astype(int) - color).max() < 45)


def check_colors(data: bytes, begins: float) -> None:
    """Check that each time of the stream shows what the video shows then."""
    pictures = shown(data)
    assert pictures[0][0] == pytest.approx(0, abs=0.001)
    for at, image in pictures:
        color = SCENES[min(2, int((begins + at + 0.01) / 2))].color
        assert is_near(image, color), (begins + at, image[30, -4])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.flv"])
@pytest.mark.parametrize("start", [0.0, 1.9, 2.0, 3.5, 5.9])
def test_packets_are_copied_from_the_previous_keyframe(
    tmp_path: Path, name: str, start: float
) -> None:
    path = make_sound_video(tmp_path / name, PARTS, gop_size=12)
    made = open_stream(path, start)
    assert (
        start - 1.2 - 0.01 <= made.start_time <= start + 0.03
    )  # FLV: audio begins a little earlier
    assert abs((made.start_time + 0.6) % 1.2 - 0.6) < 0.03
    data = read(made)
    check_colors(data, made.start_time)
    assert shown(data)[-1][0] + made.start_time == pytest.approx(5.9, abs=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("start", [0.0, 2.5, 4.1])
def test_reordered_frames_are_copied(tmp_path: Path, suffix: str, start: float) -> None:
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        stream_ = container.add_stream("libx264", rate=25)
        stream_.width, stream_.height, stream_.pix_fmt = 64, 48, "yuv420p"
        stream_.gop_size = 50
        stream_.options = {"bf": "3", "b-adapt": "0", "qp": "18"}
        for index, image in enumerate(render_frames(SCENES, fps=25)):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream_.encode(frame))
        container.mux(stream_.encode(None))
    made = open_stream(path, start)
    assert made.start_time == start // 2 * 2  # a keyframe
    data = read(made)
    check_colors(data, made.start_time)
    assert len(shown(data)) == (6 - made.start_time) * 25


def test_packets_are_copied_if_timestamps_do_not_restart(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", [ColorScene(scene.color, 20) for scene in SCENES])
    made = open_stream(path, 43.5)
    assert made.start_time in (pytest.approx(42), pytest.approx(43.2))
    assert all(is_near(image, BLUE) for _, image in shown(read(made)))
    path.write_bytes(path.read_bytes() * 2)  # timestamps that restart
    assert open_stream(path, 43.5).start_time == 43.5


@pytest.mark.parametrize("start", [0.0, 1.9, 2.0, 3.5, 5.9])
def test_other_codecs_are_transcoded_from_the_exact_start(tmp_path: Path, start: float) -> None:
    path = make_video(tmp_path / "a.avi", SCENES, codec="mpeg4", frame_size=(128, 96))
    made = open_stream(path, start)
    assert made.start_time == start
    check_colors(read(made), start)


def test_transcoding_can_be_forced(tmp_path: Path) -> None:
    path = make_sound_video(tmp_path / "a.mp4", PARTS)
    made = open_stream(path, 1.5, force_encoding=True)
    assert made.start_time == 1.5
    check_colors(read(made), 1.5)


@pytest.mark.parametrize("transcoded", [False, True])
def test_audio_stays_in_sync(tmp_path: Path, transcoded: bool) -> None:
    made = open_stream(make_sound_video(tmp_path / "a.mp4", PARTS), 1.3, force_encoding=transcoded)
    with av.open(io.BytesIO(read(made)), "r") as container:
        frames = [frame for frame in container.decode(audio=0) if frame.time is not None]
    blocks = [(float(frame.time or 0), np.abs(frame.to_ndarray()).max()) for frame in frames]
    begins = next(at for at, loud in blocks if loud > 0.1)
    assert begins + made.start_time == pytest.approx(2.0, abs=0.05)


def test_frames_of_varying_duration_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.55, 2.0, 2.9, 4.0, 4.01, 5.5]
    path = make_video(tmp_path / "a.mkv", [ColorScene(RED, 0.9)], frame_times=times, gop_size=3)
    for transcoded in (False, True):
        found = [at for at, _ in shown(read(open_stream(path, 0.0, force_encoding=transcoded)))]
        wanted = [
            at for at in times if at != 4.01 or not transcoded
        ]  # dropped: too close to its neighbor
        assert found == pytest.approx(wanted, abs=0.003)


@pytest.mark.parametrize("transcoded", [False, True])
def test_a_rotated_video_is_upright(tmp_path: Path, transcoded: bool) -> None:
    path = make_video(tmp_path / "a.mov", SCENES, rotation=90, frame_size=(96, 64))
    _, image = shown(read(open_stream(path, 0.0, force_encoding=transcoded)))[0]
    assert image.shape[:2] == (96, 64)


def test_large_frames_are_scaled_down(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mkv", [ColorScene(RED, 0.3)], codec="mpeg4", frame_size=(1600, 900)
    )
    _, image = shown(read(open_stream(path, 0.0)))[0]
    assert image.shape[:2] == (720, 1280)


@pytest.mark.parametrize("transcoded", [False, True])
def test_a_fragment_lasts_about_a_second_for_any_keyframe_interval(
    tmp_path: Path, transcoded: bool
) -> None:
    path = make_sound_video(
        tmp_path / "a.mp4", [SoundScene(ColorScene(RED, 9), 440)], gop_size=1000
    )
    made = open_stream(path, 0.0, force_encoding=transcoded)
    first = next(piece for piece in made if piece)
    assert first[4:8] == b"ftyp"
    assert read(made).count(b"moof") >= 8


def test_a_start_past_the_end_shows_the_last_frame(tmp_path: Path) -> None:
    path = make_sound_video(tmp_path / "a.mp4", PARTS)
    for transcoded in (False, True):
        assert is_near(
            shown(read(open_stream(path, 600.0, force_encoding=transcoded)))[-1][1], BLUE
        )


@pytest.mark.parametrize("start", [-1.0, float("nan"), float("inf")])
def test_an_invalid_start_is_rejected(tmp_path: Path, start: float) -> None:
    path = make_video(tmp_path / "a.mp4", SCENES)
    with pytest.raises((ValueError, OverflowError)):
        open_stream(path, start)


def test_an_unreadable_file_is_an_error_before_the_first_byte(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        open_stream(tmp_path / "gone.mp4", 0.0)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError):
        open_stream(tmp_path / "text.mp4", 0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("transcoded", [False, True])
def test_closing_a_stream_closes_its_files(tmp_path: Path, transcoded: bool) -> None:
    path = make_sound_video(tmp_path / "a.mp4", PARTS)

    def open_files() -> int:
        return sum(os.path.realpath(link) == str(path) for link in Path("/proc/self/fd").iterdir())

    for pieces in (0, 1, 5):
        made = open_stream(path, 1.0, force_encoding=transcoded)
        for _ in range(pieces):
            next(made)
        assert open_files() > 0
        made.close()
        made.close()
        assert open_files() == 0
        assert next(made, None) is None


def test_broken_files_yield_a_stream_or_a_one_line_error(broken_media: Path) -> None:
    refused = {}
    for path in sorted(broken_media.iterdir()):
        if path.name.startswith(("hdr_", "av1_hdr")):  # seconds each; see test_thumbnails
            continue
        try:
            data = read(open_stream(path, 2.0), most=2)
        except MediaError as error:
            refused[path.name] = str(error)
            continue
        assert data[4:8] in (b"ftyp", b""), path.name  # empty: it is large
    assert len(refused) <= 16
    assert all("\n" not in line for line in refused.values())
