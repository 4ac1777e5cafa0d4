"""Images from one model, texts from another: which one is called, and errors on mismatch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.network_layers import normalize_rows
from vsearch.encoders.text_tower import TextTower, measure_agreement
from vsearch.errors import ModelError, NoTextError, SpaceMismatchError
from vsearch.protocols import Encoder
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Images, Matrix


class Words(FakeEncoder):
    """Another model of the fake's images, rotated by a matrix, that counts its calls."""

    def __init__(self, turn: Matrix | None = None, *, speaks: bool = True, dim: int = 16) -> None:
        super().__init__("words")
        self._space = Space("words", dim, supports_text=speaks)
        self.turn = np.eye(16, dtype=np.float32) if turn is None else turn
        self.encoded_texts: list[str] = []

    def encode_images(self, images: Images) -> Matrix:
        return super().encode_images(images) @ self.turn

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        self.encoded_texts += texts
        return super().encode_texts(texts) @ self.turn


class Blind(Words):
    """Model that encodes texts only."""

    def encode_images(self, images: Images) -> Matrix:
        raise ModelError("no pictures")


def turned() -> Matrix:
    """Return a rotation: it keeps similarities between images but not their vectors."""
    drawn = np.random.default_rng(0).normal(size=(16, 16))
    turn: Matrix = np.linalg.qr(drawn)[0].astype(np.float32)
    return turn


def red() -> Images:
    return np.full((1, 40, 60, 3), (255, 0, 0), np.uint8)


def test_texts_and_images_come_from_different_models() -> None:
    pictures, words = FakeEncoder(), Words()
    tower = TextTower(pictures, "words", lambda: words)
    assert isinstance(tower, Encoder)
    assert (tower.space, tower.image_size) == (pictures.space, pictures.image_size)
    np.testing.assert_array_equal(tower.encode_images(red()), pictures.encode_images(red()))
    np.testing.assert_array_equal(tower.encode_texts(["red"]), words.encode_texts(["red"]))
    assert words.encoded_texts == ["red", "red"]


def test_images_do_not_load_the_text_model_and_texts_load_it_once() -> None:
    loaded: list[Words] = []

    def load() -> Words:
        loaded.append(Words())
        return loaded[-1]

    tower = TextTower(FakeEncoder(), "words", load)
    tower.encode_images(red())
    assert loaded == []
    tower.encode_texts(["red"])
    tower.encode_texts(["green"])
    assert len(loaded) == 1


def test_another_dimension_is_rejected_with_both_names() -> None:
    tower = TextTower(FakeEncoder(), "fake:long", lambda: Words(dim=24))
    with pytest.raises(SpaceMismatchError, match=r"fake:long.* 24 .*fake have 16.*--text-model"):
        tower.encode_texts(["red"])


def test_an_image_only_text_model_is_rejected() -> None:
    tower = TextTower(FakeEncoder(), "cnn:resnet50", lambda: Words(speaks=False))
    with pytest.raises(NoTextError, match="cnn:resnet50 encodes images only"):
        tower.encode_texts(["red"])


def test_an_image_only_model_gets_a_text_tower() -> None:
    mute = Words(speaks=False)
    tower = TextTower(mute, "fake", FakeEncoder)
    assert tower.space == Space(mute.space.name, 16, supports_text=True)
    assert tower.encode_texts(["red"]).shape == (1, 16)


@pytest.mark.parametrize(("words", "warns"), [(Words(), False), (Words(turned()), True)])
def test_disagreeing_image_spaces_warn_but_work(
    words: Words, warns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = TextTower(FakeEncoder(), "fake:turned", lambda: words).encode_texts(["red"])
    assert found.shape == (1, 16)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warns
    assert ("fake:turned" in caplog.text) is warns


def test_two_models_are_compared_once_per_machine(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        pictures = FakeEncoder()
        TextTower(pictures, "fake:turned", lambda: Words(turned())).encode_texts(["red"])
    assert pictures.encoded_count == 0, "the second time it is known"
    assert len(caplog.records) == 2, "and it warns again"


def test_a_text_only_model_is_not_compared(caplog: pytest.LogCaptureFixture) -> None:
    assert measure_agreement(FakeEncoder(), Blind()) is None
    TextTower(FakeEncoder(), "blind", Blind).encode_texts(["red"])
    assert caplog.text == ""


def test_the_embedded_model_agrees_with_clip_on_images() -> None:
    """Centered or not, exact or rounded, but not when rotated."""
    embedded = BuiltinEncoder()
    centre = np.load(embedded._weights_folder / "centre.npy")

    class Clip(BuiltinEncoder):
        """CLIP's own features, recovered from the centered ones: x = c + r s with |x| = 1."""

        turn: Matrix | None = None

        def encode_images(self, images: Images) -> Matrix:
            stored = super().encode_images(images)
            along = stored @ centre
            length = -along + np.sqrt(along**2 + 1 - centre @ centre)
            found = centre + length[:, None] * stored
            found += np.random.default_rng(1).normal(0, 0.01, found.shape)
            return normalize_rows(found if self.turn is None else found @ self.turn)

    clip = Clip()
    assert measure_agreement(embedded, clip) > 0.7  # type: ignore[operator]
    clip.turn = np.linalg.qr(np.random.default_rng(0).normal(size=(512, 512)))[0]
    assert abs(measure_agreement(embedded, clip)) < 0.2  # type: ignore[arg-type]
