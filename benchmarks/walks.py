"""Synthetic video vectors: each video is a random walk, so its segments are near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Ids, Matrix, Vector

VECTOR_DIM = 512
SEGMENTS_PER_VIDEO = 200
SEGMENTS_PER_SHOT = 10
TOPIC_COUNT = 500
VIDEOS_PER_BATCH = 50


class WalkVectors:
    """`count` vectors of unit length in a file, float16 (N, D), as a library stores them."""

    def __init__(self, path: Path, count: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        # Most of the variance lies in few directions, as in embeddings of images.
        self._scale = np.arange(1, VECTOR_DIM + 1, dtype=np.float32) ** -0.4
        self._topics = self._random_directions(TOPIC_COUNT)
        self.stored_vectors = np.memmap(path, np.float16, "w+", shape=(count, VECTOR_DIM))
        for start in range(0, count, VIDEOS_PER_BATCH * SEGMENTS_PER_VIDEO):
            rows = self._draw_videos()[: count - start]
            self.stored_vectors[start : start + len(rows)] = rows
        self.ids = np.arange(count, dtype=np.int64)
        self._path = path

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"stored_vectors": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        shape = len(self.ids), VECTOR_DIM
        self.stored_vectors = np.memmap(self._path, np.float16, "r", shape=shape)

    def _random_directions(self, *shape: int) -> Matrix:
        """Return random vectors of about unit length."""
        drawn = self._random.standard_normal((*shape, VECTOR_DIM), np.float32) * self._scale
        return np.asarray(drawn / np.sqrt((self._scale**2).sum()), np.float32)

    def _draw_videos(self) -> Matrix:
        """Return a batch of videos, float32 (BATCH * LENGTH, D)."""
        topic = self._topics[self._random.integers(TOPIC_COUNT, size=VIDEOS_PER_BATCH)][:, None]
        shots = (
            topic
            + self._random_directions(VIDEOS_PER_BATCH, 1)
            + self._random_directions(VIDEOS_PER_BATCH, SEGMENTS_PER_VIDEO // SEGMENTS_PER_SHOT)
        )
        drift = np.cumsum(
            0.15 * self._random_directions(VIDEOS_PER_BATCH, SEGMENTS_PER_VIDEO), axis=1
        )
        rows = np.repeat(shots, SEGMENTS_PER_SHOT, axis=1) + drift
        rows /= np.linalg.norm(rows, axis=2, keepdims=True)
        return rows.reshape(-1, VECTOR_DIM)

    def fetch_vectors(self, ids: Ids) -> tuple[Ids, Matrix]:
        """Return the float32 vectors of ids, as a catalog does."""
        vectors = self.stored_vectors[ids].astype(np.float32)
        return ids, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def iter_batches(self, batch_size: int = 10_000) -> Iterator[tuple[Ids, Matrix]]:
        """Yield ids and vectors in batches."""
        for start in range(0, len(self.ids), batch_size):
            yield self.fetch_vectors(self.ids[start : start + batch_size])

    def draw_sample(self, max_rows: int) -> Matrix:
        """Return at most `max_rows` vectors, evenly sampled."""
        return self.fetch_vectors(self.ids[:: max(1, -(-len(self.ids) // max_rows))])[1]

    def draw_queries(self, query_count: int, cosine: float) -> Matrix:
        """Return vectors with a given cosine to random rows, float32 (query_count, D)."""
        vectors = self.fetch_vectors(self._random.choice(self.ids, query_count, replace=False))[1]
        noise = self._random_directions(query_count)
        noise -= (noise * vectors).sum(axis=1, keepdims=True) * vectors
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        return np.asarray(cosine * vectors + np.sqrt(1 - cosine**2) * noise, np.float32)


def load_all(walks: WalkVectors) -> Matrix:
    """Load all vectors as float32 (N, D)."""
    vectors = np.empty((len(walks.ids), VECTOR_DIM), np.float32)
    for ids, batch_vectors in walks.iter_batches():
        vectors[ids] = batch_vectors
    return vectors


def normalize_vector(vector: Vector) -> Vector:
    """Scale a vector to unit length."""
    return vector / np.float32(np.linalg.norm(vector))
