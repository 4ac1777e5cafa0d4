"""Pruning the last block changes no output."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.support.random_tower import make_tower_weights
from tools.build_encoder.distill import POSITION_WEIGHT_NAME
from tools.build_encoder.onnx_graphs import build_image_tower
from tools.build_encoder.prune import prune_last_block
from tools.build_encoder.quantize import QuantizableTower
from vsearch.encoders.runtime import OnnxModel, load_onnx_runtime


@pytest.mark.slow
@pytest.mark.parametrize("rounded", [False, True])
def test_the_pruned_tower_gives_the_same_result(rounded: bool) -> None:
    weights = dict(make_tower_weights())
    weights[POSITION_WEIGHT_NAME] = weights[POSITION_WEIGHT_NAME][:5]  # two rows of two patches
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    tower = QuantizableTower(build_image_tower(weights))
    if rounded:
        tower.quantize_activations(tower.collect_stats([images]))
    whole = tower.onnx_model.SerializeToString()
    prune_last_block(tower.onnx_model)
    onnx.checker.check_model(tower.onnx_model)
    found, right = (
        load_onnx_runtime(OnnxModel(data))({"images": images})
        for data in (tower.onnx_model.SerializeToString(), whole)
    )
    np.testing.assert_allclose(found, right, atol=1e-4 * np.abs(right).max())
    shapes = onnx.shape_inference.infer_shapes(tower.onnx_model).graph.value_info
    wide = [
        info
        for info in shapes
        if [d.dim_value for d in info.type.tensor_type.shape.dim][1:] == [5, 3072]
    ]
    last = [
        info
        for info in shapes
        if [d.dim_value for d in info.type.tensor_type.shape.dim][1:] == [1, 3072]
    ]
    assert len(wide) == 11 * len(last)
    assert last
