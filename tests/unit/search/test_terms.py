from __future__ import annotations

import numpy as np
import pytest

from vsearch.errors import QueryError
from vsearch.search.terms import combine

SAMPLE = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
A, B = np.eye(8, dtype=np.float32)[:2]


def test_one_term_is_the_query() -> None:
    assert combine([A], [1.0], SAMPLE) is A


def test_terms_count_by_their_weight_not_by_their_scale() -> None:
    """One of two terms that spreads ten times as much does not drown the other."""
    stretched = SAMPLE * np.array([10, 1, 1, 1, 1, 1, 1, 1], np.float32)
    found = combine([A, B], [1.0, 1.0], stretched)
    assert np.linalg.norm(found) == pytest.approx(1)
    spread = [(stretched @ (found * mask)).std() for mask in (A, B)]
    assert spread[0] == pytest.approx(spread[1], rel=1e-5)


def test_a_term_can_count_against() -> None:
    found = combine([A, B], [1.0, -0.5], SAMPLE)
    assert found @ A > 0 > found @ B


def test_terms_that_cancel_out_are_refused() -> None:
    with pytest.raises(QueryError, match="cancel"):
        combine([A, A], [1.0, -1.0], SAMPLE)


def test_a_library_of_one_segment_is_enough() -> None:
    assert np.linalg.norm(combine([A, B], [1.0, 1.0], SAMPLE[:1])) == pytest.approx(1)
