"""Pictures: decoded frames to RGB images, upright, in the size and colours of a screen."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from av.video.reformatter import (
    ColorPrimaries,
    Colorspace,
    ColorTrc,
    Interpolation,
    VideoReformatter,
)

if TYPE_CHECKING:
    from vsearch.types import Images

_MAX_ASPECT = 4  # longer pictures are squeezed to it: wider than any screen, yet bounded
_HDR = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 14})  # AVColorSpace that swscale knows


class Painter:
    """Decoded frames to RGB images: scaled, upright, square pixels, HDR brought to SDR."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()
        self._toner = VideoReformatter()
        self._turns: dict[int, tuple[bool, bool, bool]] = {}  # by rotation, in degrees

    def paint(self, picture: VideoFrame, short_side: int, aspect: Fraction) -> Images:
        """One frame to uint8 (H, W, 3)."""
        turned, mirrored, flipped = self._turned(picture)
        width, height = _fitted(picture.width * aspect, picture.height, short_side)
        if picture.color_trc in _HDR:  # tone mapping is slow: after scaling
            picture = self._scaler.reformat(
                picture, width, height, "yuv444p16le", interpolation=Interpolation.BICUBIC,
                threads=1,
            )  # fmt: skip
            image = self._tone_mapped(picture)
        else:
            image = _rgb(self._scaler, picture, (width, height), Interpolation.BICUBIC)
        if turned:
            image = image.swapaxes(0, 1)
        if mirrored:
            image = image[:, ::-1]
        if flipped:
            image = image[::-1]
        return np.ascontiguousarray(image)

    def _turned(self, picture: VideoFrame) -> tuple[bool, bool, bool]:
        """As `_orientation`, which makes PyAV 18 keep a picture until garbage is collected."""
        if picture.rotation not in self._turns:
            self._turns[picture.rotation] = _orientation(picture)
        return self._turns[picture.rotation]

    def _tone_mapped(self, picture: VideoFrame) -> Images:
        try:
            toned = self._toner.reformat(
                picture, format="rgb24", dst_color_trc=ColorTrc.IEC61966_2_1,
                dst_color_primaries=ColorPrimaries.BT709, threads=1,
            )  # fmt: skip
            return toned.to_ndarray().astype(np.uint8, copy=False)
        except FFmpegError:  # primaries that swscale does not know: flat, but a picture
            size = (picture.width, picture.height)
            return _rgb(self._scaler, picture, size, Interpolation.BICUBIC)


def shown_size(picture: VideoFrame, aspect: Fraction) -> tuple[int, int]:
    """Width and height after pixel aspect and rotation."""
    width, height = max(1, round(picture.width * aspect)), picture.height
    return (height, width) if _orientation(picture)[0] else (width, height)


def from_rgb(image: Images) -> VideoFrame:
    """The picture that holds a uint8 (H, W, 3) image."""
    return VideoFrame.from_ndarray(image)


def _orientation(picture: VideoFrame) -> tuple[bool, bool, bool]:
    """What the display matrix asks for: transpose, then mirror left-right, then top-bottom."""
    a, b, c, d = _display_matrix(picture)
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if turned else (False, a < 0, d < 0)


def _display_matrix(picture: VideoFrame) -> tuple[float, float, float, float]:
    try:
        matrix = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 stumbles over EXIF beside it, as in the frames of some cameras
        angle = math.radians(-picture.rotation)
        return math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    if not isinstance(matrix, SideData):
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack_from("=5i", bytes(matrix))
    return a, b, c, d


def _fitted(width: Fraction, height: int, short_side: int) -> tuple[int, int]:
    """The size with that short side and the same aspect, bounded."""
    aspect = min(max(width / height, Fraction(1, _MAX_ASPECT)), Fraction(_MAX_ASPECT))
    if aspect >= 1:
        return round(short_side * aspect), short_side
    return short_side, round(short_side / aspect)


def _rgb(
    scaler: VideoReformatter, picture: VideoFrame, size: tuple[int, int], how: Interpolation
) -> Images:
    """Scale to (width, height): uint8 (H, W, 3), by the colour matrix that a player would take."""
    matrix: int | None = None
    if picture.colorspace not in _MATRICES:
        picture.colorspace = _UNSPECIFIED
    if picture.colorspace == _UNSPECIFIED and (picture.width >= 1280 or picture.height > 576):
        matrix = Colorspace.ITU709
    scaled = scaler.reformat(
        picture, *size, "rgb24", src_colorspace=matrix, interpolation=how, threads=1
    )
    return scaled.to_ndarray().astype(np.uint8, copy=False)
