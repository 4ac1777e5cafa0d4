from __future__ import annotations

import numpy as np
import pytest

from tests.support.random_walks import random_walk_vectors
from vsearch.index.ground_truth import GroundTruth, perturb_queries
from vsearch.index.kmeans import assign_clusters, kmeans

VECTORS = random_walk_vectors(2_000)


def test_the_result_does_not_depend_on_batches() -> None:
    truth = GroundTruth(VECTORS[:3])
    for start in range(0, 2_000, 7):
        truth.add(np.arange(start, min(start + 7, 2_000)) + 50, VECTORS[start : start + 7])
    for question, near in zip(VECTORS[:3], truth.neighbor_ids(), strict=True):
        assert sorted(near - 50) == sorted(np.argsort(-(VECTORS @ question))[:10])


def test_recall_is_the_share_of_neighbors_found() -> None:
    truth = GroundTruth(VECTORS[:2])
    truth.add(np.arange(4), VECTORS[:4])
    assert truth.measure_recall([[0, 1, 2, 3], [0, 1, 9]]) == pytest.approx(0.75)
    assert GroundTruth(VECTORS[:0]).measure_recall([]) == 1
    assert GroundTruth(VECTORS[:1]).measure_recall([[]]) == 1


def test_perturbed_queries_have_unit_length_and_the_target_cosines() -> None:
    asked = perturb_queries(VECTORS, 50)
    assert np.linalg.norm(asked, axis=1) == pytest.approx(1, abs=1e-5)
    best = (asked @ VECTORS.T).max(axis=1)
    assert best[::2].min() > 0.89
    assert best[1::2].mean() < 0.8
    assert asked.dtype == np.float32
    assert len(perturb_queries(VECTORS[:3], 50)) == 3


def test_clusters_are_coherent_and_adjacent_centroids_are_close() -> None:
    centres = kmeans(VECTORS, 40, lambda: None)
    group = assign_clusters(centres, VECTORS, lambda: None)
    assert np.bincount(group, minlength=40).min() > 0
    assert np.einsum("nd,nd->n", VECTORS, centres[group]).mean() > 0.7
    near = np.einsum("nd,nd->n", centres[1:], centres[:-1]).mean()
    assert near > np.einsum("nd,nd->n", centres[20:], centres[:20]).mean()
