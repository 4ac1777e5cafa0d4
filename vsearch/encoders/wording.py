"""How a query may have been meant: as typed, without its typing errors, as a whole phrase.

A sentence encoder knows sentences. Words it has never seen fall to pieces, and a bare noun is
ambiguous; so a query is read in a few ways, and their vectors are averaged (prompt ensembling:
CLIP, Radford et al. 2021; correction by one edit: Norvig, "How to Write a
Spelling Corrector", 2007).
"""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Rank = Callable[[str], int | None]  # of a word among all, by frequency; None: not known

SHORT = 3  # words; longer queries are phrases already
PROMPTS = ("a photo of {}", "a video of {}")
LEAST = 3  # letters of a word that may be mistyped; of so short a one only two may be swapped
LONGEST = 20  # letters; what is longer is no word
WORDS = 12  # of a query that are looked at: each costs a few hundred look-ups
ENDINGS = ("s", "es", "ed", "d", "ing", "er", "ly")

DESCRIPTION = "as written; up to 3 words also as a photo and a video of it; typing errors mended"


def readings(query: str, rank: Rank) -> list[str]:
    """The query as typed, first, and the other ways it may have been meant."""
    meant = [query]
    if (mended := corrected(query, rank)) != query:
        meant.append(mended)
    if 0 < len(query.split()) <= SHORT:
        meant += [prompt.format(each) for each in meant for prompt in PROMPTS]
    return meant


def corrected(query: str, rank: Rank) -> str:
    """Words that nobody knows replaced by the commonest known ones that are one slip away."""
    left = WORDS

    def mend(found: re.Match[str]) -> str:
        nonlocal left
        word = found[0].lower()
        if left == 0 or not LEAST <= len(word) <= LONGEST or _known(word, rank):
            return found[0]
        left -= 1
        likely = _ranked(_swaps(word), rank) or _ranked(_edits(word), rank)
        return min(likely, key=lambda edit: (likely[edit], edit)) if likely else found[0]

    return re.sub(r"[A-Za-z]+", mend, query)


def _known(word: str, rank: Rank) -> bool:
    """Whether a word, or what it is a form of, is known."""
    stems = [word.removesuffix(ending) for ending in ENDINGS if word.endswith(ending)]
    forms = (word, *stems, *(f"{stem}e" for stem in stems))
    return any(len(form) > 2 and rank(form) is not None for form in forms)


def _ranked(edits: Iterator[str], rank: Rank) -> dict[str, int]:
    """Those that are known, if only in the plural, and how common they are."""
    found = {edit: rank(edit) for edit in edits}
    plurals = {edit: rank(f"{edit}s") for edit, at in found.items() if at is None}
    return {edit: at for edit, at in (found | plurals).items() if at is not None}


def _swaps(word: str) -> Iterator[str]:
    """The commonest slips: two letters swapped, not the first, or one typed twice."""
    for at in range(1, len(word)):
        head, tail = word[:at], word[at:]
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        if head[-1] == tail[0] and len(word) > LEAST:
            yield head + tail[1:]


def _edits(word: str) -> Iterator[str]:
    """What else is one slip away: a letter left out, added or mistaken, not the first."""
    if len(word) == LEAST:
        return
    for at in range(1, len(word) + 1):
        head, tail = word[:at], word[at:]
        if tail:
            yield head + tail[1:]
        for letter in string.ascii_lowercase:
            yield head + letter + tail
            if tail:
                yield head + letter + tail[1:]
