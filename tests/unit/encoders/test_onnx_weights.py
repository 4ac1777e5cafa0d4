"""External data is inlined, byte for byte as ONNX reads it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tools.build_encoder.onnx_graphs import externalize_arrays
from vsearch.encoders.onnx_weights import inline_external_data

BIG = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
SMALL = np.arange(3, dtype=np.float32)


def graph() -> onnx.ModelProto:
    """Build a graph that adds a large and a small array to its input."""
    nodes = [
        helper.make_node("Add", ["x", "big"], ["y"]),
        helper.make_node("Add", ["y", "small"], ["z"]),
    ]
    tensors = [numpy_helper.from_array(BIG, "big"), numpy_helper.from_array(SMALL, "small")]
    ends = [helper.make_tensor_value_info(name, 1, None) for name in "xz"]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors))


def borrowing() -> tuple[bytes, bytes]:
    """Return a graph with external data, and the data file."""
    file, model = b"12345" + BIG.tobytes() + b"67", graph()
    externalize_arrays(model, "file.bin", file)
    return model.SerializeToString(), file


def test_external_data_is_inlined() -> None:
    data, file = borrowing()
    assert len(data) < BIG.nbytes
    read = onnx.load_from_string(inline_external_data(data, {"file.bin": file}))
    assert [t.name for t in read.graph.initializer] == ["big", "small"]
    assert (numpy_helper.to_array(read.graph.initializer[0]) == BIG).all()
    assert (numpy_helper.to_array(read.graph.initializer[1]) == SMALL).all()
    assert read.graph.node == graph().graph.node
    assert read.opset_import == graph().opset_import


def test_a_graph_without_external_data_stays_unchanged() -> None:
    data = graph().SerializeToString()
    assert inline_external_data(data, {}) == data


def test_a_truncated_external_file_is_rejected() -> None:
    data, file = borrowing()
    with pytest.raises(ValueError, match=r"file\.bin ends before"):
        inline_external_data(data, {"file.bin": file[:-10]})


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_truncated_graph_is_rejected(cut: int) -> None:
    data, file = borrowing()
    with pytest.raises(ValueError, match="malformed protobuf: truncated"):
        inline_external_data(data[:-cut], {"file.bin": file})
