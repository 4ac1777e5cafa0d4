"""Encode near-identical consecutive frames only once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from vsearch.protocols import Encoder
    from vsearch.types import Images, Matrix, Vector

BLOCK_PX = 8  # size of the smallest change that counts
MAX_LUMA_DIFF = 4.0  # of 255, between the means of a block: noise, not a change
CHROMA_TOLERANCE = 2.0  # factor by which vision, and coding, are coarser in chroma
RGB_TO_YCBCR = np.array(  # BT.601
    [[0.299, -0.169, 0.5], [0.587, -0.331, -0.419], [0.114, 0.5, -0.081]], np.float32
)
HISTORY_FRAMES = 4  # compared with; frames that blink or alternate are not encoded again


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """An encoded frame and its signature."""

    signature: npt.NDArray[np.float32]
    frame_vector: Vector


class DedupEncoder:
    """Encoder of consecutive frames of one video, batch after batch.

    A frame is compared with the last few frames that were encoded, not with its neighbor, so that a
    slow fade is not missed.

    Args:
        encoder: Encoder of the images.
        max_luma_diff: Difference in luma, of 255, up to which frames are the same; 0 encodes all.
    """

    def __init__(self, encoder: Encoder, *, max_luma_diff: float = MAX_LUMA_DIFF) -> None:
        self._encoder, self._max_luma_diff = encoder, max_luma_diff
        self._recent_frames: list[EncodedFrame] = []  # newest last

    def encode_frames(self, images: Images) -> Matrix:
        """Encode uint8 (N, H, W, 3) as float32 (N, D), rows of unit length."""
        if not self._max_luma_diff:
            return self._encoder.encode_images(images)
        # Of recent frames, then of frames to encode.
        signatures = [recent_frame.signature for recent_frame in self._recent_frames]
        known_count = len(signatures)
        new_indices: list[int] = []
        vector_rows = np.zeros(len(images), np.int64)  # into `signatures`
        for i, image in enumerate(images):
            signature = compute_signature(image)
            vector_rows[i] = _find_similar(signatures, signature, self._max_luma_diff)
            if vector_rows[i] == len(signatures):
                signatures.append(signature)
                new_indices.append(i)
        new_vectors = self._encoder.encode_images(images[new_indices])
        frame_vectors = (
            np.stack([recent_frame.frame_vector for recent_frame in self._recent_frames])
            if known_count
            else new_vectors[:0]
        )
        frame_vectors = np.concatenate([frame_vectors, new_vectors])
        self._recent_frames = [
            EncodedFrame(signature, frame_vector.copy())
            for signature, frame_vector in zip(
                signatures[-HISTORY_FRAMES:], frame_vectors[-HISTORY_FRAMES:], strict=True
            )
        ]
        return frame_vectors[vector_rows]


def _find_similar(
    signatures: list[npt.NDArray[np.float32]],
    signature: npt.NDArray[np.float32],
    max_luma_diff: float,
) -> int:
    """Return the index of the newest similar signature, or their number if none is."""
    for signature_index in range(
        len(signatures) - 1, max(len(signatures) - HISTORY_FRAMES, 0) - 1, -1
    ):
        if is_similar(signatures[signature_index], signature, max_luma_diff):
            return signature_index
    return len(signatures)


def compute_signature(image: Images) -> npt.NDArray[np.float32]:
    """Compute the mean color of each block of an image.

    The mean of 64 pixels averages out a sensor's noise. In an image smaller than a block, each
    pixel is a block.

    Args:
        image: uint8 (H, W, 3) RGB.

    Returns:
        float32 (h, w, 3) YCbCr.
    """
    from PIL import Image  # deferred: not needed to know the space

    full_image = Image.fromarray(image)
    block_means: Any = (
        full_image if min(image.shape[:2]) < BLOCK_PX else full_image.reduce(BLOCK_PX)
    )
    signature: npt.NDArray[np.float32] = np.asarray(block_means, np.float32) @ RGB_TO_YCBCR
    return signature


def is_similar(
    first_signature: npt.NDArray[np.float32],
    second_signature: npt.NDArray[np.float32],
    max_luma_diff: float = MAX_LUMA_DIFF,
) -> bool:
    """Return whether two signatures differ nowhere by more than noise.

    Args:
        first_signature: float32 (h, w, 3).
        second_signature: float32 (h, w, 3); another shape is not similar.
        max_luma_diff: Difference in luma, of 255, below which blocks are the same.
    """
    if first_signature.shape != second_signature.shape:
        return False
    signature_gap = np.abs(first_signature - second_signature)
    return bool(
        signature_gap[..., 0].max() < max_luma_diff
        and signature_gap[..., 1:].max() < CHROMA_TOLERANCE * max_luma_diff
    )
