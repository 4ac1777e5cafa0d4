from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vsearch.search.following import following, outstanding
from vsearch.types import Moment, Quote, Span, Video, Why

FILM = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 600.0, 25.0, 64, 36, "h264", 600)


def moment(start: float, end: float, score: float = 0.5, video: int = 1) -> Moment:
    quote = Quote("speech", Span(start, end), "hello", score)
    why = Why(start, score, 1, quotes=(quote,))
    return Moment(replace(FILM, id=video), Span(start, end), score, None, why)


def test_a_step_that_follows_another_makes_one_moment_of_both() -> None:
    [found] = following([[moment(0, 5, 0.4)], [moment(8, 12, 0.6)]], [None])
    assert found.span == Span(0, 12)
    assert found.why.steps == (Span(0, 5), Span(8, 12))
    assert found.score == pytest.approx(0.5)
    assert len(found.why.quotes) == 2


@pytest.mark.parametrize(
    ("first", "second", "within"),
    [
        (moment(8, 12), moment(0, 5), None),  # the wrong way round
        (moment(0, 5), moment(0, 5), None),  # the same moment
        (moment(0, 5), moment(16, 20), 10.0),  # too late
        (moment(0, 5), moment(66, 70), None),  # too late for what is usual
        (moment(0, 5), moment(8, 12, video=2), None),  # in another video
        (moment(4.8, 20), moment(5, 10), None),  # at the same time
    ],
)
def test_what_does_not_follow_is_not_found(
    first: Moment, second: Moment, within: float | None
) -> None:
    assert following([[first], [second]], [within]) == []


def test_of_the_ways_to_a_moment_the_best_is_taken() -> None:
    first = [moment(0, 5, 0.3), moment(6, 9, 0.7), moment(40, 45, 0.9)]
    [found] = following([first, [moment(12, 14, 0.5)]], [30.0])
    assert found.why.steps == (Span(6, 9), Span(12, 14))


def test_a_step_ends_where_the_next_one_begins() -> None:
    [found] = following([[moment(0, 60)], [moment(5, 10)]], [None])
    assert found.why.steps == (Span(0, 5), Span(5, 10))
    assert found.span == Span(0, 10)


def test_it_is_as_sure_as_its_weakest_step() -> None:
    steps = [[replace(moment(0, 5), confidence=0.9)], [replace(moment(8, 9), confidence=0.2)]]
    [found] = following(steps, [None])
    assert found.confidence == 0.2
    [unknown] = following([steps[0], [moment(8, 9)]], [None])
    assert unknown.confidence is None


def test_three_steps_follow_each_other() -> None:
    steps = [[moment(0, 1)], [moment(2, 3), moment(50, 51)], [moment(55, 56)]]
    [found] = following(steps, [60.0, 10.0])
    assert found.why.steps == (Span(0, 1), Span(50, 51), Span(55, 56))


def test_what_does_not_stand_out_is_no_step_unless_words_say_it() -> None:
    best, near, far = (replace(moment(0, 5, s), why=Why(0, s, 1)) for s in (0.5, 0.35, 0.25))
    assert outstanding([best, near, far, moment(6, 7, 0.2)], 0.1) == [
        best, near, moment(6, 7, 0.2),
    ]  # fmt: skip
    assert outstanding([], 0.1) == []
