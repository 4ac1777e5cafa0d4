"""A query is read in the ways it may have been meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsearch.encoders.builtin import BuiltinEncoder
from vsearch.encoders.wording import LONGEST, WORDS, corrected, readings

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


def test_a_phrase_is_read_as_it_is() -> None:
    phrase = "the dog jumps the pool the beach"
    assert readings(phrase, rank) == [phrase]


def test_a_few_words_are_also_a_photo_and_a_video() -> None:
    assert readings("dog beach", rank) == [
        "dog beach",
        "a photo of dog beach",
        "a video of dog beach",
    ]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("dgo", "dog"),  # swapped
        ("storj", "story"),  # mistaken: the commoner of story and stork
        ("beeach", "beach"),  # doubled
        ("bech", "beach"),  # left out; beach is commoner than bench
        ("The BEAHC!", "The beach!"),
        ("dogg", "dog"),  # typed twice is likelier than anything else
        ("buldog", "bulldog"),  # known in the plural only
        ("jumping dances", "jumping dances"),  # forms of what is known
        ("dgg", "dgg"),  # three letters could be anything
        ("xylophones", "xylophones"),  # nothing is near
    ],
)
def test_a_slip_of_the_finger_is_mended(typed: str, meant: str) -> None:
    assert corrected(typed, rank) == meant


def test_the_words_as_typed_are_read_too() -> None:
    assert readings("the the the beahc", rank) == ["the the the beahc", "the the the beach"]


def test_a_hostile_query_is_looked_up_within_bounds() -> None:
    asked: list[str] = []

    def counting(word: str) -> None:
        asked.append(word)

    corrected("zzzzzzzz " * 10_000 + "z" * 100_000, counting)
    a_word = 60 * (LONGEST + 1)  # edits at most
    assert len(set(asked)) <= WORDS * a_word


@given(st.text(max_size=200))
def test_any_query_has_itself_as_first_reading(query: str) -> None:
    assert readings(query, rank)[0] == query


def test_a_mistyped_query_stays_close_to_what_was_meant() -> None:
    encoder = BuiltinEncoder()
    meant, typed = encoder.encode_texts(["a monkey on the beach", "a mokney on the beach"])
    raw = encoder._mapped(["a mokney on the beach"])[0]
    assert meant @ typed > meant @ raw + 0.05


def test_a_text_means_the_same_whatever_stands_beside_it() -> None:
    encoder = BuiltinEncoder()
    together = encoder.encode_texts(["dog", "", "two people dancing in the rain"])
    np.testing.assert_allclose(together[:1], encoder.encode_texts(["dog"]), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
