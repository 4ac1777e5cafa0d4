from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.copies import CopyOptions, drifting_colors, make_copy, write_video
from vsearch.copies.luma_matching import LUMA_FPS, LumaClip, find_alignment, read_luma_clip
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path


def lumas(pictures: list[float], height: int = 24, width: int = 32) -> LumaClip:
    """Return a clip of uniform gray frames."""
    shades = np.array(pictures, np.float32)[:, None, None]
    times = np.arange(len(pictures), dtype=np.float64)
    return LumaClip(np.broadcast_to(shades, (len(pictures), height, width)), times)


def drifting(seconds: float, seed: int) -> LumaClip:
    images = np.stack(list(drifting_colors(seconds, seed, fps=LUMA_FPS, frame_height=24)))
    return LumaClip(images.mean(axis=3, dtype=np.float32), np.arange(len(images)) / LUMA_FPS)


def cut(lumas: LumaClip, span: Span) -> LumaClip:
    """Return the clip that a file cut at `span` would contain."""
    times = np.arange(span.start, span.end, 1 / LUMA_FPS)
    return LumaClip(lumas.sample_at(times), times - span.start)


def test_a_clip_is_located_in_its_source() -> None:
    film = drifting(30, 1)
    found = find_alignment(cut(film, Span(11.3, 15.3)), Span(0, 4), film, Span(5, 25))
    assert found is not None
    assert found.is_copy
    assert found.source_start == pytest.approx(11.3, abs=0.13)


def test_a_cropped_darker_and_noisy_copy_is_located() -> None:
    film, rng = drifting(30, 2), np.random.default_rng(0)
    part = cut(film, Span(20, 24))
    shown = part.luma_frames[:, 1:-1, 2:-1] * 0.7 + rng.normal(
        0, 4, part.luma_frames[:, 1:-1, 2:-1].shape
    )
    found = find_alignment(
        LumaClip(shown.astype(np.float32), part.frame_times), Span(0, 4), film, Span(0, 30)
    )
    assert found is not None
    assert found.is_copy
    assert found.source_start == pytest.approx(20, abs=0.26)


def test_motion_determines_the_time_with_a_static_camera() -> None:
    """Only a small spot moves in the scene."""
    rng = np.random.default_rng(5)
    scene = rng.uniform(0, 255, (24, 32)).astype(np.float32)
    pictures = np.repeat(scene[None], 200, axis=0)
    way = rng.integers(0, 20, (200 // 8, 2)).repeat(8, axis=0)
    for picture, (y, x) in zip(pictures, way, strict=True):
        picture[y : y + 4, x : x + 4] = 255
    film = LumaClip(pictures, np.arange(200) / LUMA_FPS)
    found = find_alignment(cut(film, Span(9, 14)), Span(0, 5), film, Span(0, 25))
    assert found is not None
    assert found.is_copy
    assert found.source_start == pytest.approx(9, abs=0.13)


def test_another_video_is_not_a_copy() -> None:
    found = find_alignment(drifting(4, 3), Span(0, 4), drifting(30, 4), Span(0, 30))
    assert found is not None
    assert not found.is_copy


def test_another_time_of_a_static_camera_is_not_a_copy() -> None:
    rng = np.random.default_rng(6)
    scene = rng.uniform(0, 255, (24, 32)).astype(np.float32)
    pictures = np.repeat(scene[None], 200, axis=0)
    way = rng.integers(0, 16, (200 // 4, 2)).repeat(4, axis=0)
    for picture, (y, x) in zip(pictures, way, strict=True):
        picture[y : y + 6, x : x + 6] = 255
    film = LumaClip(pictures, np.arange(200) / LUMA_FPS)
    found = find_alignment(cut(film, Span(0, 5)), Span(0, 5), film, Span(10, 25))
    assert found is not None
    assert not found.is_copy


def test_black_is_not_a_copy_of_black() -> None:
    found = find_alignment(lumas([0] * 40), Span(0, 4), lumas([1] * 100), Span(0, 10))
    assert found is not None
    assert not found.is_copy


def test_a_window_shorter_than_the_clip_has_no_match() -> None:
    film = drifting(10, 1)
    assert find_alignment(film, Span(0, 5), film, Span(2, 6)) is None


def test_frames_are_read_upright_and_at_their_times(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", drifting_colors(6, 1), 10, 20)
    seen = read_luma_clip(film, Span(2, 5))
    assert seen.luma_frames.shape[1:] == (32, 43)
    assert seen.frame_times[0] == 2
    assert seen.frame_times[-1] < 5
    clip = make_copy(
        film, Span(1, 5), tmp_path / "clip.mp4", CopyOptions(fps=7), np.random.default_rng(3)
    )
    found = find_alignment(
        read_luma_clip(clip, Span(0, 4)), Span(0, 3.8), read_luma_clip(film, Span(0, 6)), Span(0, 6)
    )
    assert found is not None
    assert found.source_start == pytest.approx(1, abs=0.2)


def test_letterbox_bars_are_ignored() -> None:
    film = drifting(20, 7)
    part = cut(film, Span(6, 11))
    framed = np.zeros((len(part.frame_times), 32, 57), np.float32)
    rows, columns = np.linspace(0, 23, 32).astype(int), np.linspace(0, 31, 43).astype(int)
    framed[:, :, 7:50] = part.luma_frames[:, rows][:, :, columns]
    found = find_alignment(LumaClip(framed, part.frame_times), Span(0, 5), film, Span(0, 20))
    assert found is not None
    assert found.is_copy
    assert found.source_start == pytest.approx(6, abs=0.26)


def test_frames_without_bars_are_unchanged() -> None:
    film = drifting(5, 8)
    assert film.crop_letterbox() is film
    dark = lumas([3] * 10)
    assert dark.crop_letterbox() is dark
