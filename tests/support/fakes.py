"""Fakes: small, fast, deterministic implementations of vsearch's protocols."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

import numpy as np

from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from vsearch.types import Images, Matrix

NAMED_COLORS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "magenta": (255, 0, 255),
    "orange": (255, 128, 0),
    "purple": (128, 0, 128),
    "white": (255, 255, 255),
    "black": (0, 0, 0),
    "grey": (128, 128, 128),
    "gray": (128, 128, 128),
}


class FakeEncoder:
    """Encoder that knows colors and roughly where they are: "red" finds red images. An `Encoder`.

    A vector consists of the mean colors of four quarters, the contrast of each channel and a
    constant. Text is encoded as the image that its colors mix to; text without colors is a
    direction of its own.
    """

    def __init__(self, argument: str = "", *, device: str = "auto") -> None:
        self.argument = argument
        self.device = device
        self.encoded_count = 0  # images encoded so far
        has_own_space = argument and argument != "fast"  # "" and "fast" share a space
        suffix = f"-{argument}" if has_own_space else ""
        self._space = Space(f"fake{suffix}", 16, supports_text=True)

    @property
    def space(self) -> Space:
        """Space of the vectors."""
        return self._space

    @property
    def image_size(self) -> int:
        """Preferred short side in pixels."""
        return 32

    def encode_images(self, images: Images) -> Matrix:
        """Encode uint8 (N, H, W, 3) as float32 (N, 16)."""
        self.encoded_count += len(images)
        if not len(images):
            return np.zeros((0, 16), np.float32)
        return _normalize_rows(np.stack([_image_vector(image) for image in images]))

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        """Encode N texts as float32 (N, 16)."""
        if not texts:
            return np.zeros((0, 16), np.float32)
        return _normalize_rows(np.stack([_text_vector(text) for text in texts]))


def _image_vector(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Encode uint8 (H, W, 3) as float64 (16,): 4 quarters x 3 channels, 3 contrasts, 1 constant."""
    pixels = image.astype(np.float64) / 255 - 0.5
    height, width = pixels.shape[:2]
    row_ranges = (slice(0, (height + 1) // 2), slice(height // 2, height))
    column_ranges = (slice(0, (width + 1) // 2), slice(width // 2, width))
    quarters = [
        pixels[row_range, column_range].mean(axis=(0, 1))
        for row_range in row_ranges
        for column_range in column_ranges
    ]
    contrast = 0.5 * pixels.std(axis=(0, 1))
    return np.concatenate([*quarters, contrast, [0.1]])


def _text_vector(text: str) -> npt.NDArray[np.float64]:
    """Encode text as float64 (16,): an image of its colors, or a direction from its digest."""
    named_colors = [
        NAMED_COLORS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in NAMED_COLORS
    ]
    if named_colors:
        mixed_color = np.mean(named_colors, axis=0).astype(np.uint8)
        return _image_vector(np.broadcast_to(mixed_color, (2, 2, 3)))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.frombuffer(digest, np.uint8).astype(np.float64) - 127.5


def _normalize_rows(rows: npt.NDArray[np.float64]) -> Matrix:
    """Normalize float64 (N, D) to float32 (N, D) of unit length."""
    unit_rows: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit_rows
