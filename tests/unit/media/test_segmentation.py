"""Segments tile the video, follow its shots and contain frames."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.media.segmentation import segment_video
from vsearch.types import Span

if TYPE_CHECKING:
    from vsearch.types import Times

seconds = st.floats(0, 500, allow_nan=False)


def dense(duration: float, fps: float = 2) -> Times:
    return np.arange(0, duration, 1 / fps)


def bounds(spans: list[Span]) -> list[float]:
    return [round(span.start, 3) for span in spans] + [round(spans[-1].end, 3)]


@given(st.lists(seconds), st.lists(seconds), st.floats(0.01, 500))
def test_segments_tile_the_video_and_contain_a_frame_each(
    times: list[float], cuts: list[float], duration: float
) -> None:
    shown = np.array([0.0, *times])
    spans = segment_video(shown, np.array(cuts), duration)
    assert spans[0].start == 0
    assert spans[-1].end == duration
    assert all(before.end == after.start for before, after in pairwise(spans))
    for span in spans:
        assert ((shown >= span.start) & (shown < span.end)).any()


@given(st.lists(seconds), st.floats(0.01, 500))
def test_dense_frames_bound_the_segment_duration(cuts: list[float], duration: float) -> None:
    spans = segment_video(dense(duration, 20), np.array(cuts), duration)
    assert max(span.duration for span in spans) <= 8 + 0.11
    if duration >= 2:
        short = [span for span in spans if span.duration < 2]
        for before, after in pairwise(spans):
            if before in short or after in short:
                assert before.duration + after.duration > 8 - 0.2
    else:
        assert len(spans) == 1


@given(st.lists(seconds, max_size=5), st.floats(1, 1e9))
def test_a_huge_claimed_duration_adds_no_segments(times: list[float], duration: float) -> None:
    assert len(segment_video(np.array(times), np.empty(0), duration)) <= max(1, len(times))


def test_a_shot_is_one_segment() -> None:
    assert bounds(segment_video(dense(15), np.array([4.0, 9.5]), 15)) == [0, 4, 9.5, 15]


def test_a_long_shot_is_split_evenly() -> None:
    assert bounds(segment_video(dense(20), np.array([10.0]), 20)) == [0, 5, 10, 15, 20]
    assert bounds(segment_video(dense(8), np.empty(0), 8)) == [0, 8]


def test_a_short_shot_joins_its_shorter_neighbor() -> None:
    assert bounds(segment_video(dense(10), np.array([3.0, 4.0]), 10)) == [0, 4, 10]
    assert bounds(segment_video(dense(10), np.array([6.0, 7.0]), 10)) == [0, 6, 10]
    assert bounds(segment_video(dense(5), np.array([1.0]), 5)) == [0, 5]
    assert bounds(segment_video(dense(5), np.array([4.0]), 5)) == [0, 5]


def test_many_short_shots_are_merged() -> None:
    spans = segment_video(dense(60), np.arange(0.5, 60, 0.5), 60)
    assert all(2 <= span.duration <= 8 for span in spans)


def test_one_long_still_frame_is_one_segment() -> None:
    assert bounds(segment_video(np.array([0.0, 60.0]), np.array([60.0]), 63)) == [0, 60, 63]


def test_a_short_video_is_one_segment_and_an_empty_one_has_none() -> None:
    assert bounds(segment_video(np.array([0.0]), np.array([0.3]), 1.2)) == [0, 1.2]
    assert segment_video(np.empty(0), np.empty(0), 0) == []


def test_invalid_limits_are_rejected() -> None:
    with pytest.raises(ValueError, match="min_seconds"):
        segment_video(np.empty(0), np.empty(0), 5, min_seconds=9)


def test_segments_leave_out_transitions() -> None:
    spans = segment_video(
        dense(15), np.array([5.0, 9.0]), 15, transitions=np.array([[4.0, 5.0], [8.4, 9.0]])
    )
    assert spans == [Span(0, 4), Span(5, 8.4), Span(9, 15)]


def test_a_transition_is_a_boundary_even_if_it_is_not_among_the_cuts() -> None:
    spans = segment_video(dense(10), np.empty(0), 10, transitions=np.array([[4.0, 5.0]]))
    assert spans == [Span(0, 4), Span(5, 10)]


def test_a_transition_within_merged_shots_stays_in_the_segment() -> None:
    spans = segment_video(dense(5), np.array([1.0]), 5, transitions=np.array([[0.5, 1.0]]))
    assert spans == [Span(0, 5)]


def test_no_segment_loses_its_only_frame_to_a_transition() -> None:
    times = np.array([0.0, 3.5, 6.0])
    spans = segment_video(times, np.array([3.0, 6.0]), 9, transitions=np.array([[3.2, 6.0]]))
    assert spans == [Span(0, 3), Span(3, 6), Span(6, 9)]


@given(st.lists(st.tuples(seconds, st.floats(0.01, 3)), max_size=8), st.floats(0.01, 500))
def test_segments_with_transitions_are_ordered_and_contain_frames(
    gaps: list[tuple[float, float]], duration: float
) -> None:
    ordered: list[tuple[float, float]] = []
    for start, length in sorted(gaps):
        if not ordered or start > ordered[-1][1]:
            ordered.append((start, start + length))
    times = dense(duration)
    spans = segment_video(
        times, np.empty(0), duration, transitions=np.array(ordered).reshape(-1, 2)
    )
    assert spans[0].start == 0
    assert all(before.end <= after.start for before, after in pairwise(spans))
    for span in spans:
        assert ((times >= span.start) & (times < span.end)).any()
