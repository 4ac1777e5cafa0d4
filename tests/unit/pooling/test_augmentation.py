"""Augmentation of clips with distractors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsearch.pooling.augmentation import AugmentedClip, mix_with_distractors

if TYPE_CHECKING:
    from vsearch.types import Matrix


def unit_rows(count: int, seed: int = 0) -> Matrix:
    """Return float32 (N, 8) of unit length."""
    vectors: Matrix = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def make_clip(length: int = 6) -> AugmentedClip:
    return AugmentedClip.from_frames(unit_rows(length, 1), np.linspace(3, 2.5 + length / 2, length))


def mix(share: float, seed: int = 0, length: int = 6) -> AugmentedClip:
    rng = np.random.default_rng(seed)
    return mix_with_distractors(make_clip(length), unit_rows(9, 2), unit_rows(5, 3), share, rng)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.7), st.integers(0, 1 << 30))
def test_all_frames_of_the_clip_are_kept_and_the_others_are_distractors(
    length: int, share: float, seed: int
) -> None:
    mixed = mix(share, seed, length)
    assert np.array_equal(mixed.frame_vectors[mixed.clean_mask], make_clip(length).frame_vectors)
    distractor_count = int((~mixed.clean_mask).sum())
    assert distractor_count == max(1, round(share / (1 - share) * length))
    assert len(mixed.frame_times) == len(mixed.frame_vectors) == len(mixed.clean_mask)
    assert mixed.frame_vectors.dtype == np.float32
    assert np.linalg.norm(mixed.frame_vectors, axis=1) == pytest.approx(1, abs=1e-4)


def test_times_continue_at_the_frame_rate_of_the_clip() -> None:
    mixed = mix(0.5)
    assert np.diff(mixed.frame_times) == pytest.approx(0.5)
    assert mixed.frame_times[0] == 3


def test_the_target_is_the_mean_of_the_clean_frames() -> None:
    mean = make_clip().frame_vectors.mean(axis=0)
    assert mix(0.5).target_vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_neighboring_shots_are_at_an_end() -> None:
    """No frame of the other clip is inserted between frames of the clip."""
    other_frames = unit_rows(9, 2)
    for seed in range(200):
        mixed = mix(0.3, seed)
        clean_indices = np.flatnonzero(mixed.clean_mask)
        inner_frames = mixed.frame_vectors[clean_indices[0] : clean_indices[-1] + 1]
        assert not (inner_frames @ other_frames.T > 0.9999).any()


def test_every_kind_of_distractor_occurs() -> None:
    distractors, other_frames = unit_rows(5, 3), unit_rows(9, 2)
    clean_frames = make_clip().frame_vectors
    kind_counts = {"image": 0, "neighbor": 0, "repeat": 0, "degraded": 0}
    for seed in range(100):
        mixed = mix(0.5, seed)
        for frame in mixed.frame_vectors[~mixed.clean_mask]:
            if (clean_frames @ frame).max() > 0.9999:
                kind_counts["repeat"] += 1
            elif (other_frames @ frame).max() > 0.9999:
                kind_counts["neighbor"] += 1
            elif (distractors @ frame).max() > 0.97:
                kind_counts["image"] += 1
            else:
                kind_counts["degraded"] += 1
    assert min(kind_counts.values()) > 20, kind_counts


def test_the_same_seed_gives_the_same_clip() -> None:
    assert np.array_equal(mix(0.4, 7).frame_vectors, mix(0.4, 7).frame_vectors)
    assert not np.array_equal(mix(0.4, 7).frame_vectors, mix(0.4, 8).frame_vectors)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_an_invalid_share_is_rejected(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        mix(share)
