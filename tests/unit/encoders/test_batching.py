from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from vsearch.encoders.batching import BatchingEncoder

if TYPE_CHECKING:
    from vsearch.types import Images, Matrix


class Counting(FakeEncoder):
    """Encoder that records batch sizes; its first call waits until it is released."""

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
    """Encode several requests made while a batching encoder is busy with the first."""
    with BatchingEncoder(encoder, most) as joined, ThreadPoolExecutor(len(many)) as pool:
        first = pool.submit(joined.encode_images, many[0])
        assert encoder.begun.wait(10)
        others = [pool.submit(joined.encode_images, images) for images in many[1:]]
        while joined._request_queue.qsize() < len(others):
            pass
        encoder.go.set()
        return [one.result(10) for one in (first, *others)]


def test_requests_made_while_it_is_busy_are_encoded_together() -> None:
    many = [pictures(count, count) for count in (1, 2, 3, 4)]
    encoder = Counting()
    found = asked_together(encoder, many)
    assert encoder.sizes == [1, 9]
    for images, vectors in zip(many, found, strict=True):
        np.testing.assert_array_equal(vectors, FakeEncoder().encode_images(images))


def test_a_batch_has_no_more_images_than_allowed() -> None:
    encoder = Counting()
    asked_together(encoder, [pictures(count, 1) for count in (1, 3, 3, 3)], most=6)
    assert sorted(encoder.sizes) == [1, 3, 6]


def test_images_of_other_sizes_are_encoded_separately() -> None:
    many = [pictures(1, 0), pictures(2, 1), pictures(2, 2, size=16), pictures(2, 3)]
    encoder = Counting()
    found = asked_together(encoder, many)
    for images, vectors in zip(many, found, strict=True):
        np.testing.assert_array_equal(vectors, FakeEncoder().encode_images(images))
    assert sum(encoder.sizes) == 7


def test_an_error_reaches_its_caller_and_later_requests_are_encoded() -> None:
    class Once(FakeEncoder):
        def encode_images(self, images: Images) -> Matrix:
            if not self.encoded_count:
                self.encoded_count = 1
                raise RuntimeError("out of luck")
            return super().encode_images(images)

    with BatchingEncoder(Once()) as joined:
        with pytest.raises(RuntimeError, match="out of luck"):
            joined.encode_images(pictures(2, 1))
        assert joined.encode_images(pictures(2, 1)).shape == (2, 16)


def test_an_empty_request_encodes_nothing() -> None:
    encoder = FakeEncoder()
    with BatchingEncoder(encoder) as joined:
        assert joined.encode_images(pictures(0, 1)).shape == (0, 16)
        np.testing.assert_array_equal(joined.encode_texts(["red"]), encoder.encode_texts(["red"]))
        assert (joined.space, joined.image_size) == (encoder.space, encoder.image_size)
    assert not encoder.encoded_count
