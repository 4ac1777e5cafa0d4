"""Padded batches of clips as NumPy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Features, Ids, Matrix, Times


@dataclass(frozen=True, slots=True, eq=False)
class ClipCaptions:
    """Text vectors of the captions of a clip and their positions in it."""

    text_vectors: Matrix  # float32 (S, D); S may be 0
    text_positions: Times  # float64 (S,) in [0, 1], from the first to the last frame


@dataclass(frozen=True, slots=True, eq=False)
class ClipBatch:
    """A batch of clips padded with zeros, with masks that are false for padding."""

    frame_vectors: npt.NDArray[np.float32]  # (B, T, D)
    frame_times: npt.NDArray[np.float32]  # (B, T) seconds since the first frame
    frame_mask: npt.NDArray[np.bool_]  # (B, T)
    video_ids: Ids  # int64 (B,)
    text_vectors: npt.NDArray[np.float32]  # (B, S, D), S may be 0
    text_positions: npt.NDArray[np.float32]  # (B, S) in [0, 1], see `ClipCaptions`
    text_mask: npt.NDArray[np.bool_]  # (B, S)

    def __len__(self) -> int:
        return len(self.video_ids)

    @classmethod
    def from_features(
        cls,
        clip_features: Sequence[Features],
        video_ids: Sequence[int] | Ids,
        clip_captions: Sequence[ClipCaptions] | None = None,
    ) -> Self:
        """Pad clips to a common length.

        Args:
            clip_features: Clips of at least one frame, of one space.
            video_ids: Video of each clip.
            clip_captions: Captions of each clip, or None.

        Returns:
            The batch; padding comes last.
        """
        vector_dim = clip_features[0].space.dim
        if clip_captions is None:
            clip_captions = [
                ClipCaptions(np.empty((0, vector_dim), np.float32), np.empty(0))
            ] * len(clip_features)
        frame_vectors, frame_mask = _pad_rows(
            [item.frame_vectors for item in clip_features], vector_dim
        )
        frame_times, _ = _pad_rows(
            [(item.frame_times - item.frame_times[0])[:, None] for item in clip_features], 1
        )
        text_vectors, text_mask = _pad_rows(
            [item.text_vectors for item in clip_captions], vector_dim
        )
        text_positions, _ = _pad_rows([item.text_positions[:, None] for item in clip_captions], 1)
        video_id_array = np.asarray(video_ids, np.int64)
        return cls(
            frame_vectors,
            frame_times[..., 0],
            frame_mask,
            video_id_array,
            text_vectors,
            text_positions[..., 0],
            text_mask,
        )


def _pad_rows(
    row_arrays: Sequence[npt.NDArray[np.float32] | Times], row_width: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Pad arrays (T, dim) to float32 (B, max T, dim); also return the mask, bool (B, max T)."""
    max_length = max(map(len, row_arrays))
    padded_rows = np.zeros((len(row_arrays), max_length, row_width), np.float32)
    valid_mask = np.zeros((len(row_arrays), max_length), np.bool_)
    for row_index, row_array in enumerate(row_arrays):
        padded_rows[row_index, : len(row_array)] = row_array
        valid_mask[row_index, : len(row_array)] = True
    return padded_rows, valid_mask
