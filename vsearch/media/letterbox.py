"""Letterbox frames of any shape into images of one shape, as a file requires."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vsearch.media.rgb import RgbConverter, get_display_size

if TYPE_CHECKING:
    from typing import Self

    from vsearch.media.reader import DecodedFrame
    from vsearch.types import Images

# Limits of players and encoders, in pixels.
MAX_SHORT_SIDE, MIN_SHORT_SIDE = 1080, 16
_MAX_CANVAS_ASPECT = 4  # longer frames are squeezed, as `RgbConverter` does


class Letterbox:
    """Canvas of a fixed size on which frames are centered upright, as large as fits, on black.

    Args:
        width: Width in pixels.
        height: Height in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._rgb_converter = RgbConverter()
        self._short_sides: dict[tuple[object, ...], int] = {}

    @classmethod
    def for_frame(cls, frame: DecodedFrame) -> Self:
        """Create the canvas for a frame and others of its format, with even, bounded sides."""
        width, height = get_display_size(frame.video_frame, frame.pixel_aspect)
        short_side = _round_to_even(min(max(min(width, height), MIN_SHORT_SIDE), MAX_SHORT_SIDE))
        long_side = _round_to_even(
            min(
                short_side * max(width, height) / min(width, height),
                _MAX_CANVAS_ASPECT * short_side,
            )
        )
        return cls(long_side, short_side) if width >= height else cls(short_side, long_side)

    def convert_frame(self, frame: DecodedFrame) -> Images:
        """Convert a frame to an image of the canvas, uint8 (height, width, 3) RGB."""
        rgb_image = self._rgb_converter.convert_frame(
            frame.video_frame, self._fit_short_side(frame), frame.pixel_aspect
        )
        rgb_image = rgb_image[: self.height, : self.width]  # rounding may add a line
        height, width = rgb_image.shape[:2]
        if (height, width) == (self.height, self.width):
            return rgb_image
        padded_image = np.zeros((self.height, self.width, 3), np.uint8)
        top_margin, left_margin = (self.height - height) // 2, (self.width - width) // 2
        padded_image[top_margin : top_margin + height, left_margin : left_margin + width] = (
            rgb_image
        )
        return padded_image

    def _fit_short_side(self, frame: DecodedFrame) -> int:
        """Return the short side in pixels at which a frame fits."""
        video_frame = frame.video_frame
        frame_format = (
            video_frame.width,
            video_frame.height,
            frame.pixel_aspect,
            video_frame.rotation,
        )
        if frame_format not in self._short_sides:
            width, height = get_display_size(video_frame, frame.pixel_aspect)
            display_aspect = min(
                max(Fraction(width, height), Fraction(1, _MAX_CANVAS_ASPECT)),
                Fraction(_MAX_CANVAS_ASPECT),
            )
            fitted_height = min(Fraction(self.height), self.width / display_aspect)
            # Rounded, so that a frame a line smaller than its own canvas gets no black edge.
            self._short_sides[frame_format] = max(
                1, round(min(fitted_height, fitted_height * display_aspect))
            )
        return self._short_sides[frame_format]


def _round_to_even(side_length: float) -> int:
    return max(2, int(side_length) // 2 * 2)
