"""Vectors like those of videos: each video wanders about, so its segments are near-duplicates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vsearch.types import Ids, Matrix, Vector

DIM = 512
LENGTH = 200  # segments of a video
SHOT = 10  # segments after which the picture changes
TOPICS = 500
BATCH = 50  # videos


class Walks:
    """`count` vectors of unit length, float16 (N, D), in a file: the stored ones of a library."""

    def __init__(self, path: Path, count: int, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._scale = np.arange(1, DIM + 1, dtype=np.float32) ** -0.4  # few directions matter most
        self._topics = self._noise(TOPICS)
        self.stored = np.memmap(path, np.float16, "w+", shape=(count, DIM))
        for start in range(0, count, BATCH * LENGTH):
            rows = self._videos()[: count - start]
            self.stored[start : start + len(rows)] = rows
        self.ids = np.arange(count, dtype=np.int64)

    def _noise(self, *shape: int) -> Matrix:
        """Directions of length 1 on the average."""
        drawn = self._random.standard_normal((*shape, DIM), np.float32) * self._scale
        return np.asarray(drawn / np.sqrt((self._scale**2).sum()), np.float32)

    def _videos(self) -> Matrix:
        """BATCH videos, one after the other, float32 (BATCH * LENGTH, D)."""
        topic = self._topics[self._random.integers(TOPICS, size=BATCH)][:, None]
        shots = topic + self._noise(BATCH, 1) + self._noise(BATCH, LENGTH // SHOT)
        drift = np.cumsum(0.15 * self._noise(BATCH, LENGTH), axis=1)
        rows = np.repeat(shots, SHOT, axis=1) + drift
        rows /= np.linalg.norm(rows, axis=2, keepdims=True)
        return rows.reshape(-1, DIM)

    def rows(self, ids: Ids) -> tuple[Ids, Matrix]:
        """The vectors of these ids, float32, as a catalogue gives them."""
        vectors = self.stored[ids].astype(np.float32)
        return ids, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    def batches(self, size: int = 10_000) -> Iterator[tuple[Ids, Matrix]]:
        """All of them."""
        for start in range(0, len(self.ids), size):
            yield self.rows(self.ids[start : start + size])

    def sample(self, most: int) -> Matrix:
        """At most so many, drawn evenly."""
        return self.rows(self.ids[:: max(1, -(-len(self.ids) // most))])[1]

    def questions(self, count: int, cosine: float) -> Matrix:
        """Vectors that are so near to some of them, float32 (count, D)."""
        vectors = self.rows(self._random.choice(self.ids, count, replace=False))[1]
        noise = self._noise(count)
        noise -= (noise * vectors).sum(axis=1, keepdims=True) * vectors
        noise /= np.linalg.norm(noise, axis=1, keepdims=True)
        return np.asarray(cosine * vectors + np.sqrt(1 - cosine**2) * noise, np.float32)


def all_at_once(walks: Walks) -> Matrix:
    """Float32 (N, D)."""
    found = np.empty((len(walks.ids), DIM), np.float32)
    for ids, vectors in walks.batches():
        found[ids] = vectors
    return found


def unit(vector: Vector) -> Vector:
    """The same direction."""
    return vector / np.float32(np.linalg.norm(vector))
