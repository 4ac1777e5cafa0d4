"""Candidate pairs of near-duplicate videos."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import numpy as np

from vsearch.copies.candidate_pairs import find_candidate_pairs
from vsearch.types import Matrix, Segment, Span

if TYPE_CHECKING:
    import pytest


def unit(rows: np.ndarray) -> Matrix:
    made: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return made


def library(count: int) -> tuple[list[Segment], Matrix]:
    """Return videos of four segments each; the last video equals the first."""
    vectors = unit(np.random.default_rng(0).normal(size=(count, 128)))
    vectors[-4:] = vectors[:4]
    return [Segment(i + 1, 1 + i // 4, Span(i % 4, i % 4 + 1)) for i in range(count)], vectors


def test_a_large_library_is_compared_in_smaller_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    segments, vectors = library(4000)
    whole = find_candidate_pairs(segments, vectors, range(1, 1001))
    monkeypatch.setattr("vsearch.copies.candidate_pairs.BLOCK_BYTES", 1 << 20)
    tracemalloc.start()
    found = find_candidate_pairs(segments, vectors, range(1, 1001))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [(pair.first_video_id, pair.second_video_id) for pair in found] == [(1, 1000)]
    assert [(pair.first_video_id, pair.second_video_id) for pair in whole] == [(1, 1000)]
    assert peak < 4 << 20  # without the vectors; 512 rows of scores would be 8 MB
