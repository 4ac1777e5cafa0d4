"""What a classifier is taught."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from vsearch.errors import SpaceMismatchError
from vsearch.temporal.classifying import Lesson, begun, judged, told
from vsearch.temporal.clips import Clips
from vsearch.temporal.forward import Forward
from vsearch.temporal.masked import MaskedFrames
from vsearch.temporal.training import Recipe, train
from vsearch.temporal.weights import TransformerConfig
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from vsearch.types import Ids

SPACE = Space("s", 8, speaks_text=False)
CONFIG = TransformerConfig(
    features=8, hidden=32, layers=2, heads=2, mlp=64, dropout=0.0, num_classes=4
)
RANDOM = np.random.default_rng(3)


def features(frames: int) -> Features:
    rows = RANDOM.normal(size=(frames, 8))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Features(SPACE, unit, np.arange(3.0, frames + 3.0))


SHOWN = [features(3 + number % 5) for number in range(24)]
CLIPS = Clips.of(SHOWN, range(24))
LABELS = RANDOM.integers(0, 4, 24)  # by chance: there is nothing to understand, only to remember


def batch(_: int = 0) -> tuple[Clips, Ids]:
    return CLIPS, LABELS


def lesson(weights: list[float] | None = None, smoothing: float = 0.0) -> Lesson:
    return Lesson(
        begun(CONFIG, 0, None),
        batch,
        lambda: [batch()],
        weights=np.array(weights or [1.0] * 4, np.float32),
        smoothing=smoothing,
        digest="",
    )


def test_a_few_clips_are_learnt_to_the_last_one() -> None:
    taught = lesson()
    done = train(taught, Recipe(steps=150, rate=3e-3, every=50))
    assert done.figures["accuracy"] == 1
    assert done.figures["loss"] < 0.05


def test_what_is_saved_says_the_same_without_torch() -> None:
    taught = lesson()
    train(taught, Recipe(steps=20, rate=3e-3))
    weights = told(taught.network, {"labels": []})
    logits, right = judged(taught.network, [batch()])
    forward = Forward(weights)
    same = [forward.logits(each.matrix, each.times) for each in SHOWN]
    np.testing.assert_allclose(logits, same, atol=1e-4)
    assert right.tolist() == LABELS.tolist()


def test_heavy_classes_count_more() -> None:
    light = lesson([1.0, 1.0, 1.0, 1.0]).loss(0)
    heavy = lesson([9.0, 1.0, 1.0, 1.0]).loss(0)
    assert not torch.isclose(light, heavy)
    assert lesson(smoothing=0.3).loss(0) != light


def test_it_begins_with_what_was_pretrained_and_refuses_another_shape() -> None:
    torch.manual_seed(1)
    shape = TransformerConfig(features=8, hidden=32, layers=2, heads=2, mlp=64, dropout=0.0)
    pretrained = MaskedFrames(shape).weights({})
    network = begun(CONFIG, 0, pretrained)
    for name, each in network.transformer.state_dict().items():
        np.testing.assert_array_equal(each.numpy(), pretrained.arrays[f"transformer.{name}"])
    other = MaskedFrames(TransformerConfig(features=8, hidden=16, layers=2, heads=2, mlp=64))
    with pytest.raises(SpaceMismatchError, match="hidden"):
        begun(CONFIG, 0, other.weights({}))
