"""Videos as streams for browsers, from any instant on."""

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

from sounding import Sounding, make_film
from synth import BLUE, GREEN, RED, Scene, frames, make_video
from vsearch.errors import MediaError
from vsearch.media.streaming import Stream, stream

SCENES = [Scene(RED, 2), Scene(GREEN, 2), Scene(BLUE, 2)]
PARTS = [Sounding(SCENES[0]), Sounding(SCENES[1], 440), Sounding(SCENES[2], 1760)]


def read(made: Stream, *, most: float = 60) -> bytes:
    """All that comes, or what comes in so many seconds."""
    ends = time.monotonic() + most
    pieces = []
    with closing(made):
        for piece in made:
            pieces.append(piece)
            if time.monotonic() > ends:
                break
    return b"".join(pieces)


def shown(data: bytes) -> list[tuple[float, np.ndarray]]:
    """The times and pictures of a stream, by PyAV alone; upright."""
    found = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(video=0):
            image = frame.to_ndarray(format="rgb24")
            found.append((float(frame.time or 0), np.rot90(image, frame.rotation // 90)))
    assert all(a < b for (a, _), (b, _) in pairwise(found))
    return found


def is_near(image: np.ndarray, colour: tuple[int, int, int]) -> bool:
    height, width = image.shape[:2]
    return bool(np.abs(image[height * 5 // 8, width - 4].astype(int) - colour).max() < 45)


def check_colours(data: bytes, begins: float) -> None:
    """That what is shown at each time of the stream is what the video shows then."""
    pictures = shown(data)
    assert pictures[0][0] == pytest.approx(0, abs=0.001)
    for at, image in pictures:
        colour = SCENES[min(2, int((begins + at + 0.01) / 2))].colour
        assert is_near(image, colour), (begins + at, image[30, -4])


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.flv"])
@pytest.mark.parametrize("start", [0.0, 1.9, 2.0, 3.5, 5.9])
def test_packets_are_copied_from_the_key_frame_before(
    tmp_path: Path, name: str, start: float
) -> None:
    path = make_film(tmp_path / name, PARTS, gop=12)
    made = stream(path, start)
    assert start - 1.2 - 0.01 <= made.begins <= start + 0.03  # FLV: sound begins a little before
    assert abs((made.begins + 0.6) % 1.2 - 0.6) < 0.03
    data = read(made)
    check_colours(data, made.begins)
    assert shown(data)[-1][0] + made.begins == pytest.approx(5.9, abs=0.05)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("start", [0.0, 2.5, 4.1])
def test_frames_that_are_decoded_before_they_are_shown_are_copied(
    tmp_path: Path, suffix: str, start: float
) -> None:
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        stream_ = container.add_stream("libx264", rate=25)
        stream_.width, stream_.height, stream_.pix_fmt = 64, 48, "yuv420p"
        stream_.gop_size = 50
        stream_.options = {"bf": "3", "b-adapt": "0", "qp": "18"}
        for index, image in enumerate(frames(SCENES, fps=25)):
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream_.encode(frame))
        container.mux(stream_.encode(None))
    made = stream(path, start)
    assert made.begins == start // 2 * 2  # a key frame
    data = read(made)
    check_colours(data, made.begins)
    assert len(shown(data)) == (6 - made.begins) * 25


def test_packets_of_a_recording_are_copied_if_its_times_run_through(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", [Scene(scene.colour, 20) for scene in SCENES])
    made = stream(path, 43.5)
    assert made.begins in (pytest.approx(42), pytest.approx(43.2))
    assert all(is_near(image, BLUE) for _, image in shown(read(made)))
    path.write_bytes(path.read_bytes() * 2)  # times that start anew
    assert stream(path, 43.5).begins == 43.5


@pytest.mark.parametrize("start", [0.0, 1.9, 2.0, 3.5, 5.9])
def test_what_browsers_lack_is_encoded_from_that_very_instant(tmp_path: Path, start: float) -> None:
    path = make_video(tmp_path / "a.avi", SCENES, codec="mpeg4", size=(128, 96))
    made = stream(path, start)
    assert made.begins == start
    check_colours(read(made), start)


def test_pictures_can_be_encoded_anew_on_demand(tmp_path: Path) -> None:
    path = make_film(tmp_path / "a.mp4", PARTS)
    made = stream(path, 1.5, anew=True)
    assert made.begins == 1.5
    check_colours(read(made), 1.5)


@pytest.mark.parametrize("anew", [False, True])
def test_sound_stays_where_it_belongs(tmp_path: Path, anew: bool) -> None:
    made = stream(make_film(tmp_path / "a.mp4", PARTS), 1.3, anew=anew)
    with av.open(io.BytesIO(read(made)), "r") as container:
        frames = [frame for frame in container.decode(audio=0) if frame.time is not None]
    blocks = [(float(frame.time or 0), np.abs(frame.to_ndarray()).max()) for frame in frames]
    begins = next(at for at, loud in blocks if loud > 0.1)
    assert begins + made.begins == pytest.approx(2.0, abs=0.05)


def test_frames_of_many_lengths_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.55, 2.0, 2.9, 4.0, 4.01, 5.5]
    path = make_video(tmp_path / "a.mkv", [Scene(RED, 0.9)], times=times, gop=3)
    for anew in (False, True):
        found = [at for at, _ in shown(read(stream(path, 0.0, anew=anew)))]
        wanted = [at for at in times if at != 4.01 or not anew]  # too close to be encoded
        assert found == pytest.approx(wanted, abs=0.003)


@pytest.mark.parametrize("anew", [False, True])
def test_a_turned_video_is_upright(tmp_path: Path, anew: bool) -> None:
    path = make_video(tmp_path / "a.mov", SCENES, rotation=90, size=(96, 64))
    _, image = shown(read(stream(path, 0.0, anew=anew)))[0]
    assert image.shape[:2] == (96, 64)


def test_large_pictures_become_smaller(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", [Scene(RED, 0.3)], codec="mpeg4", size=(1600, 900))
    _, image = shown(read(stream(path, 0.0)))[0]
    assert image.shape[:2] == (720, 1280)


@pytest.mark.parametrize("anew", [False, True])
def test_a_fragment_lasts_about_a_second_whatever_is_between_key_frames(
    tmp_path: Path, anew: bool
) -> None:
    path = make_film(tmp_path / "a.mp4", [Sounding(Scene(RED, 9), 440)], gop=1000)
    made = stream(path, 0.0, anew=anew)
    first = next(piece for piece in made if piece)
    assert first[4:8] == b"ftyp"
    assert read(made).count(b"moof") >= 8


def test_a_start_past_the_end_shows_the_end(tmp_path: Path) -> None:
    path = make_film(tmp_path / "a.mp4", PARTS)
    for anew in (False, True):
        assert is_near(shown(read(stream(path, 600.0, anew=anew)))[-1][1], BLUE)


@pytest.mark.parametrize("start", [-1.0, float("nan"), float("inf")])
def test_a_start_is_a_time(tmp_path: Path, start: float) -> None:
    path = make_video(tmp_path / "a.mp4", SCENES)
    with pytest.raises((ValueError, OverflowError)):
        stream(path, start)


def test_what_cannot_be_read_is_said_before_anything_comes(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="no such file"):
        stream(tmp_path / "gone.mp4", 0.0)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError):
        stream(tmp_path / "text.mp4", 0.0)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("anew", [False, True])
def test_whoever_leaves_a_stream_leaves_no_file_open(tmp_path: Path, anew: bool) -> None:
    path = make_film(tmp_path / "a.mp4", PARTS)

    def open_files() -> int:
        return sum(os.path.realpath(link) == str(path) for link in Path("/proc/self/fd").iterdir())

    for pieces in (0, 1, 5):
        made = stream(path, 1.0, anew=anew)
        for _ in range(pieces):
            next(made)
        assert open_files() > 0
        made.close()
        made.close()
        assert open_files() == 0
        assert next(made, None) is None


def test_broken_files_end_as_a_stream_or_as_one_good_line(broken_media: Path) -> None:
    refused = {}
    for path in sorted(broken_media.iterdir()):
        if path.name.startswith(("hdr_", "av1_hdr")):  # seconds each; see test_stills
            continue
        try:
            data = read(stream(path, 2.0), most=2)
        except MediaError as error:
            refused[path.name] = str(error)
            continue
        assert data[4:8] in (b"ftyp", b""), path.name  # nothing yet: it is large
    assert len(refused) <= 16
    assert all("\n" not in line for line in refused.values())
