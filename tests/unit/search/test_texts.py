"""Generic texts, as a model reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes import FakeEncoder
from vsearch.search.generic import TEXTS
from vsearch.search.texts import GenericTexts
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Matrix


class Reader(FakeEncoder):
    """Counts the texts that it reads; reads them its own way."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed, self.read = seed, 0

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        self.read += len(texts)
        found = np.random.default_rng(self.seed).normal(size=(len(TEXTS), 16))[
            [TEXTS.index(text) for text in texts]
        ]
        unit: Matrix = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
        return unit


class Banked(Reader):
    querybank = np.eye(16, dtype=np.float32)


def of(folder: Path, encoder: FakeEncoder) -> Matrix:
    found = GenericTexts(folder).of(encoder)
    assert found is not None
    return found


def test_a_model_with_a_querybank_reads_nothing(tmp_path: Path) -> None:
    encoder = Banked()
    assert of(tmp_path / "null", encoder) is Banked.querybank
    assert encoder.read == 0
    assert not (tmp_path / "null").exists()


def test_what_was_read_is_kept_for_the_next_time(tmp_path: Path) -> None:
    first, second = Reader(), Reader()
    texts = GenericTexts(tmp_path)
    found = texts.of(first)
    assert texts.of(first) is found
    assert first.read == len(TEXTS)
    np.testing.assert_array_equal(of(tmp_path, second), found)
    assert second.read == 1, "one tells that it is the same model"


def test_another_model_of_the_words_reads_for_itself(tmp_path: Path) -> None:
    of(tmp_path, Reader(seed=1))
    other = Reader(seed=2)
    np.testing.assert_array_equal(of(tmp_path, other), Reader(seed=2).encode_texts(TEXTS))
    assert other.read == len(TEXTS)


@pytest.mark.parametrize("damage", ["junk", "empty", "long", "folder", "shape", "numbers"])
def test_what_is_damaged_is_made_anew(tmp_path: Path, damage: str) -> None:
    truth = of(tmp_path, Reader())
    [path] = tmp_path.iterdir()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    elif damage in ("shape", "numbers"):
        wrong = truth[:3] if damage == "shape" else truth * np.float32(np.nan)
        with path.open("wb") as file:
            np.savez(file, vectors=wrong)
    else:
        path.write_bytes({"junk": b"junk", "empty": b"", "long": b"\0" * 10**6}[damage])
    np.testing.assert_array_equal(of(tmp_path, Reader()), truth)
    if damage != "folder":
        again = Reader()
        of(tmp_path, again)
        assert again.read == 1


def test_a_folder_that_cannot_be_written_to_costs_the_keeping_only(tmp_path: Path) -> None:
    (tmp_path / "null").write_bytes(b"")  # a file where the folder should be
    assert of(tmp_path / "null", Reader()).shape == (len(TEXTS), 16)


def test_a_model_of_pictures_only_has_none(tmp_path: Path) -> None:
    encoder = Reader()
    encoder._space = Space("mute", 16, speaks_text=False)
    assert GenericTexts(tmp_path).of(encoder) is None
    assert encoder.read == 0
