"""Vectors of videos that wander about, and where an index is built from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.vectors.source import Source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.types import Ids, Matrix

DIM = 24
FIRST = 1_790_000_000_000_000  # ids may be microseconds since the epoch


def wandering(count: int, seed: int = 0) -> Matrix:
    """Float32 (count, DIM) of unit length, near-duplicates of their neighbours."""
    random = np.random.default_rng(seed)
    starts = np.repeat(random.normal(size=(-(-count // 20), DIM)), 20, axis=0)[:count]
    rows = starts + np.cumsum(random.normal(size=(count, DIM)) * 0.05, axis=0)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def source(vectors: Matrix, ids: Ids) -> Source:
    """What an index is built from; it may be read again and again."""

    def batches() -> Iterator[tuple[Ids, Matrix]]:
        for start in range(0, len(ids), 1_000):
            yield ids[start : start + 1_000], vectors[start : start + 1_000]

    return Source(
        len(ids),
        lambda most: vectors[:: max(1, -(-len(ids) // most))],
        batches,
        lambda: np.empty((0, vectors.shape[1]), np.float32),
    )


def go_on() -> None:
    """Nobody stops it."""
