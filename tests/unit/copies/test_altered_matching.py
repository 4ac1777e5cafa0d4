"""Alignment of mirrored, rotated, faster and slower copies."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.copies import drifting_colors
from vsearch.copies.alterations import Alteration
from vsearch.copies.altered_matching import ORIENTATIONS, AlteredMatch, find_altered_alignment
from vsearch.copies.luma_matching import LUMA_FPS, LumaClip
from vsearch.types import Span


def drifting(seconds: float, seed: int) -> LumaClip:
    images = np.stack(list(drifting_colors(seconds, seed, fps=LUMA_FPS, frame_height=24)))
    return LumaClip(images.mean(axis=3, dtype=np.float32), np.arange(len(images)) / LUMA_FPS)


def altered(film: LumaClip, how: Alteration) -> LumaClip:
    """Return the luma frames of an altered copy, at the frame rate of the original."""
    frames = film.luma_frames[:, :, ::-1] if how.is_mirrored else film.luma_frames
    frames = np.rot90(frames, -how.rotation_degrees // 90, axes=(1, 2))
    end = len(frames) / LUMA_FPS / how.speed
    times = np.arange(0, end, 1 / LUMA_FPS)
    return LumaClip(LumaClip(frames, film.frame_times).sample_at(times * how.speed), times)


def align(film: LumaClip, part: Span, copy: LumaClip, *speeds: float) -> AlteredMatch | None:
    window = Span(0, float(copy.frame_times[-1]) + 1 / LUMA_FPS)
    return find_altered_alignment(film, part, copy, window, expected_speeds=speeds)


@pytest.mark.parametrize(("is_mirrored", "degrees"), ORIENTATIONS)
def test_each_orientation_is_recognized(is_mirrored: bool, degrees: int) -> None:
    film = drifting(20, 1)
    found = align(film, Span(6, 14), altered(film, Alteration(is_mirrored, degrees)))
    assert found is not None
    assert found.is_copy
    assert found.alteration == Alteration(is_mirrored, degrees)
    assert found.copy_start == pytest.approx(6, abs=0.13)


@pytest.mark.parametrize("speed", [0.5, 0.8, 1.25, 1.37, 2.0])
def test_the_speed_of_a_mirrored_copy_is_measured(speed: float) -> None:
    film = drifting(20, 2)
    found = align(film, Span(6, 14), altered(film, Alteration(is_mirrored=True, speed=speed)))
    assert found is not None
    assert found.is_copy
    assert found.alteration.is_mirrored
    assert found.alteration.speed == pytest.approx(speed, rel=0.03)
    assert found.copy_start == pytest.approx(6 / speed, abs=0.4)


def test_an_expected_speed_is_preferred() -> None:
    film = drifting(20, 3)
    found = align(film, Span(6, 14), altered(film, Alteration(speed=1.1)), 1.1)
    assert found is not None
    assert found.alteration.speed == 1.1


def test_a_noisy_and_cropped_copy_is_recognized() -> None:
    film, rng = drifting(20, 4), np.random.default_rng(0)
    copy = altered(film, Alteration(is_mirrored=True, speed=1.5))
    shown = copy.luma_frames[:, 1:-1, 1:-1]
    shown = (0.8 * shown + rng.normal(0, 4, shown.shape)).astype(np.float32)
    found = align(film, Span(6, 14), LumaClip(shown, copy.frame_times))
    assert found is not None
    assert found.is_copy
    assert found.alteration == Alteration(is_mirrored=True, speed=1.5)


@pytest.mark.parametrize("seed", range(10, 16))
def test_another_video_is_not_an_altered_copy(seed: int) -> None:
    found = align(drifting(20, seed), Span(6, 14), drifting(30, seed + 100))
    assert found is not None
    assert not found.is_copy


def test_a_still_frame_has_no_speed() -> None:
    picture = np.random.default_rng(5).uniform(0, 255, (24, 32)).astype(np.float32)
    times = np.arange(80) / LUMA_FPS
    still = LumaClip(np.broadcast_to(picture, (80, 24, 32)), times)
    mirrored = LumaClip(np.broadcast_to(picture[:, ::-1], (80, 24, 32)), times)
    found = align(still, Span(1, 9), mirrored)
    assert found is not None
    assert found.is_still
    assert found.alteration == Alteration(is_mirrored=True)


def test_a_short_part_is_not_compared() -> None:
    film = drifting(10, 6)
    assert align(film, Span(2, 4), film) is None


def test_a_window_that_is_too_short_has_no_match() -> None:
    film = drifting(10, 7)
    assert find_altered_alignment(film, Span(0, 8), film, Span(0, 1)) is None


def test_a_copy_without_colors_is_grayscale() -> None:
    film = drifting(12, 8)
    colored = LumaClip(film.luma_frames, film.frame_times, chroma=20.0)
    gray = LumaClip(film.luma_frames, film.frame_times, chroma=0.2)
    for one, other in ((colored, gray), (gray, colored)):
        found = align(one, Span(2, 10), other)
        assert found is not None
        assert found.alteration == Alteration(is_grayscale=True)
    found = align(gray, Span(2, 10), gray)
    assert found is not None
    assert found.alteration.describe() == ""


@pytest.mark.parametrize(
    ("alteration", "text"),
    [
        (Alteration(), ""),
        (Alteration(speed=1.01), ""),
        (Alteration(is_mirrored=True, speed=1.5), "mirrored, 1.5× faster"),
        (Alteration(rotation_degrees=90, is_grayscale=True), "rotated 90°, grayscale"),
        (Alteration(is_mirrored=True, rotation_degrees=180), "flipped upside down"),
        (Alteration(speed=0.5), "2× slower"),
    ],
)
def test_alterations_are_described(alteration: Alteration, text: str) -> None:
    assert alteration.describe() == text


@pytest.mark.parametrize(("is_mirrored", "degrees"), ORIENTATIONS)
def test_the_inverse_undoes_an_alteration(is_mirrored: bool, degrees: int) -> None:
    film = drifting(2, 9)
    how = Alteration(is_mirrored, degrees)
    undone = altered(altered(film, how), how.invert())
    np.testing.assert_array_equal(undone.luma_frames, film.luma_frames)
    assert Alteration(speed=2).invert() == Alteration(speed=0.5)
