"""Masked-frame modeling: inputs, targets and weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

from vsearch.errors import SpaceMismatchError
from vsearch.pooling.weights import (
    CONFIG_PRESETS,
    NetworkWeights,
    TransformerConfig,
    compute_array_shapes,
)
from vsearch.training.clip_batches import ClipBatch, ClipCaptions
from vsearch.training.masked_frames import (
    DeviceBatch,
    MaskedFrameModel,
    MaskedFrameTask,
    find_duplicate_frames,
    find_nearest_visible,
    load_pretrained,
)
from vsearch.training.trainer import TrainerConfig, train_network
from vsearch.training.transformer import ClipClassifier, VideoTransformer
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from vsearch.types import Matrix

TINY = TransformerConfig(features=8, hidden=16, layers=2, heads=2, mlp=32, dropout=0.0)
SPACE = Space("fake", 8, supports_text=True)


def unit_vectors(*shape: int, seed: int = 0) -> Matrix:
    rows = np.random.default_rng(seed).normal(size=shape)
    vectors: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return vectors


def make_clips(lengths: tuple[int, ...] = (6, 9, 9), *, texts: int = 0, seed: int = 0) -> ClipBatch:
    features = [
        Features(SPACE, unit_vectors(n, 8, seed=seed + n), np.arange(float(n))) for n in lengths
    ]
    captions = [
        ClipCaptions(unit_vectors(texts, 8, seed=90 + i), np.linspace(0, 1, texts))
        for i in range(len(lengths))
    ]
    return ClipBatch.from_features(features, np.arange(len(lengths)), captions)


def to_device(batch: ClipBatch) -> DeviceBatch:
    return DeviceBatch.from_clips(batch, "cpu", np.arange(len(batch)))


def make_network(word_count: int = 0) -> MaskedFrameModel:
    config = replace(TINY, num_classes=word_count)
    return MaskedFrameModel.build_seeded(
        config, unit_vectors(word_count, 8, seed=5) if word_count else None, 0
    ).eval()


def test_masked_frames_do_not_affect_the_output() -> None:
    batch, network = make_clips(texts=2), make_network()
    hidden_mask = torch.zeros(3, 9, dtype=torch.bool)
    hidden_mask[:, 2:4] = True
    before = network(to_device(batch), hidden_mask)
    batch.frame_vectors[:, 2:4] = unit_vectors(3, 2, 8, seed=77)
    after = network(to_device(batch), hidden_mask)
    assert torch.equal(before.predicted_frames, after.predicted_frames)
    assert torch.equal(before.match_logits, after.match_logits)
    batch.frame_vectors[:, 5] = unit_vectors(3, 8, seed=78)
    assert not torch.equal(
        network(to_device(batch), hidden_mask).predicted_frames[0, 2], before.predicted_frames[0, 2]
    )


def test_captions_and_their_times_affect_the_output() -> None:
    batch, network = make_clips(texts=2), make_network()
    hidden_mask = torch.zeros(3, 9, dtype=torch.bool)
    before = network(to_device(batch), hidden_mask).match_logits
    batch.text_positions[:, 1] = 0.3
    moved = network(to_device(batch), hidden_mask).match_logits
    assert not torch.equal(before, moved)
    batch.text_vectors[0] = unit_vectors(2, 8, seed=70)
    after = network(to_device(batch), hidden_mask).match_logits
    assert after[0] != moved[0]
    assert torch.equal(after[1:], moved[1:])


@pytest.mark.parametrize("word_count", [0, 12])
def test_padding_does_not_change_the_loss(word_count: int) -> None:
    batch = make_clips((6, 9), texts=1)
    padded = ClipBatch(
        np.pad(batch.frame_vectors, ((0, 0), (0, 4), (0, 0)), constant_values=3),
        np.pad(batch.frame_times, ((0, 0), (0, 4))),
        np.pad(batch.frame_mask, ((0, 0), (0, 4))),
        batch.video_ids, batch.text_vectors, batch.text_positions, batch.text_mask,
    )  # fmt: skip
    network = make_network(word_count)
    losses = []
    for item in (batch, padded):
        task = MaskedFrameTask(network, lambda _, clip_batch=item: clip_batch, list, data_digest="")  # type: ignore[misc]
        losses.append(float(task.compute_loss(0).detach()))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_duplicates_are_not_negatives_and_exclude_the_frame_itself() -> None:
    frames = torch.tensor(unit_vectors(5, 8))
    frames[3] = functional.normalize(frames[0] + 0.05 * frames[1], dim=0)
    ignored_mask = find_duplicate_frames(frames, torch.tensor([0, 1]))
    assert ignored_mask.tolist() == [[False, False, False, True, False], [False] * 5]


def test_the_nearest_visible_frame_is_not_masked() -> None:
    batch = make_clips((6, 9))
    hidden_mask = torch.zeros(2, 9, dtype=torch.bool)
    hidden_mask[0, 4:6] = True  # the last frames before the padding
    hidden_mask[1, 0] = True
    nearest_frames = find_nearest_visible(to_device(batch), hidden_mask)
    assert torch.allclose(nearest_frames[0], torch.tensor(batch.frame_vectors[0, 3]), atol=1e-6)
    assert torch.allclose(nearest_frames[1], torch.tensor(batch.frame_vectors[0, 3]), atol=1e-6)
    assert torch.allclose(nearest_frames[2], torch.tensor(batch.frame_vectors[1, 1]), atol=1e-6)


def test_the_loss_depends_on_the_step_number_only() -> None:
    task = MaskedFrameTask(
        make_network(), lambda step: make_clips(seed=step), lambda: [make_clips()], data_digest=""
    )
    losses = [float(task.compute_loss(step).detach()) for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]


def test_the_most_common_word_is_a_baseline_of_visual_words_only() -> None:
    contrastive_figures = MaskedFrameTask(
        make_network(), lambda _: make_clips(), lambda: [make_clips()], data_digest=""
    ).evaluate_on("cpu")
    word_figures = MaskedFrameTask(
        make_network(3), lambda _: make_clips(), lambda: [make_clips()] * 3, data_digest=""
    ).evaluate_on("cpu")
    assert set(contrastive_figures) == {"score", "loss", "guessed", "accuracy", "copied"}
    assert set(word_figures) == {*contrastive_figures, "commonest"}
    assert word_figures["commonest"] >= 1 / 3
    assert contrastive_figures["score"] == -contrastive_figures["loss"]


@pytest.mark.slow
def test_caption_matching_is_learned() -> None:
    """A caption is the mean of the frames, so that matches are predictable."""

    def make_captioned_clips(seed: int) -> ClipBatch:
        centers = unit_vectors(32, 8, seed=seed)
        features, captions = [], []
        for number, center in enumerate(centers):
            rows = center + 0.2 * unit_vectors(4, 8, seed=1_000 * seed + number)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            features.append(Features(SPACE, rows, np.arange(4.0)))
            captions.append(ClipCaptions(center[None], np.array([0.5])))
        return ClipBatch.from_features(features, np.arange(32), captions)

    held_out_batches = [make_captioned_clips(7_000 + number) for number in range(8)]
    config = replace(TINY, hidden=64, layers=1)
    task = MaskedFrameTask(
        MaskedFrameModel.build_seeded(config, None, 0),
        make_captioned_clips,
        lambda: held_out_batches,
        data_digest="",
    )
    state = train_network(task, TrainerConfig(steps=300, learning_rate=3e-3, eval_interval=100))
    assert state.figures["belongs"] > 0.62  # of 256 clips


@pytest.mark.parametrize("word_count", [0, 12])
def test_saved_weights_restore_the_network(tmp_path: Path, word_count: int) -> None:
    network = make_network(word_count)
    saved = network.to_weights({"space": "fake"})
    assert {
        name: array.shape for name, array in saved.weight_arrays.items()
    } == compute_array_shapes(network.network_config, "pretrained")
    saved.save(tmp_path / "pretrained.npz")
    loaded = NetworkWeights.load(tmp_path / "pretrained.npz", "pretrained", "")
    restored = MaskedFrameModel.from_weights(loaded)
    hidden_mask = torch.zeros(3, 9, dtype=torch.bool)
    hidden_mask[:, 1] = True
    original_output, restored_output = (
        item(to_device(make_clips()), hidden_mask) for item in (network, restored)
    )
    assert torch.allclose(
        original_output.predicted_frames, restored_output.predicted_frames, atol=2e-2
    )


def test_a_pretrained_transformer_is_loaded_into_another_network() -> None:
    network = make_network(12)
    classifier = ClipClassifier(replace(TINY, num_classes=3, dropout=0.3))
    load_pretrained(classifier.transformer, network.to_weights({}))
    pairs = zip(classifier.transformer.parameters(), network.transformer.parameters(), strict=True)
    assert all(torch.equal(loaded, pretrained) for loaded, pretrained in pairs)


def test_a_transformer_of_another_shape_is_rejected() -> None:
    other = VideoTransformer(replace(TINY, features=4, layers=1))
    with pytest.raises(SpaceMismatchError, match="features 8 instead of 4, layers 2 instead"):
        load_pretrained(other, make_network().to_weights({}))


def test_a_vocabulary_of_another_size_is_rejected() -> None:
    with pytest.raises(ValueError, match="vocabulary size"):
        MaskedFrameModel(replace(TINY, num_classes=3), unit_vectors(4, 8))


@pytest.mark.slow
def test_the_videobert_preset_overfits_a_batch_of_cnn_features() -> None:
    config = replace(CONFIG_PRESETS["videobert"], dropout=0.0)
    space = Space("cnn", config.features, supports_text=False)
    rng = np.random.default_rng(0)
    scenes = np.abs(rng.normal(size=(4, 1, config.features)))
    rows = scenes + np.abs(rng.normal(size=(4, 8, config.features)))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    features = [Features(space, row.astype(np.float32), np.arange(8.0)) for row in rows]
    batch = ClipBatch.from_features(features, np.arange(4))

    class RepeatedTask(MaskedFrameTask):
        """Masks the same frames at every step, so that the loss can only decrease."""

        def compute_loss(self, step_index: int) -> Tensor:
            return super().compute_loss(0 * step_index)

    network = MaskedFrameModel.build_seeded(config, None, 0)
    state = train_network(
        RepeatedTask(network, lambda _: batch, lambda: [batch], data_digest=""),
        TrainerConfig(steps=6, learning_rate=1e-4),
    )
    assert sum(item.numel() for item in network.transformer.parameters()) > 85e6
    losses = [row["loss"] for row in state.history]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
