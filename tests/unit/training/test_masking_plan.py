"""Masking plans of pretraining: masked frames and exchanged captions."""

from __future__ import annotations

import numpy as np
import pytest

from vsearch.training.clip_batches import ClipBatch, ClipCaptions
from vsearch.training.masking_plan import (
    MAX_MASK_RUN,
    MaskingPlan,
    sample_masked_spans,
    swap_captions,
)
from vsearch.types import Features, Space

SPACE = Space("fake", 4, supports_text=True)


def make_clips(lengths: list[int], texts: list[int] | None = None) -> ClipBatch:
    """Make clips of the given lengths, each of its own video, with texts."""
    rng = np.random.default_rng(0)
    features = [
        Features(SPACE, rng.normal(size=(n, 4)).astype(np.float32), np.arange(7.0, 7.0 + n))
        for n in lengths
    ]
    captions = [
        ClipCaptions(rng.normal(size=(n, 4)).astype(np.float32), rng.random(n))
        for n in texts or [0] * len(lengths)
    ]
    return ClipBatch.from_features(features, np.arange(len(lengths)), captions)


def test_a_batch_is_padded_and_times_start_at_zero() -> None:
    batch = make_clips([3, 5], [2, 0])
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
    mask = make_clips([100, 40, 2, 7]).frame_mask
    for seed in range(20):
        hidden_mask = sample_masked_spans(mask, np.random.default_rng(seed))
        assert hidden_mask.sum(axis=1).tolist() == [15, 6, 1, 1]
        assert not (hidden_mask & ~mask).any()


def test_a_clip_of_one_frame_is_not_masked() -> None:
    assert not sample_masked_spans(make_clips([1]).frame_mask, np.random.default_rng(0)).any()


def test_frames_are_masked_in_spans() -> None:
    hidden_mask = sample_masked_spans(np.ones((200, 100), np.bool_), np.random.default_rng(0))
    adjacent_share = (hidden_mask[:, 1:] & hidden_mask[:, :-1]).sum() / hidden_mask.sum()
    assert adjacent_share > 0.4  # about 0.15 for independent frames
    assert MAX_MASK_RUN > 1


@pytest.mark.parametrize("seed", range(10))
def test_half_of_the_captioned_clips_get_captions_of_another_video(seed: int) -> None:
    batch = make_clips([4] * 9, [1, 2, 0, 3, 1, 0, 2, 1, 1])
    caption_rows, match_mask = swap_captions(batch, np.random.default_rng(seed))
    is_own = caption_rows == np.arange(9)
    assert match_mask.sum() == 6  # 7 have captions; the number is even
    assert (match_mask & is_own).sum() == (match_mask & ~is_own).sum() == 3
    assert not match_mask[[2, 5]].any()
    assert is_own[~match_mask].all()
    assert batch.text_mask[caption_rows[match_mask]].any(axis=1).all()


def test_captions_are_not_exchanged_within_a_video_or_for_equal_ones() -> None:
    batch = make_clips([4] * 4, [1] * 4)
    batch.video_ids[:] = 7
    assert not swap_captions(batch, np.random.default_rng(0))[1].any()
    equal_captions = make_clips([4] * 4, [1] * 4)
    equal_captions.text_vectors[:] = equal_captions.text_vectors[0]
    assert not swap_captions(equal_captions, np.random.default_rng(0))[1].any()


def test_a_plan_depends_on_the_seed_only() -> None:
    batch = make_clips([20] * 4, [1] * 4)
    first, second = (MaskingPlan.sample_plan(batch, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(first.hidden_mask, second.hidden_mask)
    assert np.array_equal(first.caption_rows, second.caption_rows)
