"""Segments tile the video, follow its shots and hold frames."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.media.sampling import segments

if TYPE_CHECKING:
    from vsearch.types import Span, Times

seconds = st.floats(0, 500, allow_nan=False)


def dense(duration: float, fps: float = 2) -> Times:
    return np.arange(0, duration, 1 / fps)


def bounds(spans: list[Span]) -> list[float]:
    return [round(span.start, 3) for span in spans] + [round(spans[-1].end, 3)]


@given(st.lists(seconds), st.lists(seconds), st.floats(0.01, 500))
def test_segments_tile_the_video_and_each_holds_a_frame(
    times: list[float], cuts: list[float], duration: float
) -> None:
    shown = np.array([0.0, *times])
    spans = segments(shown, np.array(cuts), duration)
    assert spans[0].start == 0
    assert spans[-1].end == duration
    assert all(before.end == after.start for before, after in pairwise(spans))
    for span in spans:
        assert ((shown >= span.start) & (shown < span.end)).any()


@given(st.lists(seconds), st.floats(0.01, 500))
def test_no_segment_is_longer_than_allowed_where_frames_are_dense(
    cuts: list[float], duration: float
) -> None:
    spans = segments(dense(duration, 20), np.array(cuts), duration)
    assert max(span.duration for span in spans) <= 8 + 0.11
    if duration >= 2:
        short = [span for span in spans if span.duration < 2]
        for before, after in pairwise(spans):
            if before in short or after in short:
                assert before.duration + after.duration > 8 - 0.2
    else:
        assert len(spans) == 1


@given(st.lists(seconds, max_size=5), st.floats(1, 1e9))
def test_a_video_that_claims_to_be_endless_has_no_more_segments_than_frames(
    times: list[float], duration: float
) -> None:
    assert len(segments(np.array(times), np.empty(0), duration)) <= max(1, len(times))


def test_a_shot_is_one_segment() -> None:
    assert bounds(segments(dense(15), np.array([4.0, 9.5]), 15)) == [0, 4, 9.5, 15]


def test_a_long_shot_is_split_evenly() -> None:
    assert bounds(segments(dense(20), np.array([10.0]), 20)) == [0, 5, 10, 15, 20]
    assert bounds(segments(dense(8), np.empty(0), 8)) == [0, 8]


def test_a_short_shot_joins_the_shorter_neighbour() -> None:
    assert bounds(segments(dense(10), np.array([3.0, 4.0]), 10)) == [0, 4, 10]
    assert bounds(segments(dense(10), np.array([6.0, 7.0]), 10)) == [0, 6, 10]
    assert bounds(segments(dense(5), np.array([1.0]), 5)) == [0, 5]
    assert bounds(segments(dense(5), np.array([4.0]), 5)) == [0, 5]


def test_quick_cuts_are_gathered_without_end() -> None:
    spans = segments(dense(60), np.arange(0.5, 60, 0.5), 60)
    assert all(2 <= span.duration <= 8 for span in spans)


def test_one_long_still_frame_is_one_segment() -> None:
    assert bounds(segments(np.array([0.0, 60.0]), np.array([60.0]), 63)) == [0, 60, 63]


def test_a_short_video_is_one_segment_and_none_has_none() -> None:
    assert bounds(segments(np.array([0.0]), np.array([0.3]), 1.2)) == [0, 1.2]
    assert segments(np.empty(0), np.empty(0), 0) == []


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="shortest"):
        segments(np.empty(0), np.empty(0), 5, shortest=9)
