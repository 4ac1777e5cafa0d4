from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes import FakeEncoder
from vsearch.encoders.joined import JoinedEncoder

if TYPE_CHECKING:
    from vsearch.types import Images, Matrix


class Counting(FakeEncoder):
    """Notes how many images come at once; the first ones have to wait until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.begun, self.go = threading.Event(), threading.Event()

    def encode_images(self, images: Images) -> Matrix:
        self.sizes.append(len(images))
        self.begun.set()
        assert self.go.wait(10)
        return super().encode_images(images)


def pictures(count: int, seed: int, size: int = 8) -> Images:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def asked_together(encoder: Counting, many: list[Images], most: int = 100) -> list[Matrix]:
    """What a joined encoder gives for all of these, asked while it is busy with the first."""
    with JoinedEncoder(encoder, most) as joined, ThreadPoolExecutor(len(many)) as pool:
        first = pool.submit(joined.encode_images, many[0])
        assert encoder.begun.wait(10)
        others = [pool.submit(joined.encode_images, images) for images in many[1:]]
        while joined._waiting.qsize() < len(others):
            pass
        encoder.go.set()
        return [one.result(10) for one in (first, *others)]


def test_what_is_asked_while_it_is_busy_is_encoded_at_once() -> None:
    many = [pictures(count, count) for count in (1, 2, 3, 4)]
    encoder = Counting()
    found = asked_together(encoder, many)
    assert encoder.sizes == [1, 9]
    for images, vectors in zip(many, found, strict=True):
        np.testing.assert_array_equal(vectors, FakeEncoder().encode_images(images))


def test_no_more_is_joined_than_may_be() -> None:
    encoder = Counting()
    asked_together(encoder, [pictures(count, 1) for count in (1, 3, 3, 3)], most=6)
    assert sorted(encoder.sizes) == [1, 3, 6]


def test_pictures_of_other_sizes_are_encoded_apart() -> None:
    many = [pictures(1, 0), pictures(2, 1), pictures(2, 2, size=16), pictures(2, 3)]
    encoder = Counting()
    found = asked_together(encoder, many)
    for images, vectors in zip(many, found, strict=True):
        np.testing.assert_array_equal(vectors, FakeEncoder().encode_images(images))
    assert sum(encoder.sizes) == 7


def test_a_fault_reaches_whoever_asked_and_the_next_is_encoded() -> None:
    class Once(FakeEncoder):
        def encode_images(self, images: Images) -> Matrix:
            if not self.seen:
                self.seen = 1
                raise RuntimeError("out of luck")
            return super().encode_images(images)

    with JoinedEncoder(Once()) as joined:
        with pytest.raises(RuntimeError, match="out of luck"):
            joined.encode_images(pictures(2, 1))
        assert joined.encode_images(pictures(2, 1)).shape == (2, 16)


def test_nothing_asked_is_nothing_encoded() -> None:
    encoder = FakeEncoder()
    with JoinedEncoder(encoder) as joined:
        assert joined.encode_images(pictures(0, 1)).shape == (0, 16)
        np.testing.assert_array_equal(joined.encode_texts(["red"]), encoder.encode_texts(["red"]))
        assert (joined.space, joined.image_size) == (encoder.space, encoder.image_size)
    assert not encoder.seen
