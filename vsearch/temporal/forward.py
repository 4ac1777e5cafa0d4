"""What `transformer.py` computes, in numpy: for where torch is not installed, or slow to start.

One sequence at a time, so there is no padding; no dropout, so there is no chance.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.temporal.weights import EPSILON, PER_SECOND, ROUNDS

if TYPE_CHECKING:
    from vsearch.temporal.weights import Weights
    from vsearch.types import Matrix, Times, Vector

Array: TypeAlias = npt.NDArray[np.float32]
FRAME = 0  # the modality of a token


class Forward:
    """A trained network of any kind."""

    def __init__(self, weights: Weights) -> None:
        self.config = weights.config
        self._arrays = weights.arrays

    def states(self, frames: Matrix, times: Times) -> Array:
        """Float32 (T, D) and float64 (T,) seconds -> (1 + T, H): [CLS], then the frames."""
        config, layer = self.config, "transformer."
        unit = frames * np.float32(math.sqrt(config.features))
        x = self._linear(unit, f"{layer}embed") + self._positions(times)
        x = x + self._arrays[f"{layer}modality.weight"][FRAME]
        x = np.concatenate([self._arrays[f"{layer}cls"][None], x])
        for number in range(config.layers):
            block = f"{layer}blocks.{number}."
            x = x + self._attention(self._norm(x, f"{block}norm1"), f"{block}attention.")
            hidden = _gelu(self._linear(self._norm(x, f"{block}norm2"), f"{block}widen"))
            x = x + self._linear(hidden, f"{block}narrow")
        return self._norm(x, f"{layer}norm")

    def logits(self, frames: Matrix, times: Times) -> Vector:
        """What a classifier says of a clip, float32 (num_classes,)."""
        return self._linear(self.states(frames, times)[0], "head")

    def pooled(self, frames: Matrix, times: Times) -> tuple[Vector, Vector]:
        """A clip as a vector (D,) of any length, and how much each frame counts (T,), sum 1."""
        states = self.states(frames, times)
        query = self._linear(states[0], "query")  # (H,)
        worth = self._linear(states[1:], "key") @ query / math.sqrt(self.config.hidden)
        mean, gate = frames.mean(axis=0), self._arrays["gate"]
        even = np.full(len(frames), 1 / len(frames), np.float32)
        weights, heeded = even, mean
        for _ in range(ROUNDS):
            agreement = frames @ heeded / max(float(np.linalg.norm(heeded)), 1e-12)
            weights = _softmax(worth + self._arrays["agree"] * agreement)  # (T,)
            heeded = weights @ frames
        correction = heeded - mean + self._linear(states[0], "project")
        return mean + gate * correction, even + np.clip(gate, 0, 1) * (weights - even)

    def _positions(self, times: Times) -> Array:
        """Sinusoids (T, H) of the seconds since the first frame, or of its number."""
        by_index = self.config.positions == "index"
        steps = np.arange(len(times)) if by_index else (times - times[0]) * PER_SECOND
        half = self.config.hidden // 2
        rates = np.exp(np.arange(half, dtype=np.float32) * np.float32(-math.log(10_000.0) / half))
        angles = steps.astype(np.float32)[:, None] * rates
        return np.concatenate([np.sin(angles), np.cos(angles)], axis=1)

    def _attention(self, x: Array, name: str) -> Array:
        heads = self.config.heads
        q, k, v = self._linear(x, f"{name}qkv").reshape(len(x), 3, heads, -1).transpose(1, 2, 0, 3)
        scores = _softmax(q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(q.shape[-1])))
        mixed = (scores @ v).transpose(1, 0, 2).reshape(len(x), -1)
        return self._linear(mixed, f"{name}out")

    def _linear(self, x: Array, name: str) -> Array:
        found: Array = x @ self._arrays[f"{name}.weight"].T + self._arrays[f"{name}.bias"]
        return found

    def _norm(self, x: Array, name: str) -> Array:
        middle = x - x.mean(axis=-1, keepdims=True)
        unit = middle / np.sqrt((middle * middle).mean(axis=-1, keepdims=True) + EPSILON)
        found: Array = unit * self._arrays[f"{name}.weight"] + self._arrays[f"{name}.bias"]
        return found


def _softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    found: Array = raised / raised.sum(axis=-1, keepdims=True)
    return found


def _gelu(x: Array) -> Array:
    """By tanh, as torch's `approximate="tanh"`."""
    inner = math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)
    found: Array = 0.5 * x * (1 + np.tanh(inner))
    return found.astype(np.float32, copy=False)
