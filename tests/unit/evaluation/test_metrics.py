from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.evaluation.metrics import (
    bootstrap_metric,
    compute_auroc,
    compute_moment_metrics,
    compute_retrieval_metrics,
    rank_relevant,
)
from vsearch.types import Span


def scores(*rows: list[float]) -> npt.NDArray[np.float32]:
    return np.array(rows, np.float32)


def relevance(*rows: list[int]) -> npt.NDArray[np.bool_]:
    return np.array(rows, np.bool_)


def test_ranks_of_relevant_items_are_returned() -> None:
    ranks = rank_relevant(scores([0.1, 0.9, 0.5, 0.7])[0], relevance([1, 0, 0, 1])[0])
    assert ranks.tolist() == [2, 4]


def test_ties_rank_wrong_answers_first() -> None:
    assert rank_relevant(scores([0.5, 0.5, 0.5])[0], relevance([1, 0, 0])[0]).tolist() == [3]


def test_retrieval_metrics_match_manual_computation() -> None:
    """Ranks 1; 3; 2 and 4, computed on paper."""
    metrics = compute_retrieval_metrics(
        scores([0.9, 0.1, 0.2, 0.3], [0.9, 0.8, 0.7, 0.1], [0.9, 0.8, 0.7, 0.6]),
        relevance([1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 1]),
    )
    values = {metric.name: metric.value for metric in metrics}
    assert values["R@1"] == pytest.approx(1 / 3)
    assert values["R@5"] == 1
    assert values["MdR"] == 2
    assert values["MRR"] == pytest.approx((1 + 1 / 3 + 1 / 2) / 3)
    gains, ideal = 1 / np.log2([3, 5]), 1 / np.log2([2, 3])
    assert values["nDCG@10"] == pytest.approx((1 + 0.5 + gains.sum() / ideal.sum()) / 3)
    assert values["mAP"] == pytest.approx((1 + 1 / 3 + (1 / 2 + 2 / 4) / 2) / 3)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_metrics_lie_between_0_and_1(q: int, n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    relevant = random.random((q, n)) < 0.3
    relevant[np.arange(q), random.integers(0, n, q)] = True
    for metric in compute_retrieval_metrics(random.random((q, n)).astype(np.float32), relevant):
        assert 0 <= metric.ci_low <= metric.ci_high
        assert metric.name == "MdR" or max(metric.value, metric.ci_high) <= 1


def test_a_query_without_a_relevant_answer_is_an_error() -> None:
    with pytest.raises(ValueError, match="differ"):
        compute_retrieval_metrics(scores([0.5, 0.4]), relevance([0, 0]))


def test_moments_are_scored_by_overlap() -> None:
    answers = [Span(0, 10), Span(0, 10), None, Span(5, 6)]
    true_spans = [
        [Span(0, 10)],
        [Span(5, 15), Span(50, 60)],
        [Span(0, 1)],
        [Span(0, 4), Span(5, 7)],
    ]
    values = {metric.name: metric.value for metric in compute_moment_metrics(answers, true_spans)}
    assert values["R1@0.3"] == pytest.approx(3 / 4)
    assert values["R1@0.5"] == pytest.approx(2 / 4)
    assert values["R1@0.7"] == pytest.approx(1 / 4)
    assert values["mIoU"] == pytest.approx((1 + 1 / 3 + 0 + 1 / 2) / 4)


def test_the_interval_contains_the_value_and_shrinks_with_more_queries() -> None:
    small, large = (bootstrap_metric("x", np.tile([0.0, 1.0], n)) for n in (5, 500))
    assert small.ci_low < small.value < small.ci_high
    assert small.ci_high - small.ci_low > 3 * (large.ci_high - large.ci_low)


def test_auroc_is_the_probability_that_a_positive_scores_higher() -> None:
    values = np.array([0.1, 0.4, 0.35, 0.8], np.float32)
    assert compute_auroc(values, np.array([False, False, True, True])) == 0.75
    assert compute_auroc(values, np.array([True, True, False, False])) == 0.25
