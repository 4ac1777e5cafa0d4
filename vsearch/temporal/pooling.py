"""The frames of one segment to one vector, without training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vsearch.types import Matrix, Times, Vector


class MeanPooler:
    """The mean of the frames, scaled to unit length: the reference every pooler must beat."""

    name = "mean"

    def pool(self, frames: Matrix, times: Times) -> Vector:  # noqa: ARG002 - the protocol's
        """float32 (T, D) and float64 (T,) seconds, T >= 1 -> float32 (D,) of unit length."""
        if not len(frames):
            raise ValueError("a segment without frames has no vector")
        mean: Vector = frames.mean(axis=0, dtype=np.float32)
        length = float(np.linalg.norm(mean))
        # opposite frames cancel out: then the first one speaks for the segment
        return mean / np.float32(length) if length > 1e-6 else frames[0]
