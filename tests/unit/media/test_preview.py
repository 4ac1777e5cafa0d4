"""Moving thumbnails."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from synth import BLUE, GREEN, RED, Scene, make_video
from vsearch.errors import MediaError
from vsearch.media.preview import preview
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path


def shown(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def colour(picture: Image.Image, index: int) -> tuple[int, ...]:
    picture.seek(index)
    pixels = np.asarray(picture.convert("RGB"))
    return tuple(pixels[int(pixels.shape[0] * 0.6), -4].astype(int))


def test_a_span_moves_in_a_loop_and_shows_what_it_shows(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 2), Scene(GREEN, 2), Scene(BLUE, 2)])
    made = shown(preview(path, Span(1, 3)))
    assert made.format == "WEBP"
    assert getattr(made, "n_frames", 1) == 16
    assert made.info["loop"] == 0
    for index, wanted in ((1, RED), (14, GREEN)):
        assert np.abs(np.array(colour(made, index)) - wanted).max() < 40


def test_a_long_span_shows_its_middle_and_stays_small(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 20), Scene(GREEN, 5), Scene(RED, 20)])
    content = preview(path, Span(0, 45))
    made = shown(content)
    assert getattr(made, "n_frames", 1) <= 41
    assert np.abs(np.array(colour(made, 20)) - GREEN).max() < 40
    assert len(content) < 200_000


@pytest.mark.parametrize("size", [(640, 360), (360, 640), (1000, 20), (2, 2)])
def test_it_is_no_larger_than_a_card(size: tuple[int, int], tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", [Scene(RED, 1)], size=size)
    made = shown(preview(path, Span(0, 0.5), width=320))
    assert made.width <= 320
    assert made.height <= 360


def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"a\.mp4"):
        preview(tmp_path / "a.mp4", Span(0, 1))
