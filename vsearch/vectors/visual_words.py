"""Visual words: frames as words of a vocabulary, by hierarchical k-means (VideoBERT, 2019).

k-means splits the frames into a few groups, each of these again, and so on; the centres of the last
level are the words. Twelve ways at four levels are VideoBERT's 20,736; what has fewer frames is
split fewer ways, so that a word stands for some ten of them. A tree, because k-means with thousands
of centres at once would take as many times longer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import faiss
import numpy as np

if TYPE_CHECKING:
    from vsearch.types import Ids, Matrix

WAYS, LEVELS = 12, 4
PER_WORD = 10  # frames, at least on average
ROUNDS = 20  # of k-means
SAMPLE = 1_024  # frames a centre that k-means looks at, at most


def learn(frames: Matrix, *, ways: int = WAYS, levels: int = LEVELS, seed: int = 0) -> Matrix:
    """The words, float32 (K, D) of unit length, 1 <= K <= ways ** levels.

    `frames` is float32 (N, D) of unit length, N >= 1. The same frames and seed give the same words.
    """
    fitting = round((len(frames) / PER_WORD) ** (1 / levels))
    ways = max(2, min(ways, fitting))
    found = np.concatenate(_leaves(np.ascontiguousarray(frames, np.float32), ways, levels, seed))
    lengths = np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    words: Matrix = np.unique(found / lengths, axis=0).astype(np.float32)
    return words


def assign(frames: Matrix, words: Matrix) -> Ids:
    """The word of each frame, int64 (N,): the nearest one; of equally near ones the first."""
    index = faiss.IndexFlatIP(words.shape[1])
    index.add(np.ascontiguousarray(words, np.float32))
    _, found = index.search(np.ascontiguousarray(frames, np.float32), 1)
    nearest: Ids = found[:, 0]
    return nearest


def _leaves(frames: Matrix, ways: int, levels: int, seed: int) -> list[Matrix]:
    """The centres of the last level below these frames."""
    if len(frames) <= ways:
        return [np.unique(frames, axis=0)]
    kmeans = faiss.Kmeans(
        frames.shape[1],
        ways,
        niter=ROUNDS,
        seed=seed,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=SAMPLE,
    )
    kmeans.train(frames)
    centres: Matrix = np.asarray(kmeans.centroids, np.float32)
    of = assign(frames, centres)
    used = np.unique(of)  # identical frames leave centres without any
    if levels == 1:
        return [centres[used]]
    return [leaf for word in used for leaf in _leaves(frames[of == word], ways, levels - 1, seed)]
