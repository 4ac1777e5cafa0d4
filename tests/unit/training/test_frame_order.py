"""The states of the Transformer encode frame order; their mean does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.support.frame_order import (
    in_both_orders,
    join_scenes,
    mean_of_frames,
    probe_accuracy,
    transformer_states,
)
from vsearch.pooling.weights import TransformerConfig
from vsearch.training.masked_frames import MaskedFrameModel

if TYPE_CHECKING:
    from tests.support.frame_order import OrderedFrames
    from vsearch.training.transformer import VideoTransformer
    from vsearch.types import Matrix

CONFIG = TransformerConfig(features=16, hidden=32, layers=2, heads=2, mlp=64)


@pytest.fixture
def network() -> VideoTransformer:
    """An untrained network, which would also lose the order if the architecture did."""
    return MaskedFrameModel.build_seeded(CONFIG, None, 0).transformer.eval()


def scene(centre: Matrix, random: np.random.Generator) -> Matrix:
    rows = centre + 0.03 * random.normal(size=(3, 16))
    found: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


@pytest.fixture
def windows() -> list[OrderedFrames]:
    """Two scenes in either order, twenty times."""
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 1, 16)) / 4
    found: list[OrderedFrames] = []
    for _ in range(20):
        found += join_scenes(scene(one, random), scene(other, random), 0.5)
    return found


def test_the_states_encode_the_order_of_two_scenes(
    network: VideoTransformer, windows: list[OrderedFrames]
) -> None:
    trained, judged = windows[:24], windows[24:]
    for cls in (True, False):
        assert (
            probe_accuracy(trained, judged, transformer_states(network, use_cls_token=cls)).mean()
            >= 0.9
        )


def test_the_mean_of_the_frames_does_not_encode_order(windows: list[OrderedFrames]) -> None:
    assert probe_accuracy(windows[:24], windows[24:], mean_of_frames).tolist() == [0.5] * 16


def test_states_without_positions_do_not_encode_order(
    network: VideoTransformer, windows: list[OrderedFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_encode_positions", lambda times: torch.zeros(*times.shape, 32))
    found = probe_accuracy(
        windows[:24], windows[24:], transformer_states(network, use_cls_token=True)
    ).mean()
    assert found < 0.8


def test_both_orders_have_the_same_frames() -> None:
    frames = np.eye(4, 16, dtype=np.float32)
    kept, other = in_both_orders(frames, np.arange(4.0), np.array([2, 0, 3, 1]))
    assert kept.is_original_order
    assert not other.is_original_order
    assert np.array_equal(np.sort(kept.frames, axis=0), np.sort(other.frames, axis=0))
    assert np.array_equal(kept.times, other.times)
