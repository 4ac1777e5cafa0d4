"""Vectors as bytes: float16 little-endian, which halves their size and costs 3 decimal digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Matrix


def pack(vectors: Matrix) -> list[bytes]:
    """float32 (N, D) -> N blobs of unit length; a vector without a direction is refused."""
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)  # (N, 1)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ValueError("a vector needs finite numbers that are not all 0")
    return [row.tobytes() for row in (vectors / norms).astype("<f2")]


def unpack(blobs: Sequence[bytes], dim: int) -> Matrix:
    """N blobs -> float32 (N, D), rows of unit length; ValueError if one is none of D numbers."""
    if set(map(len, blobs)) - {2 * dim}:
        raise ValueError(f"a vector is not {dim} numbers long")
    half = np.frombuffer(b"".join(blobs), "<f2").reshape(len(blobs), dim)
    vectors = half.astype(np.float32)
    norms = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]  # (N, 1)
    if not np.isfinite(norms).all():
        raise ValueError("a vector has numbers that are not finite")
    vectors /= np.maximum(norms, np.finfo(np.float32).tiny)
    return vectors
