"""Fakes: small, fast, deterministic stand-ins for the seams of vsearch."""

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

COLOURS = {
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
    """Knows colours and roughly where they are: "red" finds red pictures. An `Encoder`.

    A vector is the mean colour of four quarters, the contrast of each channel and a constant. Text
    is the picture that the named colours mix to; text without any is a direction of its own.
    """

    def __init__(self, argument: str = "", *, device: str = "auto") -> None:
        self.argument = argument
        self.device = device
        self.seen = 0  # images encoded so far
        named = argument and argument != "fast"  # FakeEncoder("fast") is of FakeEncoder()'s space
        suffix = f"-{argument}" if named else ""  # FakeEncoder("other") is another one
        self._space = Space(f"fake{suffix}", 16, speaks_text=True)

    @property
    def space(self) -> Space:
        return self._space

    @property
    def image_size(self) -> int:
        return 32

    def encode_images(self, images: Images) -> Matrix:
        self.seen += len(images)
        if not len(images):
            return np.zeros((0, 16), np.float32)
        return _unit(np.stack([_look(image) for image in images]))

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        if not texts:
            return np.zeros((0, 16), np.float32)
        return _unit(np.stack([_read(text) for text in texts]))


def _look(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """uint8 (H, W, 3) -> float64 (16,): 4 quarters x 3 channels, 3 contrasts, 1 constant."""
    pixels = image.astype(np.float64) / 255 - 0.5
    height, width = pixels.shape[:2]
    rows = (slice(0, (height + 1) // 2), slice(height // 2, height))
    columns = (slice(0, (width + 1) // 2), slice(width // 2, width))
    quarters = [pixels[row, column].mean(axis=(0, 1)) for row in rows for column in columns]
    contrast = 0.5 * pixels.std(axis=(0, 1))
    return np.concatenate([*quarters, contrast, [0.1]])


def _read(text: str) -> npt.NDArray[np.float64]:
    """Text -> float64 (16,): the picture of its colours, else a direction from its digest."""
    named = [COLOURS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in COLOURS]
    if named:
        mixed = np.mean(named, axis=0).astype(np.uint8)
        return _look(np.broadcast_to(mixed, (2, 2, 3)))
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.frombuffer(digest, np.uint8).astype(np.float64) - 127.5


def _unit(rows: npt.NDArray[np.float64]) -> Matrix:
    """float64 (N, D) -> float32 (N, D) of unit length."""
    unit: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit
