"""Vectors of synthetic videos, as random walks, and a `VectorSource` of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.protocols import VectorSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.types import Ids, Matrix

DIM = 24
FIRST_ID = 1_790_000_000_000_000  # ids may be microseconds since the epoch


def random_walk_vectors(count: int, seed: int = 0) -> Matrix:
    """Return float32 (count, DIM) of unit length; neighboring rows are similar."""
    rng = np.random.default_rng(seed)
    starts = np.repeat(rng.normal(size=(-(-count // 20), DIM)), 20, axis=0)[:count]
    rows = starts + np.cumsum(rng.normal(size=(count, DIM)) * 0.05, axis=0)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def make_source(vectors: Matrix, ids: Ids) -> VectorSource:
    """Return a source of vectors."""

    def batches() -> Iterator[tuple[Ids, Matrix]]:
        for start in range(0, len(ids), 1_000):
            yield ids[start : start + 1_000], vectors[start : start + 1_000]

    return VectorSource(
        len(ids),
        lambda max_count: vectors[:: max(1, -(-len(ids) // max_count))],
        batches,
        lambda: np.empty((0, vectors.shape[1]), np.float32),
    )


def never_cancel() -> None:
    """Do not cancel."""
