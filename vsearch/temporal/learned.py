"""A trained pooler: the frames of a segment to one vector, junk passed over. Without torch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from vsearch.errors import SpaceMismatchError, WeightsError
from vsearch.temporal.forward import Forward
from vsearch.temporal.pooling import MeanPooler
from vsearch.temporal.weights import Weights

if TYPE_CHECKING:
    from vsearch.types import Matrix, Space, Times, Vector

SHIPPED = Path(__file__).parent / "shipped" / "pooler.npz"
DIGEST = "91c47b4ab3530f4f1a087e37048ad530e651c52f12cbc8ceb0380e6f6af6e93e"
MOST = 512  # frames read at once: attention costs their square
REMEDY = "train it anew (`vsearch train pooler`) or take it away (`vsearch train pooler --remove`)"


class TransformerPooler:
    """A `Pooler`: normalize(mean(x) + g · head(transformer(x))), see `transformer.py`.

    Made as `cls()` it is the one that ships for the embedded model's space.
    """

    def __init__(self, argument: str = "") -> None:
        """`argument` is a file that `vsearch train pooler` wrote.

        Raises DamagedLibraryError for another file, and WeightsError if the one that ships is not
        what it should be.
        """
        path = Path(argument).expanduser() if argument else SHIPPED
        weights = Weights.load(path, "pooler", REMEDY if argument else "reinstall vsearch")
        if not argument and weights.digest != DIGEST:
            raise WeightsError(f"{path} is not the pooler that ships; reinstall vsearch")
        self._take(weights)

    @classmethod
    def of(cls, weights: Weights) -> Self:
        """The pooler with these weights, which need not be on disk."""
        made = cls.__new__(cls)
        made._take(weights)
        return made

    def _take(self, weights: Weights) -> None:
        self.weights, self.dim = weights, weights.config.features
        self.name = f"transformer-{weights.digest[:8]}"
        self.space = str(weights.about.get("space", ""))
        self._forward, self._mean = Forward(weights), MeanPooler()

    def fits(self, space: Space) -> bool:
        """Whether it was trained for a space."""
        return (self.space, self.dim) == (space.name, space.dim)

    def pool(self, frames: Matrix, times: Times) -> Vector:
        """float32 (T, D) and float64 (T,) seconds, T >= 1 -> float32 (D,) of unit length.

        Raises SpaceMismatchError for frames of another number of dimensions.
        """
        self._check(frames)
        if len(frames) < 2:
            return self._mean.pool(frames, times)
        parts = [self._pooled(frames[part], times[part])[0] for part in _parts(len(frames))]
        vector: Vector = np.stack(parts).mean(axis=0, dtype=np.float32)
        length = float(np.linalg.norm(vector))
        return vector / np.float32(length) if length > 1e-6 else self._mean.pool(frames, times)

    def weigh(self, frames: Matrix, times: Times) -> Vector:
        """How much each frame counts, float32 (T,), sum 1."""
        self._check(frames)
        if len(frames) < 2:
            return np.ones(len(frames), np.float32)
        parts = _parts(len(frames))
        shares = [self._pooled(frames[p], times[p])[1] * (p.stop - p.start) for p in parts]
        found: Vector = (np.concatenate(shares) / len(frames)).astype(np.float32)
        return found

    def _pooled(self, frames: Matrix, times: Times) -> tuple[Vector, Vector]:
        return self._forward.pooled(frames, times)

    def _check(self, frames: Matrix) -> None:
        if frames.shape[1] != self.dim:
            raise SpaceMismatchError(
                f"the pooler {self.name} is for features of {self.dim} numbers ({self.space}), not "
                f"{frames.shape[1]}: use the pooler `mean`, or train one: `vsearch train pooler`"
            )


def _parts(length: int) -> list[slice]:
    """As few even parts of so many frames as are short enough."""
    count = -(-length // MOST)
    edges = np.linspace(0, length, count + 1).round().astype(int).tolist()
    return [slice(a, b) for a, b in pairwise(edges)]
