"""A query is encoded in several variants."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.query_variants import (
    MAX_CORRECTED_WORDS,
    MAX_WORD_LETTERS,
    correct_spelling,
    prompt_variants,
)

COMMON = [
    "the",
    "dog",
    "jump",
    "dance",
    "beach",
    "bench",
    "story",
    "stork",
    "pool",
    "a",
    "benches",
    "bulldogs",
]


def rank(word: str) -> int | None:
    return COMMON.index(word) if word in COMMON else None


def test_a_phrase_has_no_prompt_variants() -> None:
    phrase = "the dog jumps the pool the beach"
    assert prompt_variants(phrase, rank) == [phrase]


def test_few_words_are_also_prompted_as_photo_and_video() -> None:
    assert prompt_variants("dog beach", rank) == [
        "dog beach",
        "a photo of dog beach",
        "a video of dog beach",
    ]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dgo", "dog"),  # swapped
        ("storj", "story"),  # replaced: story is more frequent than stork
        ("beeach", "beach"),  # doubled
        ("bech", "beach"),  # missing; beach is more frequent than bench
        ("The BEAHC!", "The beach!"),
        ("dogg", "dog"),  # typed twice is likelier than anything else
        ("buldog", "bulldog"),  # only the plural is known
        ("jumping dances", "jumping dances"),  # inflected forms of known words
        ("dgg", "dgg"),  # three letters are too ambiguous
        ("xylophones", "xylophones"),  # no known word is close
    ],
)
def test_typing_errors_are_corrected(typed: str, meant: str) -> None:
    assert correct_spelling(typed, rank) == meant


def test_the_query_as_typed_is_kept() -> None:
    assert prompt_variants("the the the beahc", rank) == ["the the the beahc", "the the the beach"]


def test_a_hostile_query_causes_bounded_lookups() -> None:
    looked_up: list[str] = []

    def counting(word: str) -> None:
        looked_up.append(word)

    correct_spelling("zzzzzzzz " * 10_000 + "z" * 100_000, counting)
    a_word = 60 * (MAX_WORD_LETTERS + 1)  # edits at most
    assert len(set(looked_up)) <= MAX_CORRECTED_WORDS * a_word


@given(st.text(max_size=200))
def test_the_first_variant_is_the_query_itself(query: str) -> None:
    assert prompt_variants(query, rank)[0] == query


def test_a_mistyped_query_stays_close_to_the_intended_one(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = BuiltinEncoder()
    meant, typed = encoder.encode_texts(["a monkey on the beach", "a mokney on the beach"])
    for module in ("builtin", "query_variants"):
        monkeypatch.setattr(f"vsearch.encoders.{module}.correct_spelling", lambda text, _: text)
    raw = encoder.encode_texts(["a mokney on the beach"])[0]
    assert meant @ typed > meant @ raw + 0.05


def test_a_text_vector_does_not_depend_on_its_batch() -> None:
    encoder = BuiltinEncoder()
    together = encoder.encode_texts(["dog", "", "two people dancing in the rain"])
    np.testing.assert_allclose(together[:1], encoder.encode_texts(["dog"]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
