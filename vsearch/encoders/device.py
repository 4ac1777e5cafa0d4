"""Where a torch model runs and how precisely."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.encoders.preprocess import Preprocess
    from vsearch.types import Images, Matrix

KINDS = ("auto", "cpu", "cuda", "mps")
BATCH = {"cpu": 8, "cuda": 64, "mps": 32}  # images at once: more is no faster and takes memory


@dataclass(frozen=True, slots=True)
class Device:
    """A device of torch and the precision of its matrix products."""

    kind: str  # "cpu", "cuda" or "mps"
    precision: torch.dtype

    @classmethod
    def choose(cls, wanted: str = "auto") -> Device:
        """The device of that name; "auto" is the fastest one there is."""
        usable = [kind for kind in ("cuda", "mps", "cpu") if _is_there(kind)]
        if wanted not in KINDS:
            raise SettingsError(f"there is no device {wanted!r}; known: {', '.join(KINDS)}")
        kind = usable[0] if wanted == "auto" else wanted
        if kind not in usable:
            raise SettingsError(f"torch finds no {kind} device here; use one of: auto, {usable}")
        return cls(kind, _precision(kind))

    def place(self, network: nn.Module) -> None:
        """Move a network here for `encode`.

        On a CPU its matrices are brought to 16 bits once. Left to autocast they would be at each
        batch, and without `requires_grad` by a path that is 2 to 11 times slower than float32.
        """
        network.to(self.kind)
        if self.precision == torch.bfloat16:
            for module in network.modules():
                if isinstance(module, (nn.Linear, nn.Conv2d, nn.MultiheadAttention)):
                    module.to(self.precision)

    def encode(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        preprocess: Preprocess,
        images: Images,
        dim: int,
    ) -> Matrix:
        """uint8 (N, H, W, 3) -> float32 (N, D) of unit length, a few images at a time."""
        found = [np.empty((0, dim), np.float32)]
        for start in range(0, len(images), BATCH[self.kind]):
            pixels = preprocess.crop(images[start : start + BATCH[self.kind]]).to(self.kind)
            found.append(self.run(network, preprocess.normalise(pixels)))
        return np.concatenate(found)

    def run(
        self,
        network: Callable[[torch.Tensor], torch.Tensor],
        batch: torch.Tensor,
        *,
        exact: bool = False,
    ) -> Matrix:
        """The rows (N, D) of `network(batch)` as float32 of unit length; `exact`: in float32."""
        half = self.precision != torch.float32 and not exact
        mixed = torch.autocast(self.kind, self.precision) if half else nullcontext()
        with torch.no_grad(), mixed:
            rows = network(batch).float()
        if half and self.kind == "cuda" and not bool(rows.isfinite().all()):  # over 65504
            return self.run(network, batch, exact=True)
        unit: Matrix = torch.nn.functional.normalize(rows, dim=-1).cpu().numpy()
        return unit


def _is_there(kind: str) -> bool:
    if kind == "cuda":
        return torch.cuda.is_available()
    return kind == "cpu" or torch.backends.mps.is_available()


def _precision(kind: str) -> torch.dtype:
    """16 bits where the hardware multiplies them faster, else 32.

    float16 on CUDA, because it is 8 times finer than bfloat16 and `run` catches what overflows.
    """
    if kind == "cuda":
        return torch.float16
    return torch.bfloat16 if kind == "cpu" and _cpu_has_bfloat16() else torch.float32


def _cpu_has_bfloat16() -> bool:
    """Whether this CPU has AVX512_BF16 or AMX; emulated bfloat16 is slower than float32."""
    tests = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # no public ones in torch 2.4
    return any(getattr(torch.cpu, test)() for test in tests if hasattr(torch.cpu, test))
