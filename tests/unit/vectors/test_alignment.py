from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from vsearch.types import Features, Space, Span
from vsearch.vectors.alignment import interpolated, offsets, spacing

SPACE = Space("walk", 24, speaks_text=False)


def walk(seconds: int, seed: int, bias: float = 0.0) -> Features:
    """Frames once a second of a video that goes on changing; with a part that never does."""
    rng = np.random.default_rng(seed)
    matrix = np.cumsum(rng.normal(size=(seconds, 24)), axis=0) * 0.3 + rng.normal(size=24)
    matrix += bias
    unit = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)
    return Features(SPACE, unit, np.arange(seconds, dtype=np.float64))


def clip(source: Features, start: float, seconds: int) -> Features:
    times = np.arange(seconds, dtype=np.float64)
    return Features(SPACE, interpolated(source, times + start), times)


def test_a_clip_is_placed_between_the_frames_of_its_source() -> None:
    source = walk(60, 1)
    best = offsets(clip(source, 31.5, 6), Span(0, 6), source, 60, overlap=5, most=3)[0]
    assert best.start == pytest.approx(31.5, abs=0.25)
    assert best.likeness > 0.99


def test_what_differs_throughout_does_not_move_the_place() -> None:
    source = walk(60, 2)
    shown = clip(source, 20.25, 8)
    changed = shown.matrix + 0.15 * np.eye(24, dtype=np.float32)[0]
    changed /= np.linalg.norm(changed, axis=1, keepdims=True)
    cropped = Features(SPACE, changed, shown.times)
    best = offsets(cropped, Span(0, 8), source, 60, overlap=7, most=1)[0]
    assert best.start == pytest.approx(20.25, abs=0.25)


def test_times_of_a_part_are_those_of_its_file() -> None:
    source = walk(60, 3)
    shown = clip(source, 10, 30)
    part = shown.within(Span(12, 18))
    best = offsets(part, Span(12, 18), source, 60, overlap=5, most=1)[0]
    assert best.start == pytest.approx(22, abs=0.25)


def test_a_clip_may_begin_before_its_source() -> None:
    whole = walk(40, 4)
    source = Features(SPACE, whole.matrix[10:20], whole.times[:10])
    best = offsets(whole, Span(0, 40), source, 10, overlap=9, most=1)[0]
    assert best.start == pytest.approx(-10, abs=0.25)


def test_a_long_clip_is_placed_as_well_in_bounded_memory() -> None:
    source = walk(5400, 8)
    shown = clip(source, 600.25, 3000)
    tracemalloc.start()
    best = offsets(shown, Span(0, 3000), source, 5400, overlap=2700, most=1)[0]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert best.start == pytest.approx(600.25, abs=0.25)
    assert best.likeness > 0.99
    assert peak < 16 << 20  # 70 MB by all of its frames


def test_frames_usually_lie_so_far_apart() -> None:
    assert spacing(walk(5, 9)) == 1
    assert spacing(walk(1, 9)) == 0


def test_places_are_apart_and_the_best_one_first() -> None:
    source = walk(60, 5)
    found = offsets(clip(source, 31, 6), Span(0, 6), source, 60, overlap=5, most=3)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    starts = sorted(one.start for one in found)
    assert min(np.diff(starts)) >= 3


def test_a_still_stays_as_it_is_until_shortly_before_the_next_picture() -> None:
    rows = np.eye(24, dtype=np.float32)[:2]
    stills = Features(SPACE, rows, np.array([0.0, 30.0]))
    shown = interpolated(stills, np.array([0.0, 20.0, 29.9, 30.0, 50.0]))
    assert (shown @ rows[0]).tolist()[:2] == [1, 1]
    assert shown[2] @ rows[1] > 0.9
    assert (shown @ rows[1]).tolist()[3:] == [1, 1]


def test_no_place_is_found_on_a_video_that_is_too_short() -> None:
    source = walk(3, 6)
    assert offsets(walk(20, 7), Span(0, 20), source, 3, overlap=18, most=1) == []
