from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.evaluation.metrics import (
    AP_TIOU_THRESHOLDS,
    bootstrap_metric,
    bootstrap_statistic,
    compute_auroc,
    compute_moment_metrics,
    compute_moment_precisions,
    compute_overlaps,
    compute_proportion,
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
    overlaps = [
        compute_overlaps([answer], spans) for answer, spans in zip(answers, true_spans, strict=True)
    ]
    values = {metric.name: metric.value for metric in compute_moment_metrics(overlaps)}
    assert values["R1@0.3"] == pytest.approx(3 / 4)
    assert values["R1@0.5"] == pytest.approx(2 / 4)
    assert values["R1@0.7"] == pytest.approx(1 / 4)
    assert values["mIoU"] == pytest.approx((1 + 1 / 3 + 0 + 1 / 2) / 4)


TRUE_SPANS = [Span(0, 10), Span(20, 30)]


@pytest.mark.parametrize(
    ("predicted_spans", "expected"),
    [
        ([Span(0, 10), Span(50, 60), Span(20, 30)], (1 + 2 / 3) / 2),
        ([Span(50, 60), Span(0, 10), Span(20, 30)], 2 / 3),  # 1/2 rises to the later 2/3
        ([Span(0, 10), Span(0, 10)], 1 / 2),  # the second one finds nothing new
        ([None, Span(20, 30)], 1 / 2 / 2),  # another video first
        ([Span(50, 60)] * 10 + TRUE_SPANS, 0),  # the first ten count
        ([], 0),
    ],
)
def test_average_precision_of_moments_is_interpolated(
    predicted_spans: list[Span | None], expected: float
) -> None:
    precisions = compute_moment_precisions(compute_overlaps(predicted_spans, TRUE_SPANS))
    assert precisions.tolist() == pytest.approx([expected] * len(AP_TIOU_THRESHOLDS))


def test_average_precision_of_moments_depends_on_the_overlap() -> None:
    overlaps = compute_overlaps([Span(0, 6)], [Span(0, 10)])  # tIoU 0.6
    assert compute_moment_precisions(overlaps).tolist() == [1, 1, 1] + 7 * [0]
    values = {each.name: each.value for each in compute_moment_metrics([overlaps])}
    assert (values["mAP@0.5"], values["mAP@0.75"]) == (1, 0)
    assert values["mAP@0.5:0.95"] == pytest.approx(0.3)


def test_a_prediction_takes_another_span_if_the_best_one_is_taken() -> None:
    overlaps = np.array([[0.9, 0.6], [0.8, 0.6]])
    at_half, *_, at_most = compute_moment_precisions(overlaps)
    assert at_half == 1
    assert at_most == 0
    assert compute_moment_precisions(overlaps)[5] == pytest.approx(1 / 2)  # 0.75


def test_a_query_without_predictions_counts_as_wrong() -> None:
    overlaps = [compute_overlaps([], [Span(0, 1)]), compute_overlaps([Span(0, 1)], [Span(0, 1)])]
    values = {metric.name: metric.value for metric in compute_moment_metrics(overlaps)}
    assert values == pytest.approx(dict.fromkeys(values, 0.5))


def test_the_interval_contains_the_value_and_shrinks_with_more_queries() -> None:
    small, large = (bootstrap_metric("x", np.tile([0.0, 1.0], n)) for n in (5, 500))
    assert small.ci_low < small.value < small.ci_high
    assert small.ci_high - small.ci_low > 3 * (large.ci_high - large.ci_low)


def test_auroc_is_the_probability_that_a_positive_scores_higher() -> None:
    values = np.array([0.1, 0.4, 0.35, 0.8], np.float32)
    assert compute_auroc(values, np.array([False, False, True, True])) == 0.75
    assert compute_auroc(values, np.array([True, True, False, False])) == 0.25


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2))
def test_auroc_counts_ties_as_half(items: list[tuple[int, bool]]) -> None:
    values = np.array([value / 4 for value, _ in items], np.float32)
    is_positive = np.array([positive for _, positive in items])
    is_positive[:2] = True, False
    pairs = values[is_positive][:, None] - values[~is_positive]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert compute_auroc(values, is_positive) == pytest.approx(expected)


def test_auroc_of_constant_scores_is_one_half() -> None:
    assert compute_auroc(np.zeros(5, np.float32), np.array([True, True, False, False, True])) == 0.5


def test_a_proportion_has_a_score_interval() -> None:
    few = compute_proportion("x", 1, 10)  # 0.0179 to 0.4042 in Brown, Cai and DasGupta 2001
    assert few.value == 0.1
    assert (few.ci_low, few.ci_high) == pytest.approx((0.0179, 0.4042), abs=5e-5)
    none = compute_proportion("x", 0, 27)
    assert none.ci_low == 0
    assert 0.1 < none.ci_high < 0.15
    assert compute_proportion("x", 0, 0).ci_high == 1


def test_a_bootstrapped_statistic_keeps_the_sizes_of_groups() -> None:
    sizes = []

    def count_rows(rows: npt.NDArray[np.int64]) -> float:
        sizes.append((int((rows < 3).sum()), int((rows >= 3).sum())))
        return float(rows.mean())

    metric = bootstrap_statistic("x", count_rows, [np.arange(3), np.arange(3, 8)])
    assert set(sizes) == {(3, 5)}
    assert metric.value == 3.5
    assert metric.ci_low < 3.5 < metric.ci_high
