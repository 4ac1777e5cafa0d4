from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.search.boundaries import find_scene_changes, refine_boundaries
from vsearch.search.moments import Baseline, iter_candidates
from vsearch.types import Features, Segment, Space, Span

if TYPE_CHECKING:
    from vsearch.search.moments import MomentCandidate
    from vsearch.types import Matrix, Vector

SPACE = Space("chosen", 4, supports_text=True)
QUERY: Vector = np.array([1, 0, 0, 0], np.float32)
USUAL = Baseline(score=0.0, mean_similarity=0.0)
DOG, SEA, TREE = np.eye(4, dtype=np.float32)[:3]


def film(*scenes: tuple[Vector, int], fps: float = 1.0) -> Features:
    """Return frames that show each scene for the given seconds."""
    rows = [scene for scene, seconds in scenes for _ in range(round(seconds * fps))]
    return Features(SPACE, np.stack(rows), np.arange(len(rows)) / fps)


def nudged(vector: Vector, by: float) -> Vector:
    """Return a vector slightly off a scene, in an unused direction."""
    moved = vector + np.array([0, 0, 0, by], np.float32)
    return np.asarray(moved / np.linalg.norm(moved), np.float32)


def best(features: Features, *edges: float, allowed: list[bool] | None = None) -> MomentCandidate:
    """Return the best candidate over segments with these edges."""
    spans = [Span(*ends) for ends in pairwise(edges)]
    segments = [Segment(i, 7, span) for i, span in enumerate(spans)]
    means = np.stack([features.within(span).frame_vectors.mean(axis=0) for span in spans])
    vectors: Matrix = means / np.linalg.norm(means, axis=1, keepdims=True)
    return next(iter(iter_candidates(segments, vectors, vectors @ QUERY, USUAL, allowed)))


@pytest.mark.parametrize("fps", [1, 4])
def test_a_scene_change_in_a_segment_is_a_boundary_half_way_between_frames(fps: float) -> None:
    features = film((SEA, 7), (DOG, 6), (TREE, 7), fps=fps)
    found = best(features, 0, 5, 10, 15, 20)  # no cut was detected
    assert found.span == Span(5, 15)
    span = refine_boundaries(found, features, QUERY, USUAL)
    assert (span.start, span.end) == pytest.approx((7, 13), abs=0.5)


def test_a_boundary_snaps_to_the_start_of_a_shot() -> None:
    features = film((SEA, 7), (DOG, 6), (TREE, 7))
    found = best(features, 0, 6.13, 12.71, 20)
    assert refine_boundaries(found, features, QUERY, USUAL) == Span(6.13, 12.71)


def test_segment_edges_within_a_shot_are_not_boundaries() -> None:
    features = film((SEA, 5), (DOG, 20), (TREE, 5))
    found = best(features, 0, 5, 10, 15, 20, 25, 30)
    assert refine_boundaries(found, features, QUERY, USUAL) == Span(5, 25)


def test_a_moment_may_start_in_a_segment_that_mostly_shows_another_scene() -> None:
    features = film((SEA, 8), (DOG, 12), (TREE, 5))
    found = best(features, 0, 10, 15, 20, 25)
    assert found.span.start == 10, "the segment before is sea for the most part"
    assert refine_boundaries(found, features, QUERY, USUAL) == Span(7.5, 20)


def test_a_weak_change_is_a_boundary_if_it_stands_out() -> None:
    still = np.zeros((12, 64), np.float32)
    still[:, 0], still[6:, 1] = 1, 0.8
    assert find_scene_changes(still, USUAL) == [5]
    restless = still + np.random.default_rng(5).normal(0, 0.1, still.shape).astype(np.float32)
    assert find_scene_changes(restless, USUAL) == []


def test_a_single_outlier_frame_is_not_a_scene() -> None:
    frames = film((DOG, 6), (nudged(DOG, 0.8), 1), (DOG, 6)).frame_vectors
    assert find_scene_changes(frames, USUAL) == []


def test_refined_moments_do_not_overlap() -> None:
    features = film((DOG, 20))
    found = best(features, 0, 5, 10, 15, 20)
    assert refine_boundaries(found, features, QUERY, USUAL) == Span(0, 20)
    assert refine_boundaries(found, features, QUERY, USUAL, [Span(12, 15)]) == Span(0, 10)


def test_boundaries_do_not_enter_excluded_segments() -> None:
    features = film((DOG, 20))
    found = best(features, 0, 5, 10, 15, 20, allowed=[False, True, True, False])
    assert refine_boundaries(found, features, QUERY, USUAL) == Span(5, 15)


def test_sparse_frames_are_sufficient() -> None:
    features = Features(SPACE, np.stack([SEA, DOG]), np.array([0.0, 30.0]))
    found = best(features, 0, 20, 25, 60)
    assert refine_boundaries(found, features, QUERY, USUAL).end == 60


def test_a_moment_ends_before_a_transition_and_begins_after_one() -> None:
    features = film((SEA, 8), (DOG, 7), (TREE, 8))
    spans = [Span(0, 7.3), Span(8.7, 14.2), Span(15.8, 23)]
    segments = [Segment(i, 7, span) for i, span in enumerate(spans)]
    vectors: Matrix = np.stack([SEA, DOG, TREE])
    found = next(iter(iter_candidates(segments, vectors, vectors @ QUERY, USUAL, None)))
    assert refine_boundaries(found, features, QUERY, USUAL) == Span(8.7, 14.2)


def test_frames_in_a_transition_do_not_count() -> None:
    features = film((DOG, 8), (SEA, 1), (DOG, 8))
    spans = [Span(0, 7.6), Span(9, 17)]
    segments = [Segment(i, 7, span) for i, span in enumerate(spans)]
    vectors: Matrix = np.stack([DOG, nudged(DOG, 0.1)])
    found = next(iter(iter_candidates(segments, vectors, vectors @ QUERY, USUAL, None)))
    assert refine_boundaries(found, features, QUERY, USUAL) == Span(0, 17)
