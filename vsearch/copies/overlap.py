"""The shared part of two videos whose time shift is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.copies.clip_alignment import interpolate_frames
from vsearch.types import Span

if TYPE_CHECKING:
    from vsearch.types import Features, Times, Vector

MATCH_THRESHOLD = 0.5  # relative similarity above which two frames count as the same


@dataclass(frozen=True, slots=True)
class VideoOverlap:
    """A part that two videos share."""

    first_span: Span  # in the first video
    shift_seconds: float  # time in the second video minus (scaled) time in the first
    similarity: float  # mean over the frames, relative to unrelated frames
    speed: float = 1.0  # of the second video; 2 if it plays twice as fast

    def map_to_second(self, second_duration: float) -> Span:
        """Return the span in the second video, clipped to its duration."""
        first_start, first_end = self.first_span.start, self.first_span.end
        start_time = min(max(0.0, first_start / self.speed + self.shift_seconds), second_duration)
        end_time = first_end / self.speed + self.shift_seconds
        return Span(start_time, min(max(start_time, end_time), second_duration))


def find_overlap(
    first_features: Features,
    durations: tuple[float, float],
    second_features: Features,
    shift_seconds: float,
    background_similarity: float,
    *,
    speed: float = 1.0,
    match_threshold: float = MATCH_THRESHOLD,
) -> VideoOverlap | None:
    """Return the run of frames that best matches the second video at a given time shift.

    The run maximizes the sum of relative similarities above `match_threshold` (maximum subarray).

    Args:
        first_features: Frame features of the first video.
        durations: Durations of both videos in seconds.
        second_features: Frame features of the second video.
        shift_seconds: Time in the second video minus time in the first, divided by `speed`.
        background_similarity: Mean cosine of unrelated frames.
        speed: Speed of the second video, relative to the first.
        match_threshold: Relative similarity above which two frames count as the same.

    Returns:
        The overlap, or None if the videos do not overlap or no frames match.
    """
    shifted_times = first_features.frame_times / speed + shift_seconds
    inside_rows = np.flatnonzero((shifted_times >= 0) & (shifted_times < durations[1]))
    if not len(inside_rows):
        return None
    frame_cosines = (
        first_features.frame_vectors[inside_rows]
        * interpolate_frames(second_features, shifted_times[inside_rows])
    ).sum(axis=1)
    relative_similarities = (frame_cosines - background_similarity) / max(
        1 - background_similarity, 1e-6
    )
    first_index, end_index = _find_best_run(relative_similarities - match_threshold)
    if end_index <= first_index:
        return None
    times = first_features.frame_times
    start_time = _get_start_time(times, inside_rows[first_index], inside_rows[0])
    end_time = _get_end_time(times, inside_rows[end_index - 1], durations[0])
    shared_span = Span(
        max(0.0, -shift_seconds * speed, start_time),
        max(0.0, min(durations[0], (durations[1] - shift_seconds) * speed, end_time)),
    )
    if shared_span.duration <= 0:
        return None
    similarity = float(relative_similarities[first_index:end_index].mean())
    return VideoOverlap(shared_span, shift_seconds, similarity, speed)


def _get_start_time(frame_times: Times, frame_index: int, first_shared_index: int) -> float:
    """Return when a frame appears; 0 for the first frame that both videos cover."""
    return float(frame_times[frame_index]) if frame_index > first_shared_index else 0.0


def _get_end_time(frame_times: Times, frame_index: int, video_end: float) -> float:
    """Return when the next frame replaces a frame."""
    return float(frame_times[frame_index + 1]) if frame_index + 1 < len(frame_times) else video_end


def _find_best_run(frame_gains: Vector) -> tuple[int, int]:
    """Return start and end of the run with the greatest sum; equal if all are negative."""
    cumulative_sums = np.concatenate([[0.0], np.cumsum(frame_gains)])
    running_minimum = np.minimum.accumulate(cumulative_sums)
    end_index = int((cumulative_sums - running_minimum).argmax())
    return int(cumulative_sums[: end_index + 1].argmin()), end_index
