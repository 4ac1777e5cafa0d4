"""Arguments of `VectorIndex.upsert`, the same for all indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vsearch.types import Ids, Matrix


def take_last_vectors(ids: Ids, vectors: Matrix, dim: int) -> tuple[Ids, Matrix]:
    """Return each id once, with the last of its vectors.

    Args:
        ids: int64 (N,).
        vectors: float32 (N, D).
        dim: Dimension D of the index.

    Returns:
        Ids int64 (M,), ascending, and vectors float32 (M, D).

    Raises:
        ValueError: The shape of `vectors` does not match.
    """
    if vectors.shape != (len(ids), dim):
        raise ValueError(
            f"got vectors of shape {vectors.shape} for {len(ids)} ids; the dimension is {dim}"
        )
    unique_ids, last_rows = np.unique(ids[::-1], return_index=True)
    return unique_ids, vectors[::-1][last_rows]
