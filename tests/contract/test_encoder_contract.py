"""Contract test of the `Encoder` protocol, run for each encoder."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.text_tower import TextTower
from vsearch.errors import NoTextError
from vsearch.protocols import Encoder, QuerybankEncoder

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.types import Images, Matrix

TEXTS = ["a red square", "ein Hund springt ins Wasser 🐕", "blue " * 300]


def _openclip(folder: Path) -> Encoder:
    from tests.support.tiny_models import (
        TINY_ARCH,  # deferred: torch
        make_tiny_clip,
    )
    from vsearch.encoders.open_clip import OpenClipEncoder

    return OpenClipEncoder(f"{TINY_ARCH}@{make_tiny_clip(folder)}", device="cpu")


def _cnn(folder: Path) -> Encoder:
    from tests.support.tiny_models import make_small_cnn  # deferred: torch
    from vsearch.encoders.torchvision import CnnEncoder

    return CnnEncoder(f"resnet18@{make_small_cnn(folder / 'resnet18.pth')}", device="cpu")


MAKERS: dict[str, Callable[[Path], Encoder]] = {
    "fake": lambda _: FakeEncoder("", device="cpu"),
    "builtin": lambda _: BuiltinEncoder("", device="cpu"),
    "builtin:fast": lambda _: BuiltinEncoder("fast", device="cpu"),
    "builtin, fastest backend": lambda _: BuiltinEncoder("", device="auto"),
    "builtin:fast, fastest backend": lambda _: BuiltinEncoder("fast", device="auto"),
    "text_tower": lambda _: TextTower(FakeEncoder(), "fake:other", lambda: FakeEncoder("other")),
    "openclip": _openclip,
    "cnn": _cnn,
}


@pytest.fixture(scope="module", params=MAKERS)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return MAKERS[request.param](tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def text_encoder(encoder: Encoder) -> Encoder:
    if not encoder.space.supports_text:
        pytest.skip("the model has no text encoder")
    return encoder


def make_images(count: int, height: int, width: int) -> Images:
    """Return random color gradients with some noise, uint8 (N, H, W, 3)."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(-6, 6, (count, 1, 1, 3, 2))
    phase = waves[..., 0] * y[None, :, :, None] + waves[..., 1] * x[None, :, :, None]
    noise = rng.normal(0, 8, (count, height, width, 3))
    images: Images = np.clip(127 + 120 * np.sin(phase) + noise, 0, 255).astype(np.uint8)
    return images


def assert_unit_rows(matrix: Matrix, count: int, dim: int) -> None:
    assert matrix.dtype == np.float32
    assert matrix.shape == (count, dim)
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-4)


def assert_same_directions(a: Matrix, b: Matrix, min_cosine: float = 0.999) -> None:
    assert (a * b).sum(axis=1).min() > min_cosine


def test_it_implements_the_protocol(encoder: Encoder) -> None:
    assert isinstance(encoder, Encoder)
    assert encoder.space == encoder.space
    assert encoder.image_size > 0


