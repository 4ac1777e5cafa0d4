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

    import numpy.typing as npt

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


# Real scenes are imitated by textures: random at several scales, as natural images are.


def texture(seed: int, width: int = 160) -> npt.NDArray[np.float64]:
    """Return an image with detail at several scales, (36, width), 0 to 255."""
    rng = np.random.default_rng(seed)
    image = np.zeros((36, width))
    for scale, weight in ((12, 1.0), (6, 0.6), (3, 0.4)):
        coarse = rng.random((36 // scale + 2, width // scale + 2))
        image += weight * np.kron(coarse, np.ones((scale, scale)))[:36, :width]
    image -= image.min()
    return np.asarray(image / image.max() * rng.uniform(150, 250))


def hold(seed: int, seconds: float = 2, *, pixels_per_frame: float = 0) -> GrayImages:
    """Return a shot of a texture, over which the camera may pan back and forth."""
    image = texture(seed)
    offsets = np.abs((np.arange(round(seconds * 25)) * pixels_per_frame + 96) % 192 - 96)
    return np.stack([image[:, int(x) : int(x) + 64] for x in offsets]).astype(np.uint8)


def transitions(images: GrayImages) -> list[tuple[float, float]]:
    detector = ContentDetector()
    detector.process(images, np.arange(len(images)) / 25)
    return [(float(start), float(end)) for start, end in detector.transitions()]


def mix(before: GrayImages, after: GrayImages, shares: npt.NDArray[np.float64]) -> GrayImages:
    """Return the first shot, frames with a share of the second one, (N, 36, 64), and the second."""
    blended = before[-1] + (after[0].astype(float) - before[-1]) * shares
    return np.concatenate([before, blended.astype(np.uint8), after])


@pytest.mark.parametrize("pixels_per_frame", [0.5, 1, 2, 4])
def test_cuts_are_found_while_the_camera_pans(pixels_per_frame: float) -> None:
    shots = [hold(seed, pixels_per_frame=pixels_per_frame) for seed in range(4)]
    assert cuts(np.concatenate(shots)) == [2, 4, 6]


def test_cuts_are_found_while_the_camera_shakes() -> None:
    rng = np.random.default_rng(0)
    shots = []
    for seed in range(4):
        image = texture(seed)
        offsets = rng.integers(0, 8, (50, 1)) + rng.integers(0, 4, (50, 1))
        shots.append(np.stack([image[:, x : x + 64] for [x] in offsets]).astype(np.uint8))
    assert cuts(np.concatenate(shots)) == [2, 4, 6]


@pytest.mark.parametrize("seconds", [0.2, 0.52, 1.0])
def test_a_dissolve_is_a_transition(seconds: float) -> None:
    count = round(seconds * 25)
    shares = np.linspace(0, 1, count + 2)[1:-1, None, None]
    images = mix(hold(1, 3), hold(2, 3), shares)
    [(start, end)] = transitions(images)
    assert (start, end) == pytest.approx((2.96, 3 + count / 25), abs=0.15)
    assert cuts(images) == [pytest.approx(end, abs=0.001)]


def test_a_wipe_is_a_transition() -> None:
    shares = (np.arange(64) < np.linspace(0, 64, 22)[1:-1, None, None]).astype(float)
    images = mix(hold(3, 3), hold(4, 3), np.broadcast_to(shares, (20, 36, 64)))
    [(start, end)] = transitions(images)
    assert (start, end) == pytest.approx((2.96, 3.8), abs=0.2)


@pytest.mark.parametrize("black_frames", [1, 10, 30])
def test_a_fade_through_black_is_one_transition(black_frames: int) -> None:
    down = np.linspace(1, 0, 14)[1:-1, None, None]
    before, after = hold(5, 3), hold(6, 3)
    images = np.concatenate(
        [
            before,
            (before[-1] * down).astype(np.uint8),
            np.zeros((black_frames, 36, 64), np.uint8),
            (after[0] * down[::-1]).astype(np.uint8),
            after,
        ]
    )
    [(start, end)] = transitions(images)
    assert 2.9 <= start < 3.5
    assert 3 + (12 + black_frames) / 25 < end <= 3.05 + (24 + black_frames) / 25
    assert len(cuts(images)) == 1


def test_a_lamp_is_not_a_cut() -> None:
    images = hold(7, 4)
    falloff = np.linspace(0.3, 0.6, 64)
    images[50:] = images[50:] * falloff
    assert cuts(images) == []


def test_a_strobe_light_is_not_a_cut() -> None:
    images = hold(8, 4)
    for first in range(30, 60, 5):
        images[first : first + 2] = np.minimum(images[first : first + 2] * 1.5 + 90, 255)
    assert cuts(images) == []


def test_a_whip_pan_within_a_shot_is_not_a_cut() -> None:
    image = texture(9)
    offsets = np.concatenate([np.zeros(50), np.linspace(0, 40, 10), np.full(50, 40)]).astype(int)
    assert cuts(np.stack([image[:, x : x + 64] for x in offsets]).astype(np.uint8)) == []


def test_an_inset_is_not_a_cut() -> None:
    images = hold(10, 4)
    images[40:70, 4:16, 4:24] = texture(11)[:12, :20].astype(np.uint8)
    assert cuts(images) == []


def test_transitions_do_not_depend_on_the_batches() -> None:
    shares = np.linspace(0, 1, 15)[1:-1, None, None]
    images = mix(mix(hold(1, 4), hold(2, 5), shares), hold(3, 4), shares)
    times = np.arange(len(images)) / 25
    found = []
    for batch in (1, 7, 64, 1000):
        detector = ContentDetector()
        for start in range(0, len(images), batch):
            detector.process(images[start : start + batch], times[start : start + batch])
        found.append(detector.transitions().tolist())
    assert len(found[0]) == 2
    assert all(spans == found[0] for spans in found)
