"""Junk is drawn: it is of the kinds it should be, and the same each time."""

from __future__ import annotations

import numpy as np
import pytest

from vsearch.media.junk import cropped, drawn, spoiled


def test_the_same_seed_draws_the_same_pictures_and_another_one_others() -> None:
    assert np.array_equal(drawn(14, 1), drawn(14, 1))
    assert not np.array_equal(drawn(14, 1), drawn(14, 2))


def test_black_flat_words_and_noise_are_among_them() -> None:
    pictures = drawn(70, 0)
    assert pictures.dtype == np.uint8
    assert pictures.shape == (70, 224, 320, 3)
    black, flat, title, _, blobs, noise, bars = (pictures[i::7].astype(float) for i in range(7))
    assert black.mean() < 20
    edges = [np.abs(np.diff(each, axis=2)).max(axis=(1, 2, 3)).mean() for each in (flat, blobs)]
    assert max(edges) < 30  # nothing sharp in them
    assert np.abs(np.diff(title, axis=2)).max(axis=(1, 2, 3)).mean() > 60  # letters
    assert noise.std(axis=(1, 2)).mean() > 20
    per_row = [
        len(np.unique(each[100], axis=0)) + len(np.unique(each[:, 100], axis=0)) for each in bars
    ]
    assert max(per_row) <= 11


@pytest.mark.parametrize("size", [(1, 1), (2, 90), (90, 2), (60, 80)])
def test_a_picture_of_any_size_is_spoiled_and_cropped(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    for _ in range(20):
        assert spoiled(picture, random).shape == picture.shape
        part = cropped(picture, random)
        assert part.shape[0] <= size[0]
        assert part.shape[1] <= size[1]
        assert part.size


def test_what_is_spoiled_has_lost_its_contrast_or_its_edges() -> None:
    random = np.random.default_rng(1)
    picture = np.kron(random.integers(0, 256, (8, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    before = np.abs(np.diff(picture.astype(float), axis=1)).max(axis=(0, 1)).mean()
    for _ in range(40):
        after = np.abs(np.diff(spoiled(picture, random).astype(float), axis=1)).max(axis=(0, 1))
        assert after.mean() < 0.8 * before
