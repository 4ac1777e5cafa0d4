"""Ranking and detection metrics with 95 % confidence intervals.

Ranks start at 1. Ties rank wrong answers first, so a model with constant scores gets no credit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.types import Ids, Span

ScoreMatrix: TypeAlias = npt.NDArray[np.float32]  # (Q, N)
RelevanceMatrix: TypeAlias = npt.NDArray[np.bool_]  # (Q, N)
QueryValues: TypeAlias = npt.NDArray[np.float64]  # (Q,) one per query
RankArray: TypeAlias = npt.NDArray[np.int64]  # (R,) ranks of relevant answers, ascending
OverlapMatrix: TypeAlias = npt.NDArray[np.float64]  # (P, G) tIoU of predicted and true spans
RECALL_AT = (1, 5, 10)
NOT_FOUND_RANK = np.iinfo(np.int64).max  # no relevant answer was found: reciprocal rank 0
TIOU_THRESHOLDS = (0.3, 0.5, 0.7)
AP_TIOU_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))  # 0.5 to 0.95
MAX_MOMENT_PREDICTIONS = 10  # of one query; further ones are ignored
BOOTSTRAP_RESAMPLES = 1_000
NORMAL_QUANTILE_95 = 1.959964  # of a two-sided 95 % interval


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric over all queries with its 95 % bootstrap interval (Efron and Tibshirani 1993)."""

    name: str
    value: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True, slots=True)
class Proportion:
    """A count among a total with the 95 % score interval of its share (Wilson 1927)."""

    name: str
    count: int
    total: int
    value: float  # the share; 0 if the total is 0
    ci_low: float
    ci_high: float


def compute_retrieval_metrics(
    score_matrix: ScoreMatrix, relevance_matrix: RelevanceMatrix
) -> list[Metric]:
    """Compute R@1/5/10, MdR, MRR, nDCG@10 and mAP with binary gains.

    Args:
        score_matrix: Scores, float32 (Q, N).
        relevance_matrix: Relevance, bool (Q, N), with at least one relevant answer per query.

    Returns:
        The metrics.

    Raises:
        ValueError: If the shapes differ or a query has no relevant answer.
    """
    if (
        score_matrix.shape != relevance_matrix.shape
        or not score_matrix.size
        or not relevance_matrix.any(axis=1).all()
    ):
        raise ValueError(
            f"scores {score_matrix.shape} and relevance {relevance_matrix.shape} differ in shape, "
            "or a query has no relevant answer"
        )
    relevant_ranks = list(map(rank_relevant, score_matrix, relevance_matrix))
    first_ranks = np.array([ranks[0] for ranks in relevant_ranks], np.float64)
    gains = np.array([_compute_ndcg(ranks, 10) for ranks in relevant_ranks])
    precisions = np.array([compute_average_precision(ranks) for ranks in relevant_ranks])
    return [
        *(bootstrap_metric(f"R@{k}", (first_ranks <= k).astype(np.float64)) for k in RECALL_AT),
        bootstrap_metric("MdR", first_ranks, use_median=True),
        bootstrap_metric("MRR", 1 / first_ranks),
        bootstrap_metric("nDCG@10", gains),
        bootstrap_metric("mAP", precisions),
    ]


def compute_moment_metrics(overlap_matrices: Sequence[OverlapMatrix]) -> list[Metric]:
    """Compute R1@tIoU 0.3/0.5/0.7, mIoU, and the mean average precision of moments.

    mAP@0.5, mAP@0.75 and their average mAP@0.5:0.95 follow the evaluation of QVHighlights (Lei et
    al., "QVHighlights: Detecting moments and highlights in videos", NeurIPS 2021; code
    `standalone_eval` of github.com/jayleicn/moment_detr).

    Args:
        overlap_matrices: Overlaps of each query from `compute_overlaps`.

    Returns:
        The metrics.
    """
    best_overlaps = np.array(
        [overlaps[0].max() if len(overlaps) else 0.0 for overlaps in overlap_matrices]
    )
    recalls = {f"R1@{tiou}": (best_overlaps >= tiou).astype(np.float64) for tiou in TIOU_THRESHOLDS}
    precisions = np.stack([compute_moment_precisions(overlaps) for overlaps in overlap_matrices])
    mean_precisions = {
        "mAP@0.5": precisions[:, AP_TIOU_THRESHOLDS.index(0.5)],
        "mAP@0.75": precisions[:, AP_TIOU_THRESHOLDS.index(0.75)],
        "mAP@0.5:0.95": precisions.mean(axis=1),
    }
    named_values = {**recalls, "mIoU": best_overlaps, **mean_precisions}
    return [bootstrap_metric(*named) for named in named_values.items()]


