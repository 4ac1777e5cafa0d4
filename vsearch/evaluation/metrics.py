"""Ranking metrics with bootstrap confidence intervals.

Ranks start at 1. Ties rank wrong answers first, so a model with constant scores gets no credit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Span

ScoreMatrix: TypeAlias = npt.NDArray[np.float32]  # (Q, N)
RelevanceMatrix: TypeAlias = npt.NDArray[np.bool_]  # (Q, N)
QueryValues: TypeAlias = npt.NDArray[np.float64]  # (Q,) one per query
RankArray: TypeAlias = npt.NDArray[np.int64]  # (R,) ranks of relevant answers, ascending
RECALL_AT = (1, 5, 10)
TIOU_THRESHOLDS = (0.3, 0.5, 0.7)
BOOTSTRAP_RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric over all queries with its 95 % bootstrap interval (Efron and Tibshirani 1993)."""

    name: str
    value: float
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


def compute_moment_metrics(
    predicted_spans: Sequence[Span | None], true_spans: Sequence[Sequence[Span]]
) -> list[Metric]:
    """Compute R1@tIoU 0.3/0.5/0.7 and mIoU of the first answers.

    Args:
        predicted_spans: First answer to each query, None for a wrong video.
        true_spans: Correct spans of each query, of which the best match counts.

    Returns:
        The metrics.
    """
    overlaps = np.array(
        [
            max(map(predicted_span.iou, query_spans)) if predicted_span else 0.0
            for predicted_span, query_spans in zip(predicted_spans, true_spans, strict=True)
        ]
    )
    recalls = {f"R1@{tiou}": (overlaps >= tiou).astype(np.float64) for tiou in TIOU_THRESHOLDS}
    return [bootstrap_metric(*named) for named in {**recalls, "mIoU": overlaps}.items()]


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

    This is the probability that a positive item scores higher than a negative one.

    Args:
        scores: Scores, float32 (N,); of equal scores the first counts as the lower one.
        is_positive: Bool (N,), with at least one positive and one negative item.

    Returns:
        The area in [0, 1].
    """
    positive_ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")[is_positive]
    return float((positive_ranks.mean() - (is_positive.sum() - 1) / 2) / (~is_positive).sum())
