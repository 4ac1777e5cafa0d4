"""Animated previews."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, make_video
from vsearch.errors import MediaError
from vsearch.media.thumbnails import render_preview
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path


def shown(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def color(picture: Image.Image, index: int) -> tuple[int, ...]:
    picture.seek(index)
    pixels = np.asarray(picture.convert("RGB"))
    return tuple(pixels[int(pixels.shape[0] * 0.6), -4].astype(int))


def test_a_preview_loops_over_the_span(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4", [ColorScene(RED, 2), ColorScene(GREEN, 2), ColorScene(BLUE, 2)]
    )
    made = shown(render_preview(path, Span(1, 3)))
    assert made.format == "WEBP"
    assert getattr(made, "n_frames", 1) == 16
    assert made.info["loop"] == 0
    for index, wanted in ((1, RED), (14, GREEN)):
        assert np.abs(np.array(color(made, index)) - wanted).max() < 40


def test_a_long_span_shows_its_middle_in_a_small_file(tmp_path: Path) -> None:
    path = make_video(
        tmp_path / "a.mp4", [ColorScene(RED, 20), ColorScene(GREEN, 5), ColorScene(RED, 20)]
    )
    content = render_preview(path, Span(0, 45))
    made = shown(content)
    assert getattr(made, "n_frames", 1) <= 41
    assert np.abs(np.array(color(made, 20)) - GREEN).max() < 40
    assert len(content) < 200_000


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1000, 20), (2, 2)])
def test_a_preview_fits_the_maximum_width(size: tuple[int, int], tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [ColorScene(RED, 1)], frame_size=size)
    made = shown(render_preview(path, Span(0, 0.5), max_width=320))
    assert made.width <= 320
    assert made.height <= 360


def test_a_file_that_is_not_a_video_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"a\.mp4"):
        render_preview(tmp_path / "a.mp4", Span(0, 1))
