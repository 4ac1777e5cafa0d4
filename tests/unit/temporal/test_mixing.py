"""Clips mixed with junk: how much of it, of what kind, and that nothing of the clip is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsearch.temporal.mixing import Clip, mixed

if TYPE_CHECKING:
    from vsearch.types import Matrix


def rows(count: int, seed: int = 0) -> Matrix:
    """Float32 (N, 8) of unit length."""
    found = np.random.default_rng(seed).normal(size=(count, 8)).astype(np.float32)
    unit: Matrix = found / np.linalg.norm(found, axis=1, keepdims=True)
    return unit


def clip(length: int = 6) -> Clip:
    return Clip.of(rows(length, 1), np.linspace(3, 2.5 + length / 2, length))


def mix(share: float, seed: int = 0, length: int = 6) -> Clip:
    random = np.random.default_rng(seed)
    return mixed(clip(length), rows(9, 2), rows(5, 3), share, random)


@settings(deadline=None)
@given(st.integers(1, 40), st.floats(0, 0.7), st.integers(0, 1 << 30))
def test_the_clip_stays_whole_and_in_order_and_the_rest_is_junk(
    length: int, share: float, seed: int
) -> None:
    found = mix(share, seed, length)
    assert np.array_equal(found.frames[found.clean], clip(length).frames)
    junk = int((~found.clean).sum())
    assert junk == max(1, round(share / (1 - share) * length))
    assert len(found.times) == len(found.frames) == len(found.clean)
    assert found.frames.dtype == np.float32
    assert np.linalg.norm(found.frames, axis=1) == pytest.approx(1, abs=1e-4)


def test_times_go_on_at_the_pace_of_the_clip() -> None:
    found = mix(0.5)
    assert np.diff(found.times) == pytest.approx(0.5)
    assert found.times[0] == 3


def test_the_target_is_the_mean_of_what_belongs() -> None:
    mean = clip().frames.mean(axis=0)
    assert mix(0.5).target == pytest.approx(mean / np.linalg.norm(mean), abs=1e-5)


def test_a_neighbour_is_at_an_end() -> None:
    """Of what is put between frames of the clip nothing is of the other clip."""
    other = rows(9, 2)
    for seed in range(200):
        found = mix(0.3, seed)
        own = np.flatnonzero(found.clean)
        inner = found.frames[own[0] : own[-1] + 1]
        foreign = (inner @ other.T > 0.9999).any(axis=1)
        assert not foreign.any()


def test_every_kind_of_junk_occurs() -> None:
    junk, other, own = rows(5, 3), rows(9, 2), clip().frames
    seen = {"junk": 0, "neighbour": 0, "repeat": 0, "spoilt": 0}
    for seed in range(100):
        found = mix(0.5, seed)
        for frame in found.frames[~found.clean]:
            if (own @ frame).max() > 0.9999:
                seen["repeat"] += 1
            elif (other @ frame).max() > 0.9999:
                seen["neighbour"] += 1
            elif (junk @ frame).max() > 0.97:
                seen["junk"] += 1
            else:
                seen["spoilt"] += 1
    assert min(seen.values()) > 20, seen


def test_the_same_chance_gives_the_same_clip() -> None:
    assert np.array_equal(mix(0.4, 7).frames, mix(0.4, 7).frames)
    assert not np.array_equal(mix(0.4, 7).frames, mix(0.4, 8).frames)


@pytest.mark.parametrize("share", [-0.1, 1.0, 2.0])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        mix(share)
