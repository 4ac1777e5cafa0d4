from __future__ import annotations

import numpy as np
import pytest

from tests.support.random_walks import DIM, random_walk_vectors
from vsearch.index.exact import ExactIndex
from vsearch.index.rescoring import RescoringIndex
from vsearch.protocols import VectorIndex

VECTORS = random_walk_vectors(300)
IDS = np.arange(300)


def blurred() -> ExactIndex:
    """Return an approximate index."""
    noise = np.random.default_rng(0).normal(size=VECTORS.shape).astype(np.float32)
    index = ExactIndex(DIM)
    index.upsert(IDS, VECTORS + 0.01 * noise)
    return index


def exact() -> ExactIndex:
    index = ExactIndex(DIM)
    index.upsert(IDS, VECTORS)
    return index


def test_results_have_exact_order_and_scores() -> None:
    index = RescoringIndex(blurred(), lambda ids: (ids, VECTORS[ids]))
    assert isinstance(index, VectorIndex)
    assert len(index) == 300
    for query in VECTORS[::30]:
        found, scores = index.search(query, 10)
        true, expected = exact().search(query, 10)
        assert found.tolist() == true.tolist() != blurred().search(query, 10)[0].tolist()
        assert scores == pytest.approx(expected, abs=1e-6)


def test_vectors_removed_meanwhile_are_skipped() -> None:
    index = RescoringIndex(blurred(), lambda ids: (ids[ids % 2 == 0], VECTORS[ids[ids % 2 == 0]]))
    found, _ = index.search(VECTORS[7], 8)
    assert len(found) == 8
    assert (found % 2 == 0).all()


def test_equal_scores_are_ordered_by_id_and_k_may_be_zero() -> None:
    index = RescoringIndex(
        blurred(), lambda ids: (ids[::-1], np.repeat(VECTORS[:1], len(ids), axis=0))
    )
    found, _ = index.search(VECTORS[0], 10)
    assert (np.diff(found) > 0).all()
    assert len(index.search(VECTORS[0], 0)[0]) == 0
    assert index.search(VECTORS[0], 10, allowed_ids=IDS[5:7])[0].tolist() == [5, 6]


def test_changes_reach_the_base_index() -> None:
    below = blurred()
    index = RescoringIndex(below, lambda ids: (ids, VECTORS[ids]))
    index.remove(IDS[:100])
    index.upsert(IDS[:1], VECTORS[:1])
    assert len(below) == 201
