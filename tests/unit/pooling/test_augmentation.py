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


def rows(count: int, seed: int = 0) -> Matrix:
    """Float32 (N, 8) of unit length."""
    found = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    unit: Matrix = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def clip(length: int = 6) -> AugmentedClip:
    return AugmentedClip.from_frames(rows(length, 1), np.linspace(3, 2.5 + length / 2, length))


def mix(share: float, seed: int = 0, length: int = 6) -> AugmentedClip:
    random = np.random.default_rng(seed)
    return mix_with_distractors(clip(length), rows(9, 2), rows(5, 3), share, random)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.7), st.integers(0, 1 << 30))
def test_the_clip_stays_complete_and_the_rest_is_distractors(
    length: int, share: float, seed: int
) -> None:
    found = mix(share, seed, length)
    assert np.array_equal(found.frame_vectors[found.clean_mask], clip(length).frame_vectors)
    junk = int((~found.clean_mask).sum())
    assert junk == max(1, round(share / (1 - share) * length))
    assert len(found.frame_times) == len(found.frame_vectors) == len(found.clean_mask)
    assert found.frame_vectors.dtype == np.float32
    assert np.linalg.norm(found.frame_vectors, axis=1) == pytest.approx(1, abs=1e-4)


def test_times_continue_at_the_frame_rate_of_the_clip() -> None:
    found = mix(0.5)
    assert np.diff(found.frame_times) == pytest.approx(0.5)
    assert found.frame_times[0] == 3


def test_the_target_is_the_mean_of_the_clean_frames() -> None:
    mean = clip().frame_vectors.mean(axis=0)
    assert mix(0.5).target_vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_neighboring_shots_are_at_an_end() -> None:
    """No frame of the other clip is inserted between frames of the clip."""
    other = rows(9, 2)
    for seed in range(200):
        found = mix(0.3, seed)
        own = np.flatnonzero(found.clean_mask)
        inner = found.frame_vectors[own[0] : own[-1] + 1]
        foreign = (inner @ other.T > 0.9999).any(axis=1)
        assert not foreign.any()


def test_every_kind_of_distractor_occurs() -> None:
    junk, other, own = rows(5, 3), rows(9, 2), clip().frame_vectors
    seen = {"image": 0, "neighbor": 0, "repeat": 0, "degraded": 0}
    for seed in range(100):
        found = mix(0.5, seed)
        for frame in found.frame_vectors[~found.clean_mask]:
            if (own @ frame).max() > 0.9999:
                seen["repeat"] += 1
            elif (other @ frame).max() > 0.9999:
                seen["neighbor"] += 1
            elif (junk @ frame).max() > 0.97:
                seen["image"] += 1
            else:
                seen["degraded"] += 1
    assert min(seen.values()) > 20, seen


def test_the_same_seed_gives_the_same_clip() -> None:
    assert np.array_equal(mix(0.4, 7).frame_vectors, mix(0.4, 7).frame_vectors)
    assert not np.array_equal(mix(0.4, 7).frame_vectors, mix(0.4, 8).frame_vectors)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_an_invalid_share_is_rejected(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        mix(share)
