"""Thumbnails, and pictures to search with."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from sounding import Sounding, make_film
from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch.errors import MediaError, TooLargeError, UnreadableError
from vsearch.media import stills
from vsearch.media.stills import read_picture, still

if TYPE_CHECKING:
    from pathlib import Path


def test_a_still_is_the_frame_shown_at_that_time(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 2), Scene(GREEN, 2), Scene(BLUE, 2)])
    for time, colour in {0: RED, 1.95: RED, 2: GREEN, 3.33: GREEN, 5: BLUE, 99: BLUE}.items():
        picture = Image.open(io.BytesIO(still(path, time, width=64)))
        assert picture.format == "JPEG"
        assert picture.size == (64, 48)
        pixel = np.array(picture.getpixel((60, 4)))
        assert np.abs(pixel - colour).max() < 25


def test_before_the_first_frame_a_still_is_that_one(tmp_path: Path) -> None:
    path = make_film(
        tmp_path / "a.mkv", [Sounding(Scene(RED, 1)), Sounding(Scene(BLUE, 1))], late=3
    )
    for time, colour in {0: RED, 0.1: RED, 0.31: RED, 1.35: BLUE}.items():
        pixel = np.array(Image.open(io.BytesIO(still(path, time, width=64))).getpixel((60, 4)))
        assert np.abs(pixel - colour).max() < 25, time


def test_a_still_is_as_wide_as_asked(tmp_path: Path) -> None:
    tall = make_video(tmp_path / "a.mp4", size=(64, 48), rotation=90)
    assert Image.open(io.BytesIO(still(tall, 0, width=60))).size == (60, 80)


def test_a_still_of_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no")
    with pytest.raises(MediaError):
        still(tmp_path / "a.mp4", 0)


def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    Image.new("RGB", (40, 20), RED).save(tmp_path / "a.jpg", exif=exif)
    assert read_picture(tmp_path / "a.jpg").shape == (40, 20, 3)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(tmp_path: Path, mode: str) -> None:
    picture = Image.new("RGBA", (4, 4), (0, 0, 0, 0)).convert(mode)
    if mode == "P":
        picture.info["transparency"] = picture.getpixel((0, 0))
    picture.save(tmp_path / "a.png")
    assert (read_picture(tmp_path / "a.png") == 255).all()


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16", "I", "F"])
def test_every_kind_of_pixel_becomes_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("L", (5, 4), 255).convert(mode if mode != "I;16" else "I").save(tmp_path / "a.tiff")
    image = read_picture(tmp_path / "a.tiff")
    assert image.shape == (4, 5, 3)
    assert image.dtype == np.uint8


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    gray = np.full((4, 4), 32768, np.uint16)
    Image.fromarray(gray).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").mean() == pytest.approx(127.5, abs=1)


def test_of_an_animation_the_first_frame_is_read(tmp_path: Path) -> None:
    pictures = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:])
    assert np.abs(read_picture(tmp_path / "a.gif")[0, 0].astype(int) - RED).max() < 5


def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (101, 100)).save(tmp_path / "a.png")
    monkeypatch.setattr(stills, "_MAX_PIXELS", 10_000)
    with pytest.raises(TooLargeError, match="scale it down"):
        read_picture(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(TooLargeError, match="scale it down"):
        read_picture(tmp_path / "a.png")


def test_a_large_photo_is_decoded_no_larger_than_need_be(tmp_path: Path) -> None:
    photo = Image.new("RGB", (8400, 6200), RED)
    photo.save(tmp_path / "a.jpg", exif=Image.Exif())
    assert read_picture(tmp_path / "a.jpg").shape == (1550, 2100, 3)
    photo.save(tmp_path / "a.png", compress_level=1)
    with pytest.raises(TooLargeError, match="33 million"):
        read_picture(tmp_path / "a.png")


def test_what_is_no_picture_is_told(tmp_path: Path) -> None:
    (tmp_path / "words.jpg").write_text("words")
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:900])
    for name in ("none.png", "words.jpg", "cut.png", "."):
        with pytest.raises(UnreadableError) as caught:
            read_picture(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)


def test_what_is_no_file_is_refused_instead_of_read_for_ever(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "link.png", "."):
        with pytest.raises(UnreadableError, match="not a file"):
            read_picture(tmp_path / name)


def test_a_picture_that_would_start_another_program_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")  # Pillow goes by content
    with pytest.raises(UnreadableError, match="no picture that can be read"):
        read_picture(tmp_path / "a.jpg")
