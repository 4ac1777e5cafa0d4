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


def unit(*shape: int, seed: int = 0) -> Matrix:
    rows = np.random.default_rng(seed).normal(size=shape)
    found: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


def clips(lengths: tuple[int, ...] = (6, 9, 9), *, texts: int = 0, seed: int = 0) -> ClipBatch:
    features = [Features(SPACE, unit(n, 8, seed=seed + n), np.arange(float(n))) for n in lengths]
    said = [
        ClipCaptions(unit(texts, 8, seed=90 + i), np.linspace(0, 1, texts))
        for i in range(len(lengths))
    ]
    return ClipBatch.from_features(features, np.arange(len(lengths)), said)


def batch_of(one: ClipBatch) -> DeviceBatch:
    return DeviceBatch.from_clips(one, "cpu", np.arange(len(one)))


def module(words: int = 0) -> MaskedFrameModel:
    config = replace(TINY, num_classes=words)
    return MaskedFrameModel.build_seeded(
        config, unit(words, 8, seed=5) if words else None, 0
    ).eval()


def test_masked_frames_do_not_affect_the_output() -> None:
    one, net = clips(texts=2), module()
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    hidden[:, 2:4] = True
    before = net(batch_of(one), hidden)
    one.frame_vectors[:, 2:4] = unit(3, 2, 8, seed=77)
    after = net(batch_of(one), hidden)
    assert torch.equal(before.predicted_frames, after.predicted_frames)
    assert torch.equal(before.match_logits, after.match_logits)
    one.frame_vectors[:, 5] = unit(3, 8, seed=78)
    assert not torch.equal(
        net(batch_of(one), hidden).predicted_frames[0, 2], before.predicted_frames[0, 2]
    )


def test_captions_and_their_times_affect_the_output() -> None:
    one, net = clips(texts=2), module()
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    before = net(batch_of(one), hidden).match_logits
    one.text_positions[:, 1] = 0.3
    moved = net(batch_of(one), hidden).match_logits
    assert not torch.equal(before, moved)
    one.text_vectors[0] = unit(2, 8, seed=70)
    after = net(batch_of(one), hidden).match_logits
    assert after[0] != moved[0]
    assert torch.equal(after[1:], moved[1:])


@pytest.mark.parametrize("words", [0, 12])
def test_padding_does_not_change_the_loss(words: int) -> None:
    one = clips((6, 9), texts=1)
    padded = ClipBatch(
        np.pad(one.frame_vectors, ((0, 0), (0, 4), (0, 0)), constant_values=3),
        np.pad(one.frame_times, ((0, 0), (0, 4))),
        np.pad(one.frame_mask, ((0, 0), (0, 4))),
        one.video_ids, one.text_vectors, one.text_positions, one.text_mask,
    )  # fmt: skip
    net = module(words)
    found = []
    for each in (one, padded):
        task = MaskedFrameTask(net, lambda _, each=each: each, list, data_digest="")  # type: ignore[misc]
        found.append(float(task.compute_loss(0).detach()))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_duplicates_are_not_negatives_and_exclude_the_frame_itself() -> None:
    frames = torch.tensor(unit(5, 8))
    frames[3] = functional.normalize(frames[0] + 0.05 * frames[1], dim=0)
    void = find_duplicate_frames(frames, torch.tensor([0, 1]))
    assert void.tolist() == [[False, False, False, True, False], [False] * 5]


def test_the_nearest_visible_frame_is_not_masked() -> None:
    one = clips((6, 9))
    hidden = torch.zeros(2, 9, dtype=torch.bool)
    hidden[0, 4:6] = True  # the last two that are real
    hidden[1, 0] = True
    near = find_nearest_visible(batch_of(one), hidden)
    assert torch.allclose(near[0], torch.tensor(one.frame_vectors[0, 3]), atol=1e-6)
    assert torch.allclose(near[1], torch.tensor(one.frame_vectors[0, 3]), atol=1e-6)
    assert torch.allclose(near[2], torch.tensor(one.frame_vectors[1, 1]), atol=1e-6)


def test_a_step_depends_on_its_number_only() -> None:
    task = MaskedFrameTask(
        module(), lambda step: clips(seed=step), lambda: [clips()], data_digest=""
    )
    losses = [float(task.compute_loss(step).detach()) for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]


