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


def unit(rows: npt.NDArray[np.float64]) -> Matrix:
    found: Matrix = (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)
    return found


@pytest.fixture
def case() -> PoolingCase:
    """Eighty similar clips of eight frames; distractors match every query."""
    random = np.random.default_rng(0)
    middles = unit(random.normal(size=(80, DIM)))
    clips = [
        AugmentedClip.from_frames(
            unit(middle + 0.02 * random.normal(size=(8, DIM))), np.arange(8.0)
        )
        for middle in middles
    ]
    junk = unit(random.normal(size=(20, DIM)))
    asked = unit(middles + 0.02 * random.normal(size=middles.shape))
    return PoolingCase(
        tuple(clips), asked, np.eye(80, dtype=np.bool_), junk, Querybank.create_empty(DIM)
    )


class Median(MeanPooler):
    """A pooler that ignores outlier frames."""

    name = "median"

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        near = (frame_vectors @ frame_vectors.T > 0.8).sum(axis=1)
        return super().pool(frame_vectors[near >= near.max() - 1], frame_times)


class First(MeanPooler):
    """A pooler that returns the first frame."""

    name = "first"

    def pool(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        return super().pool(np.ones_like(frame_vectors[:1]), frame_times)


def test_the_mean_gains_nothing_over_itself(case: PoolingCase) -> None:
    found = run_gate(case, MeanPooler())
    assert (found.recall_loss, found.recall_gain, found.has_passed) == (0, 0, False)
    assert (found.clip_count, found.query_count, found.seed_count) == (80, 80, len(MIXTURE_SEEDS))
    assert found.clean_metrics[0].value > found.mixed_metrics[0].value  # junk does harm


def test_a_pooler_that_ignores_distractors_passes(case: PoolingCase) -> None:
    found = run_gate(case, Median())
    assert found.recall_gain >= 0.06
    assert found.has_passed


def test_a_pooler_that_loses_on_clean_clips_fails(case: PoolingCase) -> None:
    found = run_gate(case, First())
    assert found.recall_loss > 0.005
    assert not found.has_passed


def test_a_pooler_worse_than_the_current_one_fails(case: PoolingCase) -> None:
    found = run_gate(case, Median(), current_pooler=Median())
    assert found.has_passed  # as good is good enough
    assert found.current_pooler_name == "median"
    worse = replace(found, mixed_metrics=found.mean_mixed_metrics)
    assert worse.is_beaten
    assert not worse.has_passed


def test_a_saturated_mean_leaves_no_room_to_pass(case: PoolingCase) -> None:
    assert get_saturated_recall(case) is None
    message = PoolingCase(
        case.clips[:3],
        case.query_vectors[:3],
        np.eye(3, dtype=np.bool_),
        case.distractor_vectors,
        case.querybank,
    )
    assert get_saturated_recall(message) == pytest.approx(1.0, abs=0.06)


def test_the_gate_is_deterministic(case: PoolingCase) -> None:
    assert run_gate(case, Median()) == run_gate(case, Median())


def test_long_clips_are_subsampled_evenly() -> None:
    frames = unit(np.random.default_rng(0).normal(size=(200, DIM)))
    found = subsample_clip(AugmentedClip.from_frames(frames, np.arange(200.0)))
    assert len(found.frame_times) == len(found.frame_vectors) == 64
    assert found.frame_times[0] == 0
    assert found.frame_times[-1] == 199
    assert np.diff(found.frame_times).max() <= 4


def test_distractor_images_are_encoded_in_the_space_of_the_encoder() -> None:
    junk = encode_gate_distractors(FakeEncoder())
    assert junk.shape[1] == 16
    assert np.linalg.norm(junk, axis=1) == pytest.approx(1, abs=1e-4)