def compute_overlaps(
    predicted_spans: Sequence[Span | None], true_spans: Sequence[Span]
) -> OverlapMatrix:
    """Compute the temporal intersection over union of every prediction and true span.

    Args:
        predicted_spans: The P predictions of one query, best first; None for a wrong video.
        true_spans: The G correct spans.

    Returns:
        Overlaps in [0, 1], float64 (P, G).
    """
    overlap_rows = [
        [predicted_span.iou(true_span) if predicted_span else 0.0 for true_span in true_spans]
        for predicted_span in predicted_spans
    ]
    return np.array(overlap_rows, np.float64).reshape(len(predicted_spans), len(true_spans))


def compute_moment_precisions(overlaps: OverlapMatrix) -> QueryValues:
    """Compute the interpolated average precision of one query, as ActivityNet does.

    At each threshold a prediction is right if it overlaps enough with a true span that no better
    prediction has taken; it takes the one with which it overlaps most. The precision at a recall is
    the highest one at that recall or a higher one.

    Args:
        overlaps: tIoU of the predictions, best first, with the true spans, float64 (P, G), G >= 1.

    Returns:
        The average precision at each of AP_TIOU_THRESHOLDS, float64 (10,).
    """
    overlaps = overlaps[:MAX_MOMENT_PREDICTIONS]
    return np.array(
        [
            _interpolate_precision(_match_predictions(overlaps, min_tiou), overlaps.shape[1])
            for min_tiou in AP_TIOU_THRESHOLDS
        ]
    )


def compute_query_values(first_hit_ranks: RankArray) -> dict[str, QueryValues]:
    """Compute the values per query whose means are R@1, R@5 and MRR.

    Args:
        first_hit_ranks: Rank of the first relevant answer, int64 (T, Q), for T trials per query.

    Returns:
        Values (Q,) by metric, averaged over the trials.
    """
    values = {"R@1": first_hit_ranks <= 1, "R@5": first_hit_ranks <= 5, "MRR": 1 / first_hit_ranks}
    return {name: trials.mean(axis=0, dtype=np.float64) for name, trials in values.items()}


def bootstrap_ranks(first_hit_ranks: RankArray) -> tuple[Metric, ...]:
    """Compute R@1, R@5 and MRR.

    Args:
        first_hit_ranks: Rank of the first relevant answer, int64 (T, Q), for T trials per query.

    Returns:
        The three metrics, with intervals over the queries.
    """
    return tuple(
        bootstrap_metric(*named) for named in compute_query_values(first_hit_ranks).items()
    )


def rank_relevant(scores: npt.NDArray[np.float32], is_relevant: npt.NDArray[np.bool_]) -> RankArray:
    """Return the ranks of the relevant items, ascending.

    Args:
        scores: Scores, float32 (N,).
        is_relevant: Relevance, bool (N,).
    """
    rank_order = np.lexsort((is_relevant, -scores))
    return np.flatnonzero(is_relevant[rank_order]) + 1


def bootstrap_metric(
    metric_name: str, query_values: QueryValues, *, use_median: bool = False
) -> Metric:
    """Compute the mean or median of values with its percentile bootstrap interval.

    Args:
        metric_name: Name of the metric.
        query_values: Values, float64 (Q,).
        use_median: Use the median instead of the mean.

    Returns:
        The metric; the resampling has a fixed seed.
    """
    statistic: Any = np.median if use_median else np.mean
    query_count = len(query_values)
    rows = np.random.default_rng(0).integers(0, query_count, (BOOTSTRAP_RESAMPLES, query_count))
    ci_low, ci_high = np.percentile(statistic(query_values[rows], axis=1), [2.5, 97.5])
    return Metric(metric_name, float(statistic(query_values)), float(ci_low), float(ci_high))


