from __future__ import annotations

import numpy as np

from fakes import FakeEncoder
from vsearch.encoders.changes import ChangedFrames, alike


def pictures(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 255, (count, 64, 96, 3), np.uint8)


def test_frames_that_differ_are_all_encoded() -> None:
    encoder, images = FakeEncoder(), pictures(5)
    assert (
        ChangedFrames(encoder).encode(images).tolist()
        == FakeEncoder().encode_images(images).tolist()
    )
    assert encoder.seen == 5


def test_a_still_picture_is_encoded_once_across_batches() -> None:
    encoder = FakeEncoder()
    frames = ChangedFrames(encoder)
    still = np.repeat(pictures(1), 4, axis=0)
    first, second = frames.encode(still), frames.encode(still)
    assert encoder.seen == 1
    assert (np.concatenate([first, second]) == first[0]).all()


def test_coding_noise_is_no_change_but_a_small_object_is() -> None:
    picture = pictures(1)[0] // 2 + 60
    noise = picture + np.random.default_rng(1).integers(0, 2, picture.shape, np.uint8)
    assert alike(picture, noise)
    object_ = picture.copy()
    object_[16:24, 16:24] += 20
    assert not alike(picture, object_)


def test_a_slow_fade_is_encoded_again_and_again() -> None:
    encoder = FakeEncoder()
    frames = ChangedFrames(encoder)
    for level in range(0, 100, 2):
        frames.encode(np.full((2, 32, 32, 3), (level,), np.uint8))
    assert encoder.seen >= 25


def test_pictures_of_another_size_are_a_change() -> None:
    assert not alike(pictures(1)[0], pictures(1)[0][:32])


def test_tiny_pictures_are_compared_exactly() -> None:
    one = np.zeros((2, 2, 3), np.uint8)
    assert alike(one, one.copy())
    assert not alike(one, one + np.uint8(1))
