"""Does a representation of clips tell their order? Linear probes (Alain and Bengio 2016) on it.

The same frames are shown in two orders, so that any mean of them knows nothing: probed with it, one
is right exactly half of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from vsearch.types import Matrix, Times, Vector

if TYPE_CHECKING:
    from vsearch.temporal.transformer import VideoTransformer

Represent: TypeAlias = Callable[[Matrix, Times], Vector]
Rows: TypeAlias = npt.NDArray[np.float64]

ROUNDS, STRENGTH = 500, 1e-2  # of gradient descent; of the penalty on the probe's weights


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Frames in one of two orders."""

    frames: Matrix  # float32 (T, D)
    times: Times  # float64 (T,)
    kept: bool  # the order that they had


def mean(frames: Matrix, times: Times) -> Vector:
    """What no order changes."""
    del times
    found: Vector = np.sort(frames, axis=0).mean(axis=0)  # sorted: the same to the last bit
    return found


def states(network: VideoTransformer, *, cls: bool) -> Represent:
    """[CLS], or the mean of the states of the frames."""

    def represent(frames: Matrix, times: Times) -> Vector:
        with torch.no_grad():
            found = network(torch.tensor(frames)[None], torch.tensor(times)[None].float())
        row = found.clip[0] if cls else found.frames[0].mean(dim=0)
        vector: Vector = row.numpy()
        return vector

    return represent


def both(frames: Matrix, times: Times, order: npt.NDArray[np.int64]) -> list[Shown]:
    """The frames as they are and in another order, at the same times."""
    return [Shown(frames, times, kept=True), Shown(frames[order], times, kept=False)]


def joined(one: Matrix, other: Matrix, apart: float) -> list[Shown]:
    """One scene, then the other; and the other, then the one."""
    first, second = np.concatenate([one, other]), np.concatenate([other, one])
    times = np.arange(len(first), dtype=np.float64) * apart
    return [Shown(first, times, kept=True), Shown(second, times, kept=False)]


def accuracy(learnt: Sequence[Shown], judged: Sequence[Shown], represent: Represent) -> Rows:
    """Whether a probe is right on each of `judged`, float64 (N,); half right where it ties."""
    rows, wanted = _rows(learnt, represent), _signs(learnt)
    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-6
    scores = ((_rows(judged, represent) - middle) / spread) @ fitted(
        (rows - middle) / spread, wanted
    )
    found: Rows = np.where(np.abs(scores) < 1e-9, 0.5, scores * _signs(judged) > 0)
    return found


def fitted(rows: Rows, signs: Rows) -> Rows:
    """Logistic regression with a penalty: rows (N, D), signs (N,) of -1 and 1 -> (D,)."""
    weights, before = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    rate = 1 / (np.linalg.norm(rows, 2) ** 2 / (4 * len(rows)) + STRENGTH)
    for number in range(ROUNDS):  # of Nesterov's method
        ahead = weights + number / (number + 3) * (weights - before)
        wrong = 1 / (1 + np.exp(np.clip(signs * (rows @ ahead), -500, 500)))
        slope = STRENGTH * ahead - rows.T @ (signs * wrong) / len(rows)
        before, weights = weights, ahead - rate * slope
    return weights


def _rows(shown: Sequence[Shown], represent: Represent) -> Rows:
    return np.stack([represent(each.frames, each.times) for each in shown]).astype(np.float64)


def _signs(shown: Sequence[Shown]) -> Rows:
    return np.array([1.0 if each.kept else -1.0 for each in shown])
