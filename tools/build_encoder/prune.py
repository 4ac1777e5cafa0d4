"""Prune the last block of an image tower to the class token, the only one read from it.

The result is the same for 6 % less work. Part of rebuilding the embedded model; see `build.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import NodeProto, helper, numpy_helper

if TYPE_CHECKING:
    import onnx

CLASS_POSITION_NAME = "first"  # tensor with the position of the class token


def prune_last_block(onnx_model: onnx.ModelProto) -> None:
    """Prune a tower made by `onnx_graphs.build_image_tower`, quantized or not, in place.

    Keys and values remain those of all tokens; the query and the residual are of one.

    Args:
        onnx_model: The tower.
    """
    onnx_graph = onnx_model.graph
    graph_nodes = [
        NodeProto.FromString(graph_node.SerializeToString()) for graph_node in onnx_graph.node
    ]
    producers = {
        tensor_name: graph_node for graph_node in graph_nodes for tensor_name in graph_node.output
    }
    token_gather = next(
        graph_node for graph_node in reversed(graph_nodes) if graph_node.op_type == "Gather"
    )
    attention_sum = producers[producers[token_gather.input[0]].input[0]]  # the residual sum
    norm_node = next(
        graph_node
        for graph_node in _find_consumers(graph_nodes, attention_sum.input[0])
        if graph_node.op_type == "LayerNormalization"
    )
    new_nodes = [
        _make_token_gather(attention_sum.input[0]),
        _make_token_gather(norm_node.output[0]),
    ]
    attention_sum.input[0], token_tensor = new_nodes[0].output[0], new_nodes[1].output[0]
    full_tensor = norm_node.output[0]
    # Nodes that quantize the query's input are duplicated for the class token.
    while (consumer := _find_consumers(graph_nodes, full_tensor)[0]).op_type != "MatMul":
        new_nodes.append(NodeProto.FromString(consumer.SerializeToString()))
        new_nodes[-1].input[0], new_nodes[-1].output[0] = (
            token_tensor,
            f"{consumer.output[0]}_{CLASS_POSITION_NAME}",
        )
        full_tensor, token_tensor = consumer.output[0], new_nodes[-1].output[0]
    consumer.input[0] = token_tensor  # the query is the first of the three
    insert_index = graph_nodes.index(norm_node) + 1
    graph_nodes[insert_index:insert_index] = new_nodes
    del onnx_graph.node[:]
    onnx_graph.node.extend(graph_nodes)
    onnx_graph.initializer.append(
        numpy_helper.from_array(np.array([0], np.int64), CLASS_POSITION_NAME)
    )


def _find_consumers(graph_nodes: list[NodeProto], tensor_name: str) -> list[NodeProto]:
    return [graph_node for graph_node in graph_nodes if tensor_name in graph_node.input]


def _make_token_gather(tensor_name: str) -> NodeProto:
    """Select the class token (N, 1, 768) of all tokens (N, T, 768)."""
    return helper.make_node(
        "Gather",
        [tensor_name, CLASS_POSITION_NAME],
        [f"{tensor_name}_{CLASS_POSITION_NAME}"],
        axis=1,
    )
