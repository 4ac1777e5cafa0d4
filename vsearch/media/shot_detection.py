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
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from vsearch.media.reader import DecodedFrame
    from vsearch.protocols import ShotDetector
    from vsearch.types import GrayImages, Times

THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH = 36, 64  # pixels
_FLASH_FRAMES = 4  # a change that reverts within so few frames is a flash, not a cut
_CONTEXT_FRAMES = 8  # on either side, with which a change is compared
_MIN_CUT_CHANGE = 10.0  # mean absolute change of a pixel at a cut, of 255
_MIN_CHANGE_RATIO = 3.2  # of the change at a cut to the mean change around it
_MIN_PERSISTENCE = 0.5  # share of the change that must remain over every interval across the cut
_MIN_SHOT_SECONDS = 0.3  # between two cuts
_THUMBNAILS_PER_BATCH = 64  # passed to the detector at once
_BLOCK_PX = 4  # a thumbnail pixel is the mean of 4 x 4 sampled pixels
_MIN_PLANE_SIZE = (THUMBNAIL_HEIGHT * _BLOCK_PX, THUMBNAIL_WIDTH * _BLOCK_PX)
_SWSCALE_SLOW_ABOVE_LINES = 500  # larger frames are sampled here; swscale reads every pixel
# Formats whose first plane is luma, one value per pixel; the group is the bit depth.
_LUMA_FORMATS = re.compile(r"(?:yuvj?4\d\dp|yuva4\d\dp|nv(?:12|16|21|24)|gray)(9|1[0246])?(?:le)?")
_PixelChanges = npt.NDArray[np.float32]  # (N,) mean absolute change of a pixel, of 255


class ContentDetector:
    """Detector of cuts where the image changes far more than around them, and for good.

    A `ShotDetector`. It keeps two numbers and a time per frame, and the last few thumbnails.
    """

    def __init__(self) -> None:
        self._recent_frames = np.empty((0, THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH), np.int16)
        self._frame_times: list[Times] = []
        self._step_changes: list[_PixelChanges] = []  # from the previous frame
        self._long_changes: list[_PixelChanges] = []  # from _FLASH_FRAMES frames earlier

    def process(self, luma_thumbnails: GrayImages, frame_times: Times) -> None:
        """Process thumbnails of consecutive decoded frames.

        Args:
            luma_thumbnails: uint8 (N, 36, 64).
            frame_times: float64 (N,), seconds, ascending.
        """
        luma_frames = np.concatenate([self._recent_frames, luma_thumbnails.astype(np.int16)])
        self._step_changes.append(_measure_changes(luma_frames, 1)[-len(frame_times) :])
        self._long_changes.append(_measure_changes(luma_frames, _FLASH_FRAMES)[-len(frame_times) :])
        self._frame_times.append(frame_times)
        self._recent_frames = luma_frames[-_FLASH_FRAMES:]

    def cuts(self) -> Times:
        """Return when each shot but the first begins: float64 (C,), seconds, ascending."""
        if not self._frame_times:
            return np.empty(0)
        frame_times = np.concatenate(self._frame_times)
        step_changes = np.concatenate(self._step_changes)
        long_changes = np.concatenate(self._long_changes)
        return _suppress_close_cuts(frame_times, _score_cuts(step_changes, long_changes))


def _measure_changes(luma_frames: npt.NDArray[np.int16], frame_distance: int) -> _PixelChanges:
    """Return the mean change from `frame_distance` frames earlier: (N,); 0 where there is none."""
    pixel_changes = np.zeros(len(luma_frames), np.float32)
    if len(luma_frames) > frame_distance:
        frame_differences = np.abs(luma_frames[frame_distance:] - luma_frames[:-frame_distance])
        pixel_changes[frame_distance:] = frame_differences.mean(axis=(1, 2), dtype=np.float32)
    return pixel_changes


def _score_cuts(step_changes: _PixelChanges, long_changes: _PixelChanges) -> _PixelChanges:
    """Score how well each frame qualifies as the first of a shot: (N,); a cut has 1 or more."""
    padded_changes = np.concatenate([long_changes, np.full(_FLASH_FRAMES - 1, np.inf, np.float32)])
    # The least change over all intervals of _FLASH_FRAMES across the step.
    lasting_change = sliding_window_view(padded_changes, _FLASH_FRAMES).min(axis=1)
    neighbor_mean = _average_neighbors(step_changes)
    change_ratio = step_changes / (neighbor_mean + 1.0) / _MIN_CHANGE_RATIO
    is_candidate = (step_changes >= _MIN_CUT_CHANGE) & (
        lasting_change >= _MIN_PERSISTENCE * step_changes
    )
    cut_scores: _PixelChanges = np.where(is_candidate, change_ratio, 0).astype(np.float32)
    return cut_scores


def _average_neighbors(step_changes: _PixelChanges) -> _PixelChanges:
    """Return the mean change of the frames around each one, itself excluded: (N,)."""
    cumulative_sums = np.concatenate([[0.0], np.cumsum(step_changes, dtype=np.float64)])
    frame_indexes = np.arange(len(step_changes))
    window_start = np.maximum(frame_indexes - _CONTEXT_FRAMES, 0)
    window_end = np.minimum(frame_indexes + _CONTEXT_FRAMES + 1, len(step_changes))
    neighbor_average = (
        cumulative_sums[window_end] - cumulative_sums[window_start] - step_changes
    ) / np.maximum(window_end - window_start - 1, 1)
    neighbor_mean: _PixelChanges = np.maximum(neighbor_average, 0).astype(np.float32)
    return neighbor_mean


def _suppress_close_cuts(frame_times: Times, cut_scores: _PixelChanges) -> Times:
    """Return the times of the cuts; of cuts too close together the one with the best score."""
    kept_indexes: list[int] = []
    for frame_index in np.flatnonzero(cut_scores >= 1).tolist():
        if (
            kept_indexes
            and frame_times[frame_index] - frame_times[kept_indexes[-1]] < _MIN_SHOT_SECONDS
        ):
            if cut_scores[frame_index] > cut_scores[kept_indexes[-1]]:
                kept_indexes[-1] = frame_index
        else:
            kept_indexes.append(frame_index)
    return frame_times[kept_indexes]


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
        return _expand_luma_range(
            gray_frame.to_ndarray().astype(np.float32), is_full_range=_is_full_range(gray_frame)
        )
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


def _parse_bit_depth(video_frame: VideoFrame) -> int:
    format_match = _LUMA_FORMATS.fullmatch(video_frame.format.name)
    return int(format_match[1] or 8) if format_match else 8


def _is_full_range(video_frame: VideoFrame) -> bool:
    has_full_range_format = video_frame.format.name.startswith(("yuvj", "gray"))
    return has_full_range_format or video_frame.color_range == ColorRange.JPEG
