"""The states of the Transformer tell the order of frames; their mean cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from ordering import accuracy, both, joined, mean, states
from vsearch.temporal.masked import MaskedFrames
from vsearch.temporal.weights import TransformerConfig

if TYPE_CHECKING:
    from ordering import Shown
    from vsearch.temporal.transformer import VideoTransformer
    from vsearch.types import Matrix

CONFIG = TransformerConfig(features=16, hidden=32, layers=2, heads=2, mlp=64)


@pytest.fixture
def network() -> VideoTransformer:
    """Untrained: that order is lost on the way would show all the same."""
    return MaskedFrames.begun(CONFIG, None, 0).transformer.eval()


def scene(centre: Matrix, random: np.random.Generator) -> Matrix:
    rows = centre + 0.03 * random.normal(size=(3, 16))
    found: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


@pytest.fixture
def windows() -> list[Shown]:
    """Two scenes in either order, twenty times."""
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 1, 16)) / 4
    found: list[Shown] = []
    for _ in range(20):
        found += joined(scene(one, random), scene(other, random), 0.5)
    return found


def test_the_order_of_two_scenes_is_in_the_states(
    network: VideoTransformer, windows: list[Shown]
) -> None:
    learnt, judged = windows[:24], windows[24:]
    for cls in (True, False):
        assert accuracy(learnt, judged, states(network, cls=cls)).mean() >= 0.9


def test_it_is_not_in_the_mean_of_the_frames(windows: list[Shown]) -> None:
    assert accuracy(windows[:24], windows[24:], mean).tolist() == [0.5] * 16


def test_without_positions_it_would_not_be_in_the_states(
    network: VideoTransformer, windows: list[Shown], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_positions", lambda times: torch.zeros(*times.shape, 32))
    found = accuracy(windows[:24], windows[24:], states(network, cls=True)).mean()
    assert found < 0.8


def test_the_same_frames_are_shown_in_both_orders() -> None:
    frames = np.eye(4, 16, dtype=np.float32)
    kept, other = both(frames, np.arange(4.0), np.array([2, 0, 3, 1]))
    assert kept.kept
    assert not other.kept
    assert np.array_equal(np.sort(kept.frames, axis=0), np.sort(other.frames, axis=0))
    assert np.array_equal(kept.times, other.times)
