"""Divide a video into segments along its shots."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from vsearch.types import Span, Spans, Times

_TARGET_SEGMENT_SECONDS = 5.0  # windows into which a long shot is split


def segment_video(
    frame_times: Times,
    shot_cuts: Times,
    duration: float,
    *,
    transitions: Spans | None = None,
    min_seconds: float = 2.0,
    max_seconds: float = 8.0,
) -> list[Span]:
    """Tile [0, duration) with segments that follow the shots, each with a sampled frame in it.

    Only gradual transitions are left out: segments end before them and begin after them.

    A shot over `max_seconds` is split evenly; one under `min_seconds` joins a neighbor if both
    together stay under `max_seconds`. Only a stretch without sampled frames, such as one long still
    frame, makes a segment longer than that.

    Args:
        frame_times: Times of the sampled frames, float64 (N,), seconds.
        shot_cuts: Times at which a shot begins, float64 (C,), seconds.
        duration: Duration of the video in seconds.
        transitions: Gradual transitions, float64 (T, 2), start and end in seconds.
        min_seconds: Shots below it are merged.
        max_seconds: Shots above it are split.

    Returns:
        Segments in order; none if the duration is not positive.

    Raises:
        ValueError: The limits are not 0 < `min_seconds` <= `max_seconds`.
    """
    if not 0 < min_seconds <= max_seconds:
        raise ValueError(
            f"need 0 < min_seconds <= max_seconds, not {min_seconds} and {max_seconds}"
        )
    if not (math.isfinite(duration) and duration > 0):
        return []
    if transitions is None:
        transitions = np.empty((0, 2))
    shot_starts = np.concatenate([shot_cuts, transitions[:, 1]])
    shot_edges = np.unique(
        np.concatenate(
            [[0.0], shot_starts[(shot_starts > 0) & (shot_starts < duration)], [duration]]
        )
    )
    sampled_times = np.sort(frame_times[(frame_times >= 0) & (frame_times < duration)])
    segment_starts = [
        start_time
        for shot_start, end_time in pairwise(shot_edges.tolist())
        for start_time in _split_shot(shot_start, end_time, sampled_times, max_seconds)
    ]
    segment_edges = [0.0, *segment_starts[1:], duration]
    while len(merged_edges := _merge_short_segments(segment_edges, min_seconds, max_seconds)) < len(
        segment_edges
    ):
        segment_edges = merged_edges
    transition_starts = {end_time: start_time for start_time, end_time in transitions.tolist()}
    return [
        _end_before_transition(
            Span(start_time, end_time), transition_starts.get(end_time, end_time), sampled_times
        )
        for start_time, end_time in pairwise(segment_edges)
    ]


def _end_before_transition(segment: Span, end_time: float, sampled_times: Times) -> Span:
    """Return a segment that ends earlier, if a sampled frame is left in it."""
    first_frame, end_frame = np.searchsorted(sampled_times, [segment.start, end_time])
    return Span(segment.start, end_time) if first_frame < end_frame else segment


def _split_shot(
    shot_start: float, shot_end: float, sampled_times: Times, max_seconds: float
) -> list[float]:
    """Return the starts of a shot's even windows that contain a sampled frame."""
    shot_times = sampled_times[
        np.searchsorted(sampled_times, shot_start) : np.searchsorted(sampled_times, shot_end)
    ]
    if not len(shot_times) or shot_end - shot_start <= max_seconds:
        return [shot_start] if len(shot_times) else []
    window_count = math.ceil((shot_end - shot_start) / min(_TARGET_SEGMENT_SECONDS, max_seconds))
    window_seconds = (shot_end - shot_start) / window_count
    window_indexes = np.floor((shot_times - shot_start) / window_seconds)
    # Correct indexes where the division was rounded.
    window_indexes += shot_times >= shot_start + (window_indexes + 1) * window_seconds
    window_indexes -= shot_times < shot_start + window_indexes * window_seconds
    window_starts: list[float] = (
        shot_start + np.unique(np.clip(window_indexes, 0, window_count - 1)) * window_seconds
    ).tolist()
    return window_starts


def _merge_short_segments(
    segment_edges: list[float], min_seconds: float, max_seconds: float
) -> list[float]:
    """Drop edges in one pass, so that short segments join the shorter of their neighbors."""
    kept_edges = segment_edges[:1]
    for edge_index in range(1, len(segment_edges) - 1):
        previous_duration = segment_edges[edge_index] - kept_edges[-1]
        next_duration = segment_edges[edge_index + 1] - segment_edges[edge_index]
        second_next_duration = (
            segment_edges[edge_index + 2] - segment_edges[edge_index + 1]
            if edge_index + 2 < len(segment_edges)
            else math.inf
        )
        can_merge = previous_duration + next_duration <= max_seconds
        should_merge = previous_duration < min_seconds or (
            next_duration < min_seconds
            and (
                previous_duration <= second_next_duration
                or next_duration + second_next_duration > max_seconds
            )
        )
        if not (can_merge and should_merge):
            kept_edges.append(segment_edges[edge_index])
    return [*kept_edges, segment_edges[-1]]
