"""Tests of the confidence of moments."""

from __future__ import annotations

from pathlib import Path

from vsearch.search.calibration import MAX_CONFIDENCE, TEXT_PARAMS, Calibration, NullDistribution
from vsearch.search.confidence import assign_confidence
from vsearch.types import Explanation, Moment, Span, Video

VIDEO = Video(1, Path("/a.mp4"), "a", 1, 1, 60.0, 25.0, 64, 48, "h264", 60)


def moment(score: float, *, copy: bool = False) -> Moment:
    return Moment(VIDEO, Span(0, 5), score, None, Explanation(1.0, score, 1, is_copy=copy))


def test_a_copy_has_the_maximum_confidence_and_others_are_calibrated_separately() -> None:
    calibrated = Calibration(NullDistribution(0.0, 0.1, 0.3), TEXT_PARAMS)
    copy, other = assign_confidence([moment(0.9, copy=True), moment(0.3)], calibrated)
    assert copy.confidence == MAX_CONFIDENCE
    assert [other.confidence] == calibrated.score_confidences([0.3])
    copy, other = assign_confidence([moment(0.9, copy=True), moment(0.3)], None)
    assert (copy.confidence, other.confidence) == (MAX_CONFIDENCE, None)


def test_a_moment_has_low_confidence_only_if_it_was_calibrated() -> None:
    strong, weak = assign_confidence(
        [moment(0.6), moment(0.1)], Calibration(NullDistribution(0.0, 0.1, 0.3), TEXT_PARAMS)
    )
    assert not strong.has_low_confidence
    assert weak.has_low_confidence
    assert not moment(0.0).has_low_confidence