def test_images_are_encoded_to_float32_unit_rows(encoder: Encoder) -> None:
    size = encoder.image_size
    vectors = encoder.encode_images(make_images(3, size, size * 16 // 9))
    assert_unit_rows(vectors, 3, encoder.space.dim)


def test_no_images_are_encoded_to_no_rows(encoder: Encoder) -> None:
    empty = np.zeros((0, 48, 64, 3), np.uint8)
    assert_unit_rows(encoder.encode_images(empty), 0, encoder.space.dim)


@pytest.mark.parametrize(
    ("height", "width"), [(1, 1), (2, 90), (300, 7), (31, 33), (33, 31), (480, 270), (225, 224)]
)
def test_images_of_any_size_are_accepted(encoder: Encoder, height: int, width: int) -> None:
    vectors = encoder.encode_images(make_images(1, height, width))
    assert_unit_rows(vectors, 1, encoder.space.dim)


def test_black_and_white_images_are_encoded_to_finite_rows(encoder: Encoder) -> None:
    images = np.stack([np.zeros((40, 40, 3), np.uint8), np.full((40, 40, 3), 255, np.uint8)])
    assert_unit_rows(encoder.encode_images(images), 2, encoder.space.dim)


def test_a_read_only_view_of_images_is_accepted_and_not_modified(
    encoder: Encoder,
) -> None:
    images = make_images(2, 60, 80)
    before = images.copy()
    view = images[::2, ::-1, 5:70]
    view.flags.writeable = False
    vectors = encoder.encode_images(view)
    assert_same_directions(vectors, encoder.encode_images(view.copy()))
    np.testing.assert_array_equal(images, before)


def test_the_same_images_give_the_same_vectors(encoder: Encoder) -> None:
    images = make_images(2, 50, 70)
    np.testing.assert_allclose(
        encoder.encode_images(images), encoder.encode_images(images), atol=1e-5
    )


def test_different_images_give_different_vectors(encoder: Encoder) -> None:
    vectors = encoder.encode_images(make_images(2, 64, 64))
    assert vectors[0] @ vectors[1] < 0.9999


def test_the_vector_of_an_image_does_not_depend_on_its_batch(encoder: Encoder) -> None:
    images = make_images(9, encoder.image_size, encoder.image_size)
    batch_vectors = encoder.encode_images(images)
    for i in (0, 8):  # the first and the one that a batch of 8 leaves over
        assert_same_directions(encoder.encode_images(images[i : i + 1]), batch_vectors[i : i + 1])


def test_the_image_size_matters_little(encoder: Encoder) -> None:
    small = make_images(1, encoder.image_size, encoder.image_size)
    large = np.repeat(np.repeat(small, 2, axis=1), 2, axis=2)
    assert_same_directions(encoder.encode_images(small), encoder.encode_images(large), 0.9)


def test_texts_are_encoded_to_float32_unit_rows(text_encoder: Encoder) -> None:
    assert_unit_rows(text_encoder.encode_texts(TEXTS), len(TEXTS), text_encoder.space.dim)
    assert_unit_rows(text_encoder.encode_texts(tuple(TEXTS)), len(TEXTS), text_encoder.space.dim)


def test_no_texts_are_encoded_to_no_rows(text_encoder: Encoder) -> None:
    assert_unit_rows(text_encoder.encode_texts([]), 0, text_encoder.space.dim)


def test_the_vector_of_a_text_does_not_depend_on_its_batch(text_encoder: Encoder) -> None:
    single_vectors = np.concatenate([text_encoder.encode_texts([text]) for text in TEXTS])
    assert_same_directions(text_encoder.encode_texts(TEXTS), single_vectors, 0.99999)


def test_without_a_text_encoder_encoding_text_is_an_error(encoder: Encoder) -> None:
    if encoder.space.supports_text:
        pytest.skip("the model has a text encoder")
    with pytest.raises(NoTextError, match="--image"):
        encoder.encode_texts(["a cat"])


def test_a_querybank_has_unit_rows(encoder: Encoder) -> None:
    if not isinstance(encoder, QuerybankEncoder):
        pytest.skip("the model has no querybank")
    assert_unit_rows(encoder.querybank, len(encoder.querybank), encoder.space.dim)


def test_encoding_images_is_thread_safe(encoder: Encoder) -> None:
    batches = [make_images(1, 40 + i, 60) for i in range(3)]
    single_vectors = [encoder.encode_images(batch) for batch in batches]
    with ThreadPoolExecutor(3) as threads:
        batch_vectors = list(threads.map(encoder.encode_images, batches))
    assert_same_directions(np.concatenate(batch_vectors), np.concatenate(single_vectors))


def test_encoding_texts_is_thread_safe(text_encoder: Encoder) -> None:
    single_vectors = text_encoder.encode_texts(TEXTS)
    with ThreadPoolExecutor(3) as threads:
        batch_vectors = list(threads.map(lambda text: text_encoder.encode_texts([text]), TEXTS))
    assert_same_directions(np.concatenate(batch_vectors), single_vectors, 0.99999)


@pytest.mark.parametrize("color", ["red", "green", "blue"])
def test_the_fake_encoder_matches_color_names(color: str) -> None:
    colors = {"red": (250, 10, 5), "green": (5, 240, 12), "blue": (9, 3, 251)}
    flat = [np.full((36, 64, 3), value, np.uint8) for value in colors.values()]
    fake = FakeEncoder()
    scores = fake.encode_images(np.stack(flat)) @ fake.encode_texts([f"a {color} wall"])[0]
    assert list(colors)[int(scores.argmax())] == color
