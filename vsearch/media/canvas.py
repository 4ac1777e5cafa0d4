"""Frames of any shape as images of one shape, as one file needs them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vsearch.media.painter import Painter, shown_size

if TYPE_CHECKING:
    from typing import Self

    from vsearch.media.film import Frame
    from vsearch.types import Images

LARGEST, SMALLEST = 1080, 16  # pixels of the short side; players and encoders want both
_LONGEST = 4  # times the short side: longer pictures are squeezed, as `Painter` does


class Canvas:
    """Paints frames upright, as large as fits, in the middle of black."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._painter = Painter()
        self._sides: dict[tuple[object, ...], int] = {}

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """The canvas for a frame and those that are like it: even sides, bounded."""
        width, height = shown_size(frame.picture, frame.aspect)
        short = _even(min(max(min(width, height), SMALLEST), LARGEST))
        long = _even(min(short * max(width, height) / min(width, height), _LONGEST * short))
        return cls(long, short) if width >= height else cls(short, long)

    def paint(self, frame: Frame) -> Images:
        """One frame as uint8 (height, width, 3) RGB."""
        image = self._painter.paint(frame.picture, self._side(frame), frame.aspect)
        image = image[: self.height, : self.width]  # a line too many by rounding
        height, width = image.shape[:2]
        if (height, width) == (self.height, self.width):
            return image
        canvas = np.zeros((self.height, self.width, 3), np.uint8)
        top, left = (self.height - height) // 2, (self.width - width) // 2
        canvas[top : top + height, left : left + width] = image
        return canvas

    def _side(self, frame: Frame) -> int:
        """The short side with which a frame fits."""
        picture = frame.picture
        kind = (picture.width, picture.height, frame.aspect, picture.rotation)
        if kind not in self._sides:
            width, height = shown_size(picture, frame.aspect)
            aspect = min(max(Fraction(width, height), Fraction(1, _LONGEST)), Fraction(_LONGEST))
            tall = min(Fraction(self.height), self.width / aspect)
            # a picture that is a line too small for its own canvas gets no black edge
            self._sides[kind] = max(1, round(min(tall, tall * aspect)))
        return self._sides[kind]


def _even(length: float) -> int:
    return max(2, int(length) // 2 * 2)
