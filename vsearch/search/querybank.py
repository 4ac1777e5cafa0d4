"""What fits every query is pushed back, so that it does not crowd out what fits this one.

Querybank normalisation (QB-Norm, Bogolin et al. 2022, "Cross Modal Retrieval with Querybank
Normalisation"): some vectors, "hubs", are near to whatever is asked. How near, a bank of generic
queries tells, and half of that is taken off the score.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Self

    from vsearch.protocols import Encoder
    from vsearch.types import Matrix, Vector

SHARPNESS = 50.0  # of the mean: the nearest of the bank's queries count
STRENGTH = 0.5  # chosen, like the sharpness, on validation pairs
ROWS = 1_000  # vectors looked at together: bounds the memory


class Querybank:
    """Generic queries in the space of an encoder; an empty bank takes nothing off."""

    def __init__(self, vectors: Matrix) -> None:
        """`vectors` float32 (B, D) of unit length."""
        self._vectors = vectors

    @classmethod
    def of(cls, encoder: Encoder) -> Self:
        """The one that an encoder brings along as `querybank`, float32 (B, D), or an empty one."""
        vectors: Matrix | None = getattr(encoder, "querybank", None)
        return cls.empty(encoder.space.dim) if vectors is None else cls(vectors)

    @classmethod
    def empty(cls, dim: int) -> Self:
        """One that takes nothing off."""
        return cls(np.empty((0, dim), np.float32))

    def __len__(self) -> int:
        return len(self._vectors)

    def excess(self, vectors: Matrix) -> Vector:
        """What to take off the scores of these segments: (N, D) -> float32 (N,)."""
        taken = np.zeros(len(vectors), np.float32)
        if not len(self._vectors):
            return taken
        for start in range(0, len(vectors), ROWS):
            near = vectors[start : start + ROWS] @ self._vectors.T  # (n, B)
            most = near.max(axis=1)
            near -= most[:, None]
            near *= np.float32(SHARPNESS)
            mean = np.exp(near, out=near).mean(axis=1)
            taken[start : start + ROWS] = most + np.log(mean) / np.float32(SHARPNESS)
        return STRENGTH * taken
