from __future__ import annotations

import pytest

from vsearch.evaluation.typed_perturbation import (
    PERSON_NOUNS,
    SHORT_FORMS,
    TYPED_PERTURBATIONS,
    exclude_nouns,
    list_words,
)

CAPTIONS = [
    "A fluffy white dog sitting on a bench.",
    "Two men are playing chess",
    "Children kick a red ball in the park.",
    "A black cat",
    "Iron Man at night",
    "日本語",
    "123",
    "...",
]


@pytest.mark.parametrize("perturbation", TYPED_PERTURBATIONS)
def test_rewriting_is_deterministic_and_never_blank(perturbation: str) -> None:
    variants = TYPED_PERTURBATIONS[perturbation](CAPTIONS)
    assert variants == TYPED_PERTURBATIONS[perturbation](CAPTIONS)
    assert {len(variant) for variant in variants} == {len(CAPTIONS)}
    assert all(query.strip() for variant in variants for query in variant)


@pytest.mark.parametrize(
    ("perturbation", "expected"),
    [
        ("noun phrase", ["fluffy white dog"]),
        ("1–3 words", ["dog", "dog bench", "fluffy dog bench"]),
        (
            "punctuation",
            [
                "A fluffy white dog sitting on a bench!",
                "A fluffy white dog sitting on a bench?",
                "/A fluffy white dog sitting on a bench",
                "A fluffy white dog sitting on a bench...",
                "A FLUFFY WHITE DOG SITTING ON A BENCH",
            ],
        ),
        (
            "polite",
            [
                "show me a fluffy white dog sitting on a bench",
                "find videos of a fluffy white dog sitting on a bench",
                "please find a fluffy white dog sitting on a bench",
                "clips where a fluffy white dog sitting on a bench",
            ],
        ),
    ],
)
def test_captions_are_rewritten_as_people_type(perturbation: str, expected: list[str]) -> None:
    variants = TYPED_PERTURBATIONS[perturbation](CAPTIONS)
    assert [variant[0] for variant in variants] == expected


def test_a_sentence_becomes_a_clause_or_a_phrase() -> None:
    show, *_, where = (variant[1] for variant in TYPED_PERTURBATIONS["polite"](CAPTIONS))
    assert show == "show me two men playing chess"
    assert where == "clips where two men are playing chess"


def test_a_negation_excludes_what_only_another_caption_names() -> None:
    captions = ["A dog on a bench.", "Dogs and a man near benches", "a tram"]
    variants = exclude_nouns(captions)
    assert [variant[0] for variant in variants] == [
        "a dog on a bench, not tram",
        "a dog on a bench, no tram",
        "a dog on a bench without tram",
    ]
    assert variants[2][1] == "dogs and a man near benches without tram"
    assert {variant[2].split()[-1] for variant in variants} <= {"dog", "bench"}  # never a person
    assert "man" in PERSON_NOUNS


def test_a_caption_is_unchanged_if_there_is_nothing_to_exclude() -> None:
    assert exclude_nouns(["a dog", "Dogs"]) == [["a dog", "Dogs"]] * 3


def test_words_are_compared_in_lower_case_and_singular() -> None:
    assert list_words("Dogs, and a red-haired Woman") == {"dog", "and", "a", "red-haired", "woman"}
    assert set(SHORT_FORMS) <= TYPED_PERTURBATIONS.keys()
