"""Detect cuts between shots while a video is decoded.

Detection works on luma thumbnails of 36 x 64 pixels, the only input of a `ShotDetector`.
"""

from __future__ import annotations

import re
from time import thread_time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

from vsearch.media.shot_boundaries import find_boundaries, select_boundaries
from vsearch.media.shot_features import FrameSignatures, describe_frames

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from vsearch.media.reader import DecodedFrame
    from vsearch.media.shot_boundaries import ShotBoundary
    from vsearch.protocols import ShotDetector
    from vsearch.types import GrayImages, Spans, Times

THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH = 36, 64  # pixels
_CONTEXT_SECONDS = 2.0  # on either side, on which the score of a place depends
_FRAMES_PER_SEARCH = 256  # frames that are added before they are searched
_MAX_CONTEXT_FRAMES = 1024  # bounds memory at absurd frame rates
_THUMBNAILS_PER_BATCH = 64  # passed to the detector at once
_BLOCK_PX = 4  # a thumbnail pixel is the mean of 4 x 4 sampled pixels
_MIN_PLANE_SIZE = (THUMBNAIL_HEIGHT * _BLOCK_PX, THUMBNAIL_WIDTH * _BLOCK_PX)
_SWSCALE_SLOW_ABOVE_LINES = 500  # larger frames are sampled here; swscale reads every pixel
# Formats whose first plane is luma, one value per pixel; the group is the bit depth.
_LUMA_FORMATS = re.compile(r"(?:yuvj?4\d\dp|yuva4\d\dp|nv(?:12|16|21|24)|gray)(9|1[0246])?(?:le)?")


class ContentDetector:
    """Detector of cuts and gradual transitions between shots.

    A `TransitionDetector`. It keeps the last few seconds of frames as signatures (see
    `media/shot_features.py`) and the boundaries found so far.
    """

    def __init__(self) -> None:
        self._pending_parts: list[FrameSignatures] = []  # described frames
        self._pending_count = 0
        self._searched_until = -np.inf  # seconds, time of the first place that is not searched
        self._boundaries: list[ShotBoundary] = []

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        """Process thumbnails of consecutive decoded frames.

        Args:
            luma_thumbnails: uint8 (N, 36, 64).
            frame_times: float64 (N,), seconds, ascending.
        """
        for start in range(0, len(frame_times), _FRAMES_PER_SEARCH):
            part = slice(start, start + _FRAMES_PER_SEARCH)
            self._pending_parts.append(describe_frames(luma_thumbnails[part], frame_times[part]))
            self._pending_count += len(self._pending_parts[-1])
            if self._pending_count >= _FRAMES_PER_SEARCH:
                self._search_pending()

    def cuts(self) -> Times:
        """Return when each shot but the first begins: float64 (C,), seconds, ascending."""
        return np.array([boundary.end_time for boundary in self._select_boundaries()], np.float64)

    def transitions(self) -> Spans:
        """Return the gradual transitions: float64 (T, 2), seconds, ascending.

        Each lasts from the last frame of the old shot to the first frame of the new one.
        """
        return np.array(
            [
                (boundary.start_time, boundary.end_time)
                for boundary in self._select_boundaries()
                if not boundary.is_cut
            ],
            np.float64,
        ).reshape(-1, 2)

    def _search_pending(self) -> None:
        """Search all places with enough frames after them; keep the frames that later ones need."""
        frames = FrameSignatures.concatenate(self._pending_parts)
        end_time = float(frames.times[-1]) - _CONTEXT_SECONDS
        if end_time > self._searched_until:
            self._boundaries += find_boundaries(frames, self._searched_until, end_time)
            self._searched_until = end_time
        first_frame = int(np.searchsorted(frames.times, self._searched_until - _CONTEXT_SECONDS))
        frames = frames.slice_frames(max(first_frame - 1, len(frames) - _MAX_CONTEXT_FRAMES, 0))
        self._pending_parts, self._pending_count = [frames], 0

    def _select_boundaries(self) -> list[ShotBoundary]:
        """Return the best boundaries that are compatible, in order."""
        boundaries = self._boundaries
        if self._pending_parts:
            frames = FrameSignatures.concatenate(self._pending_parts)
            boundaries = boundaries + find_boundaries(frames, self._searched_until, np.inf)
        return select_boundaries(boundaries)


# Luma thumbnails


class LumaFeeder:
    """Buffer that passes luma thumbnails of decoded frames to a shot detector in batches.

    Args:
        shot_detector: Detector to feed.
    """

    def __init__(self, shot_detector: ShotDetector) -> None:
        self.cpu_seconds = 0.0  # spent on thumbnails and in the detector
        self._shot_detector = shot_detector
        self._frame_scaler = VideoReformatter()
        self._luma_thumbnails = np.empty(
            (_THUMBNAILS_PER_BATCH, THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH), np.uint8
        )
        self._frame_times = np.empty(_THUMBNAILS_PER_BATCH)  # (N,) seconds
        self._frame_count = 0

    def add_frame(self, frame: DecodedFrame) -> None:
        """Add one frame; frames come in presentation order."""
        cpu_start = thread_time()
        self._luma_thumbnails[self._frame_count] = make_luma_thumbnail(
            frame.video_frame, self._frame_scaler
        )
        self._frame_times[self._frame_count] = float(frame.start_time)
        self._frame_count += 1
        if self._frame_count == _THUMBNAILS_PER_BATCH:
            self._feed_detector()
        self.cpu_seconds += thread_time() - cpu_start

    def flush_frames(self) -> None:
        """Pass the buffered thumbnails to the detector."""
        cpu_start = thread_time()
        self._feed_detector()
        self.cpu_seconds += thread_time() - cpu_start

    def _feed_detector(self) -> None:
        if self._frame_count:
            luma_thumbnails, frame_times = (
                self._luma_thumbnails[: self._frame_count],
                self._frame_times[: self._frame_count],
            )
            self._shot_detector.process(luma_thumbnails.copy(), frame_times.copy())
        self._frame_count = 0


