"""Contract test of the `ShotDetector` protocol, run for each registered detector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.video_factory import BLUE, GREEN, RED, ColorScene, render_frames
from vsearch.plugins import plugin_names, resolve_plugin
from vsearch.protocols import ShotDetector, TransitionDetector

if TYPE_CHECKING:
    from vsearch.types import GrayImages

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(params=plugin_names("shots"))
def detector(request: pytest.FixtureRequest) -> ShotDetector:
    detector = resolve_plugin("shots", request.param)()
    assert isinstance(detector, ShotDetector)
    return detector


def process_images(detector: ShotDetector, images: GrayImages, *, batch: int = 64) -> None:
    times = np.arange(len(images)) / 25
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        detector.process(images[part], times[part])


def process_later(detector: ShotDetector, images: GrayImages, *, first_time: float) -> None:
    detector.process(images, first_time + np.arange(len(images)) / 25)


@pytest.fixture(scope="module")
def three_shots() -> GrayImages:
    parts = [ColorScene(RED, 2), ColorScene(GREEN, 3), ColorScene(BLUE, 2)]
    colors = np.stack(list(render_frames(parts, fps=25, frame_size=(64, 36))))
    return np.asarray(colors @ LUMA, np.uint8)


def test_hard_cuts_are_detected(detector: ShotDetector, three_shots: GrayImages) -> None:
    process_images(detector, three_shots)
    assert detector.cuts() == pytest.approx([2, 5], abs=0.25)


def test_cuts_are_ascending_float64_seconds(
    detector: ShotDetector, three_shots: GrayImages
) -> None:
    process_images(detector, three_shots, batch=7)
    cuts = detector.cuts()
    assert cuts.dtype == np.float64
    assert cuts.ndim == 1
    assert (np.diff(cuts) > 0).all()
    assert (cuts > 0).all()


def test_without_frames_there_are_no_cuts(detector: ShotDetector) -> None:
    assert len(detector.cuts()) == 0


def test_a_single_frame_has_no_cuts(detector: ShotDetector, three_shots: GrayImages) -> None:
    process_images(detector, three_shots[:1])
    assert len(detector.cuts()) == 0


def test_arrays_may_be_reused_after_processing(
    detector: ShotDetector, three_shots: GrayImages
) -> None:
    for index, image in enumerate(three_shots):
        thumbnail, time = image[None].copy(), np.array([index / 25])
        detector.process(thumbnail, time)
        thumbnail[:] = 0
    assert detector.cuts() == pytest.approx([2, 5], abs=0.25)


def test_transitions_are_ascending_spans_that_end_at_cuts(
    detector: ShotDetector, three_shots: GrayImages
) -> None:
    if not isinstance(detector, TransitionDetector):
        pytest.skip("detects no transitions")
    shares = np.linspace(0, 1, 20)[:, None, None]
    dissolved = three_shots[40] + (three_shots[60].astype(float) - three_shots[40]) * shares
    process_images(detector, np.concatenate([three_shots[:40], dissolved.astype(np.uint8)]))
    process_later(detector, three_shots[60:], first_time=60 / 25)
    spans = detector.transitions()
    assert spans.dtype == np.float64
    assert spans.shape[1:] == (2,)
    assert (spans[:, 0] < spans[:, 1]).all()
    assert (spans[1:, 0] >= spans[:-1, 1]).all()
    assert set(spans[:, 1].tolist()) <= set(detector.cuts().tolist())


def test_without_frames_there_are_no_transitions(detector: ShotDetector) -> None:
    if not isinstance(detector, TransitionDetector):
        pytest.skip("detects no transitions")
    assert detector.transitions().shape == (0, 2)
