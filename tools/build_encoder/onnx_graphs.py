"""Build the image tower as a plain ONNX graph, with int8 matrices computed in float32.

Part of rebuilding the embedded model; see `build.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

CLIP_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
CLIP_STD = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)
MIN_EXTERNAL_BYTES = 65_536  # smaller arrays stay in the graph
WeightArray = npt.NDArray[Any]


@dataclass(slots=True)
class QuantizedMatrix:
    """A matrix (K, N) as int8, with one float32 scale for each of its N columns."""

    int8_values: npt.NDArray[np.int8]
    column_scales: npt.NDArray[np.float32]

    @classmethod
    def quantize(cls, float_matrix: WeightArray) -> QuantizedMatrix:
        """Round a matrix (K, N) to the nearest of 255 symmetric steps per column."""
        column_scales = np.maximum(np.abs(float_matrix).max(axis=0), 1e-12) / 127.0
        return cls(
            np.rint(float_matrix / column_scales).astype(np.int8), column_scales.astype(np.float32)
        )


@dataclass(slots=True)
class OnnxGraphBuilder:
    """Builder of an ONNX graph; every method adds nodes and returns a tensor name."""

    graph_nodes: list[onnx.NodeProto] = field(default_factory=list)
    weight_tensors: list[onnx.TensorProto] = field(default_factory=list)

    def add_node(self, op_type: str, *input_names: str, **node_attributes: Any) -> str:
        """Add an operator."""
        output_name = f"{op_type}_{len(self.graph_nodes)}"
        self.graph_nodes.append(
            helper.make_node(op_type, list(input_names), [output_name], **node_attributes)
        )
        return output_name

    def add_constant(self, constant_array: WeightArray) -> str:
        """Add a constant array."""
        tensor_name = f"w{len(self.weight_tensors)}"
        self.weight_tensors.append(
            numpy_helper.from_array(np.asarray(constant_array, order="C"), tensor_name)
        )
        return tensor_name

    def add_integers(self, *integer_values: int) -> str:
        """Add a constant int64 vector."""
        return self.add_constant(np.array(integer_values, np.int64))

    def add_linear(
        self, x: str, weight_matrix: QuantizedMatrix, bias_vector: WeightArray | None = None
    ) -> str:
        """Add a linear layer with an int8 matrix (K, N) and an optional bias (N,)."""
        matrix_values, matrix_scales = (
            self.add_constant(weight_matrix.int8_values),
            self.add_constant(weight_matrix.column_scales),
        )
        zero_points = self.add_constant(np.zeros(len(weight_matrix.column_scales), np.int8))
        y = self.add_node(
            "MatMul",
            x,
            self.add_node("DequantizeLinear", matrix_values, matrix_scales, zero_points, axis=1),
        )
        return y if bias_vector is None else self.add_node("Add", y, self.add_constant(bias_vector))

    def add_layer_norm(
        self, x: str, norm_weight: WeightArray, norm_bias: WeightArray, epsilon: float
    ) -> str:
        """Add a layer normalization over the last axis."""
        return self.add_node(
            "LayerNormalization",
            x,
            self.add_constant(norm_weight),
            self.add_constant(norm_bias),
            axis=-1,
            epsilon=epsilon,
        )

    def add_attention(self, q: str, k: str, v: str, head_count: int, head_size: int) -> str:
        """Add multi-head scaled dot-product attention.

        Args:
            q: Queries (N, T, heads * size).
            k: Keys, likewise.
            v: Values, likewise.
            head_count: Number of heads.
            head_size: Dimensions per head.
        """

        def split_heads(x: str, axis_order: list[int]) -> str:
            head_tensor = self.add_node(
                "Reshape", x, self.add_integers(0, 0, head_count, head_size)
            )
            return self.add_node("Transpose", head_tensor, perm=axis_order)

        query_scale = self.add_constant(np.array(head_size**-0.5, np.float32))
        attention_scores = self.add_node(
            "MatMul",
            self.add_node("Mul", split_heads(q, [0, 2, 1, 3]), query_scale),
            split_heads(k, [0, 2, 3, 1]),
        )
        mixed_values = self.add_node(
            "MatMul",
            self.add_node("Softmax", attention_scores, axis=-1),
            split_heads(v, [0, 2, 1, 3]),
        )
        merged_heads = self.add_node("Transpose", mixed_values, perm=[0, 2, 1, 3])
        return self.add_node(
            "Reshape", merged_heads, self.add_integers(0, 0, head_count * head_size)
        )

    def build_model(
        self,
        input_infos: list[onnx.ValueInfoProto],
        output_name: str,
        output_shape: list[str | int],
    ) -> onnx.ModelProto:
        """Build the model, with its only output named "embedding".

        Args:
            input_infos: Inputs of the graph.
            output_name: Tensor to output.
            output_shape: Shape of that tensor.
        """
        output_info = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, output_shape)
        self.graph_nodes.append(helper.make_node("Identity", [output_name], ["embedding"]))
        onnx_graph = helper.make_graph(
            self.graph_nodes, "vsearch", input_infos, [output_info], self.weight_tensors
        )
        onnx_model = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", 20)])
        onnx_model.ir_version = 9
        onnx.checker.check_model(onnx_model)
        return onnx_model


def read_clip_weights(model_path: Path) -> dict[str, Any]:
    """Read CLIP's image tower: arrays by parameter name, matrices as `QuantizedMatrix`."""
    onnx_graph = onnx.load(str(model_path)).graph
    named_tensors = {
        tensor.name: numpy_helper.to_array(tensor) for tensor in onnx_graph.initializer
    }
    tower_weights: dict[str, Any] = {
        parameter_name.removeprefix("vision_model."): weight_array
        for parameter_name, weight_array in named_tensors.items()
        if parameter_name.startswith("vision_model.")
    }
    for graph_node in onnx_graph.node:
        if graph_node.op_type == "MatMulInteger":  # named after the module's path
            module_path = graph_node.name.strip("/").replace("/", ".").removesuffix(".MatMul_quant")
            source_name = graph_node.input[1].removesuffix("_quantized")
            tower_weights[module_path.removeprefix("vision_model.")] = QuantizedMatrix(
                named_tensors[graph_node.input[1]], named_tensors[f"{source_name}_scale"]
            )
    return tower_weights


