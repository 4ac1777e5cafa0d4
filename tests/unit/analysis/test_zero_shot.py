"""Zero-shot label probabilities."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.support.fakes import FakeEncoder
from vsearch.analysis.labels import NO_LABEL, Label
from vsearch.analysis.tagging import merge_runs
from vsearch.analysis.zero_shot import (
    PROMPT_TEMPLATES,
    ZeroShotClassifier,
    compute_probabilities,
    compute_video_probabilities,
    encode_labels,
    encode_null_queries,
    fit_inverse_temperature,
)
from vsearch.encoders.generic_prompts import GENERIC_PROMPTS
from vsearch.errors import NoTextError
from vsearch.types import Segment, Space, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.types import Matrix

RANDOM = np.random.default_rng(0)


def normalize(rows: Matrix) -> Matrix:
    unit_rows: Matrix = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit_rows


BANK = normalize(RANDOM.normal(size=(200, 16)).astype(np.float32))
DOG, CAT, OTHER = normalize(RANDOM.normal(size=(3, 16)).astype(np.float32))


def segments(*seconds: float) -> list[Segment]:
    ends = np.cumsum([0, *seconds])
    pairs = pairwise(ends)
    return [Segment(i, 1, Span(float(a), float(b))) for i, (a, b) in enumerate(pairs)]


def test_probabilities_sum_to_one_and_the_right_label_wins() -> None:
    probabilities = compute_probabilities(
        np.stack([DOG, CAT, OTHER]), [DOG[None], CAT[None]], BANK, 10.0
    )
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 2]
    assert probabilities.dtype == np.float32


def test_labels_equal_to_the_bank_leave_the_prior_of_none() -> None:
    """A mixture of all texts is as likely as the prior, one half."""
    probabilities = compute_probabilities(OTHER[None], [BANK, BANK[::-1]], BANK, 10.0)
    np.testing.assert_allclose(probabilities, [[0.25, 0.25, 0.5]], rtol=1e-4)


def test_an_additional_label_only_takes_what_it_matches() -> None:
    opposite = normalize(-OTHER[None])
    one = compute_probabilities(OTHER[None], [DOG[None]], BANK, 10.0)
    two = compute_probabilities(OTHER[None], [DOG[None], opposite], BANK, 10.0)
    assert two[0, -1] >= one[0, -1]


def test_a_label_matches_any_of_its_phrases() -> None:
    probabilities = compute_probabilities(
        np.stack([DOG, CAT]), [np.stack([DOG, CAT]), OTHER[None]], BANK, 10.0
    )
    assert probabilities.argmax(axis=1).tolist() == [0, 0]


def test_probabilities_are_finite_for_any_similarity() -> None:
    probabilities = compute_probabilities(100 * DOG[None], [DOG[None], CAT[None]], BANK, 1000.0)
    assert np.isfinite(probabilities).all()
    assert probabilities[0, 0] == pytest.approx(1)


def test_a_phrase_is_averaged_over_prompt_templates() -> None:
    class RecordingEncoder(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Matrix:
            self.texts = list(texts)
            return super().encode_texts(texts)

    encoder = RecordingEncoder()
    rows = encode_labels([Label("dog"), Label("pet", ("a cat", "a red hamster"))], encoder)
    assert [row.shape for row in rows] == [(1, 16), (2, 16)]
    prompts = [template.format("dog") for template in PROMPT_TEMPLATES]
    assert encoder.texts[: len(prompts)] == prompts
    assert len(encoder.texts) == 3 * len(prompts)
    mean = FakeEncoder().encode_texts(prompts)
    np.testing.assert_allclose(rows[0], normalize(mean.mean(axis=0)[None]), rtol=1e-5)


def test_a_model_without_a_querybank_uses_generic_prompts() -> None:
    encoder = FakeEncoder()
    assert encode_null_queries(encoder).shape == (len(GENERIC_PROMPTS), 16)
    encoder.querybank = BANK  # type: ignore[attr-defined]
    assert encode_null_queries(encoder) is BANK


def test_the_inverse_temperature_adapts_to_the_spread_of_a_model() -> None:
    """Half the spread and twice the inverse temperature give equal probabilities."""
    vectors = normalize(RANDOM.normal(size=(50, 16)).astype(np.float32))
    narrow = normalize(np.concatenate([BANK, np.full((200, 1), 1.7, np.float32)], axis=1))
    wide = fit_inverse_temperature(vectors, BANK)
    padded = np.concatenate([vectors, np.zeros((50, 1), np.float32)], axis=1)
    scale = np.linalg.norm(np.array([1.0, 1.7]))
    assert fit_inverse_temperature(padded, narrow) == pytest.approx(wide * scale, rel=1e-3)
    assert np.isfinite(fit_inverse_temperature(vectors[:0], BANK))


def test_an_image_only_model_is_rejected() -> None:
    encoder = FakeEncoder()
    encoder._space = Space("pictures", 16, supports_text=False)
    with pytest.raises(NoTextError, match="train classifier"):
        ZeroShotClassifier.from_labels([Label("dog")], encoder, BANK, "labels")


def test_the_last_outcome_is_no_label() -> None:
    classifier = ZeroShotClassifier.from_labels(
        [Label("red"), Label("blue")], FakeEncoder(), BANK, "colors"
    )
    assert classifier.label_names == ("red", "blue", NO_LABEL)
    assert classifier.source == "zero-shot colors"


def test_video_probabilities_are_weighted_by_duration() -> None:
    probabilities = np.array([[1, 0], [0, 1]], np.float32)
    means = compute_video_probabilities(probabilities, segments(3, 1))
    np.testing.assert_allclose(means, [0.75, 0.25])
    means = compute_video_probabilities(probabilities, segments(0, 0))
    np.testing.assert_allclose(means, [0.5, 0.5])


def test_adjacent_likely_segments_are_merged() -> None:
    probabilities = np.array([0.6, 0.9, 0.1, 0.5], np.float32)
    runs = merge_runs(segments(2, 4, 2, 2), probabilities, 0.5)
    assert [span for span, _ in runs] == [Span(0, 6), Span(8, 10)]
    assert [probability for _, probability in runs] == pytest.approx([0.8, 0.5])
    assert merge_runs(segments(2), np.array([0.4], np.float32), 0.5) == []
