"""The last block of an image tower makes the class token alone: no other is read from it.

The same result for 6 % less work. Part of rebuilding the embedded model; see `build_builtin.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto, helper, numpy_helper

if TYPE_CHECKING:
    import onnx

FIRST = "first"  # the place of the class token among all


def narrow(model: onnx.ModelProto) -> None:
    """Change a tower as `graphs.image_tower` makes it, its products rounded or not.

    Keys and values are still those of all tokens; the query, and what is added to, is of one.
    """
    graph = model.graph
    nodes = [NodeProto.FromString(node.SerializeToString()) for node in graph.node]
    maker = {name: node for node in nodes for name in node.output}
    token = next(node for node in reversed(nodes) if node.op_type == "Gather")
    attended = maker[maker[token.input[0]].input[0]]  # the sum after attention
    norm = next(
        node for node in _takers(nodes, attended.input[0]) if node.op_type == "LayerNormalization"
    )
    new = [_chosen(attended.input[0]), _chosen(norm.output[0])]
    attended.input[0], seen = new[0].output[0], new[1].output[0]
    taken = norm.output[0]
    while (taker := _takers(nodes, taken)[0]).op_type != "MatMul":  # it is rounded first
        new.append(NodeProto.FromString(taker.SerializeToString()))
        new[-1].input[0], new[-1].output[0] = seen, f"{taker.output[0]}_{FIRST}"
        taken, seen = taker.output[0], new[-1].output[0]
    taker.input[0] = seen  # the query is the first of the three
    at = nodes.index(norm) + 1
    nodes[at:at] = new
    del graph.node[:]
    graph.node.extend(nodes)
    graph.initializer.append(numpy_helper.from_array(np.array([0], np.int64), FIRST))


def _takers(nodes: list[NodeProto], name: str) -> list[NodeProto]:
    return [node for node in nodes if name in node.input]


def _chosen(name: str) -> NodeProto:
    """Takes the class token (N, 1, 768) out of all (N, T, 768)."""
    return helper.make_node("Gather", [name, FIRST], [f"{name}_{FIRST}"], axis=1)
