"""Pictures by one model, words by another: who is asked, and what is said if they don't fit."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes import FakeEncoder
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.text_tower import TextTower, agreement
from vsearch.encoders.towers import unit
from vsearch.errors import ModelError, NoTextError, SpaceMismatchError
from vsearch.protocols import Encoder
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Images, Matrix


class Words(FakeEncoder):
    """Another model of the fake's pictures, turned by a matrix, that counts what it is asked."""

    def __init__(self, turn: Matrix | None = None, *, speaks: bool = True, dim: int = 16) -> None:
        super().__init__("words")
        self._space = Space("words", dim, speaks_text=speaks)
        self.turn = np.eye(16, dtype=np.float32) if turn is None else turn
        self.asked: list[str] = []

    def encode_images(self, images: Images) -> Matrix:
        return super().encode_images(images) @ self.turn

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        self.asked += texts
        return super().encode_texts(texts) @ self.turn


class Blind(Words):
    """Reads words and sees nothing."""

    def encode_images(self, images: Images) -> Matrix:
        raise ModelError("no pictures")


def turned() -> Matrix:
    """A rotation: similarities among pictures stay, their places do not."""
    drawn = np.random.default_rng(0).normal(size=(16, 16))
    turn: Matrix = np.linalg.qr(drawn)[0].astype(np.float32)
    return turn


def red() -> Images:
    return np.full((1, 40, 60, 3), (255, 0, 0), np.uint8)


def test_words_are_the_one_models_and_pictures_the_others() -> None:
    pictures, words = FakeEncoder(), Words()
    tower = TextTower(pictures, "words", lambda: words)
    assert isinstance(tower, Encoder)
    assert (tower.space, tower.image_size) == (pictures.space, pictures.image_size)
    np.testing.assert_array_equal(tower.encode_images(red()), pictures.encode_images(red()))
    np.testing.assert_array_equal(tower.encode_texts(["red"]), words.encode_texts(["red"]))
    assert words.asked == ["red", "red"]


def test_pictures_do_not_load_the_model_of_the_words_and_words_load_it_once() -> None:
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


def test_vectors_of_another_length_are_refused_and_both_are_named() -> None:
    tower = TextTower(FakeEncoder(), "fake:long", lambda: Words(dim=24))
    with pytest.raises(SpaceMismatchError, match=r"fake:long.* 24 .*fake have 16.*--text-model"):
        tower.encode_texts(["red"])


def test_a_model_without_words_is_refused() -> None:
    tower = TextTower(FakeEncoder(), "cnn:resnet50", lambda: Words(speaks=False))
    with pytest.raises(NoTextError, match="cnn:resnet50 understands pictures only"):
        tower.encode_texts(["red"])


def test_a_model_of_pictures_learns_to_read() -> None:
    mute = Words(speaks=False)
    tower = TextTower(mute, "fake", FakeEncoder)
    assert tower.space == Space(mute.space.name, 16, speaks_text=True)
    assert tower.encode_texts(["red"]).shape == (1, 16)


@pytest.mark.parametrize(("words", "told"), [(Words(), False), (Words(turned()), True)])
def test_pictures_that_do_not_agree_are_told_and_not_refused(
    words: Words, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        found = TextTower(FakeEncoder(), "fake:turned", lambda: words).encode_texts(["red"])
    assert found.shape == (1, 16)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * told
    assert ("fake:turned" in caplog.text) is told


def test_two_models_are_compared_once_on_a_machine(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        pictures = FakeEncoder()
        TextTower(pictures, "fake:turned", lambda: Words(turned())).encode_texts(["red"])
    assert pictures.seen == 0, "the second time it is known"
    assert len(caplog.records) == 2, "and still told"


def test_a_model_that_sees_nothing_is_taken_at_its_word(caplog: pytest.LogCaptureFixture) -> None:
    assert agreement(FakeEncoder(), Blind()) is None
    TextTower(FakeEncoder(), "blind", Blind).encode_texts(["red"])
    assert caplog.text == ""


def test_the_embedded_models_pictures_agree_with_those_of_clip_itself() -> None:
    """Centred or not, exact or rounded; turned they do not."""
    embedded = BuiltinEncoder()
    centre = np.load(embedded._weights / "centre.npy")

    class Clip(BuiltinEncoder):
        """CLIP's own features, got back from the centred ones: x = c + r s with |x| = 1."""

        turn: Matrix | None = None

        def encode_images(self, images: Images) -> Matrix:
            stored = super().encode_images(images)
            along = stored @ centre
            length = -along + np.sqrt(along**2 + 1 - centre @ centre)
            found = centre + length[:, None] * stored
            found += np.random.default_rng(1).normal(0, 0.01, found.shape)
            return unit(found if self.turn is None else found @ self.turn)

    clip = Clip()
    assert agreement(embedded, clip) > 0.7  # type: ignore[operator]
    clip.turn = np.linalg.qr(np.random.default_rng(0).normal(size=(512, 512)))[0]
    assert abs(agreement(embedded, clip)) < 0.2  # type: ignore[arg-type]
