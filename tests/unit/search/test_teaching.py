"""What a query learns from marks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.teaching import Lesson
from vsearch.types import Moment, Span, Video, Why

if TYPE_CHECKING:
    from vsearch.types import Matrix, Vector

NONE = np.empty((0, 4), np.float32)


def unit(*rows: list[float]) -> Matrix:
    made: Matrix = np.array(rows, np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


QUERY: Vector = unit([1, 0, 0, 0])[0]
SAMPLE = unit([1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 1])


def test_what_is_like_the_marked_up_rises_and_like_the_marked_down_falls() -> None:
    wanted, unwanted = SAMPLE[1], SAMPLE[2]  # the query cannot tell them apart
    assert wanted @ QUERY == pytest.approx(unwanted @ QUERY)
    for lesson in (Lesson(wanted[None], NONE), Lesson(NONE, unwanted[None])):
        taught = lesson.taught(QUERY, SAMPLE)
        assert taught.dtype == np.float32
        assert wanted @ taught > unwanted @ taught + 0.05


def test_scores_keep_their_spread() -> None:
    taught = Lesson(SAMPLE[1:2], SAMPLE[2:3]).taught(QUERY, SAMPLE)
    assert (SAMPLE @ taught).std() == pytest.approx((SAMPLE @ QUERY).std(), rel=1e-5)


@pytest.mark.parametrize("sample", [SAMPLE[:0], SAMPLE[:1], SAMPLE[[0, 0, 0]]])
def test_too_few_segments_are_no_harm(sample: Matrix) -> None:
    taught = Lesson(SAMPLE[1:2], SAMPLE[2:3]).taught(QUERY, sample)
    assert np.linalg.norm(taught) == pytest.approx(1, rel=1e-5)


def test_what_was_marked_down_comes_after_all_others() -> None:
    film = Video(1, Path("/a.mp4"), "f", 1, 1, 60, 25, 64, 36, "h264", 60)
    found = [
        Moment(film, Span(start, start + 4), score, None, Why(start, score, 1))
        for start, score in ((0, 0.9), (10, 0.8), (20, 0.7))
    ]
    lesson = Lesson(NONE, NONE, ((1, Span(0, 5)), (2, Span(20, 24)), (1, Span(13.5, 30))))
    assert [moment.span.start for moment in lesson.ordered(found)] == [10, 0, 20]
