"""The coverage objective and budgeted selection."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vsearch.analysis.coverage import CoverageObjective


def random_coverage(seed: int, count: int = 12, frames: int = 20) -> CoverageObjective:
    rng = np.random.default_rng(seed)
    matrix = rng.random((frames, count)).astype(np.float32) ** 3
    return CoverageObjective(matrix, rng.random(frames).astype(np.float32))


@given(st.integers(0, 1000), st.data())
def test_coverage_is_monotone_and_submodular(seed: int, data: st.DataObject) -> None:
    coverage = random_coverage(seed)
    large = data.draw(st.sets(st.integers(0, 11), max_size=8))
    small = set(list(large)[: len(large) // 2])
    candidate = data.draw(st.integers(0, 11))
    small_value, large_value = coverage.compute_value(small), coverage.compute_value(large)
    assert small_value <= large_value + 1e-6
    assert (
        coverage.compute_value(small | {candidate}) - small_value
        >= coverage.compute_value(large | {candidate}) - large_value - 1e-5
    )


@given(
    st.integers(0, 1000),
    st.lists(st.floats(0.01, 20), min_size=12, max_size=12),
    st.floats(0, 60),
)
def test_the_budget_holds_and_selections_are_distinct(
    seed: int, costs: list[float], budget: float
) -> None:
    selected = random_coverage(seed).select_candidates(costs, budget)
    assert len(set(selected)) == len(selected)
    assert sum(costs[candidate] for candidate in selected) <= budget + 1e-6


@given(st.integers(0, 200))
def test_the_greedy_selection_is_near_optimal(seed: int) -> None:
    coverage, costs = random_coverage(seed, 8), [1.0, 2.0, 3.0, 1.5, 1.0, 2.5, 2.0, 1.0]
    best = max(
        coverage.compute_value(subset)
        for n in range(9)
        for subset in combinations(range(8), n)
        if sum(costs[candidate] for candidate in subset) <= 4
    )
    assert coverage.compute_value(coverage.select_candidates(costs, 4)) >= 0.8 * best


@given(st.integers(0, 200))
def test_lazy_greedy_equals_plain_greedy(seed: int) -> None:
    coverage = random_coverage(seed)
    selected: list[int] = []
    while len(selected) < 5:
        values = {
            candidate: coverage.compute_value([*selected, candidate])
            for candidate in range(12)
            if candidate not in selected
        }
        selected.append(max(values, key=values.__getitem__))
    assert coverage.select_candidates([1.0] * 12, 5) == selected


def test_a_redundant_candidate_is_not_selected() -> None:
    matrix = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 1]], np.float32)
    coverage = CoverageObjective(matrix, np.ones(3, np.float32))
    assert sorted(coverage.select_candidates([1, 1, 1], 3)) in ([0, 2], [1, 2])


def test_a_cheap_candidate_beats_a_costly_one_with_little_more_coverage() -> None:
    matrix = np.eye(4, dtype=np.float32)
    coverage = CoverageObjective(matrix, np.array([1.1, 1, 1, 1], np.float32))
    assert sorted(coverage.select_candidates([3, 1, 1, 1], 3)) == [1, 2, 3]


def test_full_coverage_beats_many_cheap_candidates() -> None:
    matrix = np.zeros((10, 2), np.float32)
    matrix[0, 0], matrix[:, 1] = 1, 1
    coverage = CoverageObjective(matrix, np.ones(10, np.float32))
    assert coverage.select_candidates([0.5, 10], 10) == [1]


def test_an_empty_selection_has_no_value() -> None:
    coverage = random_coverage(0)
    assert coverage.compute_value([]) == 0
    assert coverage.select_candidates([5.0] * 12, 1) == []
