"""Classification metrics, checked against manual computation and definitions."""

from __future__ import annotations

import numpy as np
import pytest

from vsearch.evaluation.classification import (
    build_classification_report,
    build_reliability_table,
    compute_calibration_error,
)

NAMES = ("a", "b", "c")


def test_metrics_match_manual_computation() -> None:
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], np.float32
    )
    report = build_classification_report(probabilities, np.array([0, 0, 1, 1]), NAMES)
    assert report.confusion_matrix == ((1, 1, 0), (1, 1, 0), (0, 0, 0))
    assert report.top1_accuracy.value == 0.5
    assert report.top5_accuracy.value == 1
    a, b, c = report.class_metrics
    assert (a.row_count, a.precision, a.recall, a.f1_score) == (2, 0.5, 0.5, 0.5)
    assert a.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert b.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (c.row_count, c.f1_score, c.average_precision) == (0, 0, 0)
    assert report.mean_ap == pytest.approx(5 / 6), "a class without rows does not count"


def test_constant_probabilities_get_no_credit() -> None:
    constant = np.full((4, 2), 0.5, np.float32)
    report = build_classification_report(constant, np.array([0, 1, 1, 1]), ("a", "b"))
    assert report.class_metrics[0].average_precision == pytest.approx(1 / 4)


def test_calibration_error_is_confidence_minus_accuracy() -> None:
    confidences = np.full(10, 0.95, np.float32)
    assert compute_calibration_error(confidences, np.arange(10) < 5) == pytest.approx(0.45)
    assert compute_calibration_error(np.ones(4, np.float32), np.ones(4, bool)) == 0
    halves = np.full(100, 0.5, np.float32)
    assert compute_calibration_error(halves, np.arange(100) % 2 == 0) == pytest.approx(0)


def test_the_reliability_table_has_the_bins_of_the_calibration_error() -> None:
    confidences = np.array([0.05, 0.95, 1.0, 0.45], np.float32)
    is_correct = np.array([False, True, False, True])
    bins = build_reliability_table(confidences, is_correct)
    assert [each.count for each in bins] == [1, 0, 0, 0, 1, 0, 0, 0, 0, 2]
    assert (bins[0].mean_confidence, bins[0].correct_share) == pytest.approx((0.05, 0))
    assert (bins[1].mean_confidence, bins[1].correct_share) == (None, None)
    assert (bins[9].mean_confidence, bins[9].correct_share) == pytest.approx((0.975, 0.5))
    gaps = [
        each.count * abs(each.mean_confidence - each.correct_share)
        for each in bins
        if each.mean_confidence is not None and each.correct_share is not None
    ]
    assert compute_calibration_error(confidences, is_correct) == pytest.approx(sum(gaps) / 4)
