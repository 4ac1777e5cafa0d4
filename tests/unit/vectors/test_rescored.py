from __future__ import annotations

import numpy as np
import pytest
from wandering import DIM, wandering

from vsearch.protocols import VectorIndex
from vsearch.vectors.exact import ExactIndex
from vsearch.vectors.rescored import Rescored

VECTORS = wandering(300)
IDS = np.arange(300)


def blurred() -> ExactIndex:
    """An index that is nearly right."""
    noise = np.random.default_rng(0).normal(size=VECTORS.shape).astype(np.float32)
    index = ExactIndex(DIM)
    index.upsert(IDS, VECTORS + 0.01 * noise)
    return index


def exact() -> ExactIndex:
    index = ExactIndex(DIM)
    index.upsert(IDS, VECTORS)
    return index


def test_it_is_a_vector_index_with_the_true_order_and_the_true_scores() -> None:
    index = Rescored(blurred(), lambda ids: (ids, VECTORS[ids]))
    assert isinstance(index, VectorIndex)
    assert len(index) == 300
    for query in VECTORS[::30]:
        found, scores = index.search(query, 10)
        true, expected = exact().search(query, 10)
        assert found.tolist() == true.tolist() != blurred().search(query, 10)[0].tolist()
        assert scores == pytest.approx(expected, abs=1e-6)


def test_what_is_gone_meanwhile_is_left_out() -> None:
    index = Rescored(blurred(), lambda ids: (ids[ids % 2 == 0], VECTORS[ids[ids % 2 == 0]]))
    found, _ = index.search(VECTORS[7], 8)
    assert len(found) == 8
    assert (found % 2 == 0).all()


def test_equal_scores_are_ordered_by_id_and_none_may_be_asked_for() -> None:
    index = Rescored(blurred(), lambda ids: (ids[::-1], np.repeat(VECTORS[:1], len(ids), axis=0)))
    found, _ = index.search(VECTORS[0], 10)
    assert (np.diff(found) > 0).all()
    assert len(index.search(VECTORS[0], 0)[0]) == 0
    assert index.search(VECTORS[0], 10, among=IDS[5:7])[0].tolist() == [5, 6]


def test_changes_reach_the_index_below() -> None:
    below = blurred()
    index = Rescored(below, lambda ids: (ids, VECTORS[ids]))
    index.remove(IDS[:100])
    index.upsert(IDS[:1], VECTORS[:1])
    assert len(below) == 201
