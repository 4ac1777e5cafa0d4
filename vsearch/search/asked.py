"""The words that are asked for, as they are looked for in what is said and shown in videos."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST = 32  # words of a query that are looked for
LONGEST = 64  # letters of a word
COMMON = 0.2  # the weight of a word that says little, beside that of another as frequent
EVEN = 0.5  # of the weight that every word has, however many cues have it
VARIED = 0.9  # of a word that is said in another form
ENDINGS = ("s", "es", "ed", "ing")
STEM = 3  # letters that are left of a word at least

# words that most sentences have, whatever they are about
_LITTLE = (
    "a an and are as at be been but by can did do does for from get had has have he her him his "
    "i if in into is it its just like me my no not of off on or our out so some that the their "
    "them then there these they this to too up us very was we were what when where which who will "
    "with would you your"
)
LITTLE = frozenset(_LITTLE.split())
_TOKEN = re.compile(r"[^\W_]+")
_ASKED = re.compile(r"([^\W_]+)(\*?)")


@dataclass(frozen=True, slots=True)
class Token:
    """A word of a text, and where it stands."""

    text: str  # folded: without case and accents
    start: int  # characters
    end: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A word that is asked for, and its forms; a form that ends in `*` is a word's beginning."""

    text: str  # folded
    forms: frozenset[str]  # as typed and folded ones; the catalogue folds as it likes
    weight: float = 1.0

    def said_by(self, word: str) -> float:
        """How well a word, folded, says it: 1 entirely, 0 not at all."""
        if word == self.text:
            return 1.0
        if self.text.endswith("*"):
            return float(word.startswith(self.text[:-1]))
        return VARIED if word in self.forms else 0.0


def fold(text: str) -> str:
    """Without case and accents, about as the catalogue's index does it."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def tokens(text: str) -> Iterator[Token]:
    """The words of a text."""
    for found in _TOKEN.finditer(text):
        yield Token(fold(found[0]), found.start(), found.end())


def asked(text: str, *, exact: bool, count: Callable[[Asked], int], size: int) -> list[Asked]:
    """The words of a query in its order, each with its weight; `exact` ones have but one form.

    Rare words weigh more (Spärck Jones, "A statistical interpretation of term specificity", 1972):
    `count` tells how many of `size` cues have a word.
    """
    found: list[Asked] = []
    for match in list(_ASKED.finditer(unicodedata.normalize("NFC", text)))[:MOST]:
        typed, star = match[1][:LONGEST], match[2]
        word = _word(typed, star, exact=exact)
        rarity = math.log1p(max(0, size - (often := count(word))) / (often + 1)) + EVEN
        little = word.text in LITTLE
        weight = rarity * (COMMON if little else 1.0)
        found.append(Asked(word.text, word.forms, weight))
    return found


def _word(typed: str, star: str, *, exact: bool) -> Asked:
    folded = fold(typed)
    if star and not _is_all_over(folded):
        return Asked(f"{folded}*", frozenset({f"{typed}*"}))
    if exact or folded in LITTLE:
        return Asked(folded, frozenset({typed, folded}))
    return Asked(folded, frozenset({typed, folded, *_forms(folded)}))


def _is_all_over(beginning: str) -> bool:
    """Whether a tenth of all words begin so, in scripts with few letters: seconds to look for."""
    return len(beginning) == 1 and unicodedata.category(beginning) != "Lo"


def _forms(word: str) -> Iterator[str]:
    """The word and its stems with other endings; that few of them are words does no harm."""
    for stem in _stems(word):
        yield from (stem, *(stem + ending for ending in ENDINGS), stem + stem[-1] + "ed")
        yield stem + stem[-1] + "ing"  # running
        if stem.endswith("e"):
            yield from (f"{stem}d", f"{stem[:-1]}ing")
        if stem.endswith("y"):
            yield from (f"{stem[:-1]}ies", f"{stem[:-1]}ied")


def _stems(word: str) -> set[str]:
    found = {word}
    for ending in ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < STEM:
            continue
        found |= {stem} if ending == "s" else {stem, f"{stem}e"}
        if stem[-1] == stem[-2]:
            found.add(stem[:-1])
        if stem.endswith("i"):
            found.add(f"{stem[:-1]}y")
    return {stem for stem in found if stem}
