"""Measure how much the content of a video changes between two of its frames.

Two distances complement each other: histograms ignore where things are, so they ignore camera
movement; correlation ignores brightness and contrast, so it ignores lamps and flashes. A change of
shot is large in both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from vsearch.types import GrayImages, Times, Vector

Indexes = npt.NDArray[np.intp]
_FloatArray = npt.NDArray[np.float32]

SMALL_HEIGHT, SMALL_WIDTH = 18, 32  # pixels of the frames that are compared
_PIXEL_COUNT = SMALL_HEIGHT * SMALL_WIDTH
_BIN_COUNT = 32  # of the histograms
_NOISE_VARIANCE = 4.0  # added to variances, so that nearly uniform frames do not correlate
_VISIBLE_CHANGES = (2.0, 8.0)  # range of the least visible change of a pixel, of 255
_VISIBLE_CONTRAST_SHARE = 0.25  # least visible change, of the standard deviation of the pixels


@dataclass(frozen=True, slots=True)
class FrameSignatures:
    """Descriptions of N consecutive frames, with which they are compared."""

    times: Times  # float64 (N,) seconds, ascending
    centered: npt.NDArray[np.float32]  # (N, 576) pixels, less their mean
    variances: Vector  # float32 (N,) of the pixels
    histograms: npt.NDArray[np.float32]  # (N, 32) shares of the pixels

    def __len__(self) -> int:
        return len(self.times)

    def slice_frames(self, first_frame: int) -> FrameSignatures:
        """Return the frames from `first_frame` on, as copies."""
        return FrameSignatures(
            *(getattr(self, column.name)[first_frame:].copy() for column in fields(self))
        )

    @classmethod
    def concatenate(cls, parts: list[FrameSignatures]) -> FrameSignatures:
        """Join consecutive parts, at least one."""
        return cls(
            *(
                np.concatenate([getattr(part, column.name) for part in parts])
                for column in fields(cls)
            )
        )


def describe_frames(luma_thumbnails: GrayImages, frame_times: Times) -> FrameSignatures:
    """Compute the signatures of consecutive frames.

    Args:
        luma_thumbnails: uint8 (N, 36, 64).
        frame_times: float64 (N,) seconds.
    """
    frame_count = len(luma_thumbnails)
    # Neighboring columns are summed as halves of 16 bits: one operation adds two columns.
    column_pairs = np.ascontiguousarray(luma_thumbnails).view(np.uint16)
    column_sums = (column_pairs & 0xFF) + (column_pairs >> 8)
    pixel_sums = (column_sums[:, ::2] + column_sums[:, 1::2]).reshape(frame_count, _PIXEL_COUNT)
    bins = (pixel_sums >> 5).astype(np.intp)  # sums of 4 pixels: up to 1020
    bins += np.arange(0, frame_count * _BIN_COUNT, _BIN_COUNT)[:, None]
    histograms = np.bincount(bins.ravel(), minlength=frame_count * _BIN_COUNT)
    pixels = pixel_sums.astype(np.float32)
    pixels *= np.float32(0.25)
    pixels -= pixels.mean(axis=1, keepdims=True)
    variances = np.einsum("np,np->n", pixels, pixels)
    return FrameSignatures(
        frame_times.astype(np.float64),
        pixels,
        variances * np.float32(1 / _PIXEL_COUNT),
        histograms.reshape(frame_count, _BIN_COUNT).astype(np.float32)
        * np.float32(1 / _PIXEL_COUNT),
    )


def measure_histogram_change(frames: FrameSignatures, before: Indexes, after: Indexes) -> Vector:
    """Return the share of pixels in other bins, 0 to 1, for pairs of frames: float32 (P,)."""
    differences = frames.histograms[before] - frames.histograms[after]
    changes: Vector = np.abs(differences).sum(axis=-1) / 2
    return changes


def measure_structure_change(frames: FrameSignatures, before: Indexes, after: Indexes) -> Vector:
    """Return 1 less the correlation of the pixels, 0 to 2, for pairs of frames: float32 (P,)."""
    covariances = np.einsum("np,np->n", frames.centered[before], frames.centered[after])
    return _to_structure_change(
        covariances * np.float32(1 / _PIXEL_COUNT),
        frames.variances[before],
        frames.variances[after],
    )


def measure_least_histogram_change(frames: FrameSignatures, before: slice, after: slice) -> float:
    """Return the least histogram change of any frame in `before` to any in `after`.

    It is small where a change reverts, as that of a flash does.
    """
    differences = frames.histograms[before][:, None] - frames.histograms[after]
    return float(np.abs(differences).sum(axis=-1).min()) / 2


def measure_least_structure_change(frames: FrameSignatures, before: slice, after: slice) -> float:
    """Return the least structure change of any frame in `before` to any in `after`."""
    covariances = frames.centered[before] @ frames.centered[after].T
    structure_changes = _to_structure_change(
        covariances * np.float32(1 / _PIXEL_COUNT),
        frames.variances[before][:, None],
        frames.variances[after],
    )
    return float(structure_changes.min())


def _to_structure_change(
    covariances: _FloatArray, variances_before: _FloatArray, variances_after: _FloatArray
) -> _FloatArray:
    noise_variance = np.float32(_NOISE_VARIANCE)
    norms = np.sqrt((variances_before + noise_variance) * (variances_after + noise_variance))
    return np.asarray(1 - (covariances + noise_variance) / norms, np.float32)


def measure_changed_shares(frames: FrameSignatures, before: Indexes, after: Indexes) -> Vector:
    """Return the share of pixels that change visibly, for pairs of frames: float32 (P,).

    The median change counts as a change of brightness.
    """
    differences = frames.centered[after] - frames.centered[before]
    differences -= np.median(differences, axis=1, keepdims=True)
    contrasts = np.sqrt((frames.variances[before] + frames.variances[after]) / 2)
    limits = np.clip(_VISIBLE_CONTRAST_SHARE * contrasts, *_VISIBLE_CHANGES)
    is_changed = np.abs(differences) > limits[:, None]
    shares: Vector = is_changed.mean(axis=1, dtype=np.float32)
    return shares


class Registration:
    """Search for the translation that leaves the least structure change.

    Coarse to fine: the translation with the largest covariance at half the size, then the one with
    the largest correlation of the overlap around it (J. P. Lewis, Fast Normalized
    Cross-Correlation, 1995).

    Args:
        max_rows: Largest vertical shift in pixels of the small frames, even.
        max_columns: Largest horizontal shift, even.
    """

    def __init__(self, max_rows: int, max_columns: int) -> None:
        self._coarse_limits = (max_rows // 2, max_columns // 2)
        row_shifts, column_shifts = np.mgrid[
            -self._coarse_limits[0] : self._coarse_limits[0] + 1,
            -self._coarse_limits[1] : self._coarse_limits[1] + 1,
        ]
        overlap_counts = (SMALL_HEIGHT // 2 - np.abs(row_shifts)) * (
            SMALL_WIDTH // 2 - np.abs(column_shifts)
        )
        # Small overlaps have large covariances by chance.
        self._coarse_weights = (1 / np.sqrt(overlap_counts)).astype(np.float32)
        self._fine_limits = (max_rows + 1, max_columns + 1)

    def measure_change(self, frames: FrameSignatures, before: Indexes, after: Indexes) -> Vector:
        """Return the least structure change of every pair of frames: float32 (P,)."""
        images_before, images_after = (
            frames.centered[indexes].reshape(-1, SMALL_HEIGHT, SMALL_WIDTH)
            for indexes in (before, after)
        )
        rows, columns = self._find_coarse_shifts(images_before, images_after)
        rows, columns = rows[:, None] + _FINE_ROWS, columns[:, None] + _FINE_COLUMNS
        windows = _slide(images_after, self._fine_limits)[
            np.arange(len(before))[:, None],
            rows + self._fine_limits[0],
            columns + self._fine_limits[1],
        ]
        overlap_counts = (SMALL_HEIGHT - np.abs(rows)) * (SMALL_WIDTH - np.abs(columns))
        products = np.einsum("psyx,pyx->ps", windows, images_before) / overlap_counts
        means_before, squares_before = (
            _sum_overlaps(images, rows, columns) / overlap_counts
            for images in (images_before, images_before * images_before)
        )
        means_after, squares_after = (
            _sum_overlaps(images, -rows, -columns) / overlap_counts
            for images in (images_after, images_after * images_after)
        )
        changes: Vector = _to_structure_change(
            products - means_before * means_after,
            np.maximum(squares_before - means_before * means_before, 0),
            np.maximum(squares_after - means_after * means_after, 0),
        ).min(axis=1)
        return changes

    def _find_coarse_shifts(
        self, images_before: npt.NDArray[np.float32], images_after: npt.NDArray[np.float32]
    ) -> tuple[Indexes, Indexes]:
        """Return the best shifts, searched at half the size, in pixels: two (P,)."""
        halves_before, halves_after = (
            row_sums[:, :, ::2] + row_sums[:, :, 1::2]
            for row_sums in (
                images[:, ::2] + images[:, 1::2] for images in (images_before, images_after)
            )
        )
        windows = _slide(halves_after, self._coarse_limits)
        covariances = np.einsum("pyxhw,phw->pyx", windows, halves_before) * self._coarse_weights
        rows, columns = np.unravel_index(
            covariances.reshape(len(covariances), -1).argmax(axis=1), covariances.shape[1:]
        )
        return 2 * (rows - self._coarse_limits[0]), 2 * (columns - self._coarse_limits[1])


_FINE_ROWS, _FINE_COLUMNS = (offsets.ravel() for offsets in np.mgrid[-1:2, -1:2])


def _slide(images: npt.NDArray[np.float32], limits: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return a view of images (P, H, W) at every shift up to the limits: (P, S, T, H, W)."""
    padded_images = np.pad(images, [(0, 0), *((limit, limit) for limit in limits)])
    windows: npt.NDArray[np.float32] = sliding_window_view(
        padded_images, images.shape[1:], axis=(1, 2)
    )
    return windows


def _sum_overlaps(
    images: npt.NDArray[np.float32], rows: Indexes, columns: Indexes
) -> npt.NDArray[np.float32]:
    """Return the sums of each image (P, H, W) where an image shifted by (P, S) overlaps it."""
    integrals = np.zeros((len(images), SMALL_HEIGHT + 1, SMALL_WIDTH + 1), np.float32)
    np.cumsum(images, axis=1, out=integrals[:, 1:, 1:])
    np.cumsum(integrals[:, 1:, 1:], axis=2, out=integrals[:, 1:, 1:])
    top, bottom = np.maximum(0, -rows), np.minimum(SMALL_HEIGHT, SMALL_HEIGHT - rows)
    left, right = np.maximum(0, -columns), np.minimum(SMALL_WIDTH, SMALL_WIDTH - columns)
    pairs = np.arange(len(images))[:, None]
    sums: npt.NDArray[np.float32] = (
        integrals[pairs, bottom, right]
        - integrals[pairs, top, right]
        - integrals[pairs, bottom, left]
        + integrals[pairs, top, left]
    )
    return sums
