"""Cuts are detected; flashes, fades and motion are not cuts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.video_factory import (
    BLACK,
    BLUE,
    GREEN,
    RED,
    WHITE,
    ColorScene,
    make_video,
    render_frames,
)
from vsearch.media.sampler import Sampler
from vsearch.media.shot_detection import ContentDetector

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import GrayImages, Times

LUMA = np.array([0.299, 0.587, 0.114])


def cuts(images: GrayImages, *, fps: float = 25, batch: int = 64) -> list[float]:
    detector = ContentDetector()
    times: Times = np.arange(len(images)) / fps
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        detector.process(images[part], times[part])
    return [round(float(time), 3) for time in detector.cuts()]


def scenes(*parts: ColorScene) -> GrayImages:
    colors = np.stack(list(render_frames(parts, fps=25, frame_size=(64, 36))))
    return np.asarray(colors @ LUMA, np.uint8)


def test_cuts_are_found_at_the_first_frame_of_a_shot() -> None:
    images = scenes(
        ColorScene(RED, 2), ColorScene(GREEN, 1.2), ColorScene(BLUE, 0.4), ColorScene(RED, 2)
    )
    assert cuts(images) == [2, 3.2, 3.6]


@pytest.mark.parametrize("batch", [1, 2, 3, 5, 64, 1000])
def test_cuts_do_not_depend_on_the_batches(batch: int) -> None:
    images = scenes(ColorScene(RED, 2), ColorScene(GREEN, 1.2), ColorScene(BLUE, 3))
    assert cuts(images, batch=batch) == [2, 3.2]


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_not_a_cut(length: int) -> None:
    images = scenes(ColorScene(RED, 3))
    images[40 : 40 + length] = 255
    assert cuts(images) == []


def test_a_fade_is_not_a_cut() -> None:
    images = scenes(ColorScene(WHITE, 3, speed=0))
    images[20:60] = images[20:60] * np.linspace(1, 0, 40)[:, None, None]
    images[60:] = 0
    assert cuts(images) == []


def test_motion_is_not_a_cut() -> None:
    assert cuts(scenes(ColorScene(RED, 4, speed=6))) == []
    rng = np.random.default_rng(0)
    wall = np.kron(rng.integers(0, 255, (9, 60)), np.ones((4, 8))).astype(np.uint8)
    assert cuts(np.stack([wall[:, x : x + 64] for x in range(0, 400, 4)])) == []


def test_noise_in_the_dark_is_not_a_cut() -> None:
    noise = np.random.default_rng(0).integers(0, 8, (100, 36, 64)).astype(np.uint8)
    assert cuts(noise) == []


def test_too_few_frames_have_no_cut() -> None:
    assert cuts(scenes(ColorScene(BLACK, 0.04))) == []
    assert ContentDetector().cuts().shape == (0,)


def test_cuts_are_found_while_a_file_is_decoded(tmp_path: Path) -> None:
    detector = ContentDetector()
    path = make_video(
        tmp_path / "a.mp4",
        [ColorScene(RED, 2), ColorScene(GREEN, 3), ColorScene(BLUE, 2)],
        fps=25,
    )
    for _ in Sampler(path, fps=1, short_side=16, shot_detector=detector):
        pass
    assert detector.cuts() == pytest.approx([2, 5])
