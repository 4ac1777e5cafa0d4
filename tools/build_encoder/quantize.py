"""Quantize an image tower for int8 arithmetic: round the inputs of its matrices to 8 bits, too.

Part of rebuilding the embedded model; see `build.py`. A few channels of CLIP's activations are tens
of times larger than the others, so a common scale would round the others away. These channels are
divided and the rows of the matrix multiplied accordingly (SmoothQuant, Xiao et al. 2023), by the
factor that leaves the least error in the product. The new matrices are derived from those in
`image.onnx` when the tower is loaded (see `vsearch/encoders/onnx_weights.py`), so that the package
stays small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tools.build_encoder.onnx_graphs import externalize_arrays
from vsearch.encoders.onnx_weights import GENERATED_FILE, WeightScaling

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from vsearch.types import Images

SMOOTHQUANT_ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9)  # share of the range moved to the matrix
ROWS_PER_BATCH = 96  # activation rows sampled from each batch to measure the error
QUANTIZATION_LEVELS = 255
Float32Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(slots=True)
class ActivationStats:
    """Statistics of the input of a matrix with K rows."""

    channel_minima: Float32Array  # (K,)
    channel_maxima: Float32Array  # (K,)
    sampled_rows: list[Float32Array] = field(default_factory=list)  # (M, K) each, random

    def add_batch(self, batch_values: Float32Array, rng: np.random.Generator) -> None:
        """Add a batch of inputs, float32 (..., K)."""
        flat_values = batch_values.reshape(-1, batch_values.shape[-1])
        self.channel_minima = np.minimum(self.channel_minima, flat_values.min(axis=0))
        self.channel_maxima = np.maximum(self.channel_maxima, flat_values.max(axis=0))
        self.sampled_rows.append(flat_values[rng.permutation(len(flat_values))[:ROWS_PER_BATCH]])


@dataclass(frozen=True, slots=True)
class ActivationQuantizer:
    """Rounding of a matrix's input to uint8."""

    channel_divisors: Float32Array  # (K,)
    step_size: float
    zero_point: int

    @classmethod
    def from_stats(
        cls, activation_stats: ActivationStats, channel_divisors: Float32Array
    ) -> ActivationQuantizer:
        """Cover the observed range, 0 included, with 256 steps."""
        minimum_value = min(float((activation_stats.channel_minima / channel_divisors).min()), 0.0)
        maximum_value = max(float((activation_stats.channel_maxima / channel_divisors).max()), 0.0)
        step_size = max(maximum_value - minimum_value, 1e-6) / QUANTIZATION_LEVELS
        return cls(channel_divisors, step_size, round(-minimum_value / step_size))

    def __call__(self, activation_rows: Float32Array) -> Float32Array:
        """Return rows (M, K) after rounding, still divided by `channel_divisors`."""
        quantized_steps = np.clip(
            np.rint(activation_rows / self.channel_divisors / self.step_size) + self.zero_point,
            0,
            QUANTIZATION_LEVELS,
        )
        dequantized_rows: Float32Array = (
            (quantized_steps - self.zero_point) * self.step_size
        ).astype(np.float32)
        return dequantized_rows


def choose_quantizer(
    activation_stats: ActivationStats, weight_matrix: Float32Array
) -> ActivationQuantizer:
    """Choose the quantizer that leaves the least error in the product.

    Args:
        activation_stats: Statistics of the matrix's input.
        weight_matrix: float32 (K, N).
    """
    sampled_rows = np.concatenate(activation_stats.sampled_rows)
    exact_product = sampled_rows @ weight_matrix
    channel_maxima = np.maximum(
        np.maximum(
            np.abs(activation_stats.channel_minima), np.abs(activation_stats.channel_maxima)
        ),
        1e-3,
    )
    row_maxima = np.maximum(np.abs(weight_matrix).max(axis=1), 1e-6)
    candidates = []
    for smoothing_alpha in SMOOTHQUANT_ALPHAS:
        channel_divisors = (
            channel_maxima**smoothing_alpha / row_maxima ** (1 - smoothing_alpha)
        ).astype(np.float32)
        quantizer = ActivationQuantizer.from_stats(
            activation_stats, channel_divisors / np.exp(np.log(channel_divisors).mean())
        )
        scaled_matrix = weight_matrix * quantizer.channel_divisors[:, None]
        column_steps = np.abs(scaled_matrix).max(axis=0) / 127
        squared_error = float(
            (
                (
                    quantizer(sampled_rows) @ (np.rint(scaled_matrix / column_steps) * column_steps)
                    - exact_product
                )
                ** 2
            ).sum()
        )
        candidates.append((squared_error, smoothing_alpha, quantizer))
    return min(candidates, key=lambda candidate: candidate[:2])[2]


