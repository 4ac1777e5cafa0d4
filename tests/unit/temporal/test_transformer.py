"""The Transformer: its shape, what it heeds and ignores, and its twin in numpy."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from vsearch.temporal.forward import Forward
from vsearch.temporal.transformer import (
    WORDS,
    Classifier,
    TransformerPooling,
    VideoTransformer,
    sinusoids,
)
from vsearch.temporal.weights import PRESETS, TransformerConfig, Weights, shapes

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vsearch.temporal.weights import Positions

TINY = TransformerConfig(features=16, hidden=32, layers=2, heads=4, mlp=64, num_classes=3)


def clips(count: int, length: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Frames (B, T, 16) of unit length and times (B, T), one a second."""
    torch.manual_seed(seed)
    frames = torch.nn.functional.normalize(torch.randn(count, length, 16), dim=-1)
    return frames, torch.arange(float(length)).expand(count, length)


def made(cls: type[nn.Module], config: TransformerConfig = TINY, seed: int = 0) -> nn.Module:
    """A network with large random numbers, so that everything matters."""
    torch.manual_seed(seed)
    module = cls(config)
    for each in module.parameters():
        torch.nn.init.normal_(each, std=0.3)
    return module.eval()


def count(module: nn.Module) -> int:
    return sum(each.numel() for each in module.parameters())


def test_videobert_has_the_size_of_bert_base_behind_2048_features() -> None:
    with torch.device("meta"):
        module = Classifier(replace(PRESETS["videobert"], num_classes=400))
    h, m = 768, 3072
    block = 4 * h * h + 4 * h + 2 * h * m + m + h + 4 * h
    around = 2048 * h + h + h + 2 * h + 2 * h  # embedding, [CLS], modality, last norm
    assert count(module.transformer) == 12 * block + around == 86_631_936
    assert count(module.head) == 400 * h + 400


def test_small_has_a_few_million_parameters() -> None:
    with torch.device("meta"):
        assert 2e6 < count(TransformerPooling(PRESETS["small"])) < 5e6


def test_shapes_are_as_told() -> None:
    frames, times = clips(2, 5)
    states = made(VideoTransformer)(frames, times)
    assert states.clip.shape == (2, 32)
    assert states.frames.shape == (2, 5, 32)
    assert states.attention.shape == (2, 5)
    assert made(Classifier)(frames, times).shape == (2, 3)


def test_padding_changes_nothing() -> None:
    frames, times = clips(1, 6)
    mask = torch.tensor([[True, True, True, True, False, False]])
    for cls in (Classifier, VideoTransformer, TransformerPooling):
        module = made(cls)
        short, padded = module(frames[:, :4], times[:, :4]), module(frames, times, mask)
        if cls is Classifier:
            assert torch.allclose(short, padded, atol=1e-5)
        elif cls is VideoTransformer:
            assert torch.allclose(short.clip, padded.clip, atol=1e-5)
            assert torch.allclose(short.attention, padded.attention[:, :4], atol=1e-6)
            assert not padded.attention[:, 4:].any()
        else:
            assert torch.allclose(short.clips, padded.clips, atol=1e-5)
            assert not padded.weights[:, 4:].any()


def test_attention_is_what_cls_gives_to_the_frames() -> None:
    frames, times = clips(3, 5)
    states = made(VideoTransformer)(frames, times)
    assert (states.attention >= 0).all()
    assert (states.attention.sum(dim=1) < 1).all()  # the rest is for [CLS] itself


def test_seconds_tell_gaps_and_an_index_does_not() -> None:
    frames, times = clips(1, 4)
    wide = times * 3
    by_seconds = made(VideoTransformer)
    by_index = made(VideoTransformer, replace(TINY, positions="index"))
    assert not torch.allclose(by_seconds(frames, times).clip, by_seconds(frames, wide).clip)
    assert torch.equal(by_index(frames, times).clip, by_index(frames, wide).clip)


def test_only_what_passes_between_frames_counts_not_when_the_clip_begins() -> None:
    frames, times = clips(1, 4)
    module = made(VideoTransformer)
    late = module(frames, times + 3600).clip
    assert torch.allclose(module(frames, times).clip, late, atol=1e-4)


def test_order_matters() -> None:
    frames, times = clips(1, 4)
    module = made(VideoTransformer)
    assert not torch.allclose(module(frames, times).clip, module(frames.flip(1), times).clip)


def test_words_are_told_from_frames() -> None:
    frames, times = clips(1, 4)
    module = made(VideoTransformer)
    words = torch.full((1, 4), WORDS)
    assert not torch.allclose(
        module(frames, times).clip, module(frames, times, modality=words).clip
    )


def test_sinusoids_are_those_of_the_paper() -> None:
    found = sinusoids(torch.tensor([[0.0, 1.0]]), 8)
    rate = 1 / 10_000 ** (2 * 3 / 8)
    assert found[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found[0, 1, 3] == pytest.approx(np.sin(rate))
    assert found[0, 1, 7] == pytest.approx(np.cos(rate))


def test_an_untrained_pooling_is_the_mean() -> None:
    frames, times = clips(2, 5)
    pooled = TransformerPooling(TINY).eval()(frames, times)
    mean = torch.nn.functional.normalize(frames.mean(dim=1), dim=-1)
    assert torch.allclose(pooled.clips, mean, atol=1e-6)
    assert torch.allclose(pooled.weights, torch.full((2, 5), 0.2))


def test_a_gate_at_zero_can_open() -> None:
    frames, times = clips(4, 5)
    module = TransformerPooling(TINY)
    (-module(frames, times).clips @ frames[0, 0]).sum().backward()
    assert module.gate.grad is not None
    assert module.gate.grad.abs() > 0


@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("positions", ["seconds", "index"])
def test_numpy_computes_what_torch_does(length: int, positions: Positions) -> None:
    frames, _ = clips(1, length)
    times = torch.rand(1, length).cumsum(dim=1) * 3
    config = replace(TINY, positions=positions)
    row, when = frames[0].numpy(), times[0].double().numpy()
    pooling, classifier = made(TransformerPooling, config), made(Classifier, config)
    vector, heeded = Forward(weights("pooler", pooling)).pooled(row, when)
    wanted = pooling(frames, times)
    assert np.allclose(vector / np.linalg.norm(vector), wanted.clips[0].detach(), atol=1e-4)
    assert np.allclose(heeded, wanted.weights[0].detach(), atol=1e-4)
    logits = Forward(weights("classifier", classifier)).logits(row, when)
    assert np.allclose(logits, classifier(frames, times)[0].detach(), atol=1e-3)


def weights(kind: str, module: nn.Module) -> Weights:
    arrays = {name: each.detach().numpy() for name, each in module.state_dict().items()}
    config = module.config
    assert isinstance(config, TransformerConfig)
    return Weights(kind, config, arrays, {"space": "fake"})


@pytest.mark.parametrize("kind", ["pooler", "classifier"])
def test_the_arrays_on_disk_are_those_of_the_module(kind: str) -> None:
    cls = {"pooler": TransformerPooling, "classifier": Classifier}[kind]
    found = {name: tuple(each.shape) for name, each in cls(TINY).state_dict().items()}
    assert found == shapes(TINY, kind)


@pytest.mark.parametrize(
    "odd",
    [
        {"hidden": 30},
        {"heads": 0},
        {"layers": -1},
        {"dropout": 1.0},
        {"positions": "hours"},
        {"num_classes": -1},
        {"features": 2.5},
    ],
)
def test_a_shape_that_makes_no_sense_is_refused(odd: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|multiple"):
        replace(TINY, **odd)  # type: ignore[arg-type]
