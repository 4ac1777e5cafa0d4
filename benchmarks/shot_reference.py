"""Shot detector of an earlier version, the reference for CPU time and accuracy.

It compares consecutive frames with the frames around them, and finds cuts only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from vsearch.media.shot_detection import THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH

if TYPE_CHECKING:
    from vsearch.types import GrayImages, Times

_FLASH_FRAMES = 4  # a change that reverts within so few frames is a flash, not a cut
_CONTEXT_FRAMES = 8  # on either side, with which a change is compared
_MIN_CUT_CHANGE = 10.0  # mean absolute change of a pixel at a cut, of 255
_MIN_CHANGE_RATIO = 3.2  # of the change at a cut to the mean change around it
_MIN_PERSISTENCE = 0.5  # share of the change that must remain over every interval across the cut
_MIN_SHOT_SECONDS = 0.3  # between two cuts
_PixelChanges = npt.NDArray[np.float32]  # (N,) mean absolute change of a pixel, of 255


class StepDetector:
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
