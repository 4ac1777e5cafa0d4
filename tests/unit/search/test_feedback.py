"""Tests of Rocchio relevance feedback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.feedback import RelevanceFeedback
from vsearch.types import Explanation, Moment, Span, Video

if TYPE_CHECKING:
    from vsearch.types import Matrix, Vector

NONE = np.empty((0, 4), np.float32)


def unit(*rows: list[float]) -> Matrix:
    made: Matrix = np.array(rows, np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


QUERY: Vector = unit([1, 0, 0, 0])[0]
SAMPLE = unit([1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1])


def test_feedback_raises_similar_and_lowers_dissimilar_moments() -> None:
    wanted, unwanted = SAMPLE[1], SAMPLE[2]  # the query scores them equally
    assert wanted @ QUERY == pytest.approx(unwanted @ QUERY)
    for lesson in (RelevanceFeedback(wanted[None], NONE), RelevanceFeedback(NONE, unwanted[None])):
        taught = lesson.adjust_query(QUERY, SAMPLE)
        assert taught.dtype == np.float32
        assert wanted @ taught > unwanted @ taught + 0.05


def test_feedback_keeps_the_deviation_of_scores() -> None:
    taught = RelevanceFeedback(SAMPLE[1:2], SAMPLE[2:3]).adjust_query(QUERY, SAMPLE)
    assert (SAMPLE @ taught).std() == pytest.approx((SAMPLE @ QUERY).std(), rel=1e-5)


@pytest.mark.parametrize("sample", [SAMPLE[:0], SAMPLE[:1], SAMPLE[[0, 0, 0]]])
def test_feedback_works_with_too_few_segments(sample: Matrix) -> None:
    taught = RelevanceFeedback(SAMPLE[1:2], SAMPLE[2:3]).adjust_query(QUERY, sample)
    assert np.linalg.norm(taught) == pytest.approx(1, rel=1e-5)


def test_irrelevant_moments_come_last() -> None:
    film = Video(1, Path("/a.mp4"), "f", 1, 1, 60, 25, 64, 36, "h264", 60)
    found = [
        Moment(film, Span(start, start + 4), score, None, Explanation(start, score, 1))
        for start, score in ((0, 0.9), (10, 0.8), (20, 0.7))
    ]
    lesson = RelevanceFeedback(
        NONE, NONE, ((1, Span(0, 5)), (2, Span(20, 24)), (1, Span(13.5, 30)))
    )
    assert [moment.span.start for moment in lesson.demote_rejected(found)] == [10, 0, 20]
