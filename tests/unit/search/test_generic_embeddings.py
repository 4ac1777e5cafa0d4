"""Tests of the cached embeddings of generic texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from vsearch.search.null_queries import FALLBACK_PROMPTS, GenericEmbeddings
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Matrix


class Reader(FakeEncoder):
    """An encoder that counts encoded texts and has its own embedding."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed, self.read = seed, 0

    def encode_texts(self, texts: Sequence[str]) -> Matrix:
        self.read += len(texts)
        found = np.random.default_rng(self.seed).normal(size=(len(FALLBACK_PROMPTS), 16))[
            [FALLBACK_PROMPTS.index(text) for text in texts]
        ]
        unit: Matrix = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
        return unit


class Banked(Reader):
    querybank = np.eye(16, dtype=np.float32)


def of(folder: Path, encoder: FakeEncoder) -> Matrix:
    found = GenericEmbeddings(folder).embeddings_for(encoder)
    assert found is not None
    return found


def test_an_encoder_with_a_querybank_encodes_nothing(tmp_path: Path) -> None:
    encoder = Banked()
    assert of(tmp_path / "generic_queries", encoder) is Banked.querybank
    assert encoder.read == 0
    assert not (tmp_path / "generic_queries").exists()


def test_embeddings_are_cached_on_disk(tmp_path: Path) -> None:
    first, second = Reader(), Reader()
    texts = GenericEmbeddings(tmp_path)
    found = texts.embeddings_for(first)
    assert texts.embeddings_for(first) is found
    assert first.read == len(FALLBACK_PROMPTS)
    np.testing.assert_array_equal(of(tmp_path, second), found)
    assert second.read == 1, "one text shows that it is the same model"


def test_embeddings_of_another_model_are_replaced(tmp_path: Path) -> None:
    of(tmp_path, Reader(seed=1))
    other = Reader(seed=2)
    np.testing.assert_array_equal(
        of(tmp_path, other), Reader(seed=2).encode_texts(FALLBACK_PROMPTS)
    )
    assert other.read == len(FALLBACK_PROMPTS)


@pytest.mark.parametrize("damage", ["junk", "empty", "long", "folder", "shape", "numbers"])
def test_a_damaged_cache_is_replaced(tmp_path: Path, damage: str) -> None:
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


def test_a_read_only_cache_folder_is_tolerated(tmp_path: Path) -> None:
    (tmp_path / "generic_queries").write_bytes(b"")  # a file where the folder should be
    assert of(tmp_path / "generic_queries", Reader()).shape == (len(FALLBACK_PROMPTS), 16)


def test_an_encoder_without_text_support_has_no_generic_embeddings(tmp_path: Path) -> None:
    encoder = Reader()
    encoder._space = Space("mute", 16, supports_text=False)
    assert GenericEmbeddings(tmp_path).embeddings_for(encoder) is None
    assert encoder.read == 0
