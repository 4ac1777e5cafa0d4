"""The gate: only poolers that ignore distractors may replace the mean."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.fakes import FakeEncoder
from vsearch.evaluation.pooler_gate import (
    MIXTURE_SEEDS,
    PoolingCase,
    encode_gate_distractors,
    get_saturated_recall,
    run_gate,
    subsample_clip,
)
from vsearch.pooling.augmentation import AugmentedClip
from vsearch.pooling.mean import MeanPooler
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from vsearch.types import Matrix, Times, Vector

DIM = 6


def normalize(rows: npt.NDArray[np.float64]) -> Matrix:
    unit_rows: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return unit_rows


@pytest.fixture
def case() -> PoolingCase:
    """Eighty similar clips of eight frames; distractors match every query."""
    rng = np.random.default_rng(0)
    centers = normalize(rng.normal(size=(80, DIM)))
    clips = [
        AugmentedClip.from_frames(
            normalize(center + 0.02 * rng.normal(size=(8, DIM))), np.arange(8.0)
        )
        for center in centers
    ]
    distractors = normalize(rng.normal(size=(20, DIM)))
    queries = normalize(centers + 0.02 * rng.normal(size=centers.shape))
    return PoolingCase(
        tuple(clips), queries, np.eye(80, dtype=np.bool_), distractors, Querybank.create_empty(DIM)
    )


class MedianPooler(MeanPooler):
    """A pooler that ignores outlier frames."""

    name = "median"

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        neighbor_counts = (frame_vectors @ frame_vectors.T > 0.8).sum(axis=1)
        is_inlier = neighbor_counts >= neighbor_counts.max() - 1
        return super().pool(frame_vectors[is_inlier], frame_times)


class ConstantPooler(MeanPooler):
    """A pooler that returns the same vector for every clip."""

    name = "constant"

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        return super().pool(np.ones_like(frame_vectors[:1]), frame_times)


def test_the_mean_gains_nothing_over_itself(case: PoolingCase) -> None:
    result = run_gate(case, MeanPooler())
    assert (result.recall_loss, result.recall_gain, result.has_passed) == (0, 0, False)
    assert (result.clip_count, result.query_count) == (80, 80)
    assert result.seed_count == len(MIXTURE_SEEDS)
    assert result.clean_metrics[0].value > result.mixed_metrics[0].value, "harmless distractors"


def test_a_pooler_that_ignores_distractors_passes(case: PoolingCase) -> None:
    result = run_gate(case, MedianPooler())
    assert result.recall_gain >= 0.06
    assert result.has_passed


def test_a_pooler_that_loses_on_clean_clips_fails(case: PoolingCase) -> None:
    result = run_gate(case, ConstantPooler())
    assert result.recall_loss > 0.005
    assert not result.has_passed


def test_a_pooler_worse_than_the_current_one_fails(case: PoolingCase) -> None:
    result = run_gate(case, MedianPooler(), current_pooler=MedianPooler())
    assert result.has_passed  # equal to the current one
    assert result.current_pooler_name == "median"
    worse = replace(result, mixed_metrics=result.mean_mixed_metrics)
    assert worse.is_beaten
    assert not worse.has_passed


def test_a_saturated_mean_leaves_no_room_to_pass(case: PoolingCase) -> None:
    assert get_saturated_recall(case) is None
    saturated_case = PoolingCase(
        case.clips[:3],
        case.query_vectors[:3],
        np.eye(3, dtype=np.bool_),
        case.distractor_vectors,
        case.querybank,
    )
    assert get_saturated_recall(saturated_case) == pytest.approx(1.0, abs=0.06)


def test_the_gate_is_deterministic(case: PoolingCase) -> None:
    assert run_gate(case, MedianPooler()) == run_gate(case, MedianPooler())


def test_long_clips_are_subsampled_evenly() -> None:
    frames = normalize(np.random.default_rng(0).normal(size=(200, DIM)))
    result = subsample_clip(AugmentedClip.from_frames(frames, np.arange(200.0)))
    assert len(result.frame_times) == len(result.frame_vectors) == 64
    assert result.frame_times[0] == 0
    assert result.frame_times[-1] == 199
    assert np.diff(result.frame_times).max() <= 4


def test_distractor_images_are_encoded_in_the_space_of_the_encoder() -> None:
    distractors = encode_gate_distractors(FakeEncoder())
    assert distractors.shape[1] == 16
    assert np.linalg.norm(distractors, axis=1) == pytest.approx(1, abs=1e-4)
