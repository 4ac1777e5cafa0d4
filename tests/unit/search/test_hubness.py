"""Tests of hubness correction (QB-Norm)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.support.fakes import FakeEncoder
from vsearch.search.hubness import HUBNESS_WEIGHT, INVERSE_TEMPERATURE, Querybank

if TYPE_CHECKING:
    from vsearch.types import Matrix


def unit(*rows: list[float]) -> Matrix:
    matrix = np.array(rows, np.float32)
    scaled: Matrix = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    return scaled


def test_a_hub_has_a_higher_penalty_than_a_specific_match() -> None:
    bank = unit([1, 0, 0], [0, 1, 0], [0, 0, 1])
    hub, special = Querybank(bank).hubness_penalty(unit([1, 1, 1], [1, -1, -1]))
    assert hub > special


def test_hubness_is_the_log_mean_exp_of_bank_similarities() -> None:
    random = np.random.default_rng(0)
    bank, vectors = unit(*random.normal(size=(5, 8))), unit(*random.normal(size=(2_500, 8)))
    scores = vectors.astype(np.float64) @ bank.T
    expected = (
        HUBNESS_WEIGHT
        * np.log(np.exp(INVERSE_TEMPERATURE * scores).mean(axis=1))
        / INVERSE_TEMPERATURE
    )
    np.testing.assert_allclose(Querybank(bank).hubness_penalty(vectors), expected, atol=1e-5)


def test_an_empty_bank_gives_zero_penalties() -> None:
    assert not Querybank.create_empty(3).hubness_penalty(unit([1, 2, 3])).any()


def test_no_vectors_have_no_penalties() -> None:
    assert Querybank(unit([1, 0])).hubness_penalty(np.empty((0, 2), np.float32)).shape == (0,)


def test_an_encoder_without_a_bank_has_an_empty_one() -> None:
    encoder = FakeEncoder()
    vectors = encoder.encode_texts(["red", "green"])
    assert not Querybank.from_encoder(encoder).hubness_penalty(vectors).any()
