"""The Transformer: shapes, invariances and its NumPy implementation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from vsearch.pooling.numpy_transformer import NumpyTransformer
from vsearch.pooling.weights import (
    CONFIG_PRESETS,
    NetworkWeights,
    TransformerConfig,
    compute_array_shapes,
)
from vsearch.training.transformer import (
    TEXT_TOKEN,
    ClipClassifier,
    TransformerPooling,
    VideoTransformer,
    encode_sinusoids,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vsearch.pooling.weights import PositionEncoding

TINY = TransformerConfig(features=16, hidden=32, layers=2, heads=4, mlp=64, num_classes=3)


def make_clips(clip_count: int, length: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return frames (B, T, 16) of unit length and times (B, T) at one per second."""
    torch.manual_seed(seed)
    frames = torch.nn.functional.normalize(torch.randn(clip_count, length, 16), dim=-1)
    return frames, torch.arange(float(length)).expand(clip_count, length)


def make_network(
    network_class: type[nn.Module], config: TransformerConfig = TINY, seed: int = 0
) -> nn.Module:
    """Build a network with large random weights, so that every part matters."""
    torch.manual_seed(seed)
    module = network_class(config)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def count_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_videobert_has_the_size_of_bert_base_behind_2048_features() -> None:
    with torch.device("meta"):
        module = ClipClassifier(replace(CONFIG_PRESETS["videobert"], num_classes=400))
    hidden, mlp = 768, 3072
    block_parameters = (
        4 * hidden * hidden + 4 * hidden + 2 * hidden * mlp + mlp + hidden + 4 * hidden
    )
    other_parameters = (
        2048 * hidden + hidden + hidden + 2 * hidden + 2 * hidden
    )  # embedding, [CLS], modality, last norm
    assert (
        count_parameters(module.transformer)
        == 12 * block_parameters + other_parameters
        == 86_631_936
    )
    assert count_parameters(module.head) == 400 * hidden + 400


def test_small_has_a_few_million_parameters() -> None:
    with torch.device("meta"):
        assert 2e6 < count_parameters(TransformerPooling(CONFIG_PRESETS["small"])) < 5e6


def test_shapes_are_as_documented() -> None:
    frames, times = make_clips(2, 5)
    states = make_network(VideoTransformer)(frames, times)
    assert states.clip_state.shape == (2, 32)
    assert states.frame_states.shape == (2, 5, 32)
    assert states.cls_attention.shape == (2, 5)
    assert make_network(ClipClassifier)(frames, times).shape == (2, 3)


def test_padding_does_not_change_the_output() -> None:
    frames, times = make_clips(1, 6)
    mask = torch.tensor([[True, True, True, True, False, False]])
    for network_class in (ClipClassifier, VideoTransformer, TransformerPooling):
        module = make_network(network_class)
        short, padded = module(frames[:, :4], times[:, :4]), module(frames, times, mask)
        if network_class is ClipClassifier:
            assert torch.allclose(short, padded, atol=1e-5)
        elif network_class is VideoTransformer:
            assert torch.allclose(short.clip_state, padded.clip_state, atol=1e-5)
            assert torch.allclose(short.cls_attention, padded.cls_attention[:, :4], atol=1e-6)
            assert not padded.cls_attention[:, 4:].any()
        else:
            assert torch.allclose(short.clip_vectors, padded.clip_vectors, atol=1e-5)
            assert not padded.frame_weights[:, 4:].any()


def test_attention_is_from_cls_to_the_frames() -> None:
    frames, times = make_clips(3, 5)
    states = make_network(VideoTransformer)(frames, times)
    assert (states.cls_attention >= 0).all()
    assert (states.cls_attention.sum(dim=1) < 1).all()  # the rest is for [CLS] itself


def test_positions_in_seconds_encode_gaps_and_indices_do_not() -> None:
    frames, times = make_clips(1, 4)
    stretched_times = times * 3
    by_seconds = make_network(VideoTransformer)
    by_index = make_network(VideoTransformer, replace(TINY, positions="index"))
    assert not torch.allclose(
        by_seconds(frames, times).clip_state, by_seconds(frames, stretched_times).clip_state
    )
    assert torch.equal(
        by_index(frames, times).clip_state, by_index(frames, stretched_times).clip_state
    )


