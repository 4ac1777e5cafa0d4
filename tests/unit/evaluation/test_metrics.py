from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.evaluation.metrics import auroc, measure, moments, ranks, retrieval
from vsearch.types import Span


def scores(*rows: list[float]) -> npt.NDArray[np.float32]:
    return np.array(rows, np.float32)


def right(*rows: list[int]) -> npt.NDArray[np.bool_]:
    return np.array(rows, np.bool_)


def test_ranks_are_those_of_the_relevant_ones() -> None:
    found = ranks(scores([0.1, 0.9, 0.5, 0.7])[0], right([1, 0, 0, 1])[0])
    assert found.tolist() == [2, 4]


def test_of_equal_scores_the_wrong_ones_come_first() -> None:
    assert ranks(scores([0.5, 0.5, 0.5])[0], right([1, 0, 0])[0]).tolist() == [3]


def test_retrieval_by_hand() -> None:
    """Ranks 1; 3; 2 and 4: worked out on paper."""
    found = retrieval(
        scores([0.9, 0.1, 0.2, 0.3], [0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7, 0.6]),
        right([1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]),
    )
    values = {each.name: each.value for each in found}
    assert values["R@1"] == pytest.approx(1 / 3)
    assert values["R@5"] == 1
    assert values["MdR"] == 2
    assert values["MRR"] == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)
    gains, ideal = 1 / np.log2([3, 5]), 1 / np.log2([2, 3])
    assert values["nDCG@10"] == pytest.approx((1 + 0.5 + gains.sum() / ideal.sum()) / 3)
    assert values["mAP"] == pytest.approx((1 + 1 / 3 + (1 / 2 + 2 / 4) / 2) / 3)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_every_share_lies_between_0_and_1(q: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    relevant = random.random((q, n)) < 0.3
    relevant[np.arange(q), random.integers(0, n, q)] = True
    for each in retrieval(random.random((q, n)).astype(np.float32), relevant):
        assert 0 <= each.low <= each.high
        assert each.name == "MdR" or max(each.value, each.high) <= 1


def test_a_query_without_a_right_answer_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        retrieval(scores([0.5, 0.4]), right([0, 0]))


def test_moments_count_by_their_overlap() -> None:
    found = [Span(0, 10), Span(0, 10), None, Span(5, 6)]
    truth = [[Span(0, 10)], [Span(5, 15), Span(50, 60)], [Span(0, 1)], [Span(0, 4), Span(5, 7)]]
    values = {each.name: each.value for each in moments(found, truth)}
    assert values["R1@0.3"] == pytest.approx(3 / 4)
    assert values["R1@0.5"] == pytest.approx(2 / 4)
    assert values["R1@0.7"] == pytest.approx(1 / 4)
    assert values["mIoU"] == pytest.approx((1 + 1 / 3 + 0 + 1 / 2) / 4)


def test_the_interval_holds_the_figure_and_shrinks_with_more_queries() -> None:
    few, many = (measure("x", np.tile([0.0, 1.0], n)) for n in (5, 500))
    assert few.low < few.value < few.high
    assert few.high - few.low > 3 * (many.high - many.low)


def test_auroc_is_how_often_a_positive_scores_more() -> None:
    found = np.array([0.1, 0.4, 0.35, 0.8], np.float32)
    assert auroc(found, np.array([False, False, True, True])) == 0.75
    assert auroc(found, np.array([True, True, False, False])) == 0.25
