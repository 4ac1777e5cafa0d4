"""Weight files of the trained Transformers: configuration, arrays and metadata, without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.errors import DamagedLibraryError
from vsearch.storage.array_files import load_arrays, save_arrays
from vsearch.storage.atomic_files import damage_as_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PositionEncoding: TypeAlias = Literal["seconds", "index"]
WeightArrays: TypeAlias = dict[str, npt.NDArray[np.float32]]  # by torch parameter name
MAX_WEIGHTS_BYTES = 1 << 30
POSITIONS_PER_SECOND = 4.0
LAYER_NORM_EPSILON = 1e-5
ATTENTION_ROUNDS = 2  # mean shift iterations of a pooler


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Shape of the network.

    Raises:
        ValueError: If a value is out of range.
    """

    features: int = 2048  # D, dimension of the frame vectors
    hidden: int = 768  # H
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    dropout: float = 0.1
    positions: PositionEncoding = "seconds"
    num_classes: int = 0  # classes of a classifier; visual words of a pretrained network

    def __post_init__(self) -> None:
        layer_sizes = (self.features, self.hidden, self.layers, self.heads, self.mlp)
        if any(
            type(layer_size) is not int or not 1 <= layer_size <= 1 << 16
            for layer_size in layer_sizes
        ):
            raise ValueError(f"sizes must be integers from 1 to 65,536: {layer_sizes}")
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden {self.hidden} is not a multiple of 2 × {self.heads} heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout}")
        if self.positions not in ("seconds", "index"):
            raise ValueError(f"positions must be seconds or index, not {self.positions!r}")
        if type(self.num_classes) is not int or not 0 <= self.num_classes <= 1 << 16:
            raise ValueError(f"num_classes must be an integer, not {self.num_classes!r}")


CONFIG_PRESETS = {
    "videobert": TransformerConfig(),  # 87 million parameters, for 2,048-dimensional CNN features
    "small": TransformerConfig(features=512, hidden=256, layers=4, heads=4, mlp=1024),
}


@dataclass(frozen=True, slots=True, eq=False)
class NetworkWeights:
    """Arrays and metadata of a network."""

    network_kind: str  # "pooler", "classifier" or "pretrained": which heads it has
    network_config: TransformerConfig
    weight_arrays: WeightArrays
    metadata: Mapping[str, Any]  # JSON values: space, training data, figures

    @property
    def digest(self) -> str:
        """SHA-256 of the kind, the shape and the arrays as stored in a file, in hexadecimal."""
        hash_state = hashlib.sha256(
            json.dumps([self.network_kind, asdict(self.network_config)]).encode()
        )
        for array_name in sorted(self.weight_arrays):
            hash_state.update(array_name.encode())
            hash_state.update(np.ascontiguousarray(self.weight_arrays[array_name], "<f2").tobytes())
        return hash_state.hexdigest()

    def save(self, weights_path: Path) -> None:
        """Write one .npz file atomically, with arrays as float16.

        Args:
            weights_path: File to write.
        """
        named_arrays = {
            f"w.{array_name}": array.astype(np.float16)
            for array_name, array in self.weight_arrays.items()
        }
        header = {
            "kind": self.network_kind,
            "config": asdict(self.network_config),
            "about": dict(self.metadata),
        }
        save_arrays(weights_path, {**named_arrays, "json": json.dumps(header)})

    @classmethod
    def load(cls, weights_path: Path, network_kind: str, remedy_hint: str) -> Self:
        """Load a file that `save` wrote; nothing in it is executed.

        Args:
            weights_path: The file.
            network_kind: Expected kind: "pooler", "classifier" or "pretrained".
            remedy_hint: End of the error messages.

        Returns:
            The weights.

        Raises:
            DamagedLibraryError: If the file cannot be read or has another kind.
        """
        with damage_as_error(weights_path, remedy_hint):
            if weights_path.stat().st_size > MAX_WEIGHTS_BYTES:
                raise ValueError(f"larger than {MAX_WEIGHTS_BYTES} bytes")
            stored_arrays = load_arrays(weights_path)
            header = json.loads(str(stored_arrays.pop("json")))
            if header["kind"] != network_kind:
                raise DamagedLibraryError(
                    f"{weights_path} holds {header['kind']} weights, not {network_kind} ones; "
                    f"{remedy_hint}"
                )
            network_config = TransformerConfig(**header["config"])
            weight_arrays = {
                stored_name.removeprefix("w."): _to_float32(stored_array)
                for stored_name, stored_array in stored_arrays.items()
            }
            if (expected_shapes := compute_array_shapes(network_config, network_kind)) != {
                array_name: array.shape for array_name, array in weight_arrays.items()
            }:
                raise ValueError(
                    f"the arrays do not match {network_config}: {sorted(expected_shapes)[:3]}…"
                )
            return cls(network_kind, network_config, weight_arrays, dict(header["about"]))

    @property
    def rounded_weights(self) -> Self:
        """The same weights rounded to float16 precision, as in a file."""
        rounded_arrays = {
            array_name: _to_float32(array.astype(np.float16))
            for array_name, array in self.weight_arrays.items()
        }
        return type(self)(self.network_kind, self.network_config, rounded_arrays, self.metadata)


def compute_array_shapes(
    network_config: TransformerConfig, network_kind: str
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all arrays of a network.

    Args:
        network_config: Shape of the network.
        network_kind: "pooler", "classifier" or "pretrained".

    Returns:
        Shapes by the names of the torch parameters.
    """
    feature_width, hidden_width, mlp_width = (
        network_config.features,
        network_config.hidden,
        network_config.mlp,
    )
    block_shapes = {
        "norm1": (hidden_width,),
        "attention.qkv": (3 * hidden_width, hidden_width),
        "attention.out": (hidden_width, hidden_width),
        "norm2": (hidden_width,),
        "widen": (mlp_width, hidden_width),
        "narrow": (hidden_width, mlp_width),
    }
    layer_shapes = {
        f"blocks.{i}.{module_name}": block_shape
        for i in range(network_config.layers)
        for module_name, block_shape in block_shapes.items()
    }
    module_shapes: dict[str, tuple[int, ...]] = {
        "embed": (hidden_width, feature_width),
        "norm": (hidden_width,),
    } | layer_shapes
    module_shapes = {
        f"transformer.{module_name}": module_shape
        for module_name, module_shape in module_shapes.items()
    }
    if network_kind == "pooler":
        module_shapes |= {
            "query": (hidden_width, hidden_width),
            "key": (hidden_width, hidden_width),
            "project": (feature_width, hidden_width),
        }
    elif network_kind == "classifier":
        module_shapes |= {"head": (network_config.num_classes, hidden_width)}
    elif network_kind == "pretrained":
        module_shapes |= {"predict": (feature_width, hidden_width), "match": (1, hidden_width)}
    array_shapes: dict[str, tuple[int, ...]] = {"transformer.cls": (hidden_width,)}
    array_shapes |= {"transformer.modality.weight": (2, hidden_width)}
    array_shapes |= {"gate": (), "agree": ()} if network_kind == "pooler" else {}
    if network_kind == "pretrained":
        array_shapes |= {"mask": (feature_width,), "sharpness": ()}
        word_count = network_config.num_classes
        array_shapes |= (
            {"vocabulary": (word_count, feature_width), "bias": (word_count,)} if word_count else {}
        )
    for module_name, module_shape in module_shapes.items():
        array_shapes |= {
            f"{module_name}.weight": module_shape,
            f"{module_name}.bias": module_shape[:1],
        }
    return array_shapes


def _to_float32(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{array.dtype} instead of finite floats")
    return array.astype(np.float32)
