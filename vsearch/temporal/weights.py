"""A trained Transformer on disk: its shape, its arrays, and what it was trained on. No torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.arrays import load_arrays, save_arrays
from vsearch.errors import DamagedLibraryError
from vsearch.files import usable

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Positions: TypeAlias = Literal["seconds", "index"]
Arrays: TypeAlias = dict[str, npt.NDArray[np.float32]]  # by the names that torch gives parameters

LIMIT = 1 << 30  # bytes of a file
PER_SECOND = 4.0  # positions that a second is apart from the next: 0.25 s is a step
EPSILON = 1e-5  # of layer norms
ROUNDS = 2  # of weighing the frames of a clip, from their mean on


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """The shape of the network."""

    features: int = 2048  # D, numbers of a frame
    hidden: int = 768  # H
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    dropout: float = 0.1
    positions: Positions = "seconds"
    num_classes: int = 0  # of `Classifier`; visual words of `MaskedFrames`

    def __post_init__(self) -> None:
        sizes = (self.features, self.hidden, self.layers, self.heads, self.mlp)
        if any(type(size) is not int or not 1 <= size <= 1 << 16 for size in sizes):
            raise ValueError(f"sizes must be whole numbers from 1 to 65,536: {sizes}")
        if self.hidden % (2 * self.heads):
            raise ValueError(f"hidden {self.hidden} is no multiple of two times {self.heads} heads")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout}")
        if self.positions not in ("seconds", "index"):
            raise ValueError(f"positions must be seconds or index, not {self.positions!r}")
        if type(self.num_classes) is not int or not 0 <= self.num_classes <= 1 << 16:
            raise ValueError(f"num_classes must be a whole number, not {self.num_classes!r}")


PRESETS = {
    "videobert": TransformerConfig(),  # 87 million parameters, for the 2,048 numbers of a CNN
    "small": TransformerConfig(features=512, hidden=256, layers=4, heads=4, mlp=1024),
}


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A network of a kind, and what is told of it."""

    kind: str  # "pooler", "classifier" or "pretrained": which heads it has
    config: TransformerConfig
    arrays: Arrays
    about: Mapping[str, Any]  # JSON: space, what it was trained on, how well it did

    @property
    def digest(self) -> str:
        """SHA-256 of the arrays, as a file holds them, and the shape; in hexadecimal."""
        found = hashlib.sha256(json.dumps([self.kind, asdict(self.config)]).encode())
        for name in sorted(self.arrays):
            found.update(name.encode())
            found.update(np.ascontiguousarray(self.arrays[name], "<f2").tobytes())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write one .npz, whole or not at all; numbers as float16, as `half` rounds them."""
        named = {f"w.{name}": array.astype(np.float16) for name, array in self.arrays.items()}
        about = {"kind": self.kind, "config": asdict(self.config), "about": dict(self.about)}
        save_arrays(path, {**named, "json": json.dumps(about)})

    @classmethod
    def load(cls, path: Path, kind: str, remedy: str) -> Self:
        """What `save` wrote. Raises DamagedLibraryError, which ends with the remedy.

        Nothing in the file is run, and no more memory is filled than it is long.
        """
        with usable(path, remedy):
            if path.stat().st_size > LIMIT:
                raise ValueError(f"longer than {LIMIT} bytes")
            stored = load_arrays(path)
            told = json.loads(str(stored.pop("json")))
            if told["kind"] != kind:
                raise DamagedLibraryError(f"{path} is a {told['kind']} one, no {kind}; {remedy}")
            config = TransformerConfig(**told["config"])
            arrays = {name.removeprefix("w."): _floats(each) for name, each in stored.items()}
            if (wanted := shapes(config, kind)) != {n: a.shape for n, a in arrays.items()}:
                raise ValueError(f"arrays are not those of {config}: {sorted(wanted)[:3]}…")
            return cls(kind, config, arrays, dict(told["about"]))

    @property
    def half(self) -> Self:
        """The same with numbers rounded as in a file, so that both compute the same."""
        arrays = {name: _floats(each.astype(np.float16)) for name, each in self.arrays.items()}
        return type(self)(self.kind, self.config, arrays, self.about)


def shapes(config: TransformerConfig, kind: str) -> dict[str, tuple[int, ...]]:
    """The arrays of a network of that kind: the Transformer and its head."""
    d, h, m = config.features, config.hidden, config.mlp
    inner = {
        "norm1": (h,), "attention.qkv": (3 * h, h), "attention.out": (h, h),
        "norm2": (h,), "widen": (m, h), "narrow": (h, m),
    }  # fmt: skip
    layers = {f"blocks.{i}.{name}": s for i in range(config.layers) for name, s in inner.items()}
    modules: dict[str, tuple[int, ...]] = {"embed": (h, d), "norm": (h,)} | layers
    modules = {f"transformer.{name}": shape for name, shape in modules.items()}
    if kind == "pooler":
        modules |= {"query": (h, h), "key": (h, h), "project": (d, h)}
    elif kind == "classifier":
        modules |= {"head": (config.num_classes, h)}
    elif kind == "pretrained":
        modules |= {"predict": (d, h), "match": (1, h)}
    found: dict[str, tuple[int, ...]] = {"transformer.cls": (h,)}
    found |= {"transformer.modality.weight": (2, h)}
    found |= {"gate": (), "agree": ()} if kind == "pooler" else {}
    if kind == "pretrained":
        found |= {"mask": (d,), "sharpness": ()}
        words = config.num_classes
        found |= {"vocabulary": (words, d), "bias": (words,)} if words else {}
    for name, shape in modules.items():
        found |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return found


def _floats(array: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        raise ValueError(f"{array.dtype} in place of finite numbers")
    return array.astype(np.float32)
