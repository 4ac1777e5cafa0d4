"""Linear probes (Alain and Bengio 2016) of whether a clip representation encodes frame order.

The same frames are given in two orders, so that their mean has no information: a probe of it is
correct exactly half of the time.
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
    from vsearch.training.transformer import VideoTransformer

Representation: TypeAlias = Callable[[Matrix, Times], Vector]
FloatRows: TypeAlias = npt.NDArray[np.float64]
DESCENT_STEPS, PENALTY_WEIGHT = 500, 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class OrderedFrames:
    """Frames in one of two orders."""

    frames: Matrix  # float32 (T, D)
    times: Times  # float64 (T,)
    is_original_order: bool


def mean_of_frames(frames: Matrix, times: Times) -> Vector:
    """Return the mean of the frames, which does not depend on their order."""
    del times
    sorted_values = np.sort(frames, axis=0)  # so that the result does not depend on the order
    mean_vector: Vector = sorted_values.mean(axis=0)
    return mean_vector


def transformer_states(network: VideoTransformer, *, use_cls_token: bool) -> Representation:
    """Return a representation: the [CLS] state, or the mean of the frame states."""

    def represent(frames: Matrix, times: Times) -> Vector:
        with torch.no_grad():
            network_output = network(torch.tensor(frames)[None], torch.tensor(times)[None].float())
        state_row = (
            network_output.clip_state[0]
            if use_cls_token
            else network_output.frame_states[0].mean(dim=0)
        )
        vector: Vector = state_row.numpy()
        return vector

    return represent


def in_both_orders(
    frames: Matrix, times: Times, order: npt.NDArray[np.int64]
) -> list[OrderedFrames]:
    """Return the frames in their own order and in `order`, at the same times."""
    return [
        OrderedFrames(frames, times, is_original_order=True),
        OrderedFrames(frames[order], times, is_original_order=False),
    ]


def join_scenes(
    first_scene: Matrix, second_scene: Matrix, frame_spacing: float
) -> list[OrderedFrames]:
    """Join two scenes in both orders."""
    forward_frames, backward_frames = (
        np.concatenate([first_scene, second_scene]),
        np.concatenate([second_scene, first_scene]),
    )
    times = np.arange(len(forward_frames), dtype=np.float64) * frame_spacing
    return [
        OrderedFrames(forward_frames, times, is_original_order=True),
        OrderedFrames(backward_frames, times, is_original_order=False),
    ]


def probe_accuracy(
    train_samples: Sequence[OrderedFrames],
    test_samples: Sequence[OrderedFrames],
    represent: Representation,
) -> FloatRows:
    """Return 1 per correct test sample, 0 per wrong one, 0.5 per tie, float64 (N,)."""
    train_rows, train_signs = _represent_all(train_samples, represent), _order_signs(train_samples)
    feature_means, feature_stds = train_rows.mean(axis=0), train_rows.std(axis=0) + 1e-6
    scores = (
        (_represent_all(test_samples, represent) - feature_means) / feature_stds
    ) @ fit_logistic((train_rows - feature_means) / feature_stds, train_signs)
    correctness: FloatRows = np.where(
        np.abs(scores) < 1e-9, 0.5, scores * _order_signs(test_samples) > 0
    )
    return correctness


def fit_logistic(rows: FloatRows, signs: FloatRows) -> FloatRows:
    """Fit a penalized logistic regression: rows (N, D), signs (N,) of -1 and 1 -> (D,)."""
    weights, previous_weights = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    step_size = 1 / (np.linalg.norm(rows, 2) ** 2 / (4 * len(rows)) + PENALTY_WEIGHT)
    for step_index in range(DESCENT_STEPS):  # Nesterov's method
        lookahead_weights = weights + step_index / (step_index + 3) * (weights - previous_weights)
        error_weights = 1 / (1 + np.exp(np.clip(signs * (rows @ lookahead_weights), -500, 500)))
        gradient = PENALTY_WEIGHT * lookahead_weights - rows.T @ (signs * error_weights) / len(rows)
        previous_weights, weights = weights, lookahead_weights - step_size * gradient
    return weights


def _represent_all(samples: Sequence[OrderedFrames], represent: Representation) -> FloatRows:
    return np.stack([represent(sample.frames, sample.times) for sample in samples]).astype(
        np.float64
    )


def _order_signs(samples: Sequence[OrderedFrames]) -> FloatRows:
    return np.array([1.0 if sample.is_original_order else -1.0 for sample in samples])
