"""Distractors are of the intended kinds, and reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from vsearch.media.distractors import crop_randomly, degrade_image, draw_distractors


def test_a_seed_determines_the_images() -> None:
    assert np.array_equal(draw_distractors(14, 1), draw_distractors(14, 1))
    assert not np.array_equal(draw_distractors(14, 1), draw_distractors(14, 2))


def test_black_flat_title_and_noise_images_are_drawn() -> None:
    pictures = draw_distractors(70, 0)
    assert pictures.dtype == np.uint8
    assert pictures.shape == (70, 224, 320, 3)
    black, flat, title, _, blobs, noise, bars = (pictures[i::7].astype(float) for i in range(7))
    assert black.mean() < 20
    edges = [np.abs(np.diff(each, axis=2)).max(axis=(1, 2, 3)).mean() for each in (flat, blobs)]
    assert max(edges) < 30  # no sharp edges
    assert np.abs(np.diff(title, axis=2)).max(axis=(1, 2, 3)).mean() > 60  # letters
    assert noise.std(axis=(1, 2)).mean() > 20
    per_row = [
        len(np.unique(each[100], axis=0)) + len(np.unique(each[:, 100], axis=0)) for each in bars
    ]
    assert max(per_row) <= 11


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (90, 2), (60, 80)])
def test_an_image_of_any_size_is_degraded_and_cropped(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    for _ in range(20):
        assert degrade_image(picture, random).shape == picture.shape
        part = crop_randomly(picture, random)
        assert part.shape[0] <= size[0]
        assert part.shape[1] <= size[1]
        assert part.size


def test_degraded_images_lose_contrast_or_edges() -> None:
    random = np.random.default_rng(1)
    picture = np.kron(random.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    before = np.abs(np.diff(picture.astype(float), axis=1)).max(axis=(0, 1)).mean()
    for _ in range(40):
        after = np.abs(np.diff(degrade_image(picture, random).astype(float), axis=1)).max(
            axis=(0, 1)
        )
        assert after.mean() < 0.8 * before