def test_positions_are_relative_to_the_start_of_the_clip() -> None:
    frames, times = make_clips(1, 4)
    module = make_network(VideoTransformer)
    late_state = module(frames, times + 3600).clip_state
    assert torch.allclose(module(frames, times).clip_state, late_state, atol=1e-4)


def test_order_matters() -> None:
    frames, times = make_clips(1, 4)
    module = make_network(VideoTransformer)
    assert not torch.allclose(
        module(frames, times).clip_state, module(frames.flip(1), times).clip_state
    )


def test_text_tokens_differ_from_frame_tokens() -> None:
    frames, times = make_clips(1, 4)
    module = make_network(VideoTransformer)
    text_modality = torch.full((1, 4), TEXT_TOKEN)
    assert not torch.allclose(
        module(frames, times).clip_state,
        module(frames, times, token_modality=text_modality).clip_state,
    )


def test_sinusoids_match_the_paper() -> None:
    encodings = encode_sinusoids(torch.tensor([[0.0, 1.0]]), 8)
    rate = 1 / 10_000 ** (2 * 3 / 8)
    assert encodings[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    assert encodings[0, 1, 3] == pytest.approx(np.sin(rate))
    assert encodings[0, 1, 7] == pytest.approx(np.cos(rate))


def test_an_untrained_pooler_is_the_mean() -> None:
    frames, times = make_clips(2, 5)
    pooled = TransformerPooling(TINY).eval()(frames, times)
    mean = torch.nn.functional.normalize(frames.mean(dim=1), dim=-1)
    assert torch.allclose(pooled.clip_vectors, mean, atol=1e-6)
    assert torch.allclose(pooled.frame_weights, torch.full((2, 5), 0.2))


def test_a_gate_at_zero_can_open() -> None:
    frames, times = make_clips(4, 5)
    module = TransformerPooling(TINY)
    (-module(frames, times).clip_vectors @ frames[0, 0]).sum().backward()
    assert module.gate.grad is not None
    assert module.gate.grad.abs() > 0


@pytest.mark.parametrize("length", [1, 2, 9])
@pytest.mark.parametrize("positions", ["seconds", "index"])
def test_numpy_and_torch_agree(length: int, positions: PositionEncoding) -> None:
    frames, _ = make_clips(1, length)
    times = torch.rand(1, length).cumsum(dim=1) * 3
    config = replace(TINY, positions=positions)
    frame_vectors, frame_times = frames[0].numpy(), times[0].double().numpy()
    pooling, classifier = (
        make_network(TransformerPooling, config),
        make_network(ClipClassifier, config),
    )
    vector, frame_weights = NumpyTransformer(weights("pooler", pooling)).pool_clip(
        frame_vectors, frame_times
    )
    expected = pooling(frames, times)
    assert np.allclose(
        vector / np.linalg.norm(vector), expected.clip_vectors[0].detach(), atol=1e-4
    )
    assert np.allclose(frame_weights, expected.frame_weights[0].detach(), atol=1e-4)
    logits = NumpyTransformer(weights("classifier", classifier)).compute_logits(
        frame_vectors, frame_times
    )
    assert np.allclose(logits, classifier(frames, times)[0].detach(), atol=1e-3)


def weights(kind: str, module: nn.Module) -> NetworkWeights:
    arrays = {name: parameter.detach().numpy() for name, parameter in module.state_dict().items()}
    config = module.network_config
    assert isinstance(config, TransformerConfig)
    return NetworkWeights(kind, config, arrays, {"space": "fake"})


@pytest.mark.parametrize("kind", ["pooler", "classifier"])
def test_array_shapes_match_the_module(kind: str) -> None:
    network_class = {"pooler": TransformerPooling, "classifier": ClipClassifier}[kind]
    shapes = {
        name: tuple(parameter.shape) for name, parameter in network_class(TINY).state_dict().items()
    }
    assert shapes == compute_array_shapes(TINY, kind)


@pytest.mark.parametrize(
    "invalid_setting",
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
def test_an_invalid_shape_is_rejected(invalid_setting: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"must|multiple"):
        replace(TINY, **invalid_setting)  # type: ignore[arg-type]
