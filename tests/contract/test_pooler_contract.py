"""What every Pooler promises, held against each one that is registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.plugins import names, resolve
from vsearch.protocols import Pooler

if TYPE_CHECKING:
    from vsearch.types import Matrix


@pytest.fixture(params=names("poolers"))
def pooler(request: pytest.FixtureRequest) -> Pooler:
    made: Pooler = resolve("poolers", request.param)()
    return made


@pytest.fixture
def dim(pooler: Pooler) -> int:
    """A trained pooler is for vectors of one space, and says of how many numbers as `dim`."""
    return int(getattr(pooler, "dim", 16))


def frames(count: int, dim: int) -> Matrix:
    rows: Matrix = np.random.default_rng(count).normal(size=(count, dim)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def test_it_is_a_pooler_with_a_name(pooler: Pooler) -> None:
    assert isinstance(pooler, Pooler)
    assert pooler.name


@pytest.mark.parametrize("count", [1, 2, 8, 300])
def test_frames_become_one_vector_of_unit_length(pooler: Pooler, dim: int, count: int) -> None:
    pooled = pooler.pool(frames(count, dim), np.arange(count, dtype=np.float64))
    assert pooled.dtype == np.float32
    assert pooled.shape == (dim,)
    assert np.linalg.norm(pooled) == pytest.approx(1, abs=1e-4)


def test_like_frames_become_a_vector_like_them(pooler: Pooler, dim: int) -> None:
    frame = frames(1, dim)
    pooled = pooler.pool(np.repeat(frame, 5, axis=0), np.arange(5.0))
    assert pooled @ frame[0] > 0.99


def test_frames_that_cancel_out_still_give_a_direction(pooler: Pooler, dim: int) -> None:
    frame = frames(1, dim)
    pooled = pooler.pool(np.concatenate([frame, -frame]), np.arange(2.0))
    assert np.linalg.norm(pooled) == pytest.approx(1, abs=1e-4)


def test_the_frames_are_left_as_they_were(pooler: Pooler, dim: int) -> None:
    given = frames(4, dim)
    before = given.copy()
    pooler.pool(given, np.arange(4.0))
    assert np.array_equal(given, before)
