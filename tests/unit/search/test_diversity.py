from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from vsearch.search.diversity import deduplicate_moments, diversify_moments, limit_per_video
from vsearch.types import Explanation, Moment, Quote, Span, Video

VIDEO = Video(1, Path("/films/a.mp4"), "aa", 1, 1, 60.0, 25.0, 64, 36, "h264", 60)


def moments(*scores: float, videos: tuple[int, ...] = ()) -> list[Moment]:
    ids = videos or tuple(range(1, len(scores) + 1))
    return [
        Moment(replace(VIDEO, id=id_), Span(i, i + 1), score, None, Explanation(i, score, 1))
        for i, (score, id_) in enumerate(zip(scores, ids, strict=True))
    ]


def at(*degrees: float) -> np.ndarray:
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_near_duplicates_are_hidden_and_counted() -> None:
    found = moments(0.9, 0.8, 0.7, 0.6)
    kept = deduplicate_moments(found, at(0, 5, 40, 8))
    assert [one.span for one in kept] == [found[0].span, found[2].span]
    assert [one.explanation.duplicates_hidden for one in kept] == [2, 0]


def test_near_duplicates_are_compared_with_kept_moments_and_do_not_chain() -> None:
    assert len(deduplicate_moments(moments(0.9, 0.8, 0.7), at(0, 20, 40))) == 2  # cos 20° = 0.94


def test_moments_of_the_same_video_are_not_duplicates() -> None:
    found = moments(0.9, 0.8, 0.7, videos=(1, 1, 2))
    assert [
        one.explanation.duplicates_hidden for one in deduplicate_moments(found, at(0, 0, 0))
    ] == [1, 0]


def test_transcript_hits_are_never_hidden_as_duplicates() -> None:
    first, second = moments(0.9, 0.8)
    quote = Quote("speech", Span(1, 2), "hello", 1.0)
    second = replace(second, explanation=replace(second.explanation, quotes=(quote,)))
    assert deduplicate_moments([first, second], at(0, 0)) == [first, second]


def test_mmr_prefers_novel_results() -> None:
    found = moments(0.9, 0.89, 0.88, 0.5)
    same, others = diversify_moments(found, at(0, 1, 60, 90), 2)
    assert (same, others) == (found[0], found[2])
    assert diversify_moments(found, at(0, 1, 60, 90), 4)[0] == found[0]
    assert len(diversify_moments(found, at(0, 1, 60, 90), 4)) == 4


def test_mmr_keeps_short_lists() -> None:
    found = moments(0.9, 0.8)
    assert diversify_moments(found, at(0, 0), 5) == found
    assert diversify_moments([], at(), 5) == []
    assert deduplicate_moments([], at()) == []


def test_one_video_does_not_crowd_out_others_in_the_results() -> None:
    found = moments(0.9, 0.8, 0.7, 0.6, videos=(1, 1, 1, 2))
    assert [one.score for one in limit_per_video(found, 3, 1, fill_remaining=True)] == [
        0.9,
        0.8,
        0.6,
    ]
    assert [one.score for one in limit_per_video(found, 3, 1, fill_remaining=False)] == [0.9, 0.6]
