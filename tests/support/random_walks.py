"""Vectors of synthetic videos (random walks), and a `VectorSource` of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.protocols import VectorSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.types import Ids, Matrix

DIM = 24
FIRST = 1_790_000_000_000_000  # ids may be microseconds since the epoch


def wandering(count: int, seed: int = 0) -> Matrix:
    """Return float32 (count, DIM) of unit length; neighboring rows are similar."""
    random = np.random.default_rng(seed)
    starts = np.repeat(random.normal(size=(-(-count // 20), DIM)), 20, axis=0)[:count]
    rows = starts + np.cumsum(random.normal(size=(count, DIM)) * 0.05, axis=0)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def source(vectors: Matrix, ids: Ids) -> VectorSource:
    """Return a source of these vectors."""

    def batches() -> Iterator[tuple[Ids, Matrix]]:
        for start in range(0, len(ids), 1_000):
            yield ids[start : start + 1_000], vectors[start : start + 1_000]

    return VectorSource(
        len(ids),
        lambda most: vectors[:: max(1, -(-len(ids) // most))],
        batches,
        lambda: np.empty((0, vectors.shape[1]), np.float32),
    )


def go_on() -> None:
    """Do not cancel."""
