"""Figures of classification, checked by hand and against what they are defined by."""

from __future__ import annotations

import numpy as np
import pytest

from vsearch.evaluation.classes import calibration_error, judge

NAMES = ("a", "b", "c")


def test_figures_are_what_a_hand_would_find() -> None:
    chances = np.array(
        [[0.8, 0.1, 0.1], [0.4, 0.5, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]], np.float32
    )
    found = judge(chances, np.array([0, 0, 1, 1]), NAMES)
    assert found.confusion == ((1, 1, 0), (1, 1, 0), (0, 0, 0))
    assert found.top1.value == 0.5
    assert found.top5.value == 1
    a, b, c = found.classes
    assert (a.rows, a.precision, a.recall, a.f1) == (2, 0.5, 0.5, 0.5)
    assert a.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert b.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (c.rows, c.f1, c.average_precision) == (0, 0, 0)
    assert found.mean_ap == pytest.approx(5 / 6), "a class without rows says nothing"


def test_a_model_that_says_the_same_of_everything_finds_nothing_early() -> None:
    same = np.full((4, 2), 0.5, np.float32)
    found = judge(same, np.array([0, 1, 1, 1]), ("a", "b"))
    assert found.classes[0].average_precision == pytest.approx(1 / 4)


def test_calibration_is_confidence_less_accuracy() -> None:
    sure = np.full(10, 0.95, np.float32)
    assert calibration_error(sure, np.arange(10) < 5) == pytest.approx(0.45)
    assert calibration_error(np.ones(4, np.float32), np.ones(4, bool)) == 0
    half = np.full(100, 0.5, np.float32)
    assert calibration_error(half, np.arange(100) % 2 == 0) == pytest.approx(0)
