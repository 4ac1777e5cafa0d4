"""Frames that repeat the one before are encoded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from vsearch.protocols import Encoder
    from vsearch.types import Images, Matrix, Vector

BLOCK = 8  # pixels: a change may be as small as this
STILL = 1.5  # grey levels of 255, the mean of a block: coding noise, not a change


class ChangedFrames:
    """Encodes consecutive frames of one video, batch after batch.

    A frame is compared with the last one that was encoded, not with its neighbour, so a slow fade
    cannot slip through.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._shown: Images | None = None  # uint8 (H, W, 3), the last frame encoded
        self._vector: Vector | None = None  # and its features

    def encode(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) -> float32 (N, D), rows of unit length."""
        fresh: list[int] = []
        row = np.zeros(len(images), np.int64)  # 0: the frame before this batch; i: fresh[i - 1]
        for i, image in enumerate(images):
            if self._shown is None or not alike(self._shown, image):
                self._shown = image
                fresh.append(i)
            row[i] = len(fresh)
        known = np.zeros((1, self._encoder.space.dim), np.float32)
        if self._vector is not None:
            known[0] = self._vector
        known = np.concatenate([known, self._encoder.encode_images(images[fresh])])
        self._vector = known[-1]
        if self._shown is not None:
            self._shown = self._shown.copy()  # let go of the batch
        return known[row]


def alike(a: Images, b: Images) -> bool:
    """Whether two frames, uint8 (H, W, 3), differ by no more than coding noise anywhere."""
    rows, columns = a.shape[0] // BLOCK, a.shape[1] // BLOCK
    if a.shape != b.shape or not rows or not columns:
        return np.array_equal(a, b)
    inside = np.s_[: rows * BLOCK, : columns * BLOCK]
    gap = np.abs(a[inside].astype(np.int16) - b[inside]).mean(axis=2)
    blocks = gap.reshape(rows, BLOCK, columns, BLOCK).mean(axis=(1, 3))
    return bool(blocks.max() < STILL)
