"""Mean pooling of the frame vectors of a segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vsearch.types import Matrix, Times, Vector


class MeanPooler:
    """The normalized mean of the frames, the baseline of all poolers."""

    name = "mean"

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:  # noqa: ARG002 - the protocol's
        """Pool the frames of a segment.

        Args:
            frame_vectors: Float32 (T, D) with T >= 1.
            frame_times: Float64 (T,) seconds.

        Returns:
            Vector, float32 (D,) of unit length.

        Raises:
            ValueError: If there are no frames.
        """
        if not len(frame_vectors):
            raise ValueError("cannot pool a segment without frames")
        mean_vector: Vector = frame_vectors.mean(axis=0, dtype=np.float32)
        vector_norm = float(np.linalg.norm(mean_vector))
        # opposite frames can cancel out: fall back to the first one
        return mean_vector / np.float32(vector_norm) if vector_norm > 1e-6 else frame_vectors[0]
