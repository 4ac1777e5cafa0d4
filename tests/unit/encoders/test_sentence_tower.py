"""The English text tower in NumPy, its layers, and the conversion of its weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from tools.build_encoder.sentence import LAYER_BY_NORM, LAYERS_BY_MATRIX, convert_sentence_weights
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.network_layers import gelu, multiply_rows, softmax
from vsearch.encoders.sentence_tower import (
    BLOCK_COUNT,
    HEAD_SIZE,
    SentenceTower,
    attend,
    decode_matrices,
    encode_tokens,
)

if TYPE_CHECKING:
    from vsearch.types import Matrix

DIM, HIDDEN_DIM, VOCABULARY_SIZE = SentenceTower.dim, 4 * SentenceTower.dim, 20


@pytest.fixture(scope="module")
def tower() -> SentenceTower:
    return SentenceTower(WEIGHTS_FOLDER)


def draw(*shape: int) -> Matrix:
    return np.random.default_rng(sum(shape)).standard_normal(shape, np.float32)


def make_weights() -> dict[str, Matrix]:
    """Draw random weights with the parameter names of all-MiniLM-L6-v2."""
    weights = {
        "embeddings.word_embeddings.weight": draw(VOCABULARY_SIZE, DIM),
        "embeddings.position_embeddings.weight": draw(512, DIM),
        "embeddings.token_type_embeddings.weight": draw(2, DIM),
        "embeddings.LayerNorm.weight": draw(DIM),
        "embeddings.LayerNorm.bias": draw(DIM),
    }
    heights = {"intermediate.dense": HIDDEN_DIM}
    for block in (f"encoder.layer.{i}" for i in range(BLOCK_COUNT)):
        for layer in (name for names in LAYERS_BY_MATRIX.values() for name in names):
            width = HIDDEN_DIM if layer == "output.dense" else DIM
            weights[f"{block}.{layer}.weight"] = draw(heights.get(layer, DIM), width) / width**0.5
            weights[f"{block}.{layer}.bias"] = draw(heights.get(layer, DIM))
        for layer in LAYER_BY_NORM.values():
            weights[f"{block}.{layer}.weight"] = draw(DIM)
            weights[f"{block}.{layer}.bias"] = draw(DIM)
    return weights


def test_similar_sentences_are_close(tower: SentenceTower) -> None:
    vectors = tower(["A man is eating food.", "A man eats something.", "The sky is blue."])
    similarities = vectors @ vectors.T
    assert vectors.dtype == np.float32
    assert similarities[0, 1] > 0.7
    assert similarities[0, 2] < 0.2


def test_vectors_have_unit_length_whatever_the_text(tower: SentenceTower) -> None:
    vectors = tower(["", " ", "x", "word " * 5_000, "\x00", "👨‍👩‍👧", *"abcdefgh"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert tower([]).shape == (0, DIM)


def test_a_text_has_the_same_vector_alone_and_in_company(tower: SentenceTower) -> None:
    texts = ["a dog", "a brown dog that runs on a wide and sunny beach", "", "two cats"]
    assert np.allclose(tower(texts)[2:3], tower(texts[2:3]), atol=1e-5)
    assert np.allclose(tower(texts)[0:1], tower(texts[0:1]), atol=1e-5)


def test_converted_weights_compute_what_torch_does() -> None:
    torch = pytest.importorskip("torch")
    functional, weights = torch.nn.functional, make_weights()
    tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
    token_ids = [3, 7, 1, 19, 4]

    def norm(states: Any, name: str) -> Any:
        gain, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        return functional.layer_norm(states, (DIM,), gain, bias, 1e-12)

    def linear(states: Any, name: str) -> Any:
        return functional.linear(states, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def split_heads(states: Any) -> Any:
        return states.unflatten(1, (-1, HEAD_SIZE)).swapaxes(0, 1)

    states = tensors["embeddings.word_embeddings.weight"][token_ids]
    states = states + tensors["embeddings.position_embeddings.weight"][: len(token_ids)]
    states = norm(
        states + tensors["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm"
    )
    for block in (f"encoder.layer.{i}" for i in range(BLOCK_COUNT)):
        heads = [
            linear(states, f"{block}.attention.self.{name}")
            .unflatten(1, (-1, HEAD_SIZE))
            .swapaxes(0, 1)
            for name in ("query", "key", "value")
        ]
        context = functional.scaled_dot_product_attention(*heads).swapaxes(0, 1).flatten(1)
        context = linear(context, f"{block}.attention.output.dense")
        states = norm(states + context, f"{block}.attention.output.LayerNorm")
        hidden = functional.gelu(linear(states, f"{block}.intermediate.dense"))
        states = norm(states + linear(hidden, f"{block}.output.dense"), f"{block}.output.LayerNorm")
    expected = states.mean(0).numpy()
    network = decode_matrices(convert_sentence_weights(weights))
    [found] = encode_tokens([token_ids], network)
    assert found @ expected / np.linalg.norm(found) / np.linalg.norm(expected) > 0.999


def test_gelu_is_exact_to_single_precision() -> None:
    values = np.linspace(-9, 9, 2_001, dtype=np.float32)
    exact = [value * (1 + math.erf(value / 2**0.5)) / 2 for value in values.tolist()]
    assert np.allclose(gelu(values), exact, atol=1e-6)


def test_softmax_of_large_scores_is_finite() -> None:
    probabilities = softmax(np.array([[1e4, 1e4, -1e9]], np.float32))
    assert probabilities.tolist() == [[0.5, 0.5, 0]]


@pytest.mark.parametrize("row_count", [0, 1, 2, 60, 61, 130])
def test_products_in_blocks_are_those_of_the_whole_matrix(row_count: int) -> None:
    rows, matrix = draw(row_count, 256), draw(256, 384)
    assert np.allclose(multiply_rows(rows, matrix), rows @ matrix, atol=1e-3)
    assert np.allclose(multiply_rows(rows, matrix[:, :300]), rows @ matrix[:, :300], atol=1e-3)


def test_attention_stays_within_a_text() -> None:
    projections = draw(5, 3 * DIM)
    together = attend(projections, np.array([[True, True, False], [True, True, True]]))
    first = attend(projections[:2], np.array([[True, True]]))
    assert np.allclose(together[:2], first, atol=1e-5)
