"""Graphs that borrow arrays are made whole, byte for byte as ONNX reads them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from vsearch.encoders.borrowed import whole
from vsearch.encoders.graphs import borrow

BIG = np.random.default_rng(0).normal(size=(200, 200)).astype(np.float32)
SMALL = np.arange(3, dtype=np.float32)


def graph() -> onnx.ModelProto:
    """Adds a large array and a small one to what it is given."""
    nodes = [
        helper.make_node("Add", ["x", "big"], ["y"]),
        helper.make_node("Add", ["y", "small"], ["z"]),
    ]
    tensors = [numpy_helper.from_array(BIG, "big"), numpy_helper.from_array(SMALL, "small")]
    ends = [helper.make_tensor_value_info(name, 1, None) for name in "xz"]
    return helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors))


def borrowing() -> tuple[bytes, bytes]:
    """A graph, and the file that it borrows from."""
    file, model = b"12345" + BIG.tobytes() + b"67", graph()
    borrow(model, "file.bin", file)
    return model.SerializeToString(), file


def test_a_graph_gets_back_what_it_borrows() -> None:
    data, file = borrowing()
    assert len(data) < BIG.nbytes
    read = onnx.load_from_string(whole(data, {"file.bin": file}))
    assert [t.name for t in read.graph.initializer] == ["big", "small"]
    assert (numpy_helper.to_array(read.graph.initializer[0]) == BIG).all()
    assert (numpy_helper.to_array(read.graph.initializer[1]) == SMALL).all()
    assert read.graph.node == graph().graph.node
    assert read.opset_import == graph().opset_import


def test_a_graph_that_borrows_nothing_stays_as_it_is() -> None:
    data = graph().SerializeToString()
    assert whole(data, {}) == data


def test_a_lender_that_is_too_short_is_refused() -> None:
    data, file = borrowing()
    with pytest.raises(ValueError, match=r"file\.bin ends before"):
        whole(data, {"file.bin": file[:-10]})


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_graph_that_is_cut_off_is_refused(cut: int) -> None:
    data, file = borrowing()
    with pytest.raises(ValueError, match="too early"):
        whole(data[:-cut], {"file.bin": file})