class QuantizableTower:
    """Image tower made by `onnx_graphs.build_image_tower`, open for changes.

    Args:
        onnx_model: The tower; changed in place.
    """

    def __init__(self, onnx_model: onnx.ModelProto) -> None:
        self.onnx_model = onnx_model
        self._named_tensors = {tensor.name: tensor for tensor in onnx_model.graph.initializer}
        self._producers = {graph_node.output[0]: graph_node for graph_node in onnx_model.graph.node}
        self._graph_nodes: list[onnx.NodeProto] = list(onnx_model.graph.node)
        # Tensor, row factors (K,), column factors (N,).
        self._scaled_matrices: list[tuple[onnx.TensorProto, Float32Array, Float32Array]] = []

    def group_products(self) -> dict[str, list[onnx.NodeProto]]:
        """Return the products with int8 matrices, by the name of their input."""
        product_groups: dict[str, list[onnx.NodeProto]] = {}
        for graph_node in self.onnx_model.graph.node:
            if graph_node.op_type == "MatMul" and self._find_dequantize(graph_node) is not None:
                product_groups.setdefault(graph_node.input[0], []).append(graph_node)
        return product_groups

    def collect_stats(self, image_batches: Iterable[Images]) -> dict[str, ActivationStats]:
        """Run the tower on images, uint8 (N, S, S, 3), and observe the input of each product."""
        import onnxruntime

        tensor_names, observed_model = list(self.group_products()), onnx.ModelProto()
        observed_model.CopyFrom(self.onnx_model)
        observed_model.graph.output.extend(
            helper.make_tensor_value_info(output_name, 1, None) for output_name in tensor_names
        )
        inference_session = onnxruntime.InferenceSession(observed_model.SerializeToString())
        collected_stats: dict[str, ActivationStats] = {}
        rng = np.random.default_rng(0)
        for image_batch in image_batches:
            for tensor_name, batch_values in zip(
                tensor_names,
                inference_session.run(tensor_names, {"images": image_batch}),
                strict=True,
            ):
                zero_channels = np.zeros(batch_values.shape[-1], np.float32)
                collected_stats.setdefault(
                    tensor_name, ActivationStats(zero_channels, zero_channels)
                ).add_batch(batch_values, rng)
        return collected_stats

    def quantize_activations(self, activation_stats: dict[str, ActivationStats]) -> None:
        """Round the input of each product as suits the observed range."""
        for tensor_name, matmul_nodes in self.group_products().items():
            weight_matrices = [self._dequantize_matrix(matmul_node) for matmul_node in matmul_nodes]
            quantizer = choose_quantizer(
                activation_stats[tensor_name], np.concatenate(weight_matrices, axis=1)
            )
            rounded_name = self._insert_quantizer(tensor_name, quantizer)
            for matmul_node in matmul_nodes:
                matmul_node.input[0] = rounded_name
                self._rescale_matrix(matmul_node, quantizer.channel_divisors)
        onnx_graph = self.onnx_model.graph
        del onnx_graph.node[:]
        onnx_graph.node.extend(self._graph_nodes)
        used_names = {
            tensor_name for graph_node in self._graph_nodes for tensor_name in graph_node.input
        }
        for i in reversed(
            range(len(onnx_graph.initializer))
        ):  # in place: `pack_arrays` changes some
            if onnx_graph.initializer[i].name not in used_names:
                del onnx_graph.initializer[i]
        onnx.checker.check_model(self.onnx_model)

    def _insert_quantizer(self, tensor_name: str, quantizer: ActivationQuantizer) -> str:
        """Insert division and rounding after the node that produces a tensor."""
        producer = self._producers[tensor_name]
        insert_index = self._graph_nodes.index(producer) + 1
        smoothed_name, new_nodes = tensor_name, []
        if producer.op_type == "LayerNormalization":  # fold the division into weight and bias
            for i in (1, 2):
                divided_weights = (
                    numpy_helper.to_array(self._named_tensors[producer.input[i]])
                    / quantizer.channel_divisors
                )
                producer.input[i] = self._add_constant(f"{tensor_name}_{i}", divided_weights)
        else:
            inverse_name = self._add_constant(
                f"{tensor_name}_inverse", 1 / quantizer.channel_divisors
            )
            smoothed_name = f"{tensor_name}_smooth"
            new_nodes.append(helper.make_node("Mul", [tensor_name, inverse_name], [smoothed_name]))
        scale_name = self._add_constant(
            f"{tensor_name}_scale", np.array(quantizer.step_size, np.float32)
        )
        zero_name = self._add_constant(
            f"{tensor_name}_zero", np.array(quantizer.zero_point, np.uint8)
        )
        steps_name, rounded_name = f"{tensor_name}_steps", f"{tensor_name}_rounded"
        new_nodes.append(
            helper.make_node("QuantizeLinear", [smoothed_name, scale_name, zero_name], [steps_name])
        )
        new_nodes.append(
            helper.make_node(
                "DequantizeLinear", [steps_name, scale_name, zero_name], [rounded_name]
            )
        )
        self._graph_nodes[insert_index:insert_index] = new_nodes
        return rounded_name

    def _rescale_matrix(self, matmul_node: onnx.NodeProto, channel_divisors: Float32Array) -> None:
        """Multiply the rows of a product's matrix, and round it to int8 again."""
        dequantize_node = self._producers[matmul_node.input[1]]
        matrix_values, matrix_scales = (
            numpy_helper.to_array(self._named_tensors[tensor_name])
            for tensor_name in dequantize_node.input[:2]
        )
        column_factors = (
            127 / np.abs(matrix_values * channel_divisors[:, None]).max(axis=0)
        ).astype(np.float32)
        self._scaled_matrices.append(
            (self._named_tensors[dequantize_node.input[0]], channel_divisors, column_factors)
        )
        dequantize_node.input[1] = self._add_constant(
            f"{dequantize_node.output[0]}_scale", matrix_scales / column_factors
        )

    def pack_arrays(self, image_model_bytes: bytes) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of the file to ship.

        Args:
            image_model_bytes: Content of `image.onnx`.

        Raises:
            ValueError: `image.onnx` does not contain a matrix of this tower.
        """
        weight_scalings, buffer_end = [], 0
        for matrix_tensor, row_factors, column_factors in self._scaled_matrices:
            raw_data = matrix_tensor.raw_data
            if (data_offset := image_model_bytes.find(raw_data)) < 0:
                raise ValueError(f"image.onnx does not contain the matrix {matrix_tensor.name}")
            weight_scalings.append(WeightScaling(data_offset, row_factors, column_factors))
            matrix_tensor.ClearField("raw_data")
            matrix_tensor.data_location = TensorProto.EXTERNAL
            for entry_key, entry_value in (
                ("location", GENERATED_FILE),
                ("offset", buffer_end),
                ("length", len(raw_data)),
            ):
                matrix_tensor.external_data.add(key=entry_key, value=str(entry_value))
            buffer_end += len(raw_data)
        externalize_arrays(self.onnx_model, "image.onnx", image_model_bytes)
        return WeightScaling.to_arrays(weight_scalings, self.onnx_model.SerializeToString())

    def _dequantize_matrix(self, matmul_node: onnx.NodeProto) -> Float32Array:
        dequantize_node = self._producers[matmul_node.input[1]]
        matrix_values, matrix_scales = (
            numpy_helper.to_array(self._named_tensors[tensor_name])
            for tensor_name in dequantize_node.input[:2]
        )
        float_matrix: Float32Array = (matrix_values * matrix_scales).astype(np.float32)
        return float_matrix

    def _find_dequantize(self, matmul_node: onnx.NodeProto) -> onnx.NodeProto | None:
        producer = self._producers.get(matmul_node.input[1])
        return producer if producer is not None and producer.op_type == "DequantizeLinear" else None

    def _add_constant(self, tensor_name: str, constant_array: npt.NDArray[Any]) -> str:
        """Add an array, as float32 unless it is integer, and return its name."""
        array_dtype = np.float32 if constant_array.dtype.kind == "f" else constant_array.dtype
        constant_tensor = numpy_helper.from_array(
            np.asarray(constant_array, array_dtype, order="C"), tensor_name
        )
        self.onnx_model.graph.initializer.append(constant_tensor)
        self._named_tensors[tensor_name] = self.onnx_model.graph.initializer[-1]
        return tensor_name
