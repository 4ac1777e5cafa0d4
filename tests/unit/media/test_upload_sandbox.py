"""Untrusted files become images and clips of our own, in a process with limits."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.photo_factory import TINY_HEIC, make_exif, make_photo
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch.media.upload_sandbox import CLIP_FILE_NAME, IMAGE_FILE_NAME, MAX_ADDRESS_SPACE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

SCENES = [ColorScene(RED, 1), ColorScene(GREEN, 1), ColorScene(BLUE, 1)]


def sanitized(path: Path, *, seconds: float = 20) -> tuple[dict[str, Any], Path]:
    """Return the program's report, and the folder it wrote to."""
    folder = path.with_name(f"{path.name}.out")
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "vsearch.media.upload_sandbox", path, folder, str(seconds)],
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == b""
    assert done.returncode == 0
    assert done.stdout.count(b"\n") == 1
    assert str(path).encode() not in done.stdout
    return json.loads(done.stdout), folder


def test_an_image_is_scaled_down_without_metadata(tmp_path: Path) -> None:
    path = tmp_path / "holiday.jpeg"
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "where I live"  # rotation and description
    Image.new("RGB", (3000, 1500), RED).save(path, exif=exif)
    report, folder = sanitized(path)
    assert report == {"kind": "image", "width": 512, "height": 1024, "duration": None}
    with Image.open(folder / IMAGE_FILE_NAME) as picture:
        assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (512, 1024))
        assert not picture.getexif()
        assert np.abs(np.array(picture.getpixel((5, 5))) - RED).max() < 6


@pytest.mark.parametrize("name", ["photo.heic", "photo.avif"])
def test_photos_of_phones_are_images(tmp_path: Path, name: str) -> None:
    if name == "photo.heic":
        (tmp_path / name).write_bytes(TINY_HEIC)
    else:
        make_photo(tmp_path / name, size=(96, 64), exif=make_exif(orientation=6))
    report, _ = sanitized(tmp_path / name)
    size = (96, 64) if name == "photo.heic" else (64, 96)
    assert report == {"kind": "image", "width": size[0], "height": size[1], "duration": None}


def test_a_video_becomes_a_silent_clip_with_the_same_times(tmp_path: Path) -> None:
    parts = [SoundScene(scene, 440) for scene in SCENES]
    report, folder = sanitized(make_sound_video(tmp_path / "a.mkv", parts, frame_size=(640, 480)))
    assert report == {
        "kind": "clip",
        "width": 480,
        "height": 360,
        "duration": pytest.approx(3, abs=0.1),
    }
    with av.open(str(folder / CLIP_FILE_NAME)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert container.streams.video[0].codec_context.name == "h264"
        for frame in container.decode(video=0):
            pixel = frame.to_ndarray(format="rgb24")[200, -4].astype(int)
            color = SCENES[min(2, int((frame.time or 0) + 0.01))].color
            assert np.abs(pixel - color).max() < 45


def test_a_clip_is_cut_after_a_minute(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 90, 0)], fps=4, frame_size=(32, 32))
    report, folder = sanitized(path)
    assert report["duration"] == 60
    with av.open(str(folder / CLIP_FILE_NAME)) as container:
        assert container.duration == pytest.approx(60e6, abs=0.3e6)


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_animations_become_clips_and_stills_images(tmp_path: Path, kind: str) -> None:
    frames = [Image.new("RGB", (64, 48), color) for color in (RED, GREEN, BLUE)]
    frames[0].save(tmp_path / "still", kind)
    frames[0].save(tmp_path / "moves", kind, save_all=True, append_images=frames[1:], duration=500)
    assert sanitized(tmp_path / "still")[0]["kind"] == "image"
    report, _ = sanitized(tmp_path / "moves")
    assert report["kind"] == "clip"
    assert report["duration"] == pytest.approx(1.5, abs=0.1)


def png_bomb(width: int, height: int) -> bytes:
    """Build a PNG of a few kB that claims many pixels, and has them."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        end = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + end

    packer = zlib.compressobj(9)
    lines = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", lines + packer.flush()) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + data


def test_an_image_with_too_many_pixels_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_bomb(30_000, 3_000))
    report, folder = sanitized(tmp_path / "bomb.png")
    assert "million pixels" in report["error"]
    assert not list(folder.iterdir())


def test_compressed_text_chunks_do_not_exhaust_memory(tmp_path: Path) -> None:
    text = zlib.compress(bytes(200_000_000), 9)
    data = b"note\0\0" + text
    chunk = struct.pack(">I", len(data)) + b"zTXt" + data
    chunk += struct.pack(">I", zlib.crc32(b"zTXt" + data))
    plain = png_bomb(64, 64)
    (tmp_path / "bomb.png").write_bytes(plain[:33] + chunk + plain[33:])
    assert "error" in sanitized(tmp_path / "bomb.png")[0]


def test_other_files_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<svg onload='alert(1)'/>")
    (tmp_path / "a.mp4").write_text("#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n")
    (tmp_path / "empty").touch()
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(10_000_000))
    with Image.new("RGB", (400, 400), RED) as picture:
        picture.save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:300])
    for name in ("a.png", "a.mp4", "empty", "a.zip", "cut.png"):
        report, folder = sanitized(tmp_path / name)
        assert report.keys() == {"error"}, name
        assert not list(folder.iterdir())


def test_a_slow_clip_is_truncated(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 40)], fps=10, frame_size=(640, 480))
    report, _ = sanitized(path, seconds=0.2)
    assert report["kind"] == "clip"
    assert 0 < report["duration"] < 40


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bound memory otherwise")
def test_limits_hold_in_the_process() -> None:
    program = """
import resource, subprocess, sys
from vsearch.media import upload_sandbox
upload_sandbox.limit_resources(20)
print(resource.getrlimit(resource.RLIMIT_AS)[1], resource.getrlimit(resource.RLIMIT_CORE)[1])
try:
    bytearray(upload_sandbox.MAX_ADDRESS_SPACE_BYTES)
except MemoryError:
    print("bounded")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().split() == [str(MAX_ADDRESS_SPACE_BYTES), "0", "bounded"]


def test_broken_files_yield_a_clip_or_a_one_line_error(broken_media: Path, tmp_path: Path) -> None:
    names = ["decode_error.mp4", "dims_zero.mp4", "resolution_change.mp4", "truncated.mp4"]
    names += ["rotated_90.mov", "-name-with-dash-1x1.mp4", "dims_9841x705.webm"]
    for name in names:
        path = tmp_path / name
        path.write_bytes((broken_media / name).read_bytes())
        report, _ = sanitized(path)
        assert report.get("kind") == "clip" or "\n" not in report["error"]
