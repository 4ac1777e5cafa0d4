"""Frames that show what was just shown are encoded once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from vsearch.protocols import Encoder
    from vsearch.types import Images, Matrix, Vector

BLOCK = 8  # pixels: a change may be as small as this
STILL = 4.0  # levels of 255 by which the mean of a block may differ: noise, not a change
COLOUR = 2.0  # the eye, and coding, are so much coarser in colour than in brightness
SIGHT = np.array(  # RGB to brightness and two colours: BT.601
    [[0.299, -0.169, 0.5], [0.587, -0.331, -0.419], [0.114, 0.5, -0.081]], np.float32
)
KEPT = 4  # frames that are remembered: what blinks, or comes back, is not encoded again


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that was encoded."""

    look: npt.NDArray[np.float32]
    vector: Vector


class ChangedFrames:
    """Encodes consecutive frames of one video, batch after batch.

    A frame is compared with the last few that were encoded, not with its neighbour, so a slow fade
    cannot slip through. With `still` 0 every frame is encoded.
    """

    def __init__(self, encoder: Encoder, *, still: float = STILL) -> None:
        self._encoder, self._still = encoder, still
        self._kept: list[Shown] = []  # the latest last

    def encode(self, images: Images) -> Matrix:
        """uint8 (N, H, W, 3) -> float32 (N, D), rows of unit length."""
        if not self._still:
            return self._encoder.encode_images(images)
        looks = [shown.look for shown in self._kept]  # and of frames that will be encoded
        known = len(looks)
        fresh: list[int] = []
        row = np.zeros(len(images), np.int64)  # into `looks`
        for i, image in enumerate(images):
            look = look_of(image)
            row[i] = _same(looks, look, self._still)
            if row[i] == len(looks):
                looks.append(look)
                fresh.append(i)
        encoded = self._encoder.encode_images(images[fresh])
        vectors = np.stack([shown.vector for shown in self._kept]) if known else encoded[:0]
        vectors = np.concatenate([vectors, encoded])
        self._kept = [
            Shown(look, vector.copy())
            for look, vector in zip(looks[-KEPT:], vectors[-KEPT:], strict=True)
        ]
        return vectors[row]


def _same(looks: list[npt.NDArray[np.float32]], look: npt.NDArray[np.float32], still: float) -> int:
    """Which of the last looks, the latest first, is like this one; their number if none is."""
    for at in range(len(looks) - 1, max(len(looks) - KEPT, 0) - 1, -1):
        if alike(looks[at], look, still):
            return at
    return len(looks)


def look_of(image: Images) -> npt.NDArray[np.float32]:
    """The mean brightness and colour of each block of a frame, uint8 (H, W, 3) -> (h, w, 3).

    The mean of 64 pixels has next to nothing of a sensor's noise. A picture smaller than a block
    is one block a pixel.
    """
    from PIL import Image  # deferred: asking for the space needs none

    whole = Image.fromarray(image)
    blocks: Any = whole if min(image.shape[:2]) < BLOCK else whole.reduce(BLOCK)
    look: npt.NDArray[np.float32] = np.asarray(blocks, np.float32) @ SIGHT
    return look


def alike(a: npt.NDArray[np.float32], b: npt.NDArray[np.float32], still: float = STILL) -> bool:
    """Whether two looks differ by no more than noise anywhere."""
    if a.shape != b.shape:
        return False
    gap = np.abs(a - b)
    return bool(gap[..., 0].max() < still and gap[..., 1:].max() < COLOUR * still)