def bootstrap_statistic(
    metric_name: str, compute_statistic: Callable[[Ids], float], row_groups: Sequence[Ids]
) -> Metric:
    """Compute a statistic of rows with its percentile bootstrap interval.

    Args:
        metric_name: Name of the metric.
        compute_statistic: Returns the statistic of the rows with these indices, int64 (R,).
        row_groups: Indices of all rows, in groups whose sizes are kept when resampling.

    Returns:
        The metric; the resampling has a fixed seed.
    """
    rng = np.random.default_rng(0)
    resampled_values = [
        compute_statistic(np.concatenate([rng.choice(rows, len(rows)) for rows in row_groups]))
        for _ in range(BOOTSTRAP_RESAMPLES)
    ]
    ci_low, ci_high = np.percentile(resampled_values, [2.5, 97.5])
    value = compute_statistic(np.concatenate(row_groups))
    return Metric(metric_name, value, float(ci_low), float(ci_high))


def compute_proportion(name: str, count: int, total: int) -> Proportion:
    """Compute a share with its score interval, which is also valid for shares near 0 and 1.

    Args:
        name: Name of the proportion.
        count: Number of successes.
        total: Number of trials; if it is 0 the interval is [0, 1].

    Returns:
        The proportion.
    """
    if not total:
        return Proportion(name, 0, 0, 0.0, 0.0, 1.0)
    share, squared_quantile = count / total, NORMAL_QUANTILE_95**2
    denominator = 1 + squared_quantile / total
    center = (share + squared_quantile / (2 * total)) / denominator
    variance = share * (1 - share) / total + squared_quantile / (4 * total**2)
    half_width = NORMAL_QUANTILE_95 * variance**0.5 / denominator
    ci_low, ci_high = max(0.0, center - half_width), min(1.0, center + half_width)
    return Proportion(name, count, total, share, ci_low, ci_high)


def compute_average_precision(relevant_ranks: RankArray) -> float:
    """Compute the average precision.

    Args:
        relevant_ranks: Ranks of all R relevant items, ascending, int64 (R,), R >= 1.

    Returns:
        The average precision in [0, 1].
    """
    return float((np.arange(1, len(relevant_ranks) + 1) / relevant_ranks).mean())


def _compute_ndcg(relevant_ranks: RankArray, cutoff: int) -> float:
    """Return the normalized discounted cumulative gain (Järvelin and Kekäläinen 2002)."""
    ideal_ranks = np.arange(1, min(len(relevant_ranks), cutoff) + 1)
    found_ranks = relevant_ranks[relevant_ranks <= cutoff]
    return float((1 / np.log2(found_ranks + 1)).sum() / (1 / np.log2(ideal_ranks + 1)).sum())


def compute_auroc(scores: npt.NDArray[np.float32], is_positive: npt.NDArray[np.bool_]) -> float:
    """Compute the area under the ROC curve.

    This is the probability that a positive item scores higher than a negative one, where equal
    scores count as half: the Mann-Whitney statistic with mid-ranks (Hanley and McNeil 1982).

    Args:
        scores: Scores, float32 (N,).
        is_positive: Bool (N,), with at least one positive and one negative item.

    Returns:
        The area in [0, 1].
    """
    _, value_indices, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mid_ranks = np.cumsum(counts) - (counts - 1) / 2  # of each distinct score, from 1
    positive_count, negative_count = int(is_positive.sum()), int((~is_positive).sum())
    rank_sum = float(mid_ranks[value_indices[is_positive]].sum())
    wins = rank_sum - positive_count * (positive_count + 1) / 2
    return wins / (positive_count * negative_count)


def _match_predictions(overlaps: OverlapMatrix, min_tiou: float) -> npt.NDArray[np.bool_]:
    """Return the predictions that are right at one threshold, bool (P,)."""
    is_taken = np.zeros(overlaps.shape[1], np.bool_)
    is_right = np.zeros(len(overlaps), np.bool_)
    for index, prediction_overlaps in enumerate(overlaps):
        free_overlaps = np.where(is_taken, -1.0, prediction_overlaps)
        # of equal overlaps the last one, as in the evaluation of QVHighlights
        best_column = len(free_overlaps) - 1 - int(free_overlaps[::-1].argmax())
        if free_overlaps[best_column] >= min_tiou:
            is_taken[best_column] = is_right[index] = True
    return is_right


def _interpolate_precision(is_right: npt.NDArray[np.bool_], true_count: int) -> float:
    """Return the interpolated average precision of ranked predictions, bool (P,)."""
    precisions = np.cumsum(is_right) / np.arange(1, len(is_right) + 1)
    interpolated_precisions = np.maximum.accumulate(precisions[::-1])[::-1]
    return float(interpolated_precisions[is_right].sum()) / true_count
