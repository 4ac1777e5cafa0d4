"""Photos as videos of one frame."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.support.photo_factory import TINY_HEIC, make_exif, make_photo
from tests.support.video_factory import BLUE, GREEN, RED, make_video
from vsearch.errors import MediaError, UnreadableError
from vsearch.media.photos import detect_picture
from vsearch.media.playback import determine_playback
from vsearch.media.sampler import Sampler, probe_video
from vsearch.media.thumbnails import render_preview, render_thumbnail
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images


def sampled(path: Path, span: Span | None = None) -> Images:
    [batch] = Sampler(path, fps=1, short_side=32, span=span)
    assert len(batch) == 1
    image: Images = batch.images[0]
    return image


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.jpg", "jpeg"),
        ("a.png", "png"),
        ("a.webp", "webp"),
        ("a.avif", "avif"),
        ("a.tiff", "tiff"),
        ("a.bmp", "bmp"),
    ],
)
def test_a_photo_is_a_video_of_one_frame(tmp_path: Path, name: str, codec: str) -> None:
    path = make_photo(tmp_path / name, GREEN, (160, 120))
    info = probe_video(path)
    assert info.is_photo
    assert (info.codec, info.width, info.height, info.fps) == (codec, 160, 120, 0)
    assert 0 < info.duration < 0.1
    assert np.abs(sampled(path).astype(int) - GREEN).max() < 12


def test_a_heic_photo_has_its_date_and_colors(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(TINY_HEIC)
    info = probe_video(tmp_path / "a.heic")
    assert (info.codec, info.width, info.height) == ("heic", 96, 64)
    assert info.recording.camera == "Apple"
    assert info.recording.utc_offset_minutes == 120
    image = sampled(tmp_path / "a.heic").astype(int)
    assert np.abs(image[4, 20] - (255, 0, 0)).max() < 20
    assert np.abs(image[-4, 20] - (0, 0, 255)).max() < 20


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_upright(tmp_path: Path, name: str, orientation: int) -> None:
    upright = Image.new("RGB", (96, 64), RED)
    upright.paste(GREEN, (0, 32, 48, 64))  # left below
    inverse = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(inverse[orientation]) if orientation > 1 else upright
    stored.save(tmp_path / name, exif=make_exif(orientation=orientation), quality=95)
    info = probe_video(tmp_path / name)
    assert (info.width, info.height) == (96, 64)
    image = sampled(tmp_path / name).astype(int)
    assert np.abs(image[-5, 5] - GREEN).max() < 40
    for row, column in ((5, 5), (5, -5), (-5, -5)):
        assert np.abs(image[row, column] - RED).max() < 40


def test_a_large_photo_is_reported_with_its_own_size(tmp_path: Path) -> None:
    make_photo(tmp_path / "a.jpg", size=(4000, 3000), exif=make_exif(orientation=6))
    make_photo(tmp_path / "a.png", size=(4000, 3000))
    assert (probe_video(tmp_path / "a.jpg").width, probe_video(tmp_path / "a.jpg").height) == (
        3000,
        4000,
    )
    assert (probe_video(tmp_path / "a.png").width, probe_video(tmp_path / "a.png").height) == (
        4000,
        3000,
    )


@pytest.mark.parametrize("span", [Span(0, 0.04), Span(0.02, 0.02), Span(0, 5), Span(3, 4)])
def test_any_span_of_a_photo_shows_it(tmp_path: Path, span: Span) -> None:
    path = make_photo(tmp_path / "a.png", GREEN)
    assert np.abs(sampled(path, span=span).astype(int) - GREEN).max() < 3
    thumbnail = Image.open(BytesIO(render_thumbnail(path, span.start, max_width=80)))
    assert thumbnail.size == (80, 60)
    assert Image.open(BytesIO(render_preview(path, span, max_width=80))).format == "WEBP"


def test_content_decides_what_is_a_photo(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "moving.png", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    make_photo(tmp_path / "still.jpg").rename(tmp_path / "named.mp4")
    make_photo(tmp_path / "stream.jpg").rename(tmp_path / "stream.mjpeg")
    make_video(tmp_path / "film.mp4").rename(tmp_path / "film.jpg")
    found = {path.name: detect_picture(path) for path in tmp_path.iterdir()}
    assert found == {
        "moving.png": None,
        "moving.webp": "animated webp",
        "moving.gif": None,
        "named.mp4": "photo",
        "stream.mjpeg": None,
        "film.jpg": None,
    }
    assert not probe_video(tmp_path / "film.jpg").is_photo


def test_a_motion_photo_is_a_photo(tmp_path: Path) -> None:
    """A JPEG with a video behind it, as Google and Samsung phones write."""
    photo = make_photo(tmp_path / "a.jpg", BLUE)
    video = make_video(tmp_path / "b.mp4")
    photo.write_bytes(photo.read_bytes() + video.read_bytes())
    assert probe_video(photo).is_photo
    assert np.abs(sampled(photo).astype(int) - BLUE).max() < 12


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif", "a.tiff", "a.heic"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_damaged_photos_are_reported_by_name(tmp_path: Path, name: str, share: float) -> None:
    path = tmp_path / name
    if name == "a.heic":
        path.write_bytes(TINY_HEIC)
    else:
        make_photo(path, size=(320, 240), noise=60)
    content = path.read_bytes()
    path.write_bytes(content[: max(24, int(len(content) * share))])
    with pytest.raises(MediaError) as caught:
        probe_video(path)
    assert str(path) in str(caught.value)


def test_an_empty_photo_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with pytest.raises(UnreadableError, match="is empty"):
        probe_video(tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [("a.jpg", "image/jpeg"), ("a.webp", "image/webp"), ("a.avif", "image/avif"), ("a.tiff", None)],
)
def test_browsers_receive_photos_that_they_show(
    tmp_path: Path, name: str, mime_type: str | None
) -> None:
    playback = determine_playback(make_photo(tmp_path / name))
    assert playback.method == ("direct" if mime_type else "none")
    assert mime_type is None or playback.mime_type == mime_type
