"""Masking plans of pretraining: masked frames and exchanged captions."""

from __future__ import annotations

import numpy as np
import pytest

from vsearch.training.clip_batches import ClipBatch, ClipCaptions
from vsearch.training.masked_frames import (
    MAX_MASK_RUN,
    MaskingPlan,
    sample_masked_spans,
    swap_captions,
)
from vsearch.types import Features, Space

SPACE = Space("fake", 4, supports_text=True)


def clips(lengths: list[int], texts: list[int] | None = None) -> ClipBatch:
    """Make clips of the given lengths, each of its own video, with texts."""
    random = np.random.default_rng(0)
    features = [
        Features(SPACE, random.normal(size=(n, 4)).astype(np.float32), np.arange(7.0, 7.0 + n))
        for n in lengths
    ]
    said = [
        ClipCaptions(random.normal(size=(n, 4)).astype(np.float32), random.random(n))
        for n in texts or [0] * len(lengths)
    ]
    return ClipBatch.from_features(features, np.arange(len(lengths)), said)


def test_a_batch_is_padded_and_times_start_at_zero() -> None:
    batch = clips([3, 5], [2, 0])
    assert batch.frame_vectors.shape == (2, 5, 4)
    assert batch.frame_mask.sum(axis=1).tolist() == [3, 5]
    assert batch.frame_times[0].tolist() == [0, 1, 2, 0, 0]
    assert not batch.frame_vectors[0, 3:].any()
    assert batch.text_vectors.shape == (2, 2, 4)
    assert batch.text_mask.tolist() == [[True, True], [False, False]]
    assert (
        batch.frame_vectors.dtype
        == batch.frame_times.dtype
        == batch.text_vectors.dtype
        == np.float32
    )


def test_a_share_of_the_frames_is_masked_but_no_padding() -> None:
    mask = clips([100, 40, 2, 7]).frame_mask
    for seed in range(20):
        hidden = sample_masked_spans(mask, np.random.default_rng(seed))
        assert hidden.sum(axis=1).tolist() == [15, 6, 1, 1]
        assert not (hidden & ~mask).any()


def test_a_clip_of_one_frame_is_not_masked() -> None:
    assert not sample_masked_spans(clips([1]).frame_mask, np.random.default_rng(0)).any()


def test_frames_are_masked_in_spans() -> None:
    hidden = sample_masked_spans(np.ones((200, 100), np.bool_), np.random.default_rng(0))
    beside = (hidden[:, 1:] & hidden[:, :-1]).sum() / hidden.sum()
    assert beside > 0.4  # one by one it were 0.15
    assert MAX_MASK_RUN > 1


@pytest.mark.parametrize("seed", range(10))
def test_half_of_the_captioned_clips_get_captions_of_another_video(seed: int) -> None:
    batch = clips([4] * 9, [1, 2, 0, 3, 1, 0, 2, 1, 1])
    of, asked = swap_captions(batch, np.random.default_rng(seed))
    own = of == np.arange(9)
    assert asked.sum() == 6  # of 7 with words an even number
    assert (asked & own).sum() == (asked & ~own).sum() == 3
    assert not asked[[2, 5]].any()
    assert own[~asked].all()
    assert batch.text_mask[of[asked]].any(axis=1).all()


def test_captions_are_not_exchanged_within_a_video_or_for_equal_ones() -> None:
    batch = clips([4] * 4, [1] * 4)
    batch.video_ids[:] = 7
    assert not swap_captions(batch, np.random.default_rng(0))[1].any()
    same = clips([4] * 4, [1] * 4)
    same.text_vectors[:] = same.text_vectors[0]
    assert not swap_captions(same, np.random.default_rng(0))[1].any()


def test_a_plan_depends_on_the_seed_only() -> None:
    batch = clips([20] * 4, [1] * 4)
    one, other = (MaskingPlan.sample_plan(batch, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.hidden_mask, other.hidden_mask)
    assert np.array_equal(one.caption_rows, other.caption_rows)
