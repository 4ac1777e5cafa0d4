"""Masking plan of a pretraining batch: which frames are masked and which captions exchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from vsearch.training.clip_batches import ClipBatch
    from vsearch.types import Ids

BooleanMask: TypeAlias = npt.NDArray[np.bool_]
MASK_SHARE = 0.15  # of the frames of a clip
MAX_MASK_RUN = 5  # consecutive frames
CONTINUE_PROBABILITY = 0.6  # that a span gets another frame


@dataclass(frozen=True, slots=True, eq=False)
class MaskingPlan:
    """The masked frames and exchanged captions of a batch."""

    hidden_mask: BooleanMask  # (B, T): frames to predict
    caption_rows: Ids  # (B,): clip whose captions each clip gets
    match_mask: BooleanMask  # (B,): clips whose match is predicted

    @classmethod
    def sample_plan(cls, clip_batch: ClipBatch, rng: np.random.Generator) -> Self:
        """Sample a plan at random."""
        return cls(sample_masked_spans(clip_batch.frame_mask, rng), *swap_captions(clip_batch, rng))


def sample_masked_spans(
    frame_mask: BooleanMask, rng: np.random.Generator, mask_share: float = MASK_SHARE
) -> BooleanMask:
    """Sample the frames to mask.

    Spans are masked rather than single frames because a frame between two similar ones can be
    predicted by copying.

    Args:
        frame_mask: Real frames, bool (B, T).
        rng: Random generator.
        mask_share: Share of each clip to mask; at least one frame, never all.

    Returns:
        Masked frames, bool (B, T).
    """
    hidden_mask = np.zeros_like(frame_mask)
    for hidden_row, valid_row in zip(hidden_mask, frame_mask, strict=True):
        frame_count = int(valid_row.sum())
        frames_left = min(max(1, round(mask_share * frame_count)), frame_count - 1)
        while frames_left > 0:
            run_length = min(
                frames_left, int(rng.geometric(1 - CONTINUE_PROBABILITY)), MAX_MASK_RUN
            )
            run_start = int(rng.integers(0, frame_count - run_length + 1))
            hidden_row[run_start : run_start + run_length] = True
            frames_left = min(max(1, round(mask_share * frame_count)), frame_count - 1) - int(
                hidden_row.sum()
            )
    return hidden_mask


def swap_captions(clip_batch: ClipBatch, rng: np.random.Generator) -> tuple[Ids, BooleanMask]:
    """Give half of the captioned clips the captions of another video.

    If all clips are of one video, or none has captions, no captions are exchanged.

    Args:
        clip_batch: The batch.
        rng: Random generator.

    Returns:
        Index of the clip whose captions each clip gets, int64 (B,), and the clips whose match is
        predicted, bool (B,).
    """
    caption_rows, match_mask = np.arange(len(clip_batch)), np.zeros(len(clip_batch), np.bool_)
    captioned_clips = rng.permutation(np.flatnonzero(clip_batch.text_mask.any(axis=1)))
    swap_candidates = {
        int(clip_index): [
            int(other_index)
            for other_index in captioned_clips
            if not _share_captions(clip_batch, int(clip_index), int(other_index))
        ]
        for clip_index in captioned_clips
    }
    swappable_clips = [clip_index for clip_index in swap_candidates if swap_candidates[clip_index]]
    swappable_clips = swappable_clips[: len(swappable_clips) // 2 * 2]  # matches and mismatches
    match_mask[swappable_clips] = True
    for clip_index in swappable_clips[::2]:
        caption_rows[clip_index] = rng.choice(swap_candidates[clip_index])
    return caption_rows, match_mask


def _share_captions(clip_batch: ClipBatch, first_index: int, second_index: int) -> bool:
    """Return whether two clips are of one video or have equal captions."""
    return bool(
        clip_batch.video_ids[first_index] == clip_batch.video_ids[second_index]
        or np.array_equal(
            clip_batch.text_vectors[first_index], clip_batch.text_vectors[second_index]
        )
    )
