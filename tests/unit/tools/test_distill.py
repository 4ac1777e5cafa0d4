"""The student computes what its ONNX graph computes, and shares large arrays."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from tests.support.random_tower import make_tower_weights
from tools.build_encoder.distill import StudentTower, resize_positions
from tools.build_encoder.onnx_graphs import build_image_tower, externalize_arrays


@pytest.mark.slow
def test_the_student_matches_the_onnx_graph() -> None:
    weights = make_tower_weights()
    student = StudentTower(weights, 32)
    with torch.no_grad():
        for value in student.trained_tensors.values():
            value += 0.01 * torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    pictures = np.random.default_rng(1).integers(0, 255, (2, 32, 32, 3), np.uint8)
    graph = build_image_tower(student.merge_weights(weights)).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    (computed,) = session.run(None, {"images": pictures})
    with torch.no_grad():
        seen = student(pictures).numpy()
    np.testing.assert_allclose(seen, computed, rtol=1e-3, atol=1e-3 * np.abs(computed).max())


def test_positions_are_resized_like_an_image() -> None:
    ramp = torch.linspace(0, 1, 14).repeat_interleave(14)[:, None]  # rises from row to row
    small = resize_positions(torch.cat([torch.tensor([[9.0]]), ramp]), 8)
    assert small.shape == (65, 1)
    assert small[0] == 9
    rows = small[1:].reshape(8, 8)
    assert torch.allclose(rows, rows[:, :1])
    assert (rows[1:, 0] > rows[:-1, 0]).all()


def test_large_arrays_become_external_data() -> None:
    random = np.random.default_rng(0)
    large = random.normal(size=(256, 128)).astype(np.float32)
    small = random.normal(size=128).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "large"], ["y"]),
        helper.make_node("Add", ["y", "small"], ["z"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 256])
    z = helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 128])
    arrays = [numpy_helper.from_array(large, "large"), numpy_helper.from_array(small, "small")]
    model = helper.make_model(
        helper.make_graph(nodes, "g", [x], [z], arrays), opset_imports=[helper.make_opsetid("", 20)]
    )
    model.ir_version = 9
    lender = b"something before" + large.tobytes() + b"something after"
    externalize_arrays(model, "lender.bin", lender)
    graph = model.SerializeToString()
    assert len(graph) < large.nbytes
    options = onnxruntime.SessionOptions()
    options.add_external_initializers_from_files_in_memory(["lender.bin"], [lender], [len(lender)])
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    given = random.normal(size=(3, 256)).astype(np.float32)
    np.testing.assert_allclose(session.run(None, {"x": given})[0], given @ large + small, atol=1e-4)
