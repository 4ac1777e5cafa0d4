"""Masked-frame modelling: what the network sees, what it is asked, and what is saved."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch.nn import functional

from vsearch.errors import SpaceMismatchError
from vsearch.temporal.clips import Clips, Texts
from vsearch.temporal.masked import (
    Batch,
    Lesson,
    MaskedFrames,
    duplicates,
    initialise,
    nearest_seen,
)
from vsearch.temporal.training import Recipe, train
from vsearch.temporal.transformer import Classifier, VideoTransformer
from vsearch.temporal.weights import PRESETS, TransformerConfig, Weights, shapes
from vsearch.types import Features, Space

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from vsearch.types import Matrix

TINY = TransformerConfig(features=8, hidden=16, layers=2, heads=2, mlp=32, dropout=0.0)
SPACE = Space("fake", 8, speaks_text=True)


def unit(*shape: int, seed: int = 0) -> Matrix:
    rows = np.random.default_rng(seed).normal(size=shape)
    found: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


def clips(lengths: tuple[int, ...] = (6, 9, 9), *, texts: int = 0, seed: int = 0) -> Clips:
    features = [Features(SPACE, unit(n, 8, seed=seed + n), np.arange(float(n))) for n in lengths]
    said = [
        Texts(unit(texts, 8, seed=90 + i), np.linspace(0, 1, texts)) for i in range(len(lengths))
    ]
    return Clips.of(features, np.arange(len(lengths)), said)


def batch_of(one: Clips) -> Batch:
    return Batch.of(one, "cpu", np.arange(len(one)))


def module(words: int = 0) -> MaskedFrames:
    config = replace(TINY, num_classes=words)
    return MaskedFrames.begun(config, unit(words, 8, seed=5) if words else None, 0).eval()


def test_a_hidden_frame_is_never_seen() -> None:
    one, net = clips(texts=2), module()
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    hidden[:, 2:4] = True
    before = net(batch_of(one), hidden)
    one.frames[:, 2:4] = unit(3, 2, 8, seed=77)
    after = net(batch_of(one), hidden)
    assert torch.equal(before.frames, after.frames)
    assert torch.equal(before.belongs, after.belongs)
    one.frames[:, 5] = unit(3, 8, seed=78)
    assert not torch.equal(net(batch_of(one), hidden).frames[0, 2], before.frames[0, 2])


def test_what_is_said_and_when_is_seen() -> None:
    one, net = clips(texts=2), module()
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    before = net(batch_of(one), hidden).belongs
    one.places[:, 1] = 0.3
    moved = net(batch_of(one), hidden).belongs
    assert not torch.equal(before, moved)
    one.texts[0] = unit(2, 8, seed=70)
    after = net(batch_of(one), hidden).belongs
    assert after[0] != moved[0]
    assert torch.equal(after[1:], moved[1:])


@pytest.mark.parametrize("words", [0, 12])
def test_padding_changes_no_loss(words: int) -> None:
    one = clips((6, 9), texts=1)
    padded = Clips(
        np.pad(one.frames, ((0, 0), (0, 4), (0, 0)), constant_values=3),
        np.pad(one.times, ((0, 0), (0, 4))),
        np.pad(one.mask, ((0, 0), (0, 4))),
        one.videos, one.texts, one.places, one.said,
    )  # fmt: skip
    net = module(words)
    found = []
    for each in (one, padded):
        lesson = Lesson(net, lambda _, each=each: each, list, digest="")  # type: ignore[misc]
        found.append(float(lesson.loss(0).detach()))
    assert found[0] == pytest.approx(found[1], abs=1e-5)


def test_duplicates_are_not_wrong_and_a_frame_is_no_duplicate_of_itself() -> None:
    frames = torch.tensor(unit(5, 8))
    frames[3] = functional.normalize(frames[0] + 0.05 * frames[1], dim=0)
    void = duplicates(frames, torch.tensor([0, 1]))
    assert void.tolist() == [[False, False, False, True, False], [False] * 5]


def test_the_nearest_seen_frame_is_one_that_is_seen() -> None:
    one = clips((6, 9))
    hidden = torch.zeros(2, 9, dtype=torch.bool)
    hidden[0, 4:6] = True  # the last two that are real
    hidden[1, 0] = True
    near = nearest_seen(batch_of(one), hidden)
    assert torch.allclose(near[0], torch.tensor(one.frames[0, 3]), atol=1e-6)
    assert torch.allclose(near[1], torch.tensor(one.frames[0, 3]), atol=1e-6)
    assert torch.allclose(near[2], torch.tensor(one.frames[1, 1]), atol=1e-6)


def test_a_step_depends_on_its_number_alone() -> None:
    lesson = Lesson(module(), lambda step: clips(seed=step), lambda: [clips()], digest="")
    losses = [float(lesson.loss(step).detach()) for step in (0, 1, 0)]
    assert losses[0] == losses[2] != losses[1]


def test_the_commonest_word_is_a_baseline_of_words_alone() -> None:
    plain = Lesson(module(), lambda _: clips(), lambda: [clips()], digest="").judged("cpu")
    words = Lesson(module(3), lambda _: clips(), lambda: [clips()] * 3, digest="").judged("cpu")
    assert set(plain) == {"score", "loss", "guessed", "accuracy", "copied"}
    assert set(words) == {*plain, "commonest"}
    assert words["commonest"] >= 1 / 3
    assert plain["score"] == -plain["loss"]


def test_whether_words_belong_is_learnt() -> None:
    """What is said is the mean of what is seen: that can be told."""

    def talking(seed: int) -> Clips:
        centres = unit(32, 8, seed=seed)
        features, said = [], []
        for number, centre in enumerate(centres):
            rows = centre + 0.2 * unit(4, 8, seed=1_000 * seed + number)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            features.append(Features(SPACE, rows, np.arange(4.0)))
            said.append(Texts(centre[None], np.array([0.5])))
        return Clips.of(features, np.arange(32), said)

    held = [talking(7_000 + number) for number in range(8)]
    config = replace(TINY, hidden=64, layers=1)
    lesson = Lesson(MaskedFrames.begun(config, None, 0), talking, lambda: held, digest="")
    done = train(lesson, Recipe(steps=300, rate=3e-3, every=100))
    assert done.figures["belongs"] > 0.62  # of 256


@pytest.mark.parametrize("words", [0, 12])
def test_all_of_it_is_saved_and_comes_back(tmp_path: Path, words: int) -> None:
    net = module(words)
    saved = net.weights({"space": "fake"})
    assert {n: a.shape for n, a in saved.arrays.items()} == shapes(net.config, "pretrained")
    saved.save(tmp_path / "pretrained.npz")
    found = Weights.load(tmp_path / "pretrained.npz", "pretrained", "")
    again = MaskedFrames.of(found)
    hidden = torch.zeros(3, 9, dtype=torch.bool)
    hidden[:, 1] = True
    one, other = (each(batch_of(clips()), hidden) for each in (net, again))
    assert torch.allclose(one.frames, other.frames, atol=2e-2)


def test_another_network_begins_with_the_pretrained_transformer() -> None:
    net = module(12)
    classifier = Classifier(replace(TINY, num_classes=3, dropout=0.3))
    initialise(classifier.transformer, net.weights({}))
    pairs = zip(classifier.transformer.parameters(), net.transformer.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_a_transformer_of_another_shape_is_refused() -> None:
    other = VideoTransformer(replace(TINY, features=4, layers=1))
    with pytest.raises(SpaceMismatchError, match="features 8 in place of 4, layers 2 in place"):
        initialise(other, module().weights({}))


def test_a_vocabulary_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="number of words"):
        MaskedFrames(replace(TINY, num_classes=3), unit(4, 8))


@pytest.mark.slow
def test_the_network_of_videobert_fits_a_batch_of_features_of_a_cnn() -> None:
    config = replace(PRESETS["videobert"], dropout=0.0)
    space = Space("cnn", config.features, speaks_text=False)
    random = np.random.default_rng(0)
    scenes = np.abs(random.normal(size=(4, 1, config.features)))
    rows = scenes + np.abs(random.normal(size=(4, 8, config.features)))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    features = [Features(space, row.astype(np.float32), np.arange(8.0)) for row in rows]
    batch = Clips.of(features, np.arange(4))

    class Same(Lesson):
        """Asks the same at every step, so that the loss can but fall."""

        def loss(self, step: int) -> Tensor:
            return super().loss(0 * step)

    net = MaskedFrames.begun(config, None, 0)
    done = train(Same(net, lambda _: batch, lambda: [batch], digest=""), Recipe(steps=6, rate=1e-4))
    assert sum(each.numel() for each in net.transformer.parameters()) > 85e6
    losses = [row["loss"] for row in done.history]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.9 * losses[0]
