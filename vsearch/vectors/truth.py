"""What the nearest neighbours of some questions truly are, and how many of them were found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.types import Ids, Matrix

NEAREST = 10
NEAR, FAR = 0.9, 0.3  # cosines of pictures with what is like them, and of words with pictures
MIXED = 2_000  # vectors that tell in which directions


def perturbed(
    vectors: Matrix, count: int, cosines: Sequence[float] = (NEAR, FAR), seed: int = 0
) -> Matrix:
    """Questions like a library's own vectors, but not the same, float32 (<= count, D).

    They have these cosines, by turns, with a vector, and lead away from it in directions in which
    the vectors differ: anywhere else they would be equally far from all.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(vectors))[:count]
    own, others = vectors[rows], vectors[random.permutation(len(vectors))[:MIXED]]
    away = random.normal(size=(len(rows), len(others))) @ (others - others.mean(axis=0))
    away -= (away * own).sum(axis=1, keepdims=True) * own
    away /= np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
    cosine = np.resize(cosines, len(rows))[:, None]
    mixed = cosine * own + np.sqrt(1 - cosine**2) * away
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


class Truth:
    """The ten nearest vectors of each question, compared one by one, as batch after batch comes."""

    def __init__(self, questions: Matrix) -> None:
        """`questions` float32 (Q, D) of unit length."""
        self.questions = questions
        self._scores = np.full((len(questions), NEAREST), -np.inf, np.float32)
        self._ids = np.full((len(questions), NEAREST), -1, np.int64)

    def see(self, ids: Ids, vectors: Matrix) -> None:
        """Take vectors, float32 (N, D), that were not seen yet."""
        scores = np.hstack([self._scores, self.questions @ vectors.T])  # (Q, NEAREST + N)
        best = np.argpartition(-scores, NEAREST - 1, axis=1)[:, :NEAREST]
        self._scores = np.take_along_axis(scores, best, axis=1)
        seen = np.concatenate([np.full(NEAREST, -1), ids])
        kept = np.take_along_axis(self._ids, np.minimum(best, NEAREST - 1), axis=1)
        self._ids = np.where(best < NEAREST, kept, seen[best])

    def nearest(self) -> list[Ids]:
        """The ids for each question, in no order; fewer where fewer vectors were seen."""
        return [row[row >= 0] for row in self._ids]

    def recall(self, found: Sequence[Iterable[int]]) -> float:
        """The share of them that is among what was found for each question; 1 if there are none."""
        shares = [
            len(set(true.tolist()) & set(given)) / len(true)
            for true, given in zip(self.nearest(), found, strict=True)
            if len(true)
        ]
        return float(np.mean(shares)) if shares else 1.0
