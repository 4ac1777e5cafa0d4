"""int8 towers: large channels are smoothed, and matrices are rebuilt from what ships."""

from __future__ import annotations

import io

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tools.build_encoder.quantize import (
    ActivationQuantizer,
    ActivationStats,
    QuantizableTower,
    choose_quantizer,
)
from vsearch.encoders import onnx_weights
from vsearch.encoders.runtime import INT8_ORT, OnnxModel, load_onnx_runtime

ROWS, COLUMNS = 300, 260  # large enough to be external
RANDOM = np.random.default_rng(0)
VALUES = RANDOM.integers(-127, 128, (ROWS, COLUMNS), np.int8)
SCALE = np.full(COLUMNS, 0.001, np.float32)
CHANNELS = np.where(np.arange(ROWS) < 3, 60.0, 1.0).astype(np.float32)  # three large channels


def activations(count: int, seed: int = 1) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    flat = np.random.default_rng(seed).normal(size=(count, ROWS)).astype(np.float32)
    return flat * CHANNELS


def tower() -> onnx.ModelProto:
    """Build a graph that doubles its input and multiplies it by an int8 matrix."""
    arrays = {
        "two": np.array(2, np.float32),
        "values": VALUES,
        "scale": SCALE,
        "zero": np.zeros(COLUMNS, np.int8),
    }
    nodes = [
        helper.make_node("Mul", ["images", "two"], ["x"]),
        helper.make_node("DequantizeLinear", ["values", "scale", "zero"], ["matrix"], axis=1),
        helper.make_node("MatMul", ["x", "matrix"], ["embedding"]),
    ]
    ends = [
        helper.make_tensor_value_info("images", TensorProto.FLOAT, ["n", ROWS]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", COLUMNS]),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    inner = helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    model = helper.make_model(inner, opset_imports=[helper.make_opsetid("", 20)])
    model.ir_version = 9
    return model


def seen(rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> ActivationStats:
    return ActivationStats(rows.min(axis=0), rows.max(axis=0), [rows])


def test_large_channels_do_not_round_the_others_away() -> None:
    rows, matrix = activations(200), (VALUES * SCALE).astype(np.float32)
    plain = ActivationQuantizer.from_stats(seen(rows), np.ones(ROWS, np.float32))
    tamed = choose_quantizer(seen(rows), matrix)

    def error(rounding: ActivationQuantizer) -> float:
        return float(np.abs((rounding(rows) * rounding.channel_divisors - rows) @ matrix).mean())

    assert error(tamed) < error(plain) / 3


def test_zero_stays_zero() -> None:
    rounding = ActivationQuantizer.from_stats(
        seen(activations(50) + 500), np.ones(ROWS, np.float32)
    )
    assert (rounding(np.zeros((1, ROWS), np.float32)) == 0).all()


def test_a_packed_tower_is_small_and_nearly_exact() -> None:
    model, image = tower(), b"head" + VALUES.tobytes() + b"tail"
    opened, batch = QuantizableTower(model), activations(50, seed=2)
    opened.quantize_activations(opened.collect_stats([activations(100)]))  # type: ignore[list-item]
    data = io.BytesIO()
    arrays = opened.pack_arrays(image)
    np.savez(data, **arrays)  # type: ignore[arg-type]
    assert len(arrays["graph"]) < VALUES.nbytes / 5
    graph, matrices = onnx_weights.read_scaled_graph(data.getvalue(), image)
    lenders = {"image.onnx": image, onnx_weights.GENERATED_FILE: matrices}
    found = load_onnx_runtime(OnnxModel(graph, lenders), INT8_ORT)({"images": batch})
    right = load_onnx_runtime(OnnxModel(tower().SerializeToString()))({"images": batch})
    assert np.corrcoef(found.ravel(), right.ravel())[0, 1] > 0.999
    assert not np.array_equal(found, right), "it was rounded"


def test_a_rescaled_matrix_uses_the_full_range_in_each_column() -> None:
    rows = RANDOM.uniform(0.1, 5, ROWS).astype(np.float32)
    fit = (127 / np.abs(VALUES * rows[:, None]).max(axis=0)).astype(np.float32)
    new = onnx_weights.WeightScaling(4, rows, fit)(b"head" + VALUES.tobytes())
    assert new.shape == VALUES.shape
    assert (np.abs(new.astype(int)).max(axis=0) == 127).all()
