"""Layers of the text towers in NumPy, for float32 matrices with one row for each token or text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vsearch.types import Matrix, Vector

# Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: |error| of erf < 1.5e-7.
ERF_SCALE = 0.3275911 / 2**0.5  # GELU divides by the root of 2
ERF_COEFFICIENTS = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
BLOCK_SIZE, MAX_BLOCK_ROWS = 64, 60  # of `multiply_rows`


def normalize_rows(row_vectors: Matrix) -> Matrix:
    """Scale the rows of a matrix to unit length; rows of zeros stay zero."""
    row_norms = np.linalg.norm(row_vectors, axis=-1, keepdims=True)
    unit_vectors: Matrix = (row_vectors / np.maximum(row_norms, 1e-12)).astype(np.float32)
    return unit_vectors


def multiply_rows(rows: Matrix, matrix: Matrix) -> Matrix:
    """Multiply rows (M, K) by a matrix (K, N), in blocks.

    OpenBLAS copies a matrix and starts threads if a product takes more than 100³ multiplications.
    For a few rows the copy takes longer than the product, and the threads wait for each other on a
    busy machine.
    """
    row_count, (height, width) = len(rows), matrix.shape
    if row_count == 1 or height % BLOCK_SIZE or width % BLOCK_SIZE:
        return rows @ matrix
    blocks = matrix.reshape(-1, BLOCK_SIZE, width // BLOCK_SIZE, BLOCK_SIZE).transpose(0, 2, 1, 3)
    product = np.empty((row_count, width), np.float32)
    for start in range(0, row_count, MAX_BLOCK_ROWS):
        some_rows = rows[start : start + MAX_BLOCK_ROWS].reshape(-1, len(blocks), 1, BLOCK_SIZE)
        block_product = (some_rows.transpose(1, 2, 0, 3) @ blocks).sum(axis=0)
        product[start : start + MAX_BLOCK_ROWS] = block_product.transpose(1, 0, 2).reshape(
            -1, width
        )
    return product


def normalize_layer(vectors: Matrix, gain: Vector, bias: Vector) -> Matrix:
    """Apply layer normalization (Ba et al. 2016) to the rows of a matrix."""
    centered = vectors - vectors.mean(axis=1, keepdims=True)
    variance = np.square(centered).mean(axis=1, keepdims=True)
    normalized: Matrix = centered / np.sqrt(variance + 1e-12) * gain + bias
    return normalized


def softmax(scores: Matrix) -> Matrix:
    """Apply softmax to the last axis of an array of any shape, in place."""
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    return scores


def gelu(values: Matrix) -> Matrix:
    """Apply the Gaussian error linear unit x·Φ(x) (Hendrycks and Gimpel 2016), elementwise.

    With a = |x| it is max(x, 0) - a·erfc(a/√2)/2, where erfc is a polynomial times exp(-a²/2).
    """
    magnitudes = np.abs(values)
    reciprocals = magnitudes * np.float32(ERF_SCALE)
    reciprocals += 1
    np.reciprocal(reciprocals, out=reciprocals)
    tail = np.full_like(values, 0)
    for coefficient in ERF_COEFFICIENTS:
        tail += np.float32(coefficient / 2)
        tail *= reciprocals
    tail *= magnitudes
    magnitudes *= magnitudes
    magnitudes *= np.float32(-0.5)
    tail *= np.exp(magnitudes, out=magnitudes)
    positive_part: Matrix = np.maximum(values, 0)
    positive_part -= tail
    return positive_part
