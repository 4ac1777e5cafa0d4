from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from copying import Copying, copy, wandering, write
from vsearch.media.lumas import RATE, Lumas, read_lumas
from vsearch.media.matching import match
from vsearch.types import Span

if TYPE_CHECKING:
    from pathlib import Path


def lumas(pictures: list[float], height: int = 24, width: int = 32) -> Lumas:
    """Pictures of one gray each."""
    shades = np.array(pictures, np.float32)[:, None, None]
    times = np.arange(len(pictures), dtype=np.float64)
    return Lumas(np.broadcast_to(shades, (len(pictures), height, width)), times)


def drifting(seconds: float, seed: int) -> Lumas:
    images = np.stack(list(wandering(seconds, seed, fps=RATE, side=24)))
    return Lumas(images.mean(axis=3, dtype=np.float32), np.arange(len(images)) / RATE)


def cut(lumas: Lumas, span: Span) -> Lumas:
    """What a file that was cut out would show, from zero on."""
    times = np.arange(span.start, span.end, 1 / RATE)
    return Lumas(lumas.at(times), times - span.start)


def test_a_clip_is_found_where_it_was_cut_out() -> None:
    film = drifting(30, 1)
    found = match(cut(film, Span(11.3, 15.3)), Span(0, 4), film, Span(5, 25))
    assert found is not None
    assert found.is_copy
    assert found.start == pytest.approx(11.3, abs=0.13)


def test_a_copy_is_found_though_cropped_darker_and_with_noise() -> None:
    film, rng = drifting(30, 2), np.random.default_rng(0)
    part = cut(film, Span(20, 24))
    shown = part.pictures[:, 1:-1, 2:-1] * 0.7 + rng.normal(
        0, 4, part.pictures[:, 1:-1, 2:-1].shape
    )
    found = match(Lumas(shown.astype(np.float32), part.times), Span(0, 4), film, Span(0, 30))
    assert found is not None
    assert found.is_copy
    assert found.start == pytest.approx(20, abs=0.26)


def test_what_moves_tells_the_time_before_a_camera_that_stands_still() -> None:
    """A scene that hardly changes: a small spot wanders about in it."""
    rng = np.random.default_rng(5)
    scene = rng.uniform(0, 255, (24, 32)).astype(np.float32)
    pictures = np.repeat(scene[None], 200, axis=0)
    way = rng.integers(0, 20, (200 // 8, 2)).repeat(8, axis=0)
    for picture, (y, x) in zip(pictures, way, strict=True):
        picture[y : y + 4, x : x + 4] = 255
    film = Lumas(pictures, np.arange(200) / RATE)
    found = match(cut(film, Span(9, 14)), Span(0, 5), film, Span(0, 25))
    assert found is not None
    assert found.is_copy
    assert found.start == pytest.approx(9, abs=0.13)


def test_another_film_is_no_copy() -> None:
    found = match(drifting(4, 3), Span(0, 4), drifting(30, 4), Span(0, 30))
    assert found is not None
    assert not found.is_copy


def test_another_time_before_the_same_camera_is_no_copy() -> None:
    rng = np.random.default_rng(6)
    scene = rng.uniform(0, 255, (24, 32)).astype(np.float32)
    pictures = np.repeat(scene[None], 200, axis=0)
    way = rng.integers(0, 16, (200 // 4, 2)).repeat(4, axis=0)
    for picture, (y, x) in zip(pictures, way, strict=True):
        picture[y : y + 6, x : x + 6] = 255
    film = Lumas(pictures, np.arange(200) / RATE)
    found = match(cut(film, Span(0, 5)), Span(0, 5), film, Span(10, 25))
    assert found is not None
    assert not found.is_copy


def test_black_is_no_copy_of_black() -> None:
    found = match(lumas([0] * 40), Span(0, 4), lumas([1] * 100), Span(0, 10))
    assert found is not None
    assert not found.is_copy


def test_a_window_shorter_than_the_clip_holds_nothing() -> None:
    film = drifting(10, 1)
    assert match(film, Span(0, 5), film, Span(2, 6)) is None


def test_pictures_are_read_upright_and_at_their_times(tmp_path: Path) -> None:
    film = write(tmp_path / "film.mp4", wandering(6, 1), 10, 20)
    seen = read_lumas(film, Span(2, 5))
    assert seen.pictures.shape[1:] == (32, 43)
    assert seen.times[0] == 2
    assert seen.times[-1] < 5
    clip = copy(film, Span(1, 5), tmp_path / "clip.mp4", Copying(fps=7), np.random.default_rng(3))
    found = match(
        read_lumas(clip, Span(0, 4)), Span(0, 3.8), read_lumas(film, Span(0, 6)), Span(0, 6)
    )
    assert found is not None
    assert found.start == pytest.approx(1, abs=0.2)


def test_black_bars_at_the_sides_are_no_difference() -> None:
    film = drifting(20, 7)
    part = cut(film, Span(6, 11))
    framed = np.zeros((len(part.times), 32, 57), np.float32)
    rows, columns = np.linspace(0, 23, 32).astype(int), np.linspace(0, 31, 43).astype(int)
    framed[:, :, 7:50] = part.pictures[:, rows][:, :, columns]
    found = match(Lumas(framed, part.times), Span(0, 5), film, Span(0, 20))
    assert found is not None
    assert found.is_copy
    assert found.start == pytest.approx(6, abs=0.26)


def test_pictures_without_bars_are_left_as_they_are() -> None:
    film = drifting(5, 8)
    assert film.trimmed() is film
    dark = lumas([3] * 10)
    assert dark.trimmed() is dark
