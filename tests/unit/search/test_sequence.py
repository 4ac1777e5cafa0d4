from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.moments import Usual
from vsearch.search.sequence import WITHIN, Chain, Step, chains
from vsearch.types import Segment, Span

if TYPE_CHECKING:
    from vsearch.types import Matrix

USUAL = Usual(score=0.0, likeness=0.0)


def segments(*lengths: float) -> list[Segment]:
    edges = [0.0, *np.cumsum(lengths).tolist()]
    return [Segment(i, 7, Span(*ends)) for i, ends in enumerate(pairwise(edges))]


def looks(*scenes: int) -> Matrix:
    """A vector for each segment: equal numbers look the same."""
    return np.eye(max(scenes) + 1, dtype=np.float32)[list(scenes)]


def step(*scores: float, least: float = 0.5, within: float | None = None) -> Step:
    return Step(np.array(scores, np.float32), least, USUAL, within)


def found_in(known: list[Segment], *steps: Step, scenes: Matrix | None = None) -> list[Chain]:
    """The ways, where every segment looks different unless `scenes` say otherwise."""
    return list(chains(known, looks(*range(len(known))) if scenes is None else scenes, steps))


def test_one_step_follows_the_other() -> None:
    found = found_in(segments(5, 5, 5, 5), step(0.1, 0.9, 0.1, 0.1), step(0.1, 0.1, 0.1, 0.8))
    assert [chain.span for chain in found] == [Span(5, 20)]
    assert [one.span for one in found[0].steps] == [Span(5, 10), Span(15, 20)]
    assert found[0].score == pytest.approx(0.85), "the mean"


def test_the_opposite_order_is_not_found() -> None:
    a, b = step(0.1, 0.1, 0.9), step(0.8, 0.1, 0.1)
    assert found_in(segments(5, 5, 5), a, b) == []
    assert len(found_in(segments(5, 5, 5), b, a)) == 1


def test_what_comes_after_as_a_mere_shadow_of_itself_is_no_step() -> None:
    a = step(0.1, 0.9, 0.1)
    assert found_in(segments(5, 5, 5), a, step(0.9, 0.1, 0.6)) == []
    assert len(found_in(segments(5, 5, 5), a, step(0.9, 0.1, 0.85))) == 1


def test_one_of_two_is_not_enough() -> None:
    assert found_in(segments(5, 5, 5), step(0.9, 0.1, 0.1), step(0.2, 0.3, 0.4)) == []


@pytest.mark.parametrize(("within", "found"), [(9.9, 0), (10.0, 1), (None, 1)])
def test_a_step_comes_within_so_many_seconds(within: float | None, found: int) -> None:
    a, b = step(0.9, 0.1, 0.1), step(0.1, 0.1, 0.9, within=within)
    assert len(found_in(segments(5, 10, 5), a, b)) == found


def test_a_minute_is_enough_where_nobody_says() -> None:
    a, b = step(0.9, 0.1, 0.1), step(0.1, 0.1, 0.9)
    assert found_in(segments(5, WITHIN, 5), a, b)
    assert not found_in(segments(5, WITHIN + 1, 5), a, b)


def test_seconds_count_from_the_end_of_a_scene_and_not_from_its_best_part() -> None:
    a, b = step(0.9, 0.8, 0.7, 0.1), step(0.1, 0.1, 0.1, 0.9, within=3.0)
    found = found_in(segments(5, 5, 5, 5), a, b, scenes=looks(0, 0, 0, 1))
    assert [one.span for one in found[0].steps] == [Span(0, 15), Span(15, 20)]
    assert found[0].score == pytest.approx(0.9)


def test_steps_of_one_scene_do_not_overlap() -> None:
    a, b = step(0.9, 0.85, 0.8), step(0.8, 0.85, 0.9)
    found = found_in(segments(5, 5, 5), a, b, scenes=looks(0, 0, 0))
    first, second = (one.span for one in found[0].steps)
    assert first.end <= second.start


def test_what_may_not_be_searched_is_no_step() -> None:
    a, b = step(0.9, 0.1, 0.1), step(0.1, 0.1, 0.9)
    known = segments(5, 5, 5)
    assert not list(chains(known, looks(0, 1, 2), [a, b], [True, True, False]))


def test_a_video_may_show_it_twice() -> None:
    a = step(0.9, 0.1, 0.1, 0.85, 0.1)
    b = step(0.1, 0.9, 0.1, 0.1, 0.85)
    found = found_in(segments(5, 5, 5, 5, 5), a, b)
    assert [chain.span for chain in found] == [Span(0, 10), Span(15, 25)]


@pytest.mark.parametrize("seed", range(30))
def test_the_best_of_all_ways_comes_first(seed: int) -> None:
    rng = np.random.default_rng(seed)
    known = segments(*rng.uniform(2, 8, 9))
    steps = [
        step(*rng.uniform(0.8, 0.9, 9), least=0.0, within=float(rng.uniform(1, 20)))
        for _ in range(3)
    ]
    ways = [
        float(np.mean([one.scores[i] for one, i in zip(steps, way, strict=True)]))
        for way in product(range(9), repeat=3)
        if all(
            a < b and known[b].span.start - known[a].span.end <= (after.within or 0)
            for (a, b), after in zip(pairwise(way), steps[1:], strict=True)
        )
    ]
    assert found_in(known, *steps)[0].score == pytest.approx(max(ways), abs=1e-6)
