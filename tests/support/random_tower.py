"""Random weights of an image tower with the shape of CLIP's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tools.build_encoder.distill import POSITION_WEIGHT_NAME
from tools.build_encoder.onnx_graphs import QuantizedMatrix

if TYPE_CHECKING:
    from collections.abc import Mapping


def make_tower_weights() -> Mapping[str, Any]:
    """Return random weights by name, as `onnx_graphs.read_clip_weights` does."""
    rng = np.random.default_rng(0)

    def random_floats(*shape: int, mean: float = 0.0) -> Any:
        return (mean + 0.02 * rng.normal(size=shape)).astype(np.float32)

    def random_matrix(rows: int, columns: int) -> QuantizedMatrix:
        values = rng.integers(-127, 128, (rows, columns), np.int8)
        return QuantizedMatrix(values, np.full(columns, 0.5 / 127 / rows**0.5, np.float32))

    weights: dict[str, Any] = {
        "embeddings.patch_embedding.weight": random_floats(768, 3, 16, 16),
        "embeddings.class_embedding": random_floats(768),
        POSITION_WEIGHT_NAME: random_floats(197, 768),
        "visual_projection": random_matrix(768, 512),
    }
    norm_names = ["pre_layrnorm", "post_layernorm"]
    for prefix in (f"encoder.layers.{number}" for number in range(12)):
        norm_names += [f"{prefix}.layer_norm1", f"{prefix}.layer_norm2"]
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            weights[f"{prefix}.self_attn.{name}"] = random_matrix(768, 768)
            weights[f"{prefix}.self_attn.{name}.bias"] = random_floats(768)
        weights[f"{prefix}.mlp.fc1"], weights[f"{prefix}.mlp.fc1.bias"] = (
            random_matrix(768, 3072),
            random_floats(3072),
        )
        weights[f"{prefix}.mlp.fc2"], weights[f"{prefix}.mlp.fc2.bias"] = (
            random_matrix(3072, 768),
            random_floats(768),
        )
    for norm_name in norm_names:
        weights[f"{norm_name}.weight"], weights[f"{norm_name}.bias"] = (
            random_floats(768, mean=1.0),
            random_floats(768),
        )
    return weights
