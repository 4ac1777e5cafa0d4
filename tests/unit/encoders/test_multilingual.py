"""The text tower for other languages than English, and its tokenizer."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tools.build_encoder.languages import compute_log_probability
from tools.build_encoder.multilingual import compress_matrix, iter_pieces
from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.bundled_weights import WEIGHTS_FOLDER
from vsearch.encoders.multilingual import (
    MultilingualTower,
    concatenate_ngrams,
    pack_embeddings,
    unpack_embeddings,
)
from vsearch.encoders.unigram_tokenizer import UnigramTokenizer, hash_substrings, normalize_text

if TYPE_CHECKING:
    from vsearch.types import Matrix

DOGS = ["ein Hund am Strand", "un chien sur la plage", "un perro en la playa", "沙滩上的狗"]
CARS = ["ein rotes Auto", "une voiture rouge", "un coche rojo", "红色汽车"]


def make_tokenizer(scores: dict[str, float]) -> UnigramTokenizer:
    hashes = np.array([hash_substrings(piece, len(piece))[-1][0] for piece in scores], np.uint64)
    order = np.argsort(hashes)
    values = np.array(list(scores.values()), np.float32)
    return UnigramTokenizer(hashes[order], values[order], max(map(len, scores)))


@pytest.fixture(scope="module")
def tower() -> MultilingualTower:
    return MultilingualTower(WEIGHTS_FOLDER)


def test_texts_of_the_same_meaning_are_close_in_all_languages() -> None:
    encoder = BuiltinEncoder()
    english = encoder.encode_texts(["a dog on the beach", "a red car"])
    for dog, car in zip(DOGS, CARS, strict=True):
        similarities = encoder.encode_texts([dog, car]) @ english.T
        assert (similarities.diagonal() > similarities[::-1].diagonal() + 0.2).all()


def test_vectors_have_unit_length_whatever_the_text(tower: MultilingualTower) -> None:
    vectors = tower(["", " ", "x", "ein Hund", "犬" * 5_000, "\x00", "\ud800", "👨‍👩‍👧"])
    assert vectors.shape == (8, 512)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert tower([]).shape == (0, 512)


def test_a_text_has_the_same_vector_alone_and_in_company(tower: MultilingualTower) -> None:
    assert np.allclose(tower(DOGS)[1:2], tower(DOGS[1:2]), atol=1e-6)


def test_the_most_probable_pieces_are_chosen() -> None:
    tokenizer = make_tokenizer({"▁a": -1, "▁ab": -2, "c": -3, "bc": -1.5, "▁abc": -9})
    lengths = {
        text: [round(tokenizer.score_piece(piece), 1) for piece in tokenizer(text)]
        for text in ("abc", "ab", "ac")
    }
    assert lengths == {"abc": [-1, -1.5], "ab": [-2], "ac": [-1, -3]}


def test_unknown_characters_are_single_pieces() -> None:
    tokenizer = make_tokenizer({"▁a": -1, "b": -2})
    assert tokenizer("") == [None]
    assert tokenizer("axyb").count(None) == 2


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("  a  b\t", "▁a▁b"),
        ("Ａｂｃ①", "▁Abc1"),
        ("a\u200bb", "▁a▁b"),
        ("e\u0301", "▁é"),
        (" ", ""),
    ],
)
def test_text_is_normalized_as_in_sentencepiece(text: str, normalized: str) -> None:
    assert normalize_text(text) == normalized


def test_four_bits_keep_the_direction_of_an_embedding() -> None:
    scales = np.geomspace(0.01, 10, 50)[:, None]
    embeddings = (np.random.default_rng(0).standard_normal((50, 512)) * scales).astype(np.float32)
    embeddings[7] = 0
    unpacked = unpack_embeddings(pack_embeddings(embeddings))
    assert pack_embeddings(embeddings).shape == (50, 258)
    assert not unpacked[7].any()
    assert cosines(np.delete(embeddings, 7, 0), np.delete(unpacked, 7, 0)).min() > 0.99


def cosines(first: Matrix, second: Matrix) -> Matrix:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    result: Matrix = (first * second).sum(axis=1) / norms
    return result


def test_ngrams_have_zeros_outside_the_sentence() -> None:
    vectors, lengths = np.array([[1], [2], [3], [7]], np.float32), np.array([3, 1])
    assert concatenate_ngrams(vectors, 2, lengths).tolist() == [[1, 2], [2, 3], [3, 0], [7, 0]]
    trigrams = [[0, 1, 2], [1, 2, 3], [2, 3, 0], [0, 7, 0]]
    assert concatenate_ngrams(vectors, 3, lengths).tolist() == trigrams


def test_a_matrix_of_256_values_is_compressed_without_loss() -> None:
    codes = np.arange(256).reshape(16, 16)
    matrix = (codes * 0.013 - 1.7).astype(np.float32)
    compressed = compress_matrix("d0", matrix)
    minimum, step = compressed["d0_range"].tolist()
    assert np.allclose(compressed["d0"] * step + minimum, matrix, atol=1e-4)
    with pytest.raises(ValueError, match="8 bits"):
        compress_matrix("d0", np.random.default_rng(0).standard_normal((40, 40), np.float32))


def test_pieces_are_read_from_a_sentencepiece_model() -> None:
    piece = b"\x0a\x04\xe2\x96\x81a" + b"\x15" + struct.pack("<f", -1.5) + b"\x18\x01"
    model = b"\x0a" + bytes([len(piece)]) + piece + b"\x12\x02\x08\x01"
    assert list(iter_pieces(model)) == [("▁a", -1.5)]


def test_letters_unseen_after_others_back_off_to_fewer_letters() -> None:
    counts = {"a": 6, "b": 2, "ab": 2, "aa": 2, "aab": 1}
    assert compute_log_probability("aab", counts) == pytest.approx(np.log(1 / 2))
    assert compute_log_probability("bab", counts) == pytest.approx(np.log(0.3 * 2 / 6))
    assert compute_log_probability("zzz", counts) == -9
