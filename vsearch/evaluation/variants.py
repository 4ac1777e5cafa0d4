"""The same question, typed as other people would type it. Rules only: the same text every time."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, TypeAlias

from vsearch.evaluation.english import (
    BASE,
    BE,
    COLOURS,
    FUNCTION_WORDS,
    MANY,
    ONE,
    OWNERS,
    THIRD,
    UNCOUNTABLE,
    WORD,
    adjacent,
    content_words,
    gerund,
    is_plural,
    is_verb,
    nouns,
    plural,
    singular,
    third,
)
from vsearch.evaluation.spelling import other_spelling

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Rewrite: TypeAlias = Callable[[str, int], str]  # a caption and its number: another text

KEYWORDS = 3
SEEDS = 5  # typing errors made in each caption, one at a time

QUESTIONS = (
    "where {be} {it}?",
    "{be} there {it}?",
    "which video shows {it}?",
    "do I have a clip of {it}?",
    "can you find {it}?",
    "when do we see {it}?",
)
LONG = (
    "This short video clip, seemingly filmed with a handheld camera, shows the following scene: "
    "{it}, while nothing else of note happens.",
    "In this video we can see {it}, and the overall atmosphere appears calm and natural, with the "
    "camera following from some distance.",
    "The footage presents the viewer with {it}; the lighting is even, the picture is sharp, and "
    "the moment lasts for several seconds.",
    "I am looking for that one recording that somebody sent to me a while ago, in which there was "
    "{it}, or something like it.",
    "The image depicts {it}. The composition draws attention to the main subject, while the "
    "surroundings give a sense of everyday life.",
)
DETERMINERS = ONE | MANY | OWNERS
_KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def keywords(caption: str, number: int) -> str:  # noqa: ARG001 - every rewrite has one
    """Three words that matter, as typed into a search box: what is named first, then the rest."""
    words = content_words(caption)
    named = {found.span() for found in nouns(caption)}
    ranked = sorted(words, key=lambda found: (found.span() not in named, found.start()))
    chosen = sorted(ranked[:KEYWORDS], key=lambda found: found.start())
    return " ".join(found[0].lower() for found in chosen) or caption


def question(caption: str, number: int) -> str:
    """Asked as one asks a person, in forms that take turns."""
    it = _phrase(caption)
    be = "are" if any(is_plural(found[0]) for found in nouns(it)[:1]) else "is"
    return QUESTIONS[number % len(QUESTIONS)].format(be=be, it=it)


def long(caption: str, number: int) -> str:
    """Wrapped into some thirty words that say nothing, as some people and captioning models do."""
    return LONG[number % len(LONG)].format(it=_phrase(caption))


def spelling(caption: str, number: int) -> str:  # noqa: ARG001
    """British for American and the other way round."""
    return other_spelling(caption)


def number(caption: str, number: int) -> str:  # noqa: ARG001
    """One for many and many for one, with the article and the verb that go with it."""
    words = list(WORD.finditer(caption))
    named = {found.span() for found in nouns(caption)}
    said = [word[0] for word in words]
    for index, word in enumerate(words):
        low, is_name = word[0].lower(), word.start() > 0 and word[0][0].isupper()
        if word.span() not in named or low in UNCOUNTABLE or is_name:
            continue
        many = is_plural(low)
        said[index] = singular(low) if many else plural(low)
        begins = _phrase_begins(words, index, caption)
        said[begins] = _determined(said[begins], many)
        if index + 1 < len(words) and adjacent(words, index, caption):
            said[index + 1] = _agreeing(said[index + 1], many)
    return _joined(caption, words, said)


def typo(caption: str, seed: int) -> str:
    """One slip of a finger in one word that matters, another for each seed."""
    words = [found for found in content_words(caption) if len(found[0]) > 3]
    if not words:
        return caption
    chance = random.Random(f"{seed} {caption}")  # noqa: S311 - no secret
    word = chance.choice(words)
    place = chance.randrange(1, len(word[0]) - 1)  # the first letter is seldom the wrong one
    return caption[: word.start()] + _slip(word[0], place, chance) + caption[word.end() :]


KINDS: dict[str, Rewrite] = {
    "keywords": keywords,
    "question": question,
    "number": number,
    "spelling": spelling,
    "typo": typo,
    "long": long,
}


def _phrase(caption: str) -> str:
    """A sentence as what it is about: `A dog is running.` as `a dog running`."""
    text = caption.strip().rstrip(".!?… ")
    if not re.match(r"[^\W\d_]+\s+[A-Z]|[A-Z]{2}", text):  # Iron Man, a name
        text = text[:1].lower() + text[1:]
    subject = next(iter(nouns(text)), None)
    for word in WORD.finditer(text, subject.end() if subject else 0):
        low = word[0].lower()
        if low in (*BE, *BE.values()):
            return text[: word.start()].rstrip() + text[word.end() :]
        if low in THIRD and subject and not text[subject.end() : word.start()].strip():
            return text[: word.start()] + gerund(THIRD[low]) + text[word.end() :]
        if low not in FUNCTION_WORDS:
            break
    return text


def _phrase_begins(words: Sequence[re.Match[str]], index: int, text: str) -> int:
    """The first word of what a noun ends: its article or number, else its first adjective."""
    while index > 0 and adjacent(words, index - 1, text):
        low = words[index - 1][0].lower()
        before = words[index - 2][0].lower() if index > 1 else ""
        if low in DETERMINERS:
            return index - 1
        if low == "and" and before in COLOURS:  # a black and white cat
            index -= 2
        elif low in FUNCTION_WORDS or (is_verb(low) and before not in DETERMINERS):
            return index
        else:
            index -= 1
    return index


def _determined(word: str, many: bool) -> str:
    """The first word of a phrase that was of many, or of one, and now is the other."""
    low = word.lower()
    if low in OWNERS:
        return word
    if many:
        return "a" if low in MANY else f"a {low}"
    return {"this": "these", "that": "those"}.get(low, "" if low in ONE else word)


def _agreeing(verb: str, many: bool) -> str:
    """A verb whose subject was many, or one, and now is the other."""
    low = verb.lower()
    forms = {**BE, "has": "have", "does": "do"}
    if many:
        back = {those: one for one, those in forms.items()}
        return back.get(low) or (third(low) if low in BASE else verb)
    return forms.get(low) or THIRD.get(low, verb)


def _joined(text: str, words: Sequence[re.Match[str]], said: Sequence[str]) -> str:
    """The text with other words in it, and `a` or `an` as they ask for."""
    found, last = "", 0
    for word, other in zip(words, said, strict=True):
        found += text[last : word.start()] + other
        last = word.end()
    found = " ".join((found + text[last:]).split())
    found = re.sub(r"\ban?(?= [aeiou])", "an", found)
    found = re.sub(r"\ban?(?= [^aeiou])", "a", found)
    return found[:1].upper() + found[1:] if text[:1].isupper() else found


def _slip(word: str, place: int, chance: random.Random) -> str:
    """Two letters swapped, one left out, doubled, or the key beside it hit."""
    before, letter, after = word[:place], word[place], word[place + 1 :]
    return chance.choice(
        (
            f"{before}{after[:1]}{letter}{after[1:]}",
            f"{before}{after}",
            f"{before}{letter}{letter}{after}",
            f"{before}{_beside(letter, chance)}{after}",
        )
    )


def _beside(letter: str, chance: random.Random) -> str:
    for row in _KEYS:
        if letter.lower() in row:
            place = row.index(letter.lower())
            return chance.choice([row[i] for i in (place - 1, place + 1) if 0 <= i < len(row)])
    return letter
