"""Groups of like vectors, so that a search need only look through some of them (k-means)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Ids, Matrix

ROUNDS = 8
AT_ONCE = 4_096  # vectors compared with all centres at once: bounds the memory


def clustered(sample: Matrix, count: int, stop: Callable[[], None]) -> Matrix:
    """`count` centres of unit length for vectors like these, float32 (M, D), M >= count.

    Neighbouring rows are mostly near to each other. `stop` is called now and then; what it raises
    ends the work.
    """
    random = np.random.default_rng(0)
    centres = sample[np.sort(random.choice(len(sample), count, replace=False))].copy()
    for _ in range(ROUNDS):
        groups = nearest(centres, sample, stop)
        centres = _centres(sample, groups, centres, random)
    return centres[_tour(centres)]


def nearest(centres: Matrix, vectors: Matrix, stop: Callable[[], None]) -> Ids:
    """Which centre each vector is nearest to by inner product, int64 (N,)."""
    found = np.empty(len(vectors), np.int64)
    for start in range(0, len(vectors), AT_ONCE):
        stop()
        part = slice(start, start + AT_ONCE)
        found[part] = (vectors[part] @ centres.T).argmax(axis=1)
    return found


def _centres(sample: Matrix, groups: Ids, before: Matrix, random: np.random.Generator) -> Matrix:
    """The directions of the groups' sums; a group of nobody starts again at a random vector."""
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups, minlength=len(before))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    centres = before.copy()
    for group in range(len(before)):
        members = order[starts[group] : starts[group + 1]]
        if len(members):
            centres[group] = sample[members].sum(axis=0)
        else:
            centres[group] = sample[random.integers(len(sample))]
    norms = np.linalg.norm(centres, axis=1, keepdims=True)
    return np.asarray(centres / np.maximum(norms, 1e-12), np.float32)


def _tour(centres: Matrix) -> Ids:
    """An order in which each comes after one that is near to it."""
    likeness = centres @ centres.T
    order = np.zeros(len(centres), np.int64)
    likeness[:, 0] = -np.inf  # been there
    for place in range(1, len(centres)):
        order[place] = likeness[order[place - 1]].argmax()
        likeness[:, order[place]] = -np.inf
    return order
