"""Luma thumbnails of frames of any format and range."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, VideoReformatter

from vsearch.media.shot_detection import make_luma_thumbnail

SIZES = [(64, 48), (640, 360), (1280, 720), (1921, 1081), (600, 1100)]


def picture(size: tuple[int, int], layout: str, *, full: bool = False) -> av.VideoFrame:
    """Draw black, gray and white from left to right."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 3 :] = 128
    image[:, 2 * width // 3 :] = 255
    return av.VideoFrame.from_ndarray(image).reformat(
        format=layout, dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG
    )


@pytest.mark.parametrize("layout", ["yuv420p", "yuv422p", "yuv420p10le", "nv12", "p010le", "gray"])
@pytest.mark.parametrize("size", SIZES)
def test_black_is_0_and_white_255(size: tuple[int, int], layout: str) -> None:
    found = make_luma_thumbnail(picture(size, layout), VideoReformatter())
    assert found.shape == (36, 64)
    assert found.dtype == np.uint8
    found = found.astype(float)
    assert found[:, :17] == pytest.approx(0, abs=3)
    assert found[:, 25:39] == pytest.approx(128, abs=3)
    assert found[:, 47:] == pytest.approx(255, abs=3)


@pytest.mark.parametrize("layout", ["yuvj420p", "yuv420p"])
def test_full_range_is_not_stretched(layout: str) -> None:
    found = make_luma_thumbnail(picture((1280, 720), layout, full=True), VideoReformatter()).astype(
        float
    )
    assert found[:, 25:39] == pytest.approx(128, abs=3)
    assert found[:, 47:] == pytest.approx(255, abs=3)
