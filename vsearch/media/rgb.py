"""Convert decoded frames to RGB images: scaled, upright, with square pixels and standard colors."""

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

_MAX_DISPLAY_ASPECT = 4  # wider or taller frames are squeezed to it; bounds memory
_HDR_TRANSFERS = (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
_UNSPECIFIED_MATRIX = 2  # AVCOL_SPC_UNSPECIFIED
_KNOWN_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 14})  # AVColorSpace that swscale knows


class RgbConverter:
    """Converter of decoded frames to RGB images, with HDR tone-mapped to SDR."""

    def __init__(self) -> None:
        self._frame_scaler = VideoReformatter()
        self._tone_mapper = VideoReformatter()
        self._orientations: dict[int, tuple[bool, bool, bool]] = {}  # by rotation, in degrees

    def convert_frame(
        self, video_frame: VideoFrame, short_side: int, pixel_aspect: Fraction
    ) -> Images:
        """Convert a frame to an upright RGB image with square pixels.

        Args:
            video_frame: Decoded frame.
            short_side: Short side of the image in pixels.
            pixel_aspect: Width of a pixel divided by its height.

        Returns:
            uint8 (H, W, 3).
        """
        is_transposed, is_mirrored, is_flipped = self._get_orientation(video_frame)
        width, height = _fit_size(video_frame.width * pixel_aspect, video_frame.height, short_side)
        if video_frame.color_trc in _HDR_TRANSFERS:  # tone mapping is slow: scale first
            video_frame = self._frame_scaler.reformat(
                video_frame, width, height, "yuv444p16le", interpolation=Interpolation.BICUBIC,
                threads=1,
            )  # fmt: skip
            rgb_image = self._apply_tone_mapping(video_frame)
        else:
            rgb_image = _scale_to_rgb(
                self._frame_scaler, video_frame, (width, height), Interpolation.BICUBIC
            )
        if is_transposed:
            rgb_image = rgb_image.swapaxes(0, 1)
        if is_mirrored:
            rgb_image = rgb_image[:, ::-1]
        if is_flipped:
            rgb_image = rgb_image[::-1]
        return np.ascontiguousarray(rgb_image)

    def _get_orientation(self, video_frame: VideoFrame) -> tuple[bool, bool, bool]:
        """Cache `_read_orientation`, since PyAV 18 keeps its frame until garbage collection."""
        if video_frame.rotation not in self._orientations:
            self._orientations[video_frame.rotation] = _read_orientation(video_frame)
        return self._orientations[video_frame.rotation]

    def _apply_tone_mapping(self, video_frame: VideoFrame) -> Images:
        try:
            tone_mapped = self._tone_mapper.reformat(
                video_frame, format="rgb24", dst_color_trc=ColorTrc.IEC61966_2_1,
                dst_color_primaries=ColorPrimaries.BT709, threads=1,
            )  # fmt: skip
            return tone_mapped.to_ndarray().astype(np.uint8, copy=False)
        except FFmpegError:  # primaries unknown to swscale: flat colors, but an image
            frame_size = (video_frame.width, video_frame.height)
            return _scale_to_rgb(self._frame_scaler, video_frame, frame_size, Interpolation.BICUBIC)


def get_display_size(video_frame: VideoFrame, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return width and height in pixels after applying pixel aspect and rotation."""
    width, height = max(1, round(video_frame.width * pixel_aspect)), video_frame.height
    return (height, width) if _read_orientation(video_frame)[0] else (width, height)


def create_video_frame(image: Images) -> VideoFrame:
    """Create a video frame from an image, uint8 (H, W, 3)."""
    return VideoFrame.from_ndarray(image)


def _read_orientation(video_frame: VideoFrame) -> tuple[bool, bool, bool]:
    """Return the display matrix's steps: transpose, then flip left-right, then top-bottom."""
    a, b, c, d = _read_display_matrix(video_frame)
    is_transposed = abs(b) + abs(c) > abs(a) + abs(d)
    return (True, c < 0, b < 0) if is_transposed else (False, a < 0, d < 0)


def _read_display_matrix(video_frame: VideoFrame) -> tuple[float, float, float, float]:
    try:
        display_matrix = video_frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # PyAV 18 fails if there is EXIF data too, as some cameras write
        angle = math.radians(-video_frame.rotation)
        return math.cos(angle), math.sin(angle), -math.sin(angle), math.cos(angle)
    if not isinstance(display_matrix, SideData):
        return 1, 0, 0, 1
    a, b, _, c, d = struct.unpack_from("=5i", bytes(display_matrix))
    return a, b, c, d


def _fit_size(width: Fraction, height: int, short_side: int) -> tuple[int, int]:
    """Return the size with that short side and the same, bounded aspect ratio."""
    display_aspect = min(
        max(width / height, Fraction(1, _MAX_DISPLAY_ASPECT)), Fraction(_MAX_DISPLAY_ASPECT)
    )
    if display_aspect >= 1:
        return round(short_side * display_aspect), short_side
    return short_side, round(short_side / display_aspect)


def _scale_to_rgb(
    scaler: VideoReformatter,
    video_frame: VideoFrame,
    target_size: tuple[int, int],
    interpolation: Interpolation,
) -> Images:
    """Scale to (width, height), uint8 (H, W, 3), with the color matrix that players assume."""
    color_matrix: int | None = None
    if video_frame.colorspace not in _KNOWN_MATRICES:
        video_frame.colorspace = _UNSPECIFIED_MATRIX
    if video_frame.colorspace == _UNSPECIFIED_MATRIX and (
        video_frame.width >= 1280 or video_frame.height > 576
    ):
        color_matrix = Colorspace.ITU709
    scaled_frame = scaler.reformat(
        video_frame,
        *target_size,
        "rgb24",
        src_colorspace=color_matrix,
        interpolation=interpolation,
        threads=1,
    )
    return scaled_frame.to_ndarray().astype(np.uint8, copy=False)
