"""What fits every query is pushed back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fakes import FakeEncoder
from vsearch.search.querybank import SHARPNESS, STRENGTH, Querybank

if TYPE_CHECKING:
    from vsearch.types import Matrix


def unit(*rows: list[float]) -> Matrix:
    matrix = np.array(rows, np.float32)
    scaled: Matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return scaled


def test_a_hub_loses_more_than_what_fits_one_query_only() -> None:
    bank = unit([1, 0, 0], [0, 1, 0], [0, 0, 1])
    hub, special = Querybank(bank).excess(unit([1, 1, 1], [1, -1, -1]))
    assert hub > special


def test_the_excess_is_the_log_mean_exponential_of_the_banks_scores() -> None:
    random = np.random.default_rng(0)
    bank, vectors = unit(*random.normal(size=(5, 8))), unit(*random.normal(size=(2_500, 8)))
    scores = vectors.astype(np.float64) @ bank.T
    expected = STRENGTH * np.log(np.exp(SHARPNESS * scores).mean(axis=1)) / SHARPNESS
    np.testing.assert_allclose(Querybank(bank).excess(vectors), expected, atol=1e-5)


def test_an_empty_bank_takes_nothing_off() -> None:
    assert not Querybank.empty(3).excess(unit([1, 2, 3])).any()


def test_no_vectors_have_no_excess() -> None:
    assert Querybank(unit([1, 0])).excess(np.empty((0, 2), np.float32)).shape == (0,)


def test_an_encoder_without_a_bank_has_an_empty_one() -> None:
    encoder = FakeEncoder()
    vectors = encoder.encode_texts(["red", "green"])
    assert not Querybank.of(encoder).excess(vectors).any()
