"""Make random weights of an image tower of CLIP's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tools.build_encoder.distill import POSITION_WEIGHT_NAME
from tools.build_encoder.onnx_graphs import QuantizedMatrix

if TYPE_CHECKING:
    from collections.abc import Mapping


def some_weights() -> Mapping[str, Any]:
    """Return weights by name, as `onnx_graphs.read_clip_weights` does."""
    random = np.random.default_rng(0)

    def floats(*shape: int, around: float = 0.0) -> Any:
        return (around + 0.02 * random.normal(size=shape)).astype(np.float32)

    def matrix(rows: int, columns: int) -> QuantizedMatrix:
        values = random.integers(-127, 128, (rows, columns), np.int8)
        return QuantizedMatrix(values, np.full(columns, 0.5 / 127 / rows**0.5, np.float32))

    weights: dict[str, Any] = {
        "embeddings.patch_embedding.weight": floats(768, 3, 16, 16),
        "embeddings.class_embedding": floats(768),
        POSITION_WEIGHT_NAME: floats(197, 768),
        "visual_projection": matrix(768, 512),
    }
    norms = ["pre_layrnorm", "post_layernorm"]
    for at in (f"encoder.layers.{number}" for number in range(12)):
        norms += [f"{at}.layer_norm1", f"{at}.layer_norm2"]
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights[f"{at}.self_attn.{name}"] = matrix(768, 768)
            weights[f"{at}.self_attn.{name}.bias"] = floats(768)
        weights[f"{at}.mlp.fc1"], weights[f"{at}.mlp.fc1.bias"] = matrix(768, 3072), floats(3072)
        weights[f"{at}.mlp.fc2"], weights[f"{at}.mlp.fc2.bias"] = matrix(3072, 768), floats(768)
    for norm in norms:
        weights[f"{norm}.weight"], weights[f"{norm}.bias"] = floats(768, around=1.0), floats(768)
    return weights
