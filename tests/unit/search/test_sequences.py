from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.moments import Baseline
from vsearch.search.sequences import (
    DEFAULT_MAX_GAP_SECONDS,
    SequenceMatch,
    StepScores,
    match_sequences,
)
from vsearch.types import Segment, Span

if TYPE_CHECKING:
    from vsearch.types import Matrix

USUAL = Baseline(score=0.0, mean_similarity=0.0)


def segments(*lengths: float) -> list[Segment]:
    edges = [0.0, *np.cumsum(lengths).tolist()]
    return [Segment(i, 7, Span(*ends)) for i, ends in enumerate(pairwise(edges))]


def looks(*scenes: int) -> Matrix:
    """Return a vector per segment; equal numbers give equal vectors."""
    return np.eye(max(scenes) + 1, dtype=np.float32)[list(scenes)]


def step(*scores: float, least: float = 0.5, within: float | None = None) -> StepScores:
    return StepScores(np.array(scores, np.float32), least, USUAL, within)


def found_in(
    known: list[Segment], *steps: StepScores, scenes: Matrix | None = None
) -> list[SequenceMatch]:
    """Return the matches of segments that all differ, unless `scenes` are given."""
    return list(
        match_sequences(known, looks(*range(len(known))) if scenes is None else scenes, steps)
    )


def test_steps_are_matched_in_order() -> None:
    found = found_in(segments(5, 5, 5, 5), step(0.1, 0.9, 0.1, 0.1), step(0.1, 0.1, 0.1, 0.8))
    assert [chain.span for chain in found] == [Span(5, 20)]
    assert [one.span for one in found[0].steps] == [Span(5, 10), Span(15, 20)]
    assert found[0].score == pytest.approx(0.85), "the mean"


def test_the_reverse_order_is_not_found() -> None:
    a, b = step(0.1, 0.1, 0.9), step(0.8, 0.1, 0.1)
    assert found_in(segments(5, 5, 5), a, b) == []
    assert len(found_in(segments(5, 5, 5), b, a)) == 1


def test_a_weak_echo_of_a_step_does_not_match() -> None:
    a = step(0.1, 0.9, 0.1)
    assert found_in(segments(5, 5, 5), a, step(0.9, 0.1, 0.6)) == []
    assert len(found_in(segments(5, 5, 5), a, step(0.9, 0.1, 0.85))) == 1


def test_one_of_two_steps_is_not_enough() -> None:
    assert found_in(segments(5, 5, 5), step(0.9, 0.1, 0.1), step(0.2, 0.3, 0.4)) == []


@pytest.mark.parametrize(("within", "found"), [(9.9, 0), (10.0, 1), (None, 1)])
def test_a_step_follows_within_the_maximum_gap(within: float | None, found: int) -> None:
    a, b = step(0.9, 0.1, 0.1), step(0.1, 0.1, 0.9, within=within)
    assert len(found_in(segments(5, 10, 5), a, b)) == found


def test_the_default_gap_is_a_minute() -> None:
    a, b = step(0.9, 0.1, 0.1), step(0.1, 0.1, 0.9)
    assert found_in(segments(5, DEFAULT_MAX_GAP_SECONDS, 5), a, b)
    assert not found_in(segments(5, DEFAULT_MAX_GAP_SECONDS + 1, 5), a, b)


def test_the_gap_is_measured_from_the_end_of_a_scene() -> None:
    a, b = step(0.9, 0.8, 0.7, 0.1), step(0.1, 0.1, 0.1, 0.9, within=3.0)
    found = found_in(segments(5, 5, 5, 5), a, b, scenes=looks(0, 0, 0, 1))
    assert [one.span for one in found[0].steps] == [Span(0, 15), Span(15, 20)]
    assert found[0].score == pytest.approx(0.9)


def test_steps_of_one_scene_do_not_overlap() -> None:
    a, b = step(0.9, 0.85, 0.8), step(0.8, 0.85, 0.9)
    found = found_in(segments(5, 5, 5), a, b, scenes=looks(0, 0, 0))
    first, second = (one.span for one in found[0].steps)
    assert first.end <= second.start


def test_excluded_segments_match_no_step() -> None:
    a, b = step(0.9, 0.1, 0.1), step(0.1, 0.1, 0.9)
    known = segments(5, 5, 5)
    assert not list(match_sequences(known, looks(0, 1, 2), [a, b], [True, True, False]))


def test_a_video_may_contain_a_sequence_twice() -> None:
    a = step(0.9, 0.1, 0.1, 0.85, 0.1)
    b = step(0.1, 0.9, 0.1, 0.1, 0.85)
    found = found_in(segments(5, 5, 5, 5, 5), a, b)
    assert [chain.span for chain in found] == [Span(0, 10), Span(15, 25)]


@pytest.mark.parametrize("seed", range(30))
def test_the_best_path_comes_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = segments(*rng.uniform(2, 8, 9))
    steps = [
        step(*rng.uniform(0.8, 0.9, 9), least=0.0, within=float(rng.uniform(1, 20)))
        for _ in range(3)
    ]
    ways = [
        float(np.mean([one.segment_scores[i] for one, i in zip(steps, way, strict=True)]))
        for way in product(range(9), repeat=3)
        if all(
            a < b and known[b].span.start - known[a].span.end <= (after.max_gap or 0)
            for (a, b), after in zip(pairwise(way), steps[1:], strict=True)
        )
    ]
    assert found_in(known, *steps)[0].score == pytest.approx(max(ways), abs=1e-6)
