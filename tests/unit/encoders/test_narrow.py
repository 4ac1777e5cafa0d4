"""What is not read is not made, and nothing else changes."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from random_tower import some_weights

from vsearch.encoders.distil import POSITIONS
from vsearch.encoders.engine import Graph, onnx_runtime
from vsearch.encoders.graphs import image_tower
from vsearch.encoders.narrow import narrow
from vsearch.encoders.quantise import Tower


@pytest.mark.parametrize("rounded", [False, True])
def test_the_last_block_makes_only_what_is_read(rounded: bool) -> None:
    weights = dict(some_weights())
    weights[POSITIONS] = weights[POSITIONS][:5]  # two rows of two patches
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), np.uint8)
    tower = Tower(image_tower(weights))
    if rounded:
        tower.round(tower.observe([images]))
    whole = tower.model.SerializeToString()
    narrow(tower.model)
    onnx.checker.check_model(tower.model)
    found, right = (
        onnx_runtime(Graph(data))({"images": images})
        for data in (tower.model.SerializeToString(), whole)
    )
    np.testing.assert_allclose(found, right, atol=1e-4 * np.abs(right).max())
    shapes = onnx.shape_inference.infer_shapes(tower.model).graph.value_info
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