def make_luma_thumbnail(video_frame: VideoFrame, frame_scaler: VideoReformatter) -> GrayImages:
    """Scale the luma of a frame to a thumbnail, unrotated.

    Args:
        video_frame: Decoded frame of any format.
        frame_scaler: Scaler for formats without a luma plane, and for small frames.

    Returns:
        uint8 (36, 64), full range: 0 is black and 255 white.
    """
    luma_plane = _get_luma_plane(video_frame)
    if luma_plane is None:
        gray_frame = frame_scaler.reformat(
            video_frame,
            THUMBNAIL_WIDTH,
            THUMBNAIL_HEIGHT,
            "gray",
            interpolation=Interpolation.AREA,
            threads=1,
        )
        gray_image: GrayImages = gray_frame.to_ndarray().astype(np.uint8, copy=False)
        return gray_image if _is_full_range(gray_frame) else _FULL_RANGE_LUMA[gray_image]
    block_means = _average_blocks(luma_plane)
    extra_bits = _parse_bit_depth(video_frame) - 8
    return _expand_luma_range(
        block_means / np.float32(1 << extra_bits), is_full_range=_is_full_range(video_frame)
    )


def _get_luma_plane(video_frame: VideoFrame) -> npt.NDArray[np.uint8 | np.uint16] | None:
    """Return the luma plane (H, W) without a copy; None if there is none or swscale is as fast."""
    is_small = (
        video_frame.height < _SWSCALE_SLOW_ABOVE_LINES
        or video_frame.width < _SWSCALE_SLOW_ABOVE_LINES
    )
    if is_small or not _LUMA_FORMATS.fullmatch(video_frame.format.name):
        return None
    plane = video_frame.planes[0]
    sample_type = np.dtype(np.uint8 if _parse_bit_depth(video_frame) == 8 else "<u2")
    sample_bytes = sample_type.itemsize
    if plane.line_size < video_frame.width * sample_bytes:  # negative: bottom line first
        return None
    line_samples: npt.NDArray[Any] = np.frombuffer(memoryview(plane), sample_type)[
        : video_frame.height * (plane.line_size // sample_bytes)
    ]
    padded_plane: npt.NDArray[np.uint8 | np.uint16] = line_samples.reshape(video_frame.height, -1)
    return padded_plane[:, : video_frame.width]


def _average_blocks(luma_plane: npt.NDArray[np.uint8 | np.uint16]) -> npt.NDArray[np.float32]:
    """Average blocks of evenly sampled pixels: float32 (36, 64).

    At the edges, less than one step per thumbnail pixel is left out.
    """
    row_step, column_step = (
        side_length // min_length
        for side_length, min_length in zip(luma_plane.shape, _MIN_PLANE_SIZE, strict=True)
    )
    top_offset, left_offset = (
        (side_length - min_length) // 2
        for side_length, min_length in zip(
            luma_plane.shape,
            ((_MIN_PLANE_SIZE[0] - 1) * row_step, (_MIN_PLANE_SIZE[1] - 1) * column_step),
            strict=True,
        )
    )
    sampled_pixels = luma_plane[top_offset::row_step][
        : _MIN_PLANE_SIZE[0], left_offset::column_step
    ][:, : _MIN_PLANE_SIZE[1]]
    pixel_blocks = sampled_pixels.astype(np.uint32).reshape(
        THUMBNAIL_HEIGHT, _BLOCK_PX, THUMBNAIL_WIDTH, _BLOCK_PX
    )
    row_sums = (
        pixel_blocks[..., 0] + pixel_blocks[..., 1] + pixel_blocks[..., 2] + pixel_blocks[..., 3]
    )
    block_means: npt.NDArray[np.float32] = row_sums.sum(axis=1) * np.float32(1 / _BLOCK_PX**2)
    return block_means


def _expand_luma_range(luma_values: npt.NDArray[np.float32], *, is_full_range: bool) -> GrayImages:
    """Round to uint8, expanding limited range (16 to 235) to full range."""
    full_range_luma = luma_values if is_full_range else (luma_values - 16) * np.float32(255 / 219)
    rounded_luma: GrayImages = np.clip(full_range_luma + 0.5, 0, 255).astype(np.uint8)
    return rounded_luma


_FULL_RANGE_LUMA = _expand_luma_range(np.arange(256, dtype=np.float32), is_full_range=False)


def _parse_bit_depth(video_frame: VideoFrame) -> int:
    format_match = _LUMA_FORMATS.fullmatch(video_frame.format.name)
    return int(format_match[1] or 8) if format_match else 8


def _is_full_range(video_frame: VideoFrame) -> bool:
    has_full_range_format = video_frame.format.name.startswith(("yuvj", "gray"))
    return has_full_range_format or video_frame.color_range == ColorRange.JPEG
