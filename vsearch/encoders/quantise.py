"""An image tower for int8 arithmetic: what flows into its matrices is rounded to 8 bits, too.

Part of rebuilding the embedded model; see `build_builtin.py`. A few channels of CLIP's activations
are tens of times larger than the others, so one scale for all would round the others away. They are
made smaller, and the rows of the matrix that they meet larger (SmoothQuant, Xiao et al. 2023), by
as much as leaves the least error in the product. The new matrices are made from those in
`image.onnx` when the tower is loaded, see `grown.py`, so what ships is small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vsearch.encoders.graphs import borrow
from vsearch.encoders.grown import GROWN, Growth

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from vsearch.types import Images

STRENGTHS = (0.5, 0.6, 0.7, 0.8, 0.9)  # how far the range moves to the matrix: 1 is all of it
ROWS = 96  # of what flows, kept of each batch to judge by
LEVELS = 255

Floats = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(slots=True)
class Seen:
    """What flowed into a matrix of K rows."""

    low: Floats  # (K,)
    high: Floats  # (K,)
    rows: list[Floats] = field(default_factory=list)  # (M, K) each, drawn by lot

    def add(self, values: Floats, random: np.random.Generator) -> None:
        flat = values.reshape(-1, values.shape[-1])
        self.low = np.minimum(self.low, flat.min(axis=0))
        self.high = np.maximum(self.high, flat.max(axis=0))
        self.rows.append(flat[random.permutation(len(flat))[:ROWS]])


@dataclass(frozen=True, slots=True)
class Rounding:
    """How the input of a matrix is rounded to uint8."""

    smooth: Floats  # (K,) what each channel is divided by
    scale: float
    zero: int

    @classmethod
    def over(cls, seen: Seen, smooth: Floats) -> Rounding:
        """All that was seen, 0 included, in 256 steps."""
        low = min(float((seen.low / smooth).min()), 0.0)
        high = max(float((seen.high / smooth).max()), 0.0)
        scale = max(high - low, 1e-6) / LEVELS
        return cls(smooth, scale, round(-low / scale))

    def __call__(self, rows: Floats) -> Floats:
        """Rows (M, K) as they are after rounding, still divided by `smooth`."""
        steps = np.clip(np.rint(rows / self.smooth / self.scale) + self.zero, 0, LEVELS)
        rounded: Floats = ((steps - self.zero) * self.scale).astype(np.float32)
        return rounded


def best_rounding(seen: Seen, matrix: Floats) -> Rounding:
    """The one that leaves the least error in the product with `matrix` (K, N)."""
    rows = np.concatenate(seen.rows)
    right = rows @ matrix
    largest = np.maximum(np.maximum(np.abs(seen.low), np.abs(seen.high)), 1e-3)
    weight = np.maximum(np.abs(matrix).max(axis=1), 1e-6)
    tried = []
    for strength in STRENGTHS:
        smooth = (largest**strength / weight ** (1 - strength)).astype(np.float32)
        rounding = Rounding.over(seen, smooth / np.exp(np.log(smooth).mean()))
        grown = matrix * rounding.smooth[:, None]
        step = np.abs(grown).max(axis=0) / 127
        error = float(((rounding(rows) @ (np.rint(grown / step) * step) - right) ** 2).sum())
        tried.append((error, strength, rounding))
    return min(tried, key=lambda each: each[:2])[2]


class Tower:
    """An image tower as `graphs.image_tower` makes it, opened for changes."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = model
        self._arrays = {t.name: t for t in model.graph.initializer}
        self._maker = {node.output[0]: node for node in model.graph.node}
        self._nodes: list[onnx.NodeProto] = list(model.graph.node)
        self._grown: list[tuple[onnx.TensorProto, Floats, Floats]] = []  # rows (K,), columns (N,)

    def products(self) -> dict[str, list[onnx.NodeProto]]:
        """What flows into int8 matrices, by name, and the products that take it."""
        found: dict[str, list[onnx.NodeProto]] = {}
        for node in self.model.graph.node:
            if node.op_type == "MatMul" and self._stored(node) is not None:
                found.setdefault(node.input[0], []).append(node)
        return found

    def observe(self, batches: Iterable[Images]) -> dict[str, Seen]:
        """What flows into each product while the tower sees pictures."""
        import onnxruntime

        names, watched = list(self.products()), onnx.ModelProto()
        watched.CopyFrom(self.model)
        watched.graph.output.extend(helper.make_tensor_value_info(n, 1, None) for n in names)
        session = onnxruntime.InferenceSession(watched.SerializeToString())
        found: dict[str, Seen] = {}
        random = np.random.default_rng(0)
        for batch in batches:
            for name, values in zip(names, session.run(names, {"images": batch}), strict=True):
                zeros = np.zeros(values.shape[-1], np.float32)
                found.setdefault(name, Seen(zeros, zeros)).add(values, random)
        return found

    def round(self, seen: dict[str, Seen]) -> None:
        """Round what flows into each product, as suits what was seen."""
        for name, products in self.products().items():
            matrices = [self._matrix(product) for product in products]
            rounding = best_rounding(seen[name], np.concatenate(matrices, axis=1))
            rounded = self._rounded(name, rounding)
            for product in products:
                product.input[0] = rounded
                self._grow(product, rounding.smooth)
        graph = self.model.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        taken = {name for node in self._nodes for name in node.input}
        for i in reversed(range(len(graph.initializer))):  # in place: `packed` changes some
            if graph.initializer[i].name not in taken:
                del graph.initializer[i]
        onnx.checker.check_model(self.model)

    def _rounded(self, name: str, rounding: Rounding) -> str:
        """The tensor `name` divided and rounded, behind what makes it."""
        maker = self._maker[name]
        at = self._nodes.index(maker) + 1
        smoothed, new = name, []
        if maker.op_type == "LayerNormalization":  # weight and bias take the division
            for i in (1, 2):
                divided = numpy_helper.to_array(self._arrays[maker.input[i]]) / rounding.smooth
                maker.input[i] = self._constant(f"{name}_{i}", divided)
        else:
            inverse = self._constant(f"{name}_inverse", 1 / rounding.smooth)
            smoothed = f"{name}_smooth"
            new.append(helper.make_node("Mul", [name, inverse], [smoothed]))
        scale = self._constant(f"{name}_scale", np.array(rounding.scale, np.float32))
        zero = self._constant(f"{name}_zero", np.array(rounding.zero, np.uint8))
        steps, rounded = f"{name}_steps", f"{name}_rounded"
        new.append(helper.make_node("QuantizeLinear", [smoothed, scale, zero], [steps]))
        new.append(helper.make_node("DequantizeLinear", [steps, scale, zero], [rounded]))
        self._nodes[at:at] = new
        return rounded

    def _grow(self, product: onnx.NodeProto, smooth: Floats) -> None:
        """Multiply the rows of the matrix of a product, and round it to int8 again."""
        stored = self._maker[product.input[1]]
        values, scale = (numpy_helper.to_array(self._arrays[n]) for n in stored.input[:2])
        fit = (127 / np.abs(values * smooth[:, None]).max(axis=0)).astype(np.float32)
        self._grown.append((self._arrays[stored.input[0]], smooth, fit))
        stored.input[1] = self._constant(f"{stored.output[0]}_scale", scale / fit)

    def packed(self, image: bytes) -> dict[str, npt.NDArray[Any]]:
        """The arrays of the file that ships, for `image`, which is `image.onnx`."""
        growths, end = [], 0
        for tensor, rows, columns in self._grown:
            raw = tensor.raw_data
            if (at := image.find(raw)) < 0:
                raise ValueError(f"image.onnx does not hold the matrix {tensor.name}")
            growths.append(Growth(at, rows, columns))
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in (("location", GROWN), ("offset", end), ("length", len(raw))):
                tensor.external_data.add(key=key, value=str(value))
            end += len(raw)
        borrow(self.model, "image.onnx", image)
        return Growth.arrays(growths, self.model.SerializeToString())

    def _matrix(self, product: onnx.NodeProto) -> Floats:
        stored = self._maker[product.input[1]]
        values, scale = (numpy_helper.to_array(self._arrays[n]) for n in stored.input[:2])
        matrix: Floats = (values * scale).astype(np.float32)
        return matrix

    def _stored(self, product: onnx.NodeProto) -> onnx.NodeProto | None:
        maker = self._maker.get(product.input[1])
        return maker if maker is not None and maker.op_type == "DequantizeLinear" else None

    def _constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """A new array, as float32 unless it is of whole numbers."""
        kind = np.float32 if array.dtype.kind == "f" else array.dtype
        tensor = numpy_helper.from_array(np.asarray(array, kind, order="C"), name)
        self.model.graph.initializer.append(tensor)
        self._arrays[name] = self.model.graph.initializer[-1]
        return name
