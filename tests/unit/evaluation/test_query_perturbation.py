from __future__ import annotations

import pytest

from vsearch.evaluation.english_rewriting import AMERICAN_BY_BRITISH, swap_spelling
from vsearch.evaluation.query_perturbation import (
    PERTURBATIONS,
    QUESTION_TEMPLATES,
    TYPO_SEEDS,
    VERBOSE_TEMPLATES,
    insert_typo,
)

CAPTIONS = (
    "A dog is running on the beach.",
    "Two children play with a grey ball in the snow",
    "Cars parked beside a theatre, seen from above.",
    "Iron Man flies over the city!",
    "someone opens the fridge",
    "dog",
    "Ein Hund läuft – schnell…",
    "犬が走っている",
    "42 {} %s {it}",
)


@pytest.mark.parametrize("perturbation", PERTURBATIONS)
@pytest.mark.parametrize("caption", CAPTIONS)
def test_perturbations_are_deterministic_and_never_empty(perturbation: str, caption: str) -> None:
    perturbed = PERTURBATIONS[perturbation](caption, 3)
    assert perturbed.strip()
    assert perturbed == PERTURBATIONS[perturbation](caption, 3)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog is running on the beach.", "dog running beach"),
        ("a close-up of two cats that sleep on a sofa", "cats sleep sofa"),
        ("A fluffy white and brown dog sitting indoors in a big house", "fluffy dog house"),
        ("of the", "of the"),
    ],
)
def test_keywords_are_at_most_three_content_words(caption: str, expected: str) -> None:
    assert PERTURBATIONS["keywords"](caption, 0) == expected


def test_question_templates_alternate() -> None:
    questions = [
        PERTURBATIONS["question"]("A dog is running on the beach.", n)
        for n in range(len(QUESTION_TEMPLATES))
    ]
    assert questions[:3] == [
        "where is a dog running on the beach?",
        "is there a dog running on the beach?",
        "which video shows a dog running on the beach?",
    ]
    assert len(set(questions)) == len(questions)
    assert PERTURBATIONS["question"]("Cats sleep.", 0) == "where are cats sleep?"
    assert PERTURBATIONS["question"]("A man rides a horse", 0) == "where is a man riding a horse?"
    assert PERTURBATIONS["question"]("Iron Man at night", 1) == "is there Iron Man at night?"


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A dog is running on the beach.", "Dogs are running on the beaches."),
        ("Two dogs run along a river", "A dog runs along rivers"),
        ("a black and white cat on an old chair", "black and white cats on old chairs"),
        ("Several children have toys", "A child has a toy"),
        ("a man riding in a moving car", "men riding in moving cars"),
        ("apples on a table", "an apple on tables"),
        ("People in the snow", "A person in the snow"),
        ("this woman and her knife", "these women and her knives"),
        ("sheep eating grass", "sheep eating grass"),
    ],
)
def test_singular_and_plural_are_inverted(caption: str, expected: str) -> None:
    assert PERTURBATIONS["number"](caption, 0) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A gray tire", "A grey tire"),  # but not the other way: `tire` is also a British verb
        ("A GREY car, a Theatre", "A GRAY car, a Theater"),
        ("a grey-haired traveller", "a gray-haired traveler"),
        ("colorful pajamas", "colourful pyjamas"),
        ("organising a catalogue", "organizing a catalog"),
        ("a story about a meter", "a story about a meter"),
        ("a dog", "a dog"),
    ],
)
def test_british_and_american_spellings_are_swapped(caption: str, expected: str) -> None:
    assert swap_spelling(caption) == expected


def test_no_word_is_both_british_and_american() -> None:
    assert len(AMERICAN_BY_BRITISH) > 500
    assert not AMERICAN_BY_BRITISH.keys() & set(AMERICAN_BY_BRITISH.values())


def test_a_typo_changes_one_letter_of_one_content_word() -> None:
    caption = "A dog is running on the beach."
    typos = [insert_typo(caption, seed) for seed in range(40)]
    assert len(set(typos)) > 10
    for typo in typos:
        changed = [(a, b) for a, b in zip(caption.split(), typo.split(), strict=True) if a != b]
        assert len(changed) <= 1  # two equal letters swapped change nothing
        for before, after in changed:
            assert before in ("running", "beach.")
            assert abs(len(before) - len(after)) <= 1
            assert after[0] == before[0]
    assert len({insert_typo(caption, seed) for seed in range(TYPO_SEEDS)}) > 1


def test_verbose_queries_have_about_thirty_words() -> None:
    caption = "A dog is running on the beach."
    perturbed = [PERTURBATIONS["long"](caption, number) for number in range(len(VERBOSE_TEMPLATES))]
    assert all("a dog running on the beach" in text for text in perturbed)
    assert all(25 <= len(text.split()) <= 35 for text in perturbed)
