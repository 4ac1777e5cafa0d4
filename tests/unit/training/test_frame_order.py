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
    """Build an untrained network; it encodes order only if the architecture does."""
    return MaskedFrameModel.build_seeded(CONFIG, None, 0).transformer.eval()


def make_scene(center: Matrix, rng: np.random.Generator) -> Matrix:
    rows = center + 0.03 * rng.normal(size=(3, 16))
    frames: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return frames


@pytest.fixture
def windows() -> list[OrderedFrames]:
    """Join two scenes in both orders, twenty times."""
    rng = np.random.default_rng(0)
    first_center, second_center = rng.normal(size=(2, 1, 16)) / 4
    windows: list[OrderedFrames] = []
    for _ in range(20):
        windows += join_scenes(make_scene(first_center, rng), make_scene(second_center, rng), 0.5)
    return windows


def test_the_states_encode_the_order_of_two_scenes(
    network: VideoTransformer, windows: list[OrderedFrames]
) -> None:
    train_windows, test_windows = windows[:24], windows[24:]
    for use_cls_token in (True, False):
        assert (
            probe_accuracy(
                train_windows,
                test_windows,
                transformer_states(network, use_cls_token=use_cls_token),
            ).mean()
            >= 0.9
        )


def test_the_mean_of_the_frames_does_not_encode_order(windows: list[OrderedFrames]) -> None:
    assert probe_accuracy(windows[:24], windows[24:], mean_of_frames).tolist() == [0.5] * 16


def test_states_without_positions_do_not_encode_order(
    network: VideoTransformer, windows: list[OrderedFrames], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "_encode_positions", lambda times: torch.zeros(*times.shape, 32))
    accuracy = probe_accuracy(
        windows[:24], windows[24:], transformer_states(network, use_cls_token=True)
    ).mean()
    assert accuracy < 0.8


def test_both_orders_have_the_same_frames() -> None:
    frames = np.eye(4, 16, dtype=np.float32)
    original, reordered = in_both_orders(frames, np.arange(4.0), np.array([2, 0, 3, 1]))
    assert original.is_original_order
    assert not reordered.is_original_order
    assert np.array_equal(np.sort(original.frames, axis=0), np.sort(reordered.frames, axis=0))
    assert np.array_equal(original.times, reordered.times)
