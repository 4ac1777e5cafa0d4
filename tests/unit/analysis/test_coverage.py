"""What a choice is worth, and the choice within a budget."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vsearch.analysis.coverage import Coverage


def random_coverage(seed: int, count: int = 12, frames: int = 20) -> Coverage:
    rng = np.random.default_rng(seed)
    shown = rng.random((frames, count)).astype(np.float32) ** 3
    return Coverage(shown, rng.random(frames).astype(np.float32))


@given(st.integers(0, 1000), st.data())
def test_more_candidates_are_worth_more_but_each_adds_less(seed: int, data: st.DataObject) -> None:
    coverage = random_coverage(seed)
    large = data.draw(st.sets(st.integers(0, 11), max_size=8))
    small = set(list(large)[: len(large) // 2])
    one = data.draw(st.integers(0, 11))
    few, many = coverage.value(small), coverage.value(large)
    assert few <= many + 1e-6
    assert coverage.value(small | {one}) - few >= coverage.value(large | {one}) - many - 1e-5


@given(
    st.integers(0, 1000),
    st.lists(st.floats(0.01, 20), min_size=12, max_size=12),
    st.floats(0, 60),
)
def test_a_budget_is_kept_and_nobody_chosen_twice(
    seed: int, costs: list[float], budget: float
) -> None:
    chosen = random_coverage(seed).choose(costs, budget)
    assert len(set(chosen)) == len(chosen)
    assert sum(costs[c] for c in chosen) <= budget + 1e-6


@given(st.integers(0, 200))
def test_what_is_chosen_is_nearly_the_best_there_is(seed: int) -> None:
    coverage, costs = random_coverage(seed, 8), [1.0, 2.0, 3.0, 1.5, 1.0, 2.5, 2.0, 1.0]
    best = max(
        coverage.value(some)
        for n in range(9)
        for some in combinations(range(8), n)
        if sum(costs[c] for c in some) <= 4
    )
    assert coverage.value(coverage.choose(costs, 4)) >= 0.8 * best


@given(st.integers(0, 200))
def test_lazy_choice_is_the_choice_that_asks_everybody_every_time(seed: int) -> None:
    coverage = random_coverage(seed)
    chosen: list[int] = []
    while len(chosen) < 5:
        rest = [c for c in range(12) if c not in chosen]
        chosen.append(max(rest, key=lambda c: coverage.value([*chosen, c])))
    assert coverage.choose([1.0] * 12, 5) == chosen


def test_who_repeats_another_is_not_chosen() -> None:
    shown = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    coverage = Coverage(shown, np.ones(3, np.float32))
    assert sorted(coverage.choose([1, 1, 1], 3)) in ([0, 2], [1, 2])


def test_a_cheap_one_goes_before_a_dear_one_that_shows_hardly_more() -> None:
    shown = np.eye(4, dtype=np.float32)
    coverage = Coverage(shown, np.array([1.1, 1, 1, 1], np.float32))
    assert sorted(coverage.choose([3, 1, 1, 1], 3)) == [1, 2, 3]


def test_one_that_shows_all_goes_before_many_cheap_ones_that_show_little() -> None:
    shown = np.zeros((10, 2), np.float32)
    shown[0, 0], shown[:, 1] = 1, 1
    assert Coverage(shown, np.ones(10, np.float32)).choose([0.5, 10], 10) == [1]


def test_nothing_is_worth_nothing() -> None:
    coverage = random_coverage(0)
    assert coverage.value([]) == 0
    assert coverage.choose([5.0] * 12, 1) == []
