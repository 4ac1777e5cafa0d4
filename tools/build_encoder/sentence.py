"""Convert the sentence encoder from the weights of all-MiniLM-L6-v2.

Part of rebuilding the embedded model; see `build.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tools.build_encoder.onnx_graphs import QuantizedMatrix
from vsearch.encoders.sentence_tower import BLOCK_COUNT, MAX_TOKENS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

LAYERS_BY_MATRIX = {  # matrices that share their input are next to each other in one
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention": ("attention.output.dense",),
    "hidden": ("intermediate.dense",),
    "output": ("output.dense",),
}
LAYER_BY_NORM = {
    "attention_norm": "attention.output.LayerNorm",
    "output_norm": "output.LayerNorm",
}


def convert_sentence_weights(
    weights: Mapping[str, npt.NDArray[Any]],
) -> dict[str, npt.NDArray[Any]]:
    """Convert the arrays of all-MiniLM-L6-v2 to those of `SentenceTower`.

    Args:
        weights: Arrays by parameter name.

    Returns:
        `words` int8 (V, 384) with a scale a row, `positions` float32 (256, 384), and for the six
        blocks, stacked, each matrix int8 (6, K, N) with `_scales` and `_bias` float32 (6, N). Norms
        are float32 (2, 384): gain, then bias; those of the blocks (6, 2, 384).
    """
    words = QuantizedMatrix.quantize(weights["embeddings.word_embeddings.weight"].T)
    positions = (
        weights["embeddings.position_embeddings.weight"]
        + weights["embeddings.token_type_embeddings.weight"][0]
    )
    arrays = {
        "words": np.ascontiguousarray(words.int8_values.T),
        "words_scales": words.column_scales,
        "words_norm": _stack_norm(weights, "embeddings.LayerNorm"),
        "positions": positions[:MAX_TOKENS],
    }
    blocks = [f"encoder.layer.{i}" for i in range(BLOCK_COUNT)]
    for matrix_name, layers in LAYERS_BY_MATRIX.items():
        matrices = [
            QuantizedMatrix.quantize(
                np.concatenate([weights[f"{block}.{layer}.weight"] for layer in layers]).T
            )
            for block in blocks
        ]
        arrays[matrix_name] = np.stack([matrix.int8_values for matrix in matrices])
        arrays[f"{matrix_name}_scales"] = np.stack([matrix.column_scales for matrix in matrices])
        arrays[f"{matrix_name}_bias"] = np.stack(
            [
                np.concatenate([weights[f"{block}.{layer}.bias"] for layer in layers])
                for block in blocks
            ]
        )
    for norm_name, layer in LAYER_BY_NORM.items():
        arrays[norm_name] = np.stack([_stack_norm(weights, f"{block}.{layer}") for block in blocks])
    return arrays


def _stack_norm(weights: Mapping[str, npt.NDArray[Any]], layer_name: str) -> npt.NDArray[Any]:
    return np.stack([weights[f"{layer_name}.weight"], weights[f"{layer_name}.bias"]])
