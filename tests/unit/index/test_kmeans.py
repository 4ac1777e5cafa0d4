"""Visual vocabulary by hierarchical k-means."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from vsearch.index.kmeans import assign_words, learn_vocabulary

if TYPE_CHECKING:
    from vsearch.types import Matrix


def frames(count: int, groups: int, dim: int = 8) -> Matrix:
    """Return unit vectors around `groups` directions."""
    random = np.random.default_rng(0)
    found = random.normal(size=(groups, dim))[np.arange(count) % groups] * 3
    found += 0.1 * random.normal(size=found.shape)
    unit: Matrix = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_similar_frames_are_one_word() -> None:
    rows = frames(400, 5)
    words = learn_vocabulary(rows, branching_factor=5, tree_levels=1)
    of = assign_words(rows, words).reshape(-1, 5)
    assert len(words) == 5
    assert (of == of[0]).all()
    assert len(set(of[0].tolist())) == 5


@pytest.mark.slow
def test_the_same_frames_and_seed_give_the_same_words() -> None:
    rows = frames(2_000, 60)
    assert np.array_equal(learn_vocabulary(rows), learn_vocabulary(rows))
    assert np.array_equal(
        assign_words(rows, learn_vocabulary(rows)), assign_words(rows, learn_vocabulary(rows))
    )
    assert not np.array_equal(learn_vocabulary(rows), learn_vocabulary(rows, seed=1))


@pytest.mark.slow
def test_the_vocabulary_is_a_tree_of_the_given_size() -> None:
    rows = frames(4_000, 400, dim=16)
    assert 50 < len(learn_vocabulary(rows, branching_factor=4, tree_levels=3)) <= 64
    assert np.allclose(np.linalg.norm(learn_vocabulary(rows), axis=1), 1, atol=1e-5)


def test_fewer_frames_give_fewer_words() -> None:
    sizes = [len(learn_vocabulary(frames(count, count))) for count in (40, 400, 4_000)]
    assert sizes == sorted(sizes)
    assert sizes[-1] <= 4_000 / 4


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_frames_than_words_are_the_words(count: int) -> None:
    rows = frames(count, count)
    words = learn_vocabulary(rows, branching_factor=4, tree_levels=1)
    assert len(words) == count or count > 2
    assert sorted(assign_words(words, words).tolist()) == list(range(len(words)))


def test_identical_frames_are_one_word() -> None:
    assert len(learn_vocabulary(np.repeat(frames(1, 1), 300, axis=0))) == 1
