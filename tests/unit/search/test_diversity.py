from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vsearch.search.diversity import collapsed, diverse, limited
from vsearch.types import Moment, Quote, Span, Video, Why

VIDEO = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)


def moments(*scores: float, videos: tuple[int, ...] = ()) -> list[Moment]:
    ids = videos or tuple(range(1, len(scores) + 1))
    return [
        Moment(replace(VIDEO, id=id_), Span(i, i + 1), score, None, Why(i, score, 1))
        for i, (score, id_) in enumerate(zip(scores, ids, strict=True))
    ]


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_what_shows_nearly_the_same_is_counted_and_left_out() -> None:
    found = moments(0.9, 0.8, 0.7, 0.6)
    kept = collapsed(found, at(0, 5, 40, 8))
    assert [one.span for one in kept] == [found[0].span, found[2].span]
    assert [one.why.alike for one in kept] == [2, 0]


def test_it_is_compared_with_what_is_kept_so_that_likeness_does_not_chain() -> None:
    assert len(collapsed(moments(0.9, 0.8, 0.7), at(0, 20, 40))) == 2  # cos 20° = 0.94


def test_moments_of_one_video_stay_for_they_are_at_different_times() -> None:
    found = moments(0.9, 0.8, 0.7, videos=(1, 1, 2))
    assert [one.why.alike for one in collapsed(found, at(0, 0, 0))] == [1, 0]


def test_what_was_found_by_words_stays_whatever_it_shows() -> None:
    first, second = moments(0.9, 0.8)
    quote = Quote("speech", Span(1, 2), "hello", 1.0)
    second = replace(second, why=replace(second.why, quotes=(quote,)))
    assert collapsed([first, second], at(0, 0)) == [first, second]


def test_different_results_come_before_more_of_the_same() -> None:
    found = moments(0.9, 0.89, 0.88, 0.5)
    same, others = diverse(found, at(0, 1, 60, 90), 2)
    assert (same, others) == (found[0], found[2])
    assert diverse(found, at(0, 1, 60, 90), 4)[0] == found[0]
    assert len(diverse(found, at(0, 1, 60, 90), 4)) == 4


def test_few_results_need_no_choice() -> None:
    found = moments(0.9, 0.8)
    assert diverse(found, at(0, 0), 5) == found
    assert diverse([], at(), 5) == []
    assert collapsed([], at()) == []


def test_one_video_does_not_take_all_places_while_others_fit() -> None:
    found = moments(0.9, 0.8, 0.7, 0.6, videos=(1, 1, 1, 2))
    assert [one.score for one in limited(found, 3, 1, fill=True)] == [0.9, 0.8, 0.6]
    assert [one.score for one in limited(found, 3, 1, fill=False)] == [0.9, 0.6]
