from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.support.fakes import FakeEncoder
from vsearch.encoders.frame_dedup import DedupEncoder, compute_signature, is_similar

if TYPE_CHECKING:
    from vsearch.types import Images


def pictures(count: int, seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 255, (count, 64, 96, 3), np.uint8)


def test_frames_that_differ_are_all_encoded() -> None:
    encoder, images = FakeEncoder(), pictures(5)
    assert (
        DedupEncoder(encoder).encode_frames(images).tolist()
        == FakeEncoder().encode_images(images).tolist()
    )
    assert encoder.encoded_count == 5


def test_a_still_image_is_encoded_once_across_batches() -> None:
    encoder = FakeEncoder()
    frames = DedupEncoder(encoder)
    still = np.repeat(pictures(1), 4, axis=0)
    first, second = frames.encode_frames(still), frames.encode_frames(still)
    assert encoder.encoded_count == 1
    assert (np.concatenate([first, second]) == first[0]).all()


def same(a: Images, b: Images) -> bool:
    return is_similar(compute_signature(a), compute_signature(b))


def test_coding_noise_is_not_a_change_but_a_small_object_is() -> None:
    picture = pictures(1)[0] // 2 + 60
    noise = picture + np.random.default_rng(1).integers(0, 2, picture.shape, np.uint8)
    assert same(picture, noise)
    for corner in (16, 20):  # in one block, and across four
        object_ = picture.copy()
        object_[corner : corner + 8, corner : corner + 8] += 20
        assert not same(picture, object_)


def test_sensor_noise_is_not_a_change() -> None:
    random = np.random.default_rng(2)
    quiet = np.full((2, 224, 398, 3), 90.0)
    noisy = (quiet + random.normal(0, 5, quiet.shape)).clip(0, 255).astype(np.uint8)
    assert same(noisy[0], noisy[1])


def test_another_color_of_the_same_luma_is_a_change() -> None:
    red, green = (np.zeros((32, 32, 3), np.uint8) for _ in range(2))
    red[...] = (180, 60, 60)
    green[...] = (60, 121, 60)
    assert not same(red, green)


def test_a_blinking_image_is_encoded_twice() -> None:
    encoder = FakeEncoder()
    off = pictures(1)[0]
    on = off.copy()
    on[8:16, 8:16] = 255 - on[8:16, 8:16] // 2
    frames = DedupEncoder(encoder)
    found = np.concatenate([frames.encode_frames(np.stack([off, on, off])) for _ in range(4)])
    assert encoder.encoded_count == 2
    right = FakeEncoder().encode_images(np.stack([off, on, off]))
    assert (found == np.tile(right, (4, 1))).all()


def test_every_frame_is_encoded_on_request() -> None:
    encoder = FakeEncoder()
    still = np.repeat(pictures(1), 4, axis=0)
    assert len(DedupEncoder(encoder, max_luma_diff=0).encode_frames(still)) == 4
    assert encoder.encoded_count == 4


def test_a_slow_fade_is_encoded_repeatedly() -> None:
    encoder = FakeEncoder()
    frames = DedupEncoder(encoder)
    for level in range(0, 100, 2):
        frames.encode_frames(np.full((2, 32, 32, 3), (level,), np.uint8))
    assert encoder.encoded_count >= 25


def test_a_video_without_frames_has_no_vectors() -> None:
    assert DedupEncoder(FakeEncoder()).encode_frames(pictures(1)[:0]).shape == (
        0,
        FakeEncoder().space.dim,
    )


def test_another_image_size_is_a_change() -> None:
    assert not same(pictures(1)[0], pictures(1)[0][:32])


def test_tiny_images_are_compared_pixel_by_pixel() -> None:
    one = np.zeros((2, 2, 3), np.uint8)
    other = one.copy()
    other[0, 0] = 9
    assert same(one, one.copy())
    assert not same(one, other)
