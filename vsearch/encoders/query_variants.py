"""Generate variants of a query: as typed, with corrected spelling, and as a prompt.

A sentence encoder is trained on sentences. It splits unknown words into meaningless pieces, and a
bare noun is ambiguous, so the vectors of a few variants are averaged (prompt ensembling: CLIP,
Radford et al. 2021; correction by one edit: Norvig, "How to Write a Spelling Corrector", 2007).
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    WordRank = Callable[[str], int | None]  # frequency rank of a word; None: unknown

MAX_PROMPTED_WORDS = 3  # longer queries are phrases already
PROMPT_TEMPLATES = ("a photo of {}", "a video of {}")
MIN_WORD_LETTERS = 3  # of a word to correct; in the shortest words only swaps are corrected
MAX_WORD_LETTERS = 20
MAX_CORRECTED_WORDS = 12  # per query: each costs a few hundred lookups
WORD_SUFFIXES = ("s", "es", "ed", "ing", "er", "ly")
PROMPT_DESCRIPTION = (
    "as written; up to 3 words also as a photo and a video of it; spelling corrected"
)


def prompt_variants(query_text: str, word_rank: WordRank) -> list[str]:
    """Return a query's variants, as typed first.

    Args:
        query_text: Query as typed.
        word_rank: Returns the frequency rank of a word, None for unknown words.
    """
    variants = [query_text]
    if (corrected_query := correct_spelling(query_text, word_rank)) != query_text:
        variants.append(corrected_query)
    if 0 < len(query_text.split()) <= MAX_PROMPTED_WORDS:
        variants += [
            prompt_template.format(variant)
            for variant in variants
            for prompt_template in PROMPT_TEMPLATES
        ]
    return variants


def correct_spelling(query_text: str, word_rank: WordRank) -> str:
    """Replace unknown words by the most frequent known words one edit away.

    Args:
        query_text: Query as typed.
        word_rank: Returns the frequency rank of a word, None for unknown words.
    """
    words_left = MAX_CORRECTED_WORDS

    def correct_word(word_match: re.Match[str]) -> str:
        nonlocal words_left
        lowercase_word = word_match[0].lower()
        if (
            words_left == 0
            or not MIN_WORD_LETTERS <= len(lowercase_word) <= MAX_WORD_LETTERS
            or _is_known_word(lowercase_word, word_rank)
        ):
            return word_match[0]
        words_left -= 1
        ranked_edits = _rank_edits(_iter_swaps(lowercase_word), word_rank) or _rank_edits(
            _iter_edits(lowercase_word), word_rank
        )
        return (
            min(ranked_edits, key=lambda candidate: (ranked_edits[candidate], candidate))
            if ranked_edits
            else word_match[0]
        )

    return re.sub(r"[A-Za-z]+", correct_word, query_text)


def _is_known_word(word: str, word_rank: WordRank) -> bool:
    """Return whether a word, or the stem of an inflected form, is known."""
    return any(
        len(word_form) > 2 and word_rank(word_form) is not None
        for word_form in (word, *iter_stems(word))
    )


def iter_stems(word: str) -> Iterator[str]:
    """Yield the possible stems of an inflected word."""
    for suffix in WORD_SUFFIXES:
        if word.endswith(suffix):
            word_stem = word.removesuffix(suffix)
            yield from (word_stem, f"{word_stem}e")


def _rank_edits(candidate_edits: Iterator[str], word_rank: WordRank) -> dict[str, int]:
    """Return the known candidates, possibly known only in the plural, and their ranks."""
    edit_ranks = {candidate: word_rank(candidate) for candidate in candidate_edits}
    plural_ranks = {
        candidate: word_rank(f"{candidate}s")
        for candidate, edit_rank in edit_ranks.items()
        if edit_rank is None
    }
    return {
        candidate: edit_rank
        for candidate, edit_rank in (edit_ranks | plural_ranks).items()
        if edit_rank is not None
    }


def _iter_swaps(word: str) -> Iterator[str]:
    """Yield the most frequent corrections: f for ph, two letters swapped, or a doubled one."""
    if "f" in word:
        yield word.replace("f", "ph")
    for split_index in range(1, len(word)):
        word_head, word_tail = word[:split_index], word[split_index:]
        if len(word_tail) > 1:
            yield word_head + word_tail[1] + word_tail[0] + word_tail[2:]
        if word_head[-1] == word_tail[0] and len(word) > MIN_WORD_LETTERS:
            yield word_head + word_tail[1:]


def _iter_edits(word: str) -> Iterator[str]:
    """Yield the other corrections: drop, insert or replace a letter, except the first."""
    if len(word) == MIN_WORD_LETTERS:
        return
    for split_index in range(1, len(word) + 1):
        word_head, word_tail = word[:split_index], word[split_index:]
        if word_tail:
            yield word_head + word_tail[1:]
        for letter in string.ascii_lowercase:
            yield word_head + letter + word_tail
            if word_tail:
                yield word_head + letter + word_tail[1:]
