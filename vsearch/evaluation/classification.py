"""Classification metrics: accuracy, average precision, calibration error and confusion matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.evaluation.metrics import (
    Metric,
    bootstrap_metric,
    compute_average_precision,
    rank_relevant,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.evaluation.metrics import QueryValues
    from vsearch.types import Ids, Matrix

CONFIDENCE_BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of similar confidence: `low` <= confidence < `high`, 1 included in the last bin."""

    low: float
    high: float
    count: int
    mean_confidence: float | None  # None without rows
    correct_share: float | None  # None without rows


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Precision, recall and average precision of one class."""

    class_name: str
    row_count: int
    precision: float  # 0 if the class was never predicted
    recall: float
    f1_score: float
    average_precision: float


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """Metrics of a classifier on labeled rows."""

    row_count: int
    top1_accuracy: Metric
    top5_accuracy: Metric
    mean_ap: float  # over the classes with rows
    macro_f1: float
    calibration_error: float  # expected calibration error (Guo et al. 2017)
    class_metrics: tuple[ClassMetrics, ...]
    confusion_matrix: tuple[tuple[int, ...], ...]  # [true][predicted]


def build_classification_report(
    probabilities: Matrix, true_labels: Ids, class_names: Sequence[str]
) -> ClassificationReport:
    """Compute all metrics of predicted class probabilities.

    Args:
        probabilities: Float32 (N, K) with N >= 1.
        true_labels: Class indices, int64 (N,).
        class_names: The K names.

    Returns:
        The report.
    """
    predicted_labels = probabilities.argmax(axis=1)
    confusion_matrix = np.zeros((len(class_names), len(class_names)), np.int64)
    np.add.at(confusion_matrix, (true_labels, predicted_labels), 1)
    class_metrics = tuple(
        _compute_class_metrics(
            class_name, index, confusion_matrix, probabilities[:, index], true_labels == index
        )
        for index, class_name in enumerate(class_names)
    )
    nonempty_classes = [each for each in class_metrics if each.row_count]
    true_probabilities = np.take_along_axis(probabilities, true_labels[:, None], axis=1)  # (N, 1)
    better_counts = (probabilities > true_probabilities).sum(axis=1)
    is_correct = predicted_labels == true_labels
    return ClassificationReport(
        len(true_labels),
        bootstrap_metric("top-1", is_correct.astype(np.float64)),
        bootstrap_metric("top-5", (better_counts < 5).astype(np.float64)),
        float(np.mean([each.average_precision for each in nonempty_classes])),
        float(np.mean([each.f1_score for each in nonempty_classes])),
        compute_calibration_error(probabilities.max(axis=1), is_correct),
        class_metrics,
        tuple(tuple(map(int, row)) for row in confusion_matrix),
    )


def compute_calibration_error(
    confidences: npt.NDArray[np.float32], is_correct: npt.NDArray[np.bool_]
) -> float:
    """Compute the expected calibration error (Guo et al. 2017) in CONFIDENCE_BINS equal bins.

    Args:
        confidences: Confidence of each row, float32 (N,).
        is_correct: Correctly classified rows, bool (N,).

    Returns:
        The error in [0, 1].
    """
    _, confidence_sums, correct_counts = _sum_bins(confidences, is_correct)
    return float(np.abs(confidence_sums - correct_counts).sum() / len(confidences))


def build_reliability_table(
    confidences: npt.NDArray[np.float32], is_correct: npt.NDArray[np.bool_]
) -> tuple[ReliabilityBin, ...]:
    """Compare the stated confidence with the share that is right (DeGroot and Fienberg 1983).

    Args:
        confidences: Confidence of each row, float32 (N,).
        is_correct: Correct rows, bool (N,).

    Returns:
        CONFIDENCE_BINS equal bins from 0 to 1, which `compute_calibration_error` also uses.
    """
    return tuple(
        ReliabilityBin(
            index / CONFIDENCE_BINS,
            (index + 1) / CONFIDENCE_BINS,
            int(count),
            float(confidence_sum / count) if count else None,
            float(correct_count / count) if count else None,
        )
        for index, (count, confidence_sum, correct_count) in enumerate(
            zip(*_sum_bins(confidences, is_correct), strict=True)
        )
    )


def _sum_bins(
    confidences: npt.NDArray[np.float32], is_correct: npt.NDArray[np.bool_]
) -> tuple[QueryValues, QueryValues, QueryValues]:
    """Return the row count, the sum of confidences and the correct rows of each bin."""
    bin_indices = np.minimum((confidences * CONFIDENCE_BINS).astype(int), CONFIDENCE_BINS - 1)
    return (
        np.bincount(bin_indices, minlength=CONFIDENCE_BINS).astype(np.float64),
        np.bincount(bin_indices, confidences, CONFIDENCE_BINS).astype(np.float64),
        np.bincount(bin_indices, is_correct, CONFIDENCE_BINS).astype(np.float64),
    )


def _compute_class_metrics(
    class_name: str,
    class_index: int,
    confusion_matrix: npt.NDArray[np.int64],
    probabilities: npt.NDArray[np.float32],
    is_relevant: npt.NDArray[np.bool_],
) -> ClassMetrics:
    true_positives = int(confusion_matrix[class_index, class_index])
    row_count = int(confusion_matrix[class_index].sum())
    precision = true_positives / max(1, int(confusion_matrix[:, class_index].sum()))
    recall = true_positives / max(1, row_count)
    f1_score = 2 * precision * recall / (precision + recall) if true_positives else 0.0
    average_precision = _compute_class_ap(probabilities, is_relevant)
    return ClassMetrics(class_name, row_count, precision, recall, f1_score, average_precision)


def _compute_class_ap(
    probabilities: npt.NDArray[np.float32], is_relevant: npt.NDArray[np.bool_]
) -> float:
    """Return the average precision, 0 without relevant rows."""
    relevant_ranks = rank_relevant(probabilities, is_relevant)
    return compute_average_precision(relevant_ranks) if len(relevant_ranks) else 0.0
