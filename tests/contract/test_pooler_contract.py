"""Contract test of the `Pooler` protocol, run for each registered pooler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.plugins import plugin_names, resolve_plugin
from vsearch.protocols import AttentionPooler, Pooler

if TYPE_CHECKING:
    from vsearch.types import Matrix


@pytest.fixture(params=plugin_names("poolers"))
def pooler(request: pytest.FixtureRequest) -> Pooler:
    pooler: Pooler = resolve_plugin("poolers", request.param)()
    return pooler


@pytest.fixture
def dim(pooler: Pooler) -> int:
    """Dimension of the frame vectors; a trained pooler requires the dimension of its space."""
    return int(getattr(pooler, "vector_dim", 16))


def make_frames(count: int, dim: int) -> Matrix:
    rows: Matrix = np.random.default_rng(count).normal(size=(count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def test_it_implements_the_protocol(pooler: Pooler) -> None:
    assert isinstance(pooler, Pooler)
    assert pooler.name


@pytest.mark.parametrize("count", [1, 2, 8, 300])
def test_frames_are_pooled_to_one_unit_vector(pooler: Pooler, dim: int, count: int) -> None:
    pooled = pooler.pool(make_frames(count, dim), np.arange(count, dtype=np.float64))
    assert pooled.dtype == np.float32
    assert pooled.shape == (dim,)
    assert np.linalg.norm(pooled) == pytest.approx(1, abs=1e-4)


def test_similar_frames_are_pooled_to_a_similar_vector(pooler: Pooler, dim: int) -> None:
    frame = make_frames(1, dim)
    pooled = pooler.pool(np.repeat(frame, 5, axis=0), np.arange(5.0))
    assert pooled @ frame[0] > 0.99


def test_frames_that_cancel_out_are_pooled_to_a_unit_vector(pooler: Pooler, dim: int) -> None:
    frame = make_frames(1, dim)
    pooled = pooler.pool(np.concatenate([frame, -frame]), np.arange(2.0))
    assert np.linalg.norm(pooled) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("count", [1, 2, 300])
def test_frame_weights_sum_to_one(pooler: Pooler, dim: int, count: int) -> None:
    if not isinstance(pooler, AttentionPooler):
        pytest.skip("the pooler does not weight frames")
    frame_times = np.arange(count, dtype=np.float64)
    frame_weights = pooler.frame_weights(make_frames(count, dim), frame_times)
    assert frame_weights.dtype == np.float32
    assert frame_weights.shape == (count,)
    assert frame_weights.sum() == pytest.approx(1, abs=1e-4)


def test_the_frames_are_not_modified(pooler: Pooler, dim: int) -> None:
    vectors = make_frames(4, dim)
    before = vectors.copy()
    pooler.pool(vectors, np.arange(4.0))
    assert np.array_equal(vectors, before)
