"""What every shot detector does, plugins included."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from synth import BLUE, GREEN, RED, Scene, frames
from vsearch.plugins import names, resolve
from vsearch.protocols import ShotDetector

if TYPE_CHECKING:
    from vsearch.types import Grays

LUMA = np.array([0.299, 0.587, 0.114])


@pytest.fixture(params=names("shots"))
def detector(request: pytest.FixtureRequest) -> ShotDetector:
    made = resolve("shots", request.param)()
    assert isinstance(made, ShotDetector)
    return made


def show(detector: ShotDetector, images: Grays, *, batch: int = 64) -> None:
    times = np.arange(len(images)) / 25
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        detector.see(images[part], times[part])


@pytest.fixture(scope="module")
def three_shots() -> Grays:
    parts = [Scene(RED, 2), Scene(GREEN, 3), Scene(BLUE, 2)]
    colours = np.stack(list(frames(parts, fps=25, size=(64, 36))))
    return np.asarray(colours @ LUMA, np.uint8)


def test_hard_cuts_are_found(detector: ShotDetector, three_shots: Grays) -> None:
    show(detector, three_shots)
    assert detector.cuts() == pytest.approx([2, 5], abs=0.25)


def test_cuts_are_ascending_float64_seconds(detector: ShotDetector, three_shots: Grays) -> None:
    show(detector, three_shots, batch=7)
    cuts = detector.cuts()
    assert cuts.dtype == np.float64
    assert cuts.ndim == 1
    assert (np.diff(cuts) > 0).all()
    assert (cuts > 0).all()


def test_nothing_seen_has_no_cuts(detector: ShotDetector) -> None:
    assert len(detector.cuts()) == 0


def test_a_single_frame_has_no_cuts(detector: ShotDetector, three_shots: Grays) -> None:
    show(detector, three_shots[:1])
    assert len(detector.cuts()) == 0


def test_pictures_may_be_reused_after_they_were_seen(
    detector: ShotDetector, three_shots: Grays
) -> None:
    for index, image in enumerate(three_shots):
        picture, time = image[None].copy(), np.array([index / 25])
        detector.see(picture, time)
        picture[:] = 0
    assert detector.cuts() == pytest.approx([2, 5], abs=0.25)
