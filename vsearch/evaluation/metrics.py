"""How good a ranking is, in the field's terms. Ranks begin at 1.

Of equal scores the wrong answers come first, so that a model that scores everything alike finds
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Span

Scores: TypeAlias = npt.NDArray[np.float32]  # (Q, N)
Relevant: TypeAlias = npt.NDArray[np.bool_]  # (Q, N)
Values: TypeAlias = npt.NDArray[np.float64]  # (Q,) one a query
Ranks: TypeAlias = npt.NDArray[np.int64]  # (R,) of the relevant answers of one query, ascending

CUTS = (1, 5, 10)
OVERLAPS = (0.3, 0.5, 0.7)
RESAMPLES = 1_000


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure over all queries, with its 95 % bootstrap interval (Efron and Tibshirani 1993)."""

    name: str
    value: float
    low: float
    high: float


def retrieval(scores: Scores, relevant: Relevant) -> list[Measure]:
    """R@1/5/10, MdR, MRR, nDCG@10 and mAP of scores (Q, N).

    `relevant` (Q, N) has at least one answer a query; gains are binary. Raises ValueError.
    """
    if scores.shape != relevant.shape or not scores.size or not relevant.any(axis=1).all():
        raise ValueError(f"scores {scores.shape} and relevance {relevant.shape} do not fit")
    found = [ranks(*row) for row in zip(scores, relevant, strict=True)]
    first = np.array([each[0] for each in found], np.float64)
    measures = [measure(f"R@{k}", (first <= k).astype(np.float64)) for k in CUTS]
    measures.append(measure("MdR", first, median=True))
    measures.append(measure("MRR", 1 / first))
    measures.append(measure("nDCG@10", np.array([_ndcg(each, 10) for each in found])))
    measures.append(measure("mAP", np.array([_precision(each) for each in found])))
    return measures


def moments(found: Sequence[Span | None], truth: Sequence[Sequence[Span]]) -> list[Measure]:
    """R1@tIoU 0.3/0.5/0.7 and mIoU of the first answer to each query, None for a wrong video.

    Where several moments are right, the one that fits best counts.
    """
    pairs = zip(found, truth, strict=True)
    overlap = np.array([max(s.iou(t) for t in right) if s else 0.0 for s, right in pairs])
    measures = [measure(f"R1@{least}", (overlap >= least).astype(np.float64)) for least in OVERLAPS]
    return [*measures, measure("mIoU", overlap)]


def shares(first: Ranks) -> dict[str, Values]:
    """What R@1, R@5 and MRR are the means of, from the rank of each first right answer.

    `first` is (T, Q): each query tried T times, which are averaged.
    """
    values = {"R@1": first <= 1, "R@5": first <= 5, "MRR": 1 / first}
    return {name: each.mean(axis=0, dtype=np.float64) for name, each in values.items()}


def ranks(scores: npt.NDArray[np.float32], relevant: npt.NDArray[np.bool_]) -> Ranks:
    """The ranks of the relevant ones among scores (N,), ascending."""
    order = np.lexsort((relevant, -scores))
    return np.flatnonzero(relevant[order]) + 1


def measure(name: str, values: Values, *, median: bool = False) -> Measure:
    """The mean or median of values (Q,); the interval is by resampling the queries."""
    figure: Any = np.median if median else np.mean
    chosen = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(figure(values[chosen], axis=1), [2.5, 97.5])
    return Measure(name, float(figure(values)), float(low), float(high))


def _ndcg(found: Ranks, cut: int) -> float:
    """Normalised discounted cumulative gain (Järvelin and Kekäläinen 2002)."""
    ideal = np.arange(1, min(len(found), cut) + 1)
    return float((1 / np.log2(found[found <= cut] + 1)).sum() / (1 / np.log2(ideal + 1)).sum())


def _precision(found: Ranks) -> float:
    """Average precision."""
    return float((np.arange(1, len(found) + 1) / found).mean())


def auroc(scores: npt.NDArray[np.float32], positive: npt.NDArray[np.bool_]) -> float:
    """How often a positive scores more than a negative: (N,) and (N,), some of either kind.

    The area under the curve of the receiver operating characteristic. Of equal scores the one that
    comes first counts as the lower.
    """
    ranks = np.argsort(np.argsort(scores, kind="stable"), kind="stable")[positive]
    return float((ranks.mean() - (positive.sum() - 1) / 2) / (~positive).sum())
