"""Derive what people would type for a caption: keywords, noun phrases and single nouns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.evaluation.english_rewriting import FUNCTION_WORDS, find_head_nouns
from vsearch.evaluation.query_perturbation import extract_keywords

if TYPE_CHECKING:
    import re

WORD_RANGE = 4, 40  # captions with fewer or more words have no short forms
MAX_NOUNS = 4
MAX_MODIFIERS = 3  # words before the noun in a noun phrase
MAX_FORMS = 6


def derive_short_forms(caption: str) -> list[str]:
    """Return up to `MAX_FORMS` distinct short forms, in lower case.

    Args:
        caption: An English caption.
    """
    if not WORD_RANGE[0] <= len(caption.split()) <= WORD_RANGE[1]:
        return []
    short_forms = [extract_keywords(caption, 0)]
    for noun in find_head_nouns(caption)[:MAX_NOUNS]:
        short_forms += [noun[0].lower(), _noun_phrase(caption, noun)]
    return [
        short_form
        for short_form in dict.fromkeys(short_forms)
        if short_form and short_form.lower() != caption.lower()
    ][:MAX_FORMS]


def _noun_phrase(caption: str, noun: re.Match[str]) -> str:
    """Return a noun with the content words directly before it."""
    phrase_words = [noun[0].lower()]
    for word in reversed(caption[: noun.start()].lower().split()):
        if not word.isalpha() or word in FUNCTION_WORDS or len(phrase_words) > MAX_MODIFIERS:
            break
        phrase_words.insert(0, word)
    return " ".join(phrase_words)