def build_image_tower(weights: dict[str, Any]) -> onnx.ModelProto:
    """Build CLIP ViT-B/16 (Radford et al. 2021): uint8 RGB (N, S, S, 3) -> float32 (N, 512).

    S is 16 pixels per row of patches with a position: 224 in CLIP's own weights. Mean and deviation
    of CLIP's preprocessing are folded into the patch convolution.

    Args:
        weights: Weights by name, as returned by `read_clip_weights`.
    """
    builder = OnnxGraphBuilder()
    position_weights = weights["embeddings.position_embedding.weight"]  # (1 + patches, 768)
    patch_count = len(position_weights) - 1
    image_side = 16 * math.isqrt(patch_count)
    patch_kernel = weights["embeddings.patch_embedding.weight"]  # (768, 3, 16, 16)
    patch_bias = -(patch_kernel.sum(axis=(2, 3)) * (CLIP_MEAN / CLIP_STD)).sum(axis=1)
    patch_kernel = patch_kernel / (255.0 * CLIP_STD[None, :, None, None])
    pixel_tensor = builder.add_node(
        "Transpose", builder.add_node("Cast", "images", to=TensorProto.FLOAT), perm=[0, 3, 1, 2]
    )
    patch_features = builder.add_node(
        "Conv",
        pixel_tensor,
        builder.add_constant(patch_kernel.astype(np.float32)),
        builder.add_constant(patch_bias.astype(np.float32)),
        strides=[16, 16],
    )
    x = builder.add_node(
        "Transpose",
        builder.add_node("Reshape", patch_features, builder.add_integers(0, 768, patch_count)),
        perm=[0, 2, 1],
    )
    batch_size = builder.add_node("Shape", "images", start=0, end=1)
    token_shape = builder.add_node("Concat", batch_size, builder.add_integers(1, 768), axis=0)
    class_token = builder.add_node(
        "Expand",
        builder.add_constant(weights["embeddings.class_embedding"][None, None]),
        token_shape,
    )
    x = builder.add_node("Concat", class_token, x, axis=1)  # (N, 1 + patches, 768)
    x = builder.add_node("Add", x, builder.add_constant(position_weights))
    x = builder.add_layer_norm(
        x, weights["pre_layrnorm.weight"], weights["pre_layrnorm.bias"], 1e-5
    )
    for i in range(12):
        x = _add_clip_block(builder, x, weights, f"encoder.layers.{i}")
    # Only the class token is projected.
    x = builder.add_node("Gather", x, builder.add_constant(np.array(0, np.int64)), axis=1)
    x = builder.add_layer_norm(
        x, weights["post_layernorm.weight"], weights["post_layernorm.bias"], 1e-5
    )
    x = builder.add_linear(x, weights["visual_projection"])
    image_input = helper.make_tensor_value_info(
        "images", TensorProto.UINT8, ["n", image_side, image_side, 3]
    )
    return builder.build_model([image_input], x, ["n", 512])


