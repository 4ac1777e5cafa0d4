"""Two networks as plain ONNX graphs, their matrices stored as int8 and computed in float32.

Part of rebuilding the embedded model; see `build_builtin.py`.
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

WORTH = 65_536  # bytes of an array from which on it is worth borrowing

Array = npt.NDArray[Any]


@dataclass(slots=True)
class Quantised:
    """A matrix (K, N) as int8 and one float32 scale for each of its N columns."""

    values: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float32]

    @classmethod
    def of(cls, matrix: Array) -> Quantised:
        """Round `matrix` (K, N) to the nearest of 255 symmetric steps a column."""
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-12) / 127.0
        return cls(np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32))


@dataclass(slots=True)
class Graph:
    """An ONNX graph under construction; every method adds nodes and returns a tensor name."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        output = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def constant(self, array: Array) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def ints(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64))

    def linear(self, x: str, weight: Quantised, bias: Array | None = None) -> str:
        values, scale = self.constant(weight.values), self.constant(weight.scale)
        zero = self.constant(np.zeros(len(weight.scale), np.int8))
        y = self.add("MatMul", x, self.add("DequantizeLinear", values, scale, zero, axis=1))
        return y if bias is None else self.add("Add", y, self.constant(bias))

    def layer_norm(self, x: str, weight: Array, bias: Array, epsilon: float) -> str:
        return self.add(
            "LayerNormalization",
            x,
            self.constant(weight),
            self.constant(bias),
            axis=-1,
            epsilon=epsilon,
        )

    def attention(self, q: str, k: str, v: str, heads: int, size: int, mask: str | None) -> str:
        """Multi-head scaled dot-product attention over (N, T, heads * size)."""

        def split(x: str, order: list[int]) -> str:
            shaped = self.add("Reshape", x, self.ints(0, 0, heads, size))
            return self.add("Transpose", shaped, perm=order)

        scale = self.constant(np.array(size**-0.5, np.float32))
        scores = self.add(
            "MatMul",
            self.add("Mul", split(q, [0, 2, 1, 3]), scale),
            split(k, [0, 2, 3, 1]),
        )
        if mask is not None:
            scores = self.add("Add", scores, mask)
        mixed = self.add("MatMul", self.add("Softmax", scores, axis=-1), split(v, [0, 2, 1, 3]))
        merged = self.add("Transpose", mixed, perm=[0, 2, 1, 3])
        return self.add("Reshape", merged, self.ints(0, 0, heads * size))

    def model(
        self, inputs: list[onnx.ValueInfoProto], output: str, shape: list[str | int]
    ) -> onnx.ModelProto:
        out = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, shape)
        self.nodes.append(helper.make_node("Identity", [output], ["embedding"]))
        graph = helper.make_graph(self.nodes, "vsearch", inputs, [out], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
        model.ir_version = 9
        onnx.checker.check_model(model)
        return model


def clip_weights(path: Path) -> dict[str, Any]:
    """Read CLIP's image tower: parameter name -> array, matrices as `Quantised`."""
    graph = onnx.load(str(path)).graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    found: dict[str, Any] = {
        name.removeprefix("vision_model."): array
        for name, array in tensors.items()
        if name.startswith("vision_model.")
    }
    for node in graph.node:
        if node.op_type == "MatMulInteger":  # its name is the module's path
            module = node.name.strip("/").replace("/", ".").removesuffix(".MatMul_quant")
            source = node.input[1].removesuffix("_quantized")
            found[module.removeprefix("vision_model.")] = Quantised(
                tensors[node.input[1]], tensors[f"{source}_scale"]
            )
    return found


def image_tower(w: dict[str, Any]) -> onnx.ModelProto:
    """CLIP ViT-B/16 (Radford et al. 2021): uint8 RGB (N, S, S, 3) -> float32 (N, 512).

    S is 16 pixels for each row of patches that there are positions for: 224 in CLIP's own. The
    mean and deviation of CLIP's preprocessing are folded into the patch convolution.
    """
    g = Graph()
    positions = w["embeddings.position_embedding.weight"]  # (1 + rows of patches squared, 768)
    patches_seen = len(positions) - 1
    side = 16 * math.isqrt(patches_seen)
    kernel = w["embeddings.patch_embedding.weight"]  # (768, 3, 16, 16)
    bias = -(kernel.sum(axis=(2, 3)) * (CLIP_MEAN / CLIP_STD)).sum(axis=1)
    kernel = kernel / (255.0 * CLIP_STD[None, :, None, None])
    pixels = g.add("Transpose", g.add("Cast", "images", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    patches = g.add(
        "Conv",
        pixels,
        g.constant(kernel.astype(np.float32)),
        g.constant(bias.astype(np.float32)),
        strides=[16, 16],
    )
    x = g.add("Transpose", g.add("Reshape", patches, g.ints(0, 768, patches_seen)), perm=[0, 2, 1])
    count = g.add("Shape", "images", start=0, end=1)
    shape = g.add("Concat", count, g.ints(1, 768), axis=0)
    token = g.add("Expand", g.constant(w["embeddings.class_embedding"][None, None]), shape)
    x = g.add("Concat", token, x, axis=1)  # (N, 1 + patches, 768)
    x = g.add("Add", x, g.constant(positions))
    x = g.layer_norm(x, w["pre_layrnorm.weight"], w["pre_layrnorm.bias"], 1e-5)
    for i in range(12):
        x = _clip_block(g, x, w, f"encoder.layers.{i}")
    x = g.add("Gather", x, g.constant(np.array(0, np.int64)), axis=1)  # the class token
    x = g.layer_norm(x, w["post_layernorm.weight"], w["post_layernorm.bias"], 1e-5)
    x = g.linear(x, w["visual_projection"])
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", side, side, 3])
    return g.model([images], x, ["n", 512])


def _clip_block(g: Graph, x: str, w: dict[str, Any], at: str) -> str:
    y = g.layer_norm(x, w[f"{at}.layer_norm1.weight"], w[f"{at}.layer_norm1.bias"], 1e-5)
    q, k, v = (
        g.linear(y, w[f"{at}.self_attn.{p}_proj"], w[f"{at}.self_attn.{p}_proj.bias"])
        for p in "qkv"
    )
    y = g.attention(q, k, v, heads=12, size=64, mask=None)
    y = g.linear(y, w[f"{at}.self_attn.out_proj"], w[f"{at}.self_attn.out_proj.bias"])
    x = g.add("Add", x, y)
    y = g.layer_norm(x, w[f"{at}.layer_norm2.weight"], w[f"{at}.layer_norm2.bias"], 1e-5)
    y = g.linear(y, w[f"{at}.mlp.fc1"], w[f"{at}.mlp.fc1.bias"])
    gate = g.add("Sigmoid", g.add("Mul", y, g.constant(np.array(1.702, np.float32))))
    y = g.linear(g.add("Mul", y, gate), w[f"{at}.mlp.fc2"], w[f"{at}.mlp.fc2.bias"])
    return g.add("Add", x, y)


def borrow(model: onnx.ModelProto, name: str, data: bytes) -> None:
    """Let `model` take the large arrays that it shares with the file `name` from there.

    `data` is what is in that file, an ONNX graph; a place in it is ONNX's own external data.
    """
    for tensor in model.graph.initializer:
        raw = tensor.raw_data
        if len(raw) < WORTH or (at := data.find(raw)) < 0:
            continue
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", name), ("offset", at), ("length", len(raw))):
            tensor.external_data.add(key=key, value=str(value))


def text_tower(w: dict[str, Array]) -> onnx.ModelProto:
    """all-MiniLM-L6-v2 with its mean pooling: ids, mask int64 (N, T) -> float32 (N, 384)."""
    g = Graph()
    norm = "embeddings.LayerNorm"
    words = Quantised.of(w["embeddings.word_embeddings.weight"].T)  # one scale a word
    rows = g.add("Gather", g.constant(words.values.T), "ids", axis=0)
    scale = g.add("Gather", g.constant(words.scale[:, None]), "ids", axis=0)
    x = g.add("Mul", g.add("Cast", rows, to=TensorProto.FLOAT), scale)
    length = g.add("Shape", "ids", start=1, end=2)
    places = (
        w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    )
    x = g.add("Add", x, g.add("Slice", g.constant(places), g.ints(0), length, g.ints(0)))
    x = g.layer_norm(x, w[f"{norm}.weight"], w[f"{norm}.bias"], 1e-12)
    seen = g.add("Cast", "mask", to=TensorProto.FLOAT)  # (N, T)
    hidden = g.add("Sub", seen, g.constant(np.array(1, np.float32)))
    hidden = g.add("Mul", hidden, g.constant(np.array(1e9, np.float32)))  # 0 or -1e9
    hidden = g.add("Unsqueeze", hidden, g.ints(1, 2))  # (N, 1, 1, T)
    for i in range(6):
        x = _bert_block(g, x, w, f"encoder.layer.{i}", hidden)
    kept = g.add("Mul", x, g.add("Unsqueeze", seen, g.ints(2)))
    total = g.add("ReduceSum", kept, g.ints(1), keepdims=0)
    x = g.add("Div", total, g.add("ReduceSum", seen, g.ints(1), keepdims=1))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "t"])
        for name in ("ids", "mask")
    ]
    return g.model(inputs, x, ["n", 384])


def _bert_block(g: Graph, x: str, w: dict[str, Array], at: str, mask: str) -> str:
    def linear(x: str, name: str) -> str:
        return g.linear(x, Quantised.of(w[f"{at}.{name}.weight"].T), w[f"{at}.{name}.bias"])

    def norm(x: str, name: str) -> str:
        return g.layer_norm(x, w[f"{at}.{name}.weight"], w[f"{at}.{name}.bias"], 1e-12)

    q, k, v = (linear(x, f"attention.self.{part}") for part in ("query", "key", "value"))
    y = linear(g.attention(q, k, v, heads=12, size=32, mask=mask), "attention.output.dense")
    x = norm(g.add("Add", x, y), "attention.output.LayerNorm")
    y = linear(g.add("Gelu", linear(x, "intermediate.dense")), "output.dense")
    return norm(g.add("Add", x, y), "output.LayerNorm")
