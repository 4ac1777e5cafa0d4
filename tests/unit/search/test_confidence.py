"""Tests of the confidence of moments."""

from __future__ import annotations

from pathlib import Path

from vsearch.search.calibration import MAX_CONFIDENCE
from vsearch.search.confidence import assign_confidence, combine_confidences
from vsearch.types import WEAK_CONFIDENCE, Explanation, Moment, Span, Video

VIDEO = Video(1, Path("/a.mp4"), "a", 1, 1, 60.0, 25.0, 64, 48, "h264", 60)


def moment(score: float, *, copy: bool = False) -> Moment:
    return Moment(VIDEO, Span(0, 5), score, None, Explanation(1.0, score, 1, is_copy=copy))


def test_a_copy_has_the_maximum_confidence_and_others_are_calibrated_separately() -> None:
    copy, other = assign_confidence([moment(0.9, copy=True), moment(0.3)], [0.1, 0.2])
    assert (copy.confidence, other.confidence) == (MAX_CONFIDENCE, 0.2)
    copy, other = assign_confidence([moment(0.9, copy=True), moment(0.3)], [None, None])
    assert (copy.confidence, other.confidence) == (MAX_CONFIDENCE, None)


def test_a_moment_has_low_confidence_only_if_it_was_calibrated() -> None:
    strong, weak = assign_confidence(
        [moment(0.6), moment(0.1)], [WEAK_CONFIDENCE, WEAK_CONFIDENCE - 0.01]
    )
    assert not strong.has_low_confidence
    assert weak.has_low_confidence
    assert not moment(0.0).has_low_confidence


def test_a_moment_is_as_sure_as_its_least_sure_term() -> None:
    assert combine_confidences([[0.9, 0.1], [0.3, 0.8]], 2) == [0.3, 0.1]
    assert combine_confidences([[0.9, 0.1]], 2) == [0.9, 0.1]
    assert combine_confidences([[], []], 0) == []


def test_the_confidence_is_unknown_if_that_of_a_term_is() -> None:
    assert combine_confidences([[0.9, 0.1], None], 2) == [None, None]
    assert combine_confidences([None], 2) == [None, None]
    assert combine_confidences([], 2) == [None, None]  # nothing but excluded terms
