"""Probabilities of labels, from vectors alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fakes import FakeEncoder
from vsearch.analysis.classify import (
    TEMPLATES,
    ZeroShot,
    bank_of,
    of_whole,
    probabilities,
    read,
    sharpness,
)
from vsearch.analysis.labels import NONE, Label
from vsearch.analysis.tagging import likely
from vsearch.encoders.usual import USUAL
from vsearch.errors import NoTextError
from vsearch.types import Segment, Space, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Matrix

RANDOM = np.random.default_rng(0)


def unit(rows: Matrix) -> Matrix:
    scaled: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return scaled


BANK = unit(RANDOM.normal(size=(200, 16)).astype(np.float32))
DOG, CAT, OTHER = unit(RANDOM.normal(size=(3, 16)).astype(np.float32))


def segments(*seconds: float) -> list[Segment]:
    ends = np.cumsum([0, *seconds])
    pairs = pairwise(ends)
    return [Segment(i, 1, Span(float(a), float(b))) for i, (a, b) in enumerate(pairs)]


def test_probabilities_sum_to_one_and_name_what_is_shown() -> None:
    found = probabilities(np.stack([DOG, CAT, OTHER]), [DOG[None], CAT[None]], BANK, 10.0)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert found.argmax(axis=1).tolist() == [0, 1, 2]
    assert found.dtype == np.float32


def test_none_of_these_is_even_with_labels_that_say_no_more_than_the_bank() -> None:
    """What is a mixture of everything is as likely as everything: that is the prior, a half."""
    found = probabilities(OTHER[None], [BANK, BANK[::-1]], BANK, 10.0)
    np.testing.assert_allclose(found, [[0.25, 0.25, 0.5]], rtol=1e-4)


def test_a_further_label_takes_nothing_from_none_of_these_but_what_it_fits() -> None:
    far = unit(-OTHER[None])
    one = probabilities(OTHER[None], [DOG[None]], BANK, 10.0)
    two = probabilities(OTHER[None], [DOG[None], far], BANK, 10.0)
    assert two[0, -1] >= one[0, -1]


def test_a_label_is_any_of_its_phrases() -> None:
    found = probabilities(np.stack([DOG, CAT]), [np.stack([DOG, CAT]), OTHER[None]], BANK, 10.0)
    assert found.argmax(axis=1).tolist() == [0, 0]


def test_similarities_of_any_size_give_numbers() -> None:
    found = probabilities(100 * DOG[None], [DOG[None], CAT[None]], BANK, 1000.0)
    assert np.isfinite(found).all()
    assert found[0, 0] == pytest.approx(1)


def test_a_phrase_is_read_in_every_way_and_their_mean_counts() -> None:
    class Listening(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Matrix:
            self.heard = list(texts)
            return super().encode_texts(texts)

    encoder = Listening()
    rows = read([Label("dog"), Label("pet", ("a cat", "a red hamster"))], encoder)
    assert [row.shape for row in rows] == [(1, 16), (2, 16)]
    assert encoder.heard[: len(TEMPLATES)] == [way.format("dog") for way in TEMPLATES]
    assert len(encoder.heard) == 3 * len(TEMPLATES)
    mean = super(Listening, encoder).encode_texts([way.format("dog") for way in TEMPLATES])
    np.testing.assert_allclose(rows[0], unit(mean.mean(axis=0)[None]), rtol=1e-5)


def test_a_model_without_a_querybank_is_asked_what_is_usual() -> None:
    encoder = FakeEncoder()
    assert bank_of(encoder).shape == (len(USUAL), 16)
    encoder.querybank = BANK  # type: ignore[attr-defined]
    assert bank_of(encoder) is BANK


def test_the_sharpness_is_in_spreads_so_that_the_scale_of_a_model_does_not_count() -> None:
    """Similarities half as far apart, twice the sharpness: the same probabilities."""
    shown = unit(RANDOM.normal(size=(50, 16)).astype(np.float32))
    narrow = unit(np.concatenate([BANK, np.full((200, 1), 1.7, np.float32)], axis=1))
    wide = sharpness(shown, BANK)
    padded = np.concatenate([shown, np.zeros((50, 1), np.float32)], axis=1)
    scale = np.linalg.norm(np.array([1.0, 1.7]))
    assert sharpness(padded, narrow) == pytest.approx(wide * scale, rel=1e-3)
    assert np.isfinite(sharpness(shown[:0], BANK))


def test_a_model_of_pictures_alone_cannot_tell_what_a_label_means() -> None:
    encoder = FakeEncoder()
    encoder._space = Space("pictures", 16, speaks_text=False)
    with pytest.raises(NoTextError, match="train classifier"):
        ZeroShot.of([Label("dog")], encoder, BANK, "labels")


def test_the_last_outcome_is_none_of_these() -> None:
    made = ZeroShot.of([Label("red"), Label("blue")], FakeEncoder(), BANK, "colours")
    assert made.names == ("red", "blue", NONE)
    assert made.source == "zero-shot colours"


def test_a_video_shows_what_its_segments_do_by_how_long_they_are() -> None:
    chances = np.array([[1, 0], [0, 1]], np.float32)
    np.testing.assert_allclose(of_whole(chances, segments(3, 1)), [0.75, 0.25])
    np.testing.assert_allclose(of_whole(chances, segments(0, 0)), [0.5, 0.5])


def test_neighbours_that_are_likely_become_one_span() -> None:
    found = likely(segments(2, 4, 2, 2), np.array([0.6, 0.9, 0.1, 0.5], np.float32), 0.5)
    assert [span for span, _ in found] == [Span(0, 6), Span(8, 10)]
    assert [p for _, p in found] == pytest.approx([0.8, 0.5])
    assert likely(segments(2), np.array([0.4], np.float32), 0.5) == []
