"""Spherical k-means: flat clusters for inverted lists, and a hierarchical visual vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsearch.index.faiss_library import faiss

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Ids, Matrix

KMEANS_ITERATIONS = 8
BLOCK_ROWS = 4_096  # vectors compared with all centroids at once; bounds memory
# Defaults of VideoBERT (2019): a tree of 12 ** 4 = 20,736 words.
BRANCHING_FACTOR, TREE_LEVELS = 12, 4
MIN_FRAMES_PER_WORD = 10  # on average; fewer frames get a narrower tree
VOCABULARY_ITERATIONS = 20
MAX_SAMPLE_PER_CENTROID = 1_024  # frames per centroid that k-means uses at most


def kmeans(sample: Matrix, cluster_count: int, check_cancelled: Callable[[], None]) -> Matrix:
    """Cluster unit vectors by spherical k-means (`faiss.Kmeans`).

    Args:
        sample: float32 (M, D) of unit length, M >= cluster_count.
        cluster_count: Number of centroids.
        check_cancelled: Called before each iteration; an exception it raises ends the clustering.

    Returns:
        Centroids, float32 (cluster_count, D) of unit length, ordered so that neighboring rows are
        mostly close to each other.
    """
    rng = np.random.default_rng(0)
    centroids = sample[np.sort(rng.choice(len(sample), cluster_count, replace=False))]
    clustering = faiss.Kmeans(
        sample.shape[1],
        cluster_count,
        niter=1,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=len(sample),
    )
    for _ in range(KMEANS_ITERATIONS):
        check_cancelled()
        clustering.train(sample, init_centroids=centroids)
        centroids = np.asarray(clustering.centroids, np.float32)
    return centroids[_nearest_neighbor_tour(centroids)]


def assign_clusters(centroids: Matrix, vectors: Matrix, check_cancelled: Callable[[], None]) -> Ids:
    """Return the nearest centroid of each vector by inner product.

    Args:
        centroids: float32 (K, D).
        vectors: float32 (N, D).
        check_cancelled: Called before each block; an exception it raises ends the assignment.

    Returns:
        Rows of `centroids`, int64 (N,).
    """
    cluster_ids = np.empty(len(vectors), np.int64)
    for block_start in range(0, len(vectors), BLOCK_ROWS):
        check_cancelled()
        block_rows = slice(block_start, block_start + BLOCK_ROWS)
        cluster_ids[block_rows] = (vectors[block_rows] @ centroids.T).argmax(axis=1)
    return cluster_ids


def _nearest_neighbor_tour(centroids: Matrix) -> Ids:
    """Return a greedy order in which each centroid follows its nearest unvisited one."""
    similarities = centroids @ centroids.T
    tour_order = np.zeros(len(centroids), np.int64)
    similarities[:, 0] = -np.inf  # visited
    for tour_position in range(1, len(centroids)):
        tour_order[tour_position] = similarities[tour_order[tour_position - 1]].argmax()
        similarities[:, tour_order[tour_position]] = -np.inf
    return tour_order


def learn_vocabulary(
    frame_vectors: Matrix,
    *,
    branching_factor: int = BRANCHING_FACTOR,
    tree_levels: int = TREE_LEVELS,
    seed: int = 0,
) -> Matrix:
    """Learn visual words by hierarchical k-means, as VideoBERT (Sun et al. 2019) does.

    k-means splits the frames into a few clusters, each of these again, and so on; the centroids of
    the last level are the words. A flat k-means with thousands of centroids would take many times
    longer.

    Args:
        frame_vectors: float32 (N, D) of unit length, N >= 1.
        branching_factor: Clusters per split; reduced if there are few frames.
        tree_levels: Depth of the tree.
        seed: Random seed. The same frames and seed give the same words.

    Returns:
        float32 (K, D) of unit length, 1 <= K <= branching_factor ** tree_levels.
    """
    fitting_factor = round((len(frame_vectors) / MIN_FRAMES_PER_WORD) ** (1 / tree_levels))
    branching_factor = max(2, min(branching_factor, fitting_factor))
    frame_rows = np.ascontiguousarray(frame_vectors, np.float32)
    leaf_centroids = np.concatenate(
        _leaf_centroids(frame_rows, branching_factor, tree_levels, seed)
    )
    centroid_norms = np.maximum(np.linalg.norm(leaf_centroids, axis=1, keepdims=True), 1e-12)
    vocabulary: Matrix = np.unique(leaf_centroids / centroid_norms, axis=0).astype(np.float32)
    return vocabulary


def assign_words(frame_vectors: Matrix, vocabulary: Matrix) -> Ids:
    """Return the nearest word of each frame, int64 (N,); the first of equally near ones."""
    flat_index = faiss.IndexFlatIP(vocabulary.shape[1])
    flat_index.add(np.ascontiguousarray(vocabulary, np.float32))
    _, neighbor_ids = flat_index.search(np.ascontiguousarray(frame_vectors, np.float32), 1)
    word_ids: Ids = neighbor_ids[:, 0]
    return word_ids


def _leaf_centroids(
    frame_vectors: Matrix, branching_factor: int, tree_levels: int, seed: int
) -> list[Matrix]:
    """Return the centroids of the last level below these frames."""
    if len(frame_vectors) <= branching_factor:
        return [np.unique(frame_vectors, axis=0)]
    clustering = faiss.Kmeans(
        frame_vectors.shape[1],
        branching_factor,
        niter=VOCABULARY_ITERATIONS,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=MAX_SAMPLE_PER_CENTROID,
    )
    clustering.train(frame_vectors)
    centroids: Matrix = np.asarray(clustering.centroids, np.float32)
    cluster_ids = assign_words(frame_vectors, centroids)
    used_clusters = np.unique(cluster_ids)  # identical frames leave some clusters empty
    if tree_levels == 1:
        return [centroids[used_clusters]]
    return [
        leaf_centroid
        for cluster_id in used_clusters
        for leaf_centroid in _leaf_centroids(
            frame_vectors[cluster_ids == cluster_id], branching_factor, tree_levels - 1, seed
        )
    ]
