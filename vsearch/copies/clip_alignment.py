"""Locate a clip within a video by comparing the frame features of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.types import Features

if TYPE_CHECKING:
    from vsearch.types import Matrix, Span, Times

OFFSET_STEP_SECONDS = 0.25  # spacing of the coarse offsets
MAX_OFFSETS = 12  # coarse offsets that are refined
CONSTANT_WEIGHT = 0.5  # weight of a constant difference, e.g. by cropping: it says little on time
OFFSET_BLOCK = 32  # offsets scored at once; with MAX_FRAMES and the dimension it bounds memory
MAX_FRAMES = 256  # frames of a clip that are compared, evenly spaced
MAX_INTERPOLATION_GAP = 1.5  # seconds over which one frame blends into the next
OffsetScores: TypeAlias = npt.NDArray[np.float64]  # (K,) one score per offset


@dataclass(frozen=True, slots=True)
class ClipOffset:
    """A candidate position of a clip within a video."""

    start_seconds: float  # video time at which the clip begins; negative if it began earlier
    score: float  # mean cosine, corrected for part of any constant difference
    mean_similarity: float  # mean cosine of the frames


def find_offsets(
    clip_features: Features,
    clip_span: Span,
    video_features: Features,
    video_duration: float,
    *,
    min_overlap: float,
    max_offsets: int,
) -> list[ClipOffset]:
    """Return the best offsets of a clip within a video, by non-maximum suppression.

    Args:
        clip_features: Frame features of the clip.
        clip_span: The part of the clip to locate.
        video_features: Frame features of the video.
        video_duration: Duration of the video in seconds.
        min_overlap: Seconds of clip and video that must overlap.
        max_offsets: Maximum number of results.

    Returns:
        Offsets, best first, spaced at least min(3 s, half the duration of `clip_span`) apart.
    """
    clip_features = _subsample_frames(clip_features)
    frame_times = clip_features.frame_times - clip_span.start
    candidate_offsets = np.arange(
        min_overlap - clip_span.duration,
        video_duration - min_overlap + OFFSET_STEP_SECONDS / 2,
        OFFSET_STEP_SECONDS,
    )
    if not len(frame_times) or not len(video_features.frame_times) or not len(candidate_offsets):
        return []
    coarse_scores = _mean_similarities(
        clip_features.frame_vectors @ video_features.frame_vectors.T,
        frame_times,
        video_features.frame_times,
        candidate_offsets,
        video_duration,
    )
    refined_offsets = _offsets_near_peaks(candidate_offsets, coarse_scores, OFFSET_STEP_SECONDS * 4)
    scored_offsets: list[ClipOffset] = []
    for block_start in range(0, len(refined_offsets), OFFSET_BLOCK):
        scored_offsets += _score_offsets(
            clip_features.frame_vectors,
            frame_times,
            video_features,
            refined_offsets[block_start : block_start + OFFSET_BLOCK],
            video_duration,
        )
    return _suppress_close_offsets(scored_offsets, min(3.0, clip_span.duration / 2), max_offsets)


def median_frame_spacing(features: Features) -> float:
    """Return the median time between frames in seconds; 0 for fewer than two frames."""
    return float(np.median(np.diff(features.frame_times))) if len(features.frame_times) > 1 else 0.0


def _subsample_frames(features: Features) -> Features:
    """Return at most `MAX_FRAMES` evenly spaced frames, including the first and the last."""
    frame_count = len(features.frame_times)
    if frame_count <= MAX_FRAMES:
        return features
    frame_rows = np.linspace(0, frame_count - 1, MAX_FRAMES).round().astype(np.int64)
    return Features(
        features.space, features.frame_vectors[frame_rows], features.frame_times[frame_rows]
    )


def _offsets_near_peaks(
    candidate_offsets: Times, coarse_scores: OffsetScores, neighborhood_seconds: float
) -> Times:
    """Return the offsets within a neighborhood of the `MAX_OFFSETS` best coarse ones."""
    selected_mask = np.zeros(len(candidate_offsets), bool)
    remaining_scores = coarse_scores.copy()
    for _ in range(MAX_OFFSETS):
        best_index = int(remaining_scores.argmax())
        if remaining_scores[best_index] == -np.inf:
            break
        neighbor_mask = (
            np.abs(candidate_offsets - candidate_offsets[best_index]) <= neighborhood_seconds
        )
        selected_mask |= neighbor_mask
        remaining_scores[neighbor_mask] = -np.inf
    return candidate_offsets[selected_mask]


def _mean_similarities(
    frame_similarities: Matrix,
    frame_times: Times,
    video_times: Times,
    candidate_offsets: Times,
    video_duration: float,
) -> OffsetScores:
    """Return the mean cosine at each offset, from similarities (n, T) of clip and video frames."""
    similarity_sums, frame_counts = np.zeros((2, len(candidate_offsets)))
    for similarity_row, frame_time in zip(frame_similarities, frame_times, strict=True):
        video_positions = candidate_offsets + frame_time
        in_video = (video_positions >= 0) & (video_positions < video_duration)
        frame_rows = np.searchsorted(video_times, video_positions, side="right").clip(1) - 1
        similarity_sums += np.where(in_video, similarity_row[frame_rows], 0.0)
        frame_counts += in_video
    return np.where(frame_counts > 0, similarity_sums / np.maximum(frame_counts, 1), -np.inf)


def _score_offsets(
    clip_vectors: Matrix,
    frame_times: Times,
    video_features: Features,
    candidate_offsets: Times,
    video_duration: float,
) -> list[ClipOffset]:
    """Score each offset with video frames interpolated to the times of the clip frames."""
    video_positions = candidate_offsets[:, None] + frame_times  # (K, n)
    in_video = ((video_positions >= 0) & (video_positions < video_duration)).astype(np.float32)
    video_vectors = interpolate_frames(video_features, video_positions.ravel()).reshape(
        *video_positions.shape, -1
    )  # (K, n, D)
    frame_weights = (in_video / in_video.sum(axis=1, keepdims=True).clip(1))[..., None]
    mean_similarities = (frame_weights * clip_vectors * video_vectors).sum(axis=(1, 2))
    constant_difference = ((frame_weights * (clip_vectors - video_vectors)).sum(axis=1) ** 2).sum(
        axis=1
    )
    offset_scores = mean_similarities + (1 - CONSTANT_WEIGHT) * constant_difference / 2
    offset_fields = zip(
        candidate_offsets.tolist(), offset_scores.tolist(), mean_similarities.tolist(), strict=True
    )
    return [ClipOffset(*field_values) for field_values in offset_fields]


def interpolate_frames(features: Features, target_times: Times) -> Matrix:
    """Interpolate frame vectors linearly at other times.

    A frame that is shown for longer than `MAX_INTERPOLATION_GAP`, such as a still, stays constant
    until that long before the next one.

    Args:
        features: Frame features, at least one frame.
        target_times: float64 (N,) in seconds.

    Returns:
        float32 (N, D) of unit length.
    """
    frame_times = features.frame_times
    previous_rows = np.searchsorted(frame_times, target_times, side="right").clip(1) - 1
    next_rows = np.minimum(previous_rows + 1, len(frame_times) - 1)
    gap_seconds = np.minimum(
        frame_times[next_rows] - frame_times[previous_rows], MAX_INTERPOLATION_GAP
    ).clip(1e-6)
    next_weights = (1 - (frame_times[next_rows] - target_times) / gap_seconds).clip(0, 1)
    next_weights = np.where(next_rows == previous_rows, 0.0, next_weights)[:, None]  # (N, 1)
    mixed_vectors = (
        features.frame_vectors[previous_rows] * (1 - next_weights)
        + features.frame_vectors[next_rows] * next_weights
    )
    vector_norms = np.linalg.norm(mixed_vectors, axis=1, keepdims=True)
    return np.asarray(mixed_vectors / np.maximum(vector_norms, 1e-6), np.float32)


def _suppress_close_offsets(
    scored_offsets: list[ClipOffset], min_distance: float, max_offsets: int
) -> list[ClipOffset]:
    """Return the best offsets that are at least `min_distance` seconds from a better one."""
    kept_offsets: list[ClipOffset] = []
    for offset in sorted(scored_offsets, key=lambda offset: -offset.score):
        if len(kept_offsets) == max_offsets:
            break
        if all(
            abs(offset.start_seconds - other.start_seconds) >= min_distance
            for other in kept_offsets
        ):
            kept_offsets.append(offset)
    return kept_offsets
