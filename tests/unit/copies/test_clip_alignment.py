from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from vsearch.copies.clip_alignment import find_offsets, interpolate_frames, median_frame_spacing
from vsearch.types import Features, Space, Span

SPACE = Space("walk", 24, supports_text=False)


def walk(seconds: int, seed: int, bias: float = 0.0) -> Features:
    """Return a frame per second of a changing video; `bias` adds a constant part."""
    rng = np.random.default_rng(seed)
    matrix = np.cumsum(rng.normal(size=(seconds, 24)), axis=0) * 0.3 + rng.normal(size=24)
    matrix += bias
    unit = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    return Features(SPACE, unit, np.arange(seconds, dtype=np.float64))


def clip(source: Features, start: float, seconds: int) -> Features:
    times = np.arange(seconds, dtype=np.float64)
    return Features(SPACE, interpolate_frames(source, times + start), times)


def test_a_clip_is_located_between_frames_of_its_source() -> None:
    source = walk(60, 1)
    best = find_offsets(
        clip(source, 31.5, 6), Span(0, 6), source, 60, min_overlap=5, max_offsets=3
    )[0]
    assert best.start_seconds == pytest.approx(31.5, abs=0.25)
    assert best.mean_similarity > 0.99


def test_a_constant_difference_does_not_shift_the_offset() -> None:
    source = walk(60, 2)
    shown = clip(source, 20.25, 8)
    changed = shown.frame_vectors + 0.15 * np.eye(24, dtype=np.float32)[0]
    changed /= np.linalg.norm(changed, axis=1, keepdims=True)
    cropped = Features(SPACE, changed, shown.frame_times)
    best = find_offsets(cropped, Span(0, 8), source, 60, min_overlap=7, max_offsets=1)[0]
    assert best.start_seconds == pytest.approx(20.25, abs=0.25)


def test_times_of_a_part_are_relative_to_its_file() -> None:
    source = walk(60, 3)
    shown = clip(source, 10, 30)
    part = shown.within(Span(12, 18))
    best = find_offsets(part, Span(12, 18), source, 60, min_overlap=5, max_offsets=1)[0]
    assert best.start_seconds == pytest.approx(22, abs=0.25)


def test_a_clip_may_start_before_its_source() -> None:
    whole = walk(40, 4)
    source = Features(SPACE, whole.frame_vectors[10:20], whole.frame_times[:10])
    best = find_offsets(whole, Span(0, 40), source, 10, min_overlap=9, max_offsets=1)[0]
    assert best.start_seconds == pytest.approx(-10, abs=0.25)


def test_a_long_clip_is_located_in_bounded_memory() -> None:
    source = walk(5400, 8)
    shown = clip(source, 600.25, 3000)
    tracemalloc.start()
    best = find_offsets(shown, Span(0, 3000), source, 5400, min_overlap=2700, max_offsets=1)[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert best.start_seconds == pytest.approx(600.25, abs=0.25)
    assert best.mean_similarity > 0.99
    assert peak < 16 << 20  # 70 MB if all frames were used


def test_median_frame_spacing_is_measured() -> None:
    assert median_frame_spacing(walk(5, 9)) == 1
    assert median_frame_spacing(walk(1, 9)) == 0


def test_offsets_are_spaced_and_sorted_by_score() -> None:
    source = walk(60, 5)
    found = find_offsets(clip(source, 31, 6), Span(0, 6), source, 60, min_overlap=5, max_offsets=3)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    starts = sorted(one.start_seconds for one in found)
    assert min(np.diff(starts)) >= 3


def test_a_still_frame_is_constant_until_shortly_before_the_next_one() -> None:
    rows = np.eye(24, dtype=np.float32)[:2]
    stills = Features(SPACE, rows, np.array([0.0, 30.0]))
    shown = interpolate_frames(stills, np.array([0.0, 20.0, 29.9, 30.0, 50.0]))
    assert (shown @ rows[0]).tolist()[:2] == [1, 1]
    assert shown[2] @ rows[1] > 0.9
    assert (shown @ rows[1]).tolist()[3:] == [1, 1]


def test_a_video_that_is_too_short_has_no_offset() -> None:
    source = walk(3, 6)
    assert find_offsets(walk(20, 7), Span(0, 20), source, 3, min_overlap=18, max_offsets=1) == []
