"""A trained attention pooler that ignores distractor frames, without torch."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from vsearch.errors import SpaceMismatchError, WeightsError
from vsearch.pooling.mean import MeanPooler
from vsearch.pooling.numpy_transformer import NumpyTransformer
from vsearch.pooling.weights import NetworkWeights

if TYPE_CHECKING:
    from vsearch.types import Matrix, Space, Times, Vector

SHIPPED_PATH = Path(__file__).parent / "bundled" / "pooler.npz"
SHIPPED_DIGEST = "91c47b4ab3530f4f1a087e37048ad530e651c52f12cbc8ceb0380e6f6af6e93e"
MAX_FRAMES = 512  # per chunk, because attention is quadratic
REMEDY_HINT = (
    "train a new one (`vsearch train pooler`) or remove it (`vsearch train pooler --remove`)"
)


class TransformerPooler:
    """An `AttentionPooler`: normalize(mean(x) + g · head(transformer(x))).

    It computes the same as `TransformerPooling`. Without an argument it is the bundled pooler of
    the built-in model's space.
    """

    def __init__(self, argument: str = "") -> None:
        """Load a pooler.

        Args:
            argument: File from `vsearch train pooler`; the bundled pooler if empty.

        Raises:
            DamagedLibraryError: If the file is not a pooler.
            WeightsError: If the bundled pooler is damaged.
        """
        weights_path = Path(argument).expanduser() if argument else SHIPPED_PATH
        network_weights = NetworkWeights.load(
            weights_path, "pooler", REMEDY_HINT if argument else "reinstall vsearch"
        )
        if not argument and network_weights.digest != SHIPPED_DIGEST:
            raise WeightsError(f"{weights_path} is not the bundled pooler; reinstall vsearch")
        self._use_weights(network_weights)

    @classmethod
    def from_weights(cls, network_weights: NetworkWeights) -> Self:
        """Build a pooler from weights in memory.

        Args:
            network_weights: Weights of a pooler.
        """
        pooler = cls.__new__(cls)
        pooler._use_weights(network_weights)
        return pooler

    def _use_weights(self, network_weights: NetworkWeights) -> None:
        self.network_weights, self.vector_dim = (
            network_weights,
            network_weights.network_config.features,
        )
        self.name = f"transformer-{network_weights.digest[:8]}"
        self.space_name = str(network_weights.metadata.get("space", ""))
        self._transformer, self._mean_pooler = NumpyTransformer(network_weights), MeanPooler()

    def is_compatible(self, vector_space: Space) -> bool:
        """Return whether the pooler was trained in a space."""
        return (self.space_name, self.vector_dim) == (vector_space.name, vector_space.dim)

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        """Pool the frames of a segment.

        Args:
            frame_vectors: Float32 (T, D) with T >= 1.
            frame_times: Float64 (T,) seconds.

        Returns:
            Vector, float32 (D,) of unit length.

        Raises:
            SpaceMismatchError: If D is not the dimension of the pooler.
        """
        self._check_dimension(frame_vectors)
        if len(frame_vectors) < 2:
            return self._mean_pooler.pool(frame_vectors, frame_times)
        chunk_vectors = [
            self._pool_chunk(frame_vectors[chunk], frame_times[chunk])[0]
            for chunk in _split_frames(len(frame_vectors))
        ]
        pooled_vector: Vector = np.stack(chunk_vectors).mean(axis=0, dtype=np.float32)
        vector_norm = float(np.linalg.norm(pooled_vector))
        return (
            pooled_vector / np.float32(vector_norm)
            if vector_norm > 1e-6
            else self._mean_pooler.pool(frame_vectors, frame_times)
        )

    def frame_weights(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        """Compute the weight of each frame.

        Args:
            frame_vectors: Float32 (T, D).
            frame_times: Float64 (T,) seconds.

        Returns:
            Weights, float32 (T,), with sum 1.

        Raises:
            SpaceMismatchError: If D is not the dimension of the pooler.
        """
        self._check_dimension(frame_vectors)
        frame_count = len(frame_vectors)
        if frame_count < 2:
            return np.ones(frame_count, np.float32)
        chunk_weights = [
            self._pool_chunk(frame_vectors[chunk], frame_times[chunk])[1]
            * (chunk.stop - chunk.start)
            for chunk in _split_frames(frame_count)
        ]
        weights: Vector = (np.concatenate(chunk_weights) / frame_count).astype(np.float32)
        return weights

    def _pool_chunk(self, frame_vectors: Matrix, frame_times: Times) -> tuple[Vector, Vector]:
        return self._transformer.pool_clip(frame_vectors, frame_times)

    def _check_dimension(self, frame_vectors: Matrix) -> None:
        if frame_vectors.shape[1] != self.vector_dim:
            raise SpaceMismatchError(
                f"the pooler {self.name} expects {self.vector_dim}-dimensional features "
                f"({self.space_name}), not {frame_vectors.shape[1]}-dimensional ones: use the "
                "pooler `mean`, or train one with `vsearch train pooler`"
            )


def _split_frames(frame_count: int) -> list[slice]:
    """Split frames into the fewest equal chunks of at most MAX_FRAMES."""
    chunk_count = -(-frame_count // MAX_FRAMES)
    chunk_edges = np.linspace(0, frame_count, chunk_count + 1).round().astype(int).tolist()
    return [slice(chunk_start, chunk_end) for chunk_start, chunk_end in pairwise(chunk_edges)]
