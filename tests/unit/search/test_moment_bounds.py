from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.bounds import changes, sharpened
from vsearch.search.moments import Usual, stretches
from vsearch.types import Features, Segment, Space, Span

if TYPE_CHECKING:
    from vsearch.search.moments import Stretch
    from vsearch.types import Matrix, Vector

SPACE = Space("chosen", 4, speaks_text=True)
QUERY: Vector = np.array([1, 0, 0, 0], np.float32)
USUAL = Usual(score=0.0, likeness=0.0)
DOG, SEA, TREE = np.eye(4, dtype=np.float32)[:3]


def film(*scenes: tuple[Vector, int], fps: float = 1.0) -> Features:
    """Frames that show each scene for so many seconds."""
    rows = [scene for scene, seconds in scenes for _ in range(round(seconds * fps))]
    return Features(SPACE, np.stack(rows), np.arange(len(rows)) / fps)


def nudged(vector: Vector, by: float) -> Vector:
    """A little to where nothing else is."""
    moved = vector + np.array([0, 0, 0, by], np.float32)
    return np.asarray(moved / np.linalg.norm(moved), np.float32)


def best(features: Features, *edges: float, allowed: list[bool] | None = None) -> Stretch:
    """The best stretch of segments between these edges, each the mean of its frames."""
    spans = [Span(*ends) for ends in pairwise(edges)]
    segments = [Segment(i, 7, span) for i, span in enumerate(spans)]
    means = np.stack([features.within(span).matrix.mean(axis=0) for span in spans])
    vectors: Matrix = means / np.linalg.norm(means, axis=1, keepdims=True)
    return next(iter(stretches(segments, vectors, vectors @ QUERY, USUAL, allowed)))


@pytest.mark.parametrize("fps", [1, 4])
def test_a_change_inside_a_segment_bounds_a_moment_half_way_between_frames(fps: float) -> None:
    features = film((SEA, 7), (DOG, 6), (TREE, 7), fps=fps)
    found = best(features, 0, 5, 10, 15, 20)  # nobody saw a cut
    assert found.span == Span(5, 15)
    span = sharpened(found, features, QUERY, USUAL)
    assert (span.start, span.end) == pytest.approx((7, 13), abs=0.5)


def test_a_boundary_is_where_a_shot_begins_if_one_does() -> None:
    features = film((SEA, 7), (DOG, 6), (TREE, 7))
    found = best(features, 0, 6.13, 12.71, 20)
    assert sharpened(found, features, QUERY, USUAL) == Span(6.13, 12.71)


def test_windows_of_one_shot_are_no_boundary() -> None:
    features = film((SEA, 5), (DOG, 20), (TREE, 5))
    found = best(features, 0, 5, 10, 15, 20, 25, 30)
    assert sharpened(found, features, QUERY, USUAL) == Span(5, 25)


def test_a_moment_may_begin_in_a_segment_that_mostly_shows_something_else() -> None:
    features = film((SEA, 8), (DOG, 12), (TREE, 5))
    found = best(features, 0, 10, 15, 20, 25)
    assert found.span.start == 10, "the segment before is sea for the most part"
    assert sharpened(found, features, QUERY, USUAL) == Span(7.5, 20)


def test_a_small_change_counts_where_nothing_else_moves() -> None:
    still = np.zeros((12, 64), np.float32)
    still[:, 0], still[6:, 1] = 1, 0.8
    assert changes(still, USUAL) == [5]
    restless = still + np.random.default_rng(5).normal(0, 0.1, still.shape).astype(np.float32)
    assert changes(restless, USUAL) == []


def test_one_odd_frame_is_no_scene() -> None:
    frames = film((DOG, 6), (nudged(DOG, 0.8), 1), (DOG, 6)).matrix
    assert changes(frames, USUAL) == []


def test_no_second_of_a_moment_is_of_another() -> None:
    features = film((DOG, 20))
    found = best(features, 0, 5, 10, 15, 20)
    assert sharpened(found, features, QUERY, USUAL) == Span(0, 20)
    assert sharpened(found, features, QUERY, USUAL, [Span(12, 15)]) == Span(0, 10)


def test_what_may_not_be_searched_is_in_no_moment() -> None:
    features = film((DOG, 20))
    found = best(features, 0, 5, 10, 15, 20, allowed=[False, True, True, False])
    assert sharpened(found, features, QUERY, USUAL) == Span(5, 15)


def test_frames_far_apart_are_enough() -> None:
    features = Features(SPACE, np.stack([SEA, DOG]), np.array([0.0, 30.0]))
    found = best(features, 0, 20, 25, 60)
    assert sharpened(found, features, QUERY, USUAL).end == 60
