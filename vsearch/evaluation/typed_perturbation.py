"""Deterministic rewriting of captions as people type queries: short, emphatic, polite, negated."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

from vsearch.evaluation.english_rewriting import (
    WORD_PATTERN,
    find_head_nouns,
    is_plural,
    singularize_noun,
    split_words,
)
from vsearch.evaluation.query_perturbation import (
    DETERMINERS,
    embed_sentence,
    extract_phrase,
    find_phrase_start,
    pick_keywords,
    strip_final_marks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    CaptionVariants: TypeAlias = list[list[str]]  # T variants of each of Q captions
    TypedRewrite: TypeAlias = Callable[[Sequence[str]], CaptionVariants]

PUNCTUATION_TEMPLATES = ("{it}!", "{it}?", "/{it}", "{it}...")
POLITE_TEMPLATES = ("show me {it}", "find videos of {it}", "please find {it}")
CLAUSE_TEMPLATE = "clips where {it}"
NEGATION_TEMPLATES = ("{it}, not {noun}", "{it}, no {noun}", "{it} without {noun}")
MAX_KEYWORDS = 3
# Never excluded: a caption that names a teacher shows a person, too.
PERSON_NOUNS = split_words("person people man woman child boy girl kid guy lady adult human")


def extract_noun_phrases(captions: Sequence[str]) -> CaptionVariants:
    """Reduce each caption to its longest noun phrase, without an article.

    Args:
        captions: The captions.

    Returns:
        One variant; a caption without a noun is unchanged.
    """
    return [[_find_longest_phrase(caption) for caption in captions]]


def shorten_captions(captions: Sequence[str]) -> CaptionVariants:
    """Reduce each caption to one, two and three keywords, preferably nouns.

    Args:
        captions: The captions.

    Returns:
        MAX_KEYWORDS variants.
    """
    return [
        [pick_keywords(caption, keyword_count) for caption in captions]
        for keyword_count in range(1, MAX_KEYWORDS + 1)
    ]


def punctuate_captions(captions: Sequence[str]) -> CaptionVariants:
    """Add an exclamation mark, question mark, slash or dots, or write everything in capitals.

    Args:
        captions: The captions.

    Returns:
        One variant per way.
    """
    stems = list(map(strip_final_marks, captions))
    marked_variants = [
        [template.format(it=stem) for stem in stems] for template in PUNCTUATION_TEMPLATES
    ]
    return [*marked_variants, [stem.upper() for stem in stems]]


def phrase_politely(captions: Sequence[str]) -> CaptionVariants:
    """Ask for each caption as a person would ask somebody.

    Args:
        captions: The captions.

    Returns:
        One variant per template.
    """
    phrases = [extract_phrase(caption) for caption in captions]
    requests = [[template.format(it=phrase) for phrase in phrases] for template in POLITE_TEMPLATES]
    return [*requests, [CLAUSE_TEMPLATE.format(it=embed_sentence(each)) for each in captions]]


def exclude_nouns(captions: Sequence[str]) -> CaptionVariants:
    """Exclude from each caption a thing that another caption names and this one does not.

    Args:
        captions: The captions.

    Returns:
        One variant per template; a caption is unchanged if there is no such noun.
    """
    nouns = {  # in their singular form: as in the first caption that names them
        normalize_word(noun[0]): noun[0].lower()
        for caption in reversed(captions)
        for noun in find_head_nouns(caption)
        if normalize_word(noun[0]) not in PERSON_NOUNS
    }
    free_nouns = [sorted(nouns.keys() - list_words(caption)) for caption in captions]
    return [
        [
            _exclude_noun(template, caption, caption_nouns, nouns)
            for caption, caption_nouns in zip(captions, free_nouns, strict=True)
        ]
        for template in NEGATION_TEMPLATES
    ]


def _exclude_noun(
    template: str, caption: str, free_nouns: Sequence[str], nouns: Mapping[str, str]
) -> str:
    """Exclude one of the nouns from a caption; return it unchanged if there are none."""
    if not free_nouns:
        return caption
    rng = random.Random(f"{template} {caption}")  # noqa: S311 - not security relevant
    return template.format(it=embed_sentence(caption), noun=nouns[rng.choice(free_nouns)])


TYPED_PERTURBATIONS: dict[str, TypedRewrite] = {
    "noun phrase": extract_noun_phrases,
    "1–3 words": shorten_captions,
    "punctuation": punctuate_captions,
    "polite": phrase_politely,
    "negation": exclude_nouns,
}
SHORT_FORMS = ("noun phrase", "1–3 words")  # right for every caption that has all of their words


def list_words(text: str) -> set[str]:
    """Return the words of a text in the form of `normalize_word`.

    Args:
        text: A caption or query.
    """
    return {normalize_word(word[0]) for word in WORD_PATTERN.finditer(text)}


def normalize_word(word: str) -> str:
    """Return a word in lower case, and singular if it looks plural.

    Args:
        word: A word.
    """
    lowercase_word = word.lower()
    return singularize_noun(lowercase_word) if is_plural(lowercase_word) else lowercase_word


def _find_longest_phrase(caption: str) -> str:
    """Return the noun phrase of the most words, the first of several; the caption without one."""
    word_matches = list(WORD_PATTERN.finditer(caption))
    indices_by_span = {word.span(): index for index, word in enumerate(word_matches)}
    phrases: list[list[str]] = []
    for noun in find_head_nouns(caption):
        noun_index = indices_by_span[noun.span()]
        first_index = find_phrase_start(word_matches, noun_index, caption)
        words = [word[0].lower() for word in word_matches[first_index : noun_index + 1]]
        phrases.append(words[1:] if words[0] in DETERMINERS and len(words) > 1 else words)
    longest_phrase: list[str] = max(phrases, key=len, default=[])
    return " ".join(longest_phrase) or caption
