from __future__ import annotations

import numpy as np
import pytest

from vsearch.errors import QueryError
from vsearch.search.embedding import combine_terms

SAMPLE = np.random.default_rng(1).normal(size=(200, 8)).astype(np.float32)
A, B = np.eye(8, dtype=np.float32)[:2]


def test_a_single_term_is_the_query() -> None:
    assert combine_terms([A], [1.0], SAMPLE) is A


def test_terms_are_normalized_by_the_deviation_of_their_scores() -> None:
    """A term with ten times the deviation does not dominate the other."""
    stretched = SAMPLE * np.array([10, 1, 1, 1, 1, 1, 1, 1], np.float32)
    found = combine_terms([A, B], [1.0, 1.0], stretched)
    assert np.linalg.norm(found) == pytest.approx(1)
    spread = [(stretched @ (found * mask)).std() for mask in (A, B)]
    assert spread[0] == pytest.approx(spread[1], rel=1e-5)


def test_a_negative_term_lowers_scores() -> None:
    found = combine_terms([A, B], [1.0, -0.5], SAMPLE)
    assert found @ A > 0 > found @ B


def test_terms_that_cancel_out_are_rejected() -> None:
    with pytest.raises(QueryError, match="cancel"):
        combine_terms([A, A], [1.0, -1.0], SAMPLE)


def test_terms_combine_in_a_library_of_one_segment() -> None:
    assert np.linalg.norm(combine_terms([A, B], [1.0, 1.0], SAMPLE[:1])) == pytest.approx(1)
