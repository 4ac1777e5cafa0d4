from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vsearch.search.step_joining import filter_salient, join_steps
from vsearch.types import Explanation, Moment, Quote, Span, Video

FILM = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 600.0, 25.0, 64, 36, "h264", 600)


def moment(start: float, end: float, score: float = 0.5, video: int = 1) -> Moment:
    quote = Quote("speech", Span(start, end), "hello", score)
    why = Explanation(start, score, 1, quotes=(quote,))
    return Moment(replace(FILM, id=video), Span(start, end), score, None, why)


def test_consecutive_steps_are_joined_into_one_moment() -> None:
    [found] = join_steps([[moment(0, 5, 0.4)], [moment(8, 12, 0.6)]], [None])
    assert found.span == Span(0, 12)
    assert found.explanation.step_spans == (Span(0, 5), Span(8, 12))
    assert found.score == pytest.approx(0.5)
    assert len(found.explanation.quotes) == 2


@pytest.mark.parametrize(
    ("first", "second", "within"),
    [
        (moment(8, 12), moment(0, 5), None),  # the wrong way round
        (moment(0, 5), moment(0, 5), None),  # the same moment
        (moment(0, 5), moment(16, 20), 10.0),  # too late
        (moment(0, 5), moment(66, 70), None),  # later than the default gap
        (moment(0, 5), moment(8, 12, video=2), None),  # in another video
        (moment(4.8, 20), moment(5, 10), None),  # at the same time
    ],
)
def test_unordered_or_distant_steps_are_not_joined(
    first: Moment, second: Moment, within: float | None
) -> None:
    assert join_steps([[first], [second]], [within]) == []


def test_the_best_path_to_a_moment_is_kept() -> None:
    first = [moment(0, 5, 0.3), moment(6, 9, 0.7), moment(40, 45, 0.9)]
    [found] = join_steps([first, [moment(12, 14, 0.5)]], [30.0])
    assert found.explanation.step_spans == (Span(6, 9), Span(12, 14))


def test_a_step_ends_where_the_next_one_begins() -> None:
    [found] = join_steps([[moment(0, 60)], [moment(5, 10)]], [None])
    assert found.explanation.step_spans == (Span(0, 5), Span(5, 10))
    assert found.span == Span(0, 10)


def test_a_joined_sequence_has_the_confidence_of_its_weakest_step() -> None:
    steps = [[replace(moment(0, 5), confidence=0.9)], [replace(moment(8, 9), confidence=0.2)]]
    [found] = join_steps(steps, [None])
    assert found.confidence == 0.2
    [unknown] = join_steps([steps[0], [moment(8, 9)]], [None])
    assert unknown.confidence is None


def test_three_steps_follow_each_other() -> None:
    steps = [[moment(0, 1)], [moment(2, 3), moment(50, 51)], [moment(55, 56)]]
    [found] = join_steps(steps, [60.0, 10.0])
    assert found.explanation.step_spans == (Span(0, 1), Span(50, 51), Span(55, 56))


def test_a_moment_must_stand_out_or_have_a_quote_to_be_a_step() -> None:
    best, near, far = (
        replace(moment(0, 5, s), explanation=Explanation(0, s, 1)) for s in (0.5, 0.35, 0.25)
    )
    assert filter_salient([best, near, far, moment(6, 7, 0.2)], 0.1) == [
        best, near, moment(6, 7, 0.2),
    ]  # fmt: skip
    assert filter_salient([], 0.1) == []