def _add_clip_block(
    builder: OnnxGraphBuilder, x: str, weights: dict[str, Any], block_name: str
) -> str:
    y = builder.add_layer_norm(
        x,
        weights[f"{block_name}.layer_norm1.weight"],
        weights[f"{block_name}.layer_norm1.bias"],
        1e-5,
    )
    q, k, v = (
        builder.add_linear(
            y,
            weights[f"{block_name}.self_attn.{projection_name}_proj"],
            weights[f"{block_name}.self_attn.{projection_name}_proj.bias"],
        )
        for projection_name in "qkv"
    )
    y = builder.add_attention(q, k, v, head_count=12, head_size=64)
    y = builder.add_linear(
        y,
        weights[f"{block_name}.self_attn.out_proj"],
        weights[f"{block_name}.self_attn.out_proj.bias"],
    )
    x = builder.add_node("Add", x, y)
    y = builder.add_layer_norm(
        x,
        weights[f"{block_name}.layer_norm2.weight"],
        weights[f"{block_name}.layer_norm2.bias"],
        1e-5,
    )
    y = builder.add_linear(
        y, weights[f"{block_name}.mlp.fc1"], weights[f"{block_name}.mlp.fc1.bias"]
    )
    gelu_gate = builder.add_node(
        "Sigmoid", builder.add_node("Mul", y, builder.add_constant(np.array(1.702, np.float32)))
    )
    y = builder.add_linear(
        builder.add_node("Mul", y, gelu_gate),
        weights[f"{block_name}.mlp.fc2"],
        weights[f"{block_name}.mlp.fc2.bias"],
    )
    return builder.add_node("Add", x, y)


def externalize_arrays(onnx_model: onnx.ModelProto, file_name: str, file_bytes: bytes) -> None:
    """Move large arrays that another file contains out of a model, as ONNX external data.

    Args:
        onnx_model: Model to change.
        file_name: Name of the other file, an ONNX graph.
        file_bytes: Its content.
    """
    for tensor in onnx_model.graph.initializer:
        raw_data = tensor.raw_data
        if len(raw_data) < MIN_EXTERNAL_BYTES or (data_offset := file_bytes.find(raw_data)) < 0:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for entry_key, entry_value in (
            ("location", file_name),
            ("offset", data_offset),
            ("length", len(raw_data)),
        ):
            tensor.external_data.add(key=entry_key, value=str(entry_value))
