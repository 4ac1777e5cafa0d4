"""The training task of a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from vsearch.errors import SpaceMismatchError
from vsearch.pooling.numpy_transformer import NumpyTransformer
from vsearch.pooling.weights import TransformerConfig
from vsearch.training.classification_task import (
    ClassificationTask,
    build_classifier,
    predict_logits,
    to_weights,
)
from vsearch.training.clip_batches import ClipBatch
from vsearch.training.masked_frames import MaskedFrameModel
from vsearch.training.trainer import TrainerConfig, train_network
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from vsearch.types import Ids

SPACE = Space("s", 8, supports_text=False)
CONFIG = TransformerConfig(
    features=8, hidden=32, layers=2, heads=2, mlp=64, dropout=0.0, num_classes=4
)
RANDOM = np.random.default_rng(3)


def make_features(frames: int) -> Features:
    rows = RANDOM.normal(size=(frames, 8))
    unit_rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return Features(SPACE, unit_rows, np.arange(3.0, frames + 3.0))


CLIP_FEATURES = [make_features(3 + number % 5) for number in range(24)]
CLIP_BATCH = ClipBatch.from_features(CLIP_FEATURES, range(24))
LABELS = RANDOM.integers(0, 4, 24)  # random, so that they can only be memorized


def get_batch(_: int = 0) -> tuple[ClipBatch, Ids]:
    return CLIP_BATCH, LABELS


def make_task(weights: list[float] | None = None, smoothing: float = 0.0) -> ClassificationTask:
    return ClassificationTask(
        build_classifier(CONFIG, 0, None),
        get_batch,
        lambda: [get_batch()],
        class_weights=np.array(weights or [1.0] * 4, np.float32),
        label_smoothing=smoothing,
        data_digest="",
    )


@pytest.mark.slow
def test_a_few_clips_are_memorized() -> None:
    task = make_task()
    state = train_network(task, TrainerConfig(steps=150, learning_rate=3e-3, eval_interval=50))
    assert state.figures["accuracy"] == 1
    assert state.figures["loss"] < 0.05


def test_saved_weights_predict_the_same_without_torch() -> None:
    task = make_task()
    train_network(task, TrainerConfig(steps=20, learning_rate=3e-3))
    weights = to_weights(task.classifier, {"labels": []})
    logits, labels = predict_logits(task.classifier, [get_batch()])
    numpy_network = NumpyTransformer(weights)
    numpy_logits = [
        numpy_network.compute_logits(item.frame_vectors, item.frame_times) for item in CLIP_FEATURES
    ]
    np.testing.assert_allclose(logits, numpy_logits, atol=1e-4)
    assert labels.tolist() == LABELS.tolist()


def test_class_weights_scale_the_loss() -> None:
    even_loss = make_task([1.0, 1.0, 1.0, 1.0]).compute_loss(0)
    weighted_loss = make_task([9.0, 1.0, 1.0, 1.0]).compute_loss(0)
    assert not torch.isclose(even_loss, weighted_loss)
    assert make_task(smoothing=0.3).compute_loss(0) != even_loss


def test_pretrained_weights_are_loaded_and_other_shapes_rejected() -> None:
    torch.manual_seed(1)
    config = TransformerConfig(features=8, hidden=32, layers=2, heads=2, mlp=64, dropout=0.0)
    pretrained = MaskedFrameModel(config).to_weights({})
    network = build_classifier(CONFIG, 0, pretrained)
    for name, item in network.transformer.state_dict().items():
        np.testing.assert_array_equal(item.numpy(), pretrained.weight_arrays[f"transformer.{name}"])
    other = MaskedFrameModel(TransformerConfig(features=8, hidden=16, layers=2, heads=2, mlp=64))
    with pytest.raises(SpaceMismatchError, match="hidden"):
        build_classifier(CONFIG, 0, other.to_weights({}))
