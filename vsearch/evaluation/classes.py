"""How well classes are told apart, in the field's terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.evaluation.metrics import Measure, measure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Ids, Matrix

BINS = 10  # of confidence


@dataclass(frozen=True, slots=True)
class Class:
    """How well one class is told from the others."""

    name: str
    rows: int
    precision: float  # 0 where nothing was taken for it
    recall: float
    f1: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """How well rows are told apart."""

    rows: int
    top1: Measure
    top5: Measure
    mean_ap: float  # over the classes that have rows
    macro_f1: float
    calibration: float  # expected calibration error (Guo et al. 2017): confidence less accuracy
    classes: tuple[Class, ...]
    confusion: tuple[tuple[int, ...], ...]  # [right][taken for]


def judge(chances: Matrix, right: Ids, names: Sequence[str]) -> Judgement:
    """Judge probabilities (N, K) by the right classes, int64 (N,); N is at least 1."""
    taken = chances.argmax(axis=1)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (right, taken), 1)
    classes = tuple(
        _class(name, at, confusion, chances[:, at], right == at) for at, name in enumerate(names)
    )
    with_rows = [each for each in classes if each.rows]
    better = (chances > np.take_along_axis(chances, right[:, None], axis=1)).sum(axis=1)
    return Judgement(
        len(right),
        measure("top-1", (taken == right).astype(np.float64)),
        measure("top-5", (better < 5).astype(np.float64)),
        float(np.mean([each.average_precision for each in with_rows])),
        float(np.mean([each.f1 for each in with_rows])),
        calibration_error(chances.max(axis=1), taken == right),
        classes,
        tuple(tuple(map(int, row)) for row in confusion),
    )


def calibration_error(confidence: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error of (N,) in equal bins."""
    places = np.minimum((confidence * BINS).astype(int), BINS - 1)
    apart = np.bincount(places, confidence, BINS) - np.bincount(places, right, BINS)
    return float(np.abs(apart).sum() / len(confidence))


def _class(
    name: str,
    at: int,
    confusion: npt.NDArray[np.int64],
    chances: npt.NDArray[np.float32],
    relevant: npt.NDArray[np.bool_],
) -> Class:
    hits, rows = int(confusion[at, at]), int(confusion[at].sum())
    precision = hits / max(1, int(confusion[:, at].sum()))
    recall = hits / max(1, rows)
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return Class(name, rows, precision, recall, f1, _average_precision(chances, relevant))


def _average_precision(chances: npt.NDArray[np.float32], relevant: npt.NDArray[np.bool_]) -> float:
    """Of equal chances the wrong rows come first; 0 where nothing is relevant."""
    order = np.lexsort((relevant, -chances))
    found = np.flatnonzero(relevant[order]) + 1
    return float((np.arange(1, len(found) + 1) / found).mean()) if len(found) else 0.0
