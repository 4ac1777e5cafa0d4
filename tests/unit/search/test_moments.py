from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.moments import (
    MAX_MOMENT_SECONDS,
    Baseline,
    MomentCandidate,
    is_top_k_final,
    iter_candidates,
    top_k_per_video,
)
from vsearch.types import Segment, Span

if TYPE_CHECKING:
    from vsearch.types import Matrix, Vector


def segments(*lengths: float) -> list[Segment]:
    ends = np.cumsum(lengths)
    return [
        Segment(i, 7, Span(float(end - length), float(end)))
        for i, (end, length) in enumerate(zip(ends, lengths, strict=True))
    ]


def scores(*values: float) -> Vector:
    return np.array(values, np.float32)


def found_in(
    known: list[Segment], values: Vector, background: float, vectors: Matrix | None = None
) -> list[MomentCandidate]:
    """Return the candidates of segments that look the same, or have these vectors."""
    same = np.ones((len(known), 1), np.float32) if vectors is None else vectors
    return list(iter_candidates(known, same, values, Baseline(background, mean_similarity=0.0)))


def test_neighbors_with_similar_scores_form_one_moment() -> None:
    found = found_in(segments(5, 5, 5, 5), scores(0.1, 0.9, 0.85, 0.1), 0.1)
    assert found[0].span == Span(5, 15)
    assert found[0].segment_count == 2
    assert found[0].score == pytest.approx(0.9)


def test_two_events_apart_are_two_moments() -> None:
    found = found_in(segments(5, 5, 5), scores(0.9, 0.1, 0.8), 0.1)
    assert [one.span for one in found[:2]] == [Span(0, 5), Span(10, 15)]


def test_a_slow_decline_does_not_chain_through_the_video() -> None:
    falling = scores(*np.linspace(1.0, 0.0, 20))
    found = found_in(segments(*[2.0] * 20), falling, 0.0)[0]
    assert found.span == Span(0, 20), "to where half of the peak is left, no further"


def test_a_moment_is_bounded_however_long_the_scene() -> None:
    found = found_in(segments(*[5.0] * 100), scores(*[0.9] * 100), 0.1)
    assert max(one.span.duration for one in found) <= MAX_MOMENT_SECONDS
    assert sum(one.segment_count for one in found) == 100


def test_dissimilar_segments_with_equal_scores_are_separate_moments() -> None:
    looks = np.array([[1, 0], [0.96, 0.28], [0, 1]], np.float32)
    found = found_in(segments(4, 5, 6), scores(0.8, 0.9, 0.85), 0.1, looks)
    assert [one.span for one in found] == [Span(0, 9), Span(9, 15)]


def test_every_segment_belongs_to_exactly_one_moment() -> None:
    values = np.random.default_rng(3).random(30).astype(np.float32)
    found = sorted(one.span for one in found_in(segments(*[3.0] * 30), values, 0.5))
    assert found[0].start == 0
    assert [a.end for a in found[:-1]] == [b.start for b in found[1:]]


def stretch(video: int, score: float) -> MomentCandidate:
    return MomentCandidate(video, Span(0, 5), score, 1, 0, 0, Span(0, 5), (Span(0, 5),))


def test_one_video_does_not_crowd_out_the_others() -> None:
    found = [stretch(1, 0.9), stretch(1, 0.8), stretch(1, 0.7), stretch(2, 0.6), stretch(3, 0.5)]
    assert [s.video_id for s in top_k_per_video(found, 3, per_video=1)] == [1, 2, 3]


def test_remaining_places_are_filled_from_the_same_videos() -> None:
    found = [stretch(1, 0.9), stretch(1, 0.8), stretch(1, 0.7), stretch(2, 0.6)]
    chosen = top_k_per_video(found, 3, per_video=1)
    assert [(s.video_id, s.score) for s in chosen] == [(1, 0.9), (1, 0.8), (2, 0.6)]
    strict = top_k_per_video(found, 3, per_video=1, fill_remaining=False)
    assert [(s.video_id, s.score) for s in strict] == [(1, 0.9), (2, 0.6)]


@pytest.mark.parametrize(
    ("k", "per_video", "floor", "enough"),
    [
        (2, 1, 0.5, True),
        (3, 1, 0.5, False),  # two videos, one moment each
        (3, 2, 0.5, True),
        (3, 2, 0.65, False),  # an unseen segment may score more than 0.6
        (5, 9, 0.5, False),
    ],
)
def test_the_top_k_is_final_when_unseen_segments_score_lower(
    k: int, per_video: int, floor: float, enough: bool
) -> None:
    found = [stretch(1, 0.9), stretch(1, 0.8), stretch(1, 0.7), stretch(2, 0.6)]
    assert is_top_k_final(found, k, per_video, floor) is enough
