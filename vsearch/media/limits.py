"""How large a frame may be, and how many are decoded at once, so that memory stays bounded."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vsearch.errors import TooLargeError

if TYPE_CHECKING:
    from pathlib import Path

MAX_PIXELS = 2**26  # of one frame: 8192 x 8192
MAX_BYTES = 2**28  # of all frames that threads decode at once: one of 8K with 64 bits a pixel


def check_size(path: Path, width: int, height: int, *, bits: int) -> None:
    """Raise TooLargeError for a frame of too many pixels, or too much memory at `bits` a pixel."""
    if width * height > MAX_PIXELS or width * height * bits > 8 * MAX_BYTES:
        raise TooLargeError(f"{path}: {width} x {height} pixels are too many; scale it down")


def threads(width: int, height: int, *, bits: int) -> int:
    """How many may decode such frames: as there are processors, while a frame for each fits."""
    each = width * height * bits // 8 or MAX_BYTES  # 0: the size is not known yet
    return max(1, min((os.cpu_count() or 1) + 1, 16, MAX_BYTES // each))


def most_pixels(threads: int) -> int:
    """How many pixels a frame may come to have while so many threads decode, at 16 bits each."""
    return min(MAX_PIXELS, MAX_BYTES // threads // 2)