def test_the_most_common_word_is_a_baseline_of_visual_words_only() -> None:
    plain = MaskedFrameTask(
        module(), lambda _: clips(), lambda: [clips()], data_digest=""
    ).evaluate_on("cpu")
    words = MaskedFrameTask(
        module(3), lambda _: clips(), lambda: [clips()] * 3, data_digest=""
    ).evaluate_on("cpu")
    assert set(plain) == {"score", "loss", "guessed", "accuracy", "copied"}
    assert set(words) == {*plain, "commonest"}
    assert words["commonest"] >= 1 / 3
    assert plain["score"] == -plain["loss"]


def test_caption_matching_is_learned() -> None:
    """The captions are the mean of the frames, so matches are predictable."""

    def talking(seed: int) -> ClipBatch:
        centres = unit(32, 8, seed=seed)
        features, said = [], []
        for number, centre in enumerate(centres):
            rows = centre + 0.2 * unit(4, 8, seed=1_000 * seed + number)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            features.append(Features(SPACE, rows, np.arange(4.0)))
            said.append(ClipCaptions(centre[None], np.array([0.5])))
        return ClipBatch.from_features(features, np.arange(32), said)

    held = [talking(7_000 + number) for number in range(8)]
    config = replace(TINY, hidden=64, layers=1)
    task = MaskedFrameTask(
        MaskedFrameModel.build_seeded(config, None, 0), talking, lambda: held, data_digest=""
    )
    done = train_network(task, TrainerConfig(steps=300, learning_rate=3e-3, eval_interval=100))
    assert done.figures["belongs"] > 0.62  # of 256


@pytest.mark.parametrize("words", [0, 12])
def test_saved_weights_restore_the_network(tmp_path: Path, words: int) -> None:
    net = module(words)
    saved = net.to_weights({"space": "fake"})
    assert {n: a.shape for n, a in saved.weight_arrays.items()} == compute_array_shapes(
        net.network_config, "pretrained"
    )
    saved.save(tmp_path / "pretrained.npz")
    found = NetworkWeights.load(tmp_path / "pretrained.npz", "pretrained", "")
    again = MaskedFrameModel.from_weights(found)
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    hidden[:, 1] = True
    one, other = (each(batch_of(clips()), hidden) for each in (net, again))
    assert torch.allclose(one.predicted_frames, other.predicted_frames, atol=2e-2)


def test_a_pretrained_transformer_is_loaded_into_another_network() -> None:
    net = module(12)
    classifier = ClipClassifier(replace(TINY, num_classes=3, dropout=0.3))
    load_pretrained(classifier.transformer, net.to_weights({}))
    pairs = zip(classifier.transformer.parameters(), net.transformer.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_transformer_of_another_shape_is_rejected() -> None:
    other = VideoTransformer(replace(TINY, features=4, layers=1))
    with pytest.raises(SpaceMismatchError, match="features 8 instead of 4, layers 2 instead"):
        load_pretrained(other, module().to_weights({}))


def test_a_vocabulary_of_another_size_is_rejected() -> None:
    with pytest.raises(ValueError, match="vocabulary size"):
        MaskedFrameModel(replace(TINY, num_classes=3), unit(4, 8))


@pytest.mark.slow
def test_the_videobert_preset_overfits_a_batch_of_cnn_features() -> None:
    config = replace(CONFIG_PRESETS["videobert"], dropout=0.0)
    space = Space("cnn", config.features, supports_text=False)
    random = np.random.default_rng(0)
    scenes = np.abs(random.normal(size=(4, 1, config.features)))
    rows = scenes + np.abs(random.normal(size=(4, 8, config.features)))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    features = [Features(space, row.astype(np.float32), np.arange(8.0)) for row in rows]
    batch = ClipBatch.from_features(features, np.arange(4))

    class Same(MaskedFrameTask):
        """Asks the same at every step, so that the loss can but fall."""

        def loss(self, step: int) -> Tensor:
            return super().compute_loss(0 * step)

    net = MaskedFrameModel.build_seeded(config, None, 0)
    done = train_network(
        Same(net, lambda _: batch, lambda: [batch], data_digest=""),
        TrainerConfig(steps=6, learning_rate=1e-4),
    )
    assert sum(each.numel() for each in net.transformer.parameters()) > 85e6
    losses = [row["loss"] for row in done.history]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
