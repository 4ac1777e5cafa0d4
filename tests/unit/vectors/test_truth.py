from __future__ import annotations

import numpy as np
import pytest
from wandering import wandering

from vsearch.vectors.clusters import clustered, nearest
from vsearch.vectors.truth import Truth, perturbed

VECTORS = wandering(2_000)


def test_the_truth_is_the_same_however_it_comes_in() -> None:
    truth = Truth(VECTORS[:3])
    for start in range(0, 2_000, 7):
        truth.see(np.arange(start, min(start + 7, 2_000)) + 50, VECTORS[start : start + 7])
    for question, near in zip(VECTORS[:3], truth.nearest(), strict=True):
        assert sorted(near - 50) == sorted(np.argsort(-(VECTORS @ question))[:10])


def test_recall_is_the_share_that_was_found() -> None:
    truth = Truth(VECTORS[:2])
    truth.see(np.arange(4), VECTORS[:4])
    assert truth.recall([[0, 1, 2, 3], [0, 1, 9]]) == pytest.approx(0.75)
    assert Truth(VECTORS[:0]).recall([]) == 1
    assert Truth(VECTORS[:1]).recall([[]]) == 1


def test_questions_are_of_unit_length_some_near_and_some_far() -> None:
    asked = perturbed(VECTORS, 50)
    assert np.linalg.norm(asked, axis=1) == pytest.approx(1, abs=1e-5)
    best = (asked @ VECTORS.T).max(axis=1)
    assert best[::2].min() > 0.89
    assert best[1::2].mean() < 0.8
    assert asked.dtype == np.float32
    assert len(perturbed(VECTORS[:3], 50)) == 3


def test_groups_hold_what_is_alike_and_neighbours_are_near() -> None:
    centres = clustered(VECTORS, 40, lambda: None)
    group = nearest(centres, VECTORS, lambda: None)
    assert np.bincount(group, minlength=40).min() > 0
    assert np.einsum("nd,nd->n", VECTORS, centres[group]).mean() > 0.7
    near = np.einsum("nd,nd->n", centres[1:], centres[:-1]).mean()
    assert near > np.einsum("nd,nd->n", centres[20:], centres[:20]).mean()
