"""Thumbnails and query images."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.support.audio_factory import SoundScene, make_sound_video
from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch.errors import MediaError, TooLargeError, UnreadableError
from vsearch.media import images
from vsearch.media.images import read_image
from vsearch.media.thumbnails import render_thumbnail

if TYPE_CHECKING:
    from pathlib import Path


def test_a_thumbnail_is_the_frame_displayed_then(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4", [ColorScene(RED, 2), ColorScene(GREEN, 2), ColorScene(BLUE, 2)]
    )
    for time, color in {0: RED, 1.95: RED, 2: GREEN, 3.33: GREEN, 5: BLUE, 99: BLUE}.items():
        picture = Image.open(io.BytesIO(render_thumbnail(path, time, max_width=64)))
        assert picture.format == "JPEG"
        assert picture.size == (64, 48)
        pixel = np.array(picture.getpixel((60, 4)))
        assert np.abs(pixel - color).max() < 25


def test_a_thumbnail_before_the_first_frame_shows_it(tmp_path: Path) -> None:
    path = make_sound_video(
        tmp_path / "a.mkv",
        [SoundScene(ColorScene(RED, 1)), SoundScene(ColorScene(BLUE, 1))],
        late_frames=3,
    )
    for time, color in {0: RED, 0.1: RED, 0.31: RED, 1.35: BLUE}.items():
        pixel = np.array(
            Image.open(io.BytesIO(render_thumbnail(path, time, max_width=64))).getpixel((60, 4))
        )
        assert np.abs(pixel - color).max() < 25, time


def test_a_thumbnail_has_the_requested_width(tmp_path: Path) -> None:
    tall = make_video(tmp_path / "a.mp4", frame_size=(64, 48), rotation=90)
    assert Image.open(io.BytesIO(render_thumbnail(tall, 0, max_width=60))).size == (60, 80)


def test_a_thumbnail_of_a_non_video_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(MediaError):
        render_thumbnail(tmp_path / "a.mp4", 0)


def test_an_image_is_rotated_by_its_exif_data(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # rotate clockwise
    Image.new("RGB", (40, 20), RED).save(tmp_path / "a.jpg", exif=exif)
    assert read_image(tmp_path / "a.jpg").shape == (40, 20, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_becomes_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert(mode)
    if mode == "P":
        picture.info["transparency"] = picture.getpixel((0, 0))
    picture.save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16", "I", "F"])
def test_every_pixel_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("L", (5, 4), 255).convert(mode if mode != "I;16" else "I").save(tmp_path / "a.tiff")
    image = read_image(tmp_path / "a.tiff")
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    gray = np.full((4, 4), 32768, np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").mean() == pytest.approx(127.5, abs=1)


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (8, 8), color) for color in (RED, BLUE)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    assert np.abs(read_image(tmp_path / "a.gif")[0, 0].astype(int) - RED).max() < 5


def test_too_many_pixels_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (101, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(images, "MAX_FRAME_PIXELS", 10_000)
    with pytest.raises(TooLargeError, match="scale it down"):
        read_image(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(TooLargeError, match="scale it down"):
        read_image(tmp_path / "a.png")


def test_a_large_jpeg_is_decoded_at_a_smaller_scale(tmp_path: Path) -> None:
    photo = Image.new("RGB", (8400, 6200), RED)
    photo.save(tmp_path / "a.jpg", exif=Image.Exif())
    assert read_image(tmp_path / "a.jpg").shape == (1550, 2100, 3)
    photo.save(tmp_path / "a.jpg", progressive=True)
    assert read_image(tmp_path / "a.jpg").shape == (1550, 2100, 3)
    photo.save(tmp_path / "a.png", compress_level=1)  # decoded, then reduced by averaging
    image = read_image(tmp_path / "a.png")
    assert image.shape == (1550, 2100, 3)
    assert (image == RED).all()


def test_images_that_take_too_much_memory_are_rejected(tmp_path: Path) -> None:
    Image.new("1", (8400, 8200)).save(tmp_path / "a.png")
    Image.new("L", (8400, 8200)).save(tmp_path / "a.jpg", progressive=True)
    for name in ("a.png", "a.jpg"):  # decoding a progressive JPEG keeps all of it in memory
        with pytest.raises(TooLargeError, match="67 million"):
            read_image(tmp_path / name)
    Image.new("L", (8400, 8200)).save(tmp_path / "a.jpg")
    assert read_image(tmp_path / "a.jpg").shape == (2050, 2100, 3)


def test_files_that_are_not_images_are_reported(tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("words")
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    for name in ("none.png", "words.jpg", "cut.png", "."):
        with pytest.raises(UnreadableError) as caught:
            read_image(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_special_files_are_rejected_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "link.png", "."):
        with pytest.raises(UnreadableError, match="not a regular file"):
            read_image(tmp_path / name)


def test_formats_that_start_other_programs_are_rejected(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")  # Pillow detects formats by content
    with pytest.raises(UnreadableError, match="not a readable image"):
        read_image(tmp_path / "a.jpg")
