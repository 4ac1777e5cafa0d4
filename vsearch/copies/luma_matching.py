"""Pixel-level alignment of a clip with the video that it may be a copy of.

Small luma frames are compared by normalized correlation, which ignores brightness and contrast.
The source is cropped in several ways because copies often are. Static content does not determine a
time, so the motion (frames minus their mean over the clip) is correlated as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.media.sampler import Sampler

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Span, Times

LUMA_FPS = 8.0
LUMA_SHORT_SIDE = 32  # pixels
_BLACK_LEVEL = 24.0  # of 255: lines that are never brighter may belong to a letterbox bar
_MIN_BAR_SHARE = 0.04  # of the image: thinner bars are ignored
_RGB_TO_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601
CELL_GRID_SIZE = 16  # frames are averaged to a grid of 16 x 16 cells
MIN_CONTRAST = 2.0  # of 255: frames with less contrast are treated as noise
MIN_COPY_CORRELATION = 0.8  # minimum mean correlation of the frames of a copy
MIN_MOTION_CORRELATION = 0.6  # minimum correlation of their motion
MAX_STILL_CHANGE = 0.002  # share of motion below which only noise changes
MIN_STILL_CORRELATION = 0.97  # minimum mean correlation of a copy without motion
TIE_TOLERANCE = 1e-3  # score difference below which offsets are tied
CROP_PROBE_FRAMES = 24  # frames from which the crop is determined
MAX_GRAY_CHROMA = 1.0  # of 255: frames with less are grayscale
MIN_COLOR_CHROMA = 2.0  # of 255: frames with more have colors, if only pale ones
LumaFrames: TypeAlias = npt.NDArray[np.float32]  # (N, H, W) in [0, 255]
CellVectors: TypeAlias = npt.NDArray[np.float32]  # (N, CELL_GRID_SIZE ** 2), norm at most 1
OffsetScores: TypeAlias = npt.NDArray[np.float64]  # (K,) one score per offset of the clip


class Crop(NamedTuple):
    """The part of the source frame that a copy shows."""

    relative_size: float  # of width and height, in (0, 1]
    vertical_position: float  # 0 (top) to 1 (bottom)
    horizontal_position: float  # 0 (left) to 1 (right)


FULL_FRAME = Crop(1.0, 0.0, 0.0)
CENTERED_CROPS = (FULL_FRAME, Crop(0.9, 0.5, 0.5), Crop(0.8, 0.5, 0.5))
ALL_CROPS = [
    FULL_FRAME,
    *(Crop(size, *at) for size in (0.95, 0.9, 0.85, 0.8) for at in product((0, 0.5, 1), repeat=2)),
]


@dataclass(frozen=True, slots=True)
class AlignmentMatch:
    """The best alignment of a clip with a source video."""

    source_start: float  # source time at which the clip begins, in seconds
    image_correlation: float  # mean correlation of the frames, in [-1, 1]
    motion_correlation: float  # correlation of the motion, in [-1, 1]
    motion_share: float  # energy of the motion, in [0, 1]
    differs_in_color: bool = False  # one of the two is grayscale

    @property
    def is_still(self) -> bool:
        """True if the clip has no motion, so that `source_start` is a guess."""
        return self.motion_share < MAX_STILL_CHANGE

    @property
    def is_copy(self) -> bool:
        """True if the correlations are high enough for a copy."""
        if self.is_still:
            return self.image_correlation >= MIN_STILL_CORRELATION
        return (
            self.image_correlation >= MIN_COPY_CORRELATION
            and self.motion_correlation >= MIN_MOTION_CORRELATION
        )


def find_alignment(
    query_clip: LumaClip, clip_span: Span, source_clip: LumaClip, source_window: Span
) -> AlignmentMatch | None:
    """Locate a part of a clip within a window of a source video.

    Tried with and without the letterbox bars of both.

    Args:
        query_clip: Luma frames of the clip.
        clip_span: The part to locate, in seconds of the clip.
        source_clip: Luma frames of the source.
        source_window: Where to search, in seconds of the source.

    Returns:
        The best alignment, or None if the window is shorter than the part.
    """
    direct_match = _align_clips(query_clip, clip_span, source_clip, source_window)
    cropped_clip, cropped_source = query_clip.crop_letterbox(), source_clip.crop_letterbox()
    if cropped_clip is query_clip and cropped_source is source_clip:
        return direct_match
    alignments = [
        direct_match,
        _align_clips(cropped_clip, clip_span, cropped_source, source_window),
    ]
    return max(
        (alignment for alignment in alignments if alignment),
        key=lambda candidate: candidate.image_correlation + candidate.motion_correlation,
        default=None,
    )


def _align_clips(
    query_clip: LumaClip, clip_span: Span, source_clip: LumaClip, source_window: Span
) -> AlignmentMatch | None:
    """Return the best alignment of the frames as they are, including letterbox bars."""
    clip_frames = max(2, round(clip_span.duration * LUMA_FPS))
    source_times = np.arange(source_window.start, source_window.end + 1e-6, 1 / LUMA_FPS)
    offset_count = len(source_times) - clip_frames + 1
    if offset_count < 1:
        return None
    source_frames = source_clip.sample_at(source_times)
    clip_vectors = compute_cell_vectors(
        query_clip.sample_at(clip_span.start + np.arange(clip_frames) / LUMA_FPS), FULL_FRAME
    )
    coarse_scores = max(
        (_score_offsets_coarsely(clip_vectors, source_frames, crop) for crop in CENTERED_CROPS),
        key=lambda offset_scores: offset_scores.max(),
    )
    crop = find_best_crop(clip_vectors, source_frames[int(coarse_scores.argmax()) :][:clip_frames])
    source_vectors = compute_cell_vectors(source_frames, crop)
    image_correlation = sum_diagonals(clip_vectors @ source_vectors.T) / clip_frames
    motion_correlation, motion_share = correlate_motion(clip_vectors, source_vectors)
    total_scores = image_correlation + motion_correlation
    tied_offsets = np.flatnonzero(total_scores >= total_scores.max() - TIE_TOLERANCE)
    best_offset = int(tied_offsets[len(tied_offsets) // 2])  # without motion: the middle
    return AlignmentMatch(
        float(source_times[best_offset]),
        float(image_correlation[best_offset]),
        float(motion_correlation[best_offset]),
        motion_share,
    )


def _score_offsets_coarsely(
    clip_vectors: CellVectors, source_frames: LumaFrames, crop: Crop
) -> OffsetScores:
    """Return the correlation at each offset, from every fourth frame of the clip."""
    sparse_vectors = np.zeros_like(clip_vectors)
    sparse_vectors[::4] = clip_vectors[::4]
    return sum_diagonals(sparse_vectors @ compute_cell_vectors(source_frames, crop).T)


def find_best_crop(clip_vectors: CellVectors, source_frames: LumaFrames) -> Crop:
    """Return the crop that correlates best, for frames that are already aligned in time."""
    frame_step = max(1, len(clip_vectors) // CROP_PROBE_FRAMES)
    probe_vectors, probe_frames = clip_vectors[::frame_step], source_frames[::frame_step]
    return max(
        ALL_CROPS,
        key=lambda crop: float((probe_vectors * compute_cell_vectors(probe_frames, crop)).sum()),
    )


def correlate_motion(
    clip_vectors: CellVectors, source_vectors: CellVectors
) -> tuple[OffsetScores, float]:
    """Return the motion correlation at each offset, and the share of motion in the clip."""
    clip_frames, offset_count = len(clip_vectors), len(source_vectors) - len(clip_vectors) + 1
    clip_motion = clip_vectors - clip_vectors.mean(axis=0)
    motion_share = float((clip_motion**2).sum() / clip_frames)
    cumulative_sums = np.cumsum(np.pad(source_vectors.astype(np.float64), ((1, 0), (0, 0))), axis=0)
    squared_sums = np.cumsum(np.pad((source_vectors**2).sum(axis=1, dtype=np.float64), (1, 0)))
    window_means = (cumulative_sums[clip_frames:] - cumulative_sums[:offset_count]) / clip_frames
    window_variance = (squared_sums[clip_frames:] - squared_sums[:offset_count]) / clip_frames - (
        window_means**2
    ).sum(axis=1)
    # The mean of the source drops out because `clip_motion` sums to zero.
    covariance = sum_diagonals(clip_motion @ source_vectors.T) / clip_frames
    return covariance / np.sqrt(motion_share * window_variance.clip(0) + 1e-6), motion_share


def sum_diagonals(similarity_matrix: npt.NDArray[np.float32]) -> OffsetScores:
    """Sum a matrix along its full diagonals, (n, N) -> (N - n + 1,)."""
    clip_frames, source_frames = similarity_matrix.shape
    similarity_matrix = np.ascontiguousarray(similarity_matrix)
    row_stride, column_stride = similarity_matrix.strides
    diagonals = np.lib.stride_tricks.as_strided(
        similarity_matrix,
        (source_frames - clip_frames + 1, clip_frames),
        (column_stride, row_stride + column_stride),
        writeable=False,
    )
    return np.asarray(diagonals.sum(axis=1, dtype=np.float64))


def compute_cell_vectors(luma_frames: LumaFrames, crop: Crop) -> CellVectors:
    """Crop frames, average them to cells, and normalize mean and length."""
    height, width = luma_frames.shape[1:]
    row_weights = _build_cell_weights(height, crop.relative_size, crop.vertical_position)
    column_weights = _build_cell_weights(width, crop.relative_size, crop.horizontal_position)
    cell_vectors = (row_weights @ luma_frames @ column_weights.T).reshape(len(luma_frames), -1)
    cell_vectors -= cell_vectors.mean(axis=1, keepdims=True)
    energy = (cell_vectors**2).sum(axis=1, keepdims=True) + (CELL_GRID_SIZE * MIN_CONTRAST) ** 2
    return np.asarray(cell_vectors / np.sqrt(energy), np.float32)


def _build_cell_weights(
    pixel_count: int, relative_size: float, crop_position: float
) -> npt.NDArray[np.float32]:
    """Return the matrix that averages pixels to cells, (CELL_GRID_SIZE, pixels), rows of sum 1."""
    crop_begin = (1 - relative_size) * crop_position * pixel_count
    cell_edges = np.linspace(
        crop_begin, crop_begin + relative_size * pixel_count, CELL_GRID_SIZE + 1
    )
    pixel_starts = np.arange(pixel_count)
    overlap = np.minimum(cell_edges[1:, None], pixel_starts + 1) - np.maximum(
        cell_edges[:-1, None], pixel_starts
    )
    overlap = overlap.clip(0)
    return np.asarray(overlap / overlap.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True, slots=True)
class LumaClip:
    """Small luma frames of a video, each displayed until the next one."""

    luma_frames: LumaFrames
    frame_times: Times  # float64 (N,) seconds from the start of the video, ascending
    chroma: float = math.nan  # mean difference of the brightest and darkest channel, of 255

    def sample_at(self, sample_times: Times) -> LumaFrames:
        """Return the frames displayed at times, float64 (M,) seconds, as float32 (M, H, W).

        Times before the first frame give the first frame.
        """
        frame_indexes = np.searchsorted(self.frame_times, sample_times + 1e-6, side="right") - 1
        displayed_frames: LumaFrames = self.luma_frames[frame_indexes.clip(0)]
        return displayed_frames

    def crop_letterbox(self) -> LumaClip:
        """Return the clip without letterbox bars, each frame scaled to fill the image."""
        luma_frames = self.luma_frames
        bar_sizes = np.stack(
            [
                *_count_bar_lines(luma_frames.max(axis=2)),
                *_count_bar_lines(luma_frames.max(axis=1)),
            ],
            axis=1,
        )
        bar_layouts, layout_of_frame = np.unique(bar_sizes, axis=0, return_inverse=True)
        if not bar_layouts.any():
            return self
        filled_frames = np.empty_like(luma_frames)
        height, width = luma_frames.shape[1:]
        for layout_index, (top_bar, bottom_bar, left_bar, right_bar) in enumerate(
            bar_layouts.tolist()
        ):
            rows = np.linspace(top_bar, height - bottom_bar - 1, height).round().astype(int)
            columns = np.linspace(left_bar, width - right_bar - 1, width).round().astype(int)
            frame_mask = layout_of_frame.reshape(-1) == layout_index
            filled_frames[frame_mask] = luma_frames[frame_mask][:, rows][:, :, columns]
        return replace(self, luma_frames=filled_frames)

    def lacks_colors_of(self, other_clip: LumaClip) -> bool:
        """Return True if this clip is gray and the other one is not."""
        return self.chroma <= MAX_GRAY_CHROMA and other_clip.chroma >= MIN_COLOR_CHROMA


def _count_bar_lines(max_luma: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], ...]:
    """Count the dark lines at both ends of each frame: (N, L) -> two of (N,).

    Frames of which less than half is lit are dark scenes and count as 0.
    """
    is_lit = max_luma > _BLACK_LEVEL
    line_count = is_lit.shape[1]
    dark_before, dark_after = is_lit.argmax(axis=1), is_lit[:, ::-1].argmax(axis=1)
    has_bars = is_lit.any(axis=1) & (dark_before + dark_after <= line_count / 2)
    return tuple(
        np.where(has_bars & (dark_lines >= _MIN_BAR_SHARE * line_count), dark_lines, 0)
        for dark_lines in (dark_before, dark_after)
    )


def read_luma_clip(video_path: Path, span: Span) -> LumaClip:
    """Decode a part of a video to luma frames.

    Args:
        video_path: The video file.
        span: The part to decode, in seconds.

    Returns:
        Upright frames at `LUMA_FPS`, `LUMA_SHORT_SIDE` pixels on the short side.

    Raises:
        MediaError: The file cannot be decoded.
    """
    luma_batches, time_batches, chromas = [], [], []
    for frame_batch in Sampler(
        video_path, fps=LUMA_FPS, short_side=LUMA_SHORT_SIDE, batch_size=64, span=span
    ):
        luma_batches.append(frame_batch.images.astype(np.float32) @ _RGB_TO_LUMA)
        chromas.append(float(np.ptp(frame_batch.images, axis=3).mean()))
        time_batches.append(frame_batch.frame_times)
    frame_shape = luma_batches[0].shape[1:]
    kept_indexes = [k for k, batch in enumerate(luma_batches) if batch.shape[1:] == frame_shape]
    return LumaClip(
        np.concatenate([luma_batches[k] for k in kept_indexes]),
        np.concatenate([time_batches[k] for k in kept_indexes]),
        float(np.mean(chromas)),
    )
