"""Deterministic rule-based perturbations of captions, as other users would phrase the query."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, TypeAlias

from vsearch.evaluation.english_rewriting import (
    BASE_VERBS,
    BE_PLURALS,
    COLOR_WORDS,
    FUNCTION_WORDS,
    PLURAL_DETERMINERS,
    POSSESSIVES,
    SINGULAR_DETERMINERS,
    THIRD_PERSON_VERBS,
    UNCOUNTABLE_NOUNS,
    WORD_PATTERN,
    conjugate_third_person,
    find_content_words,
    find_head_nouns,
    form_gerund,
    is_adjacent,
    is_plural,
    is_verb,
    pluralize_noun,
    singularize_noun,
    swap_spelling,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    RewriteFunction: TypeAlias = Callable[[str, int], str]  # caption, its index or a seed → variant

KEYWORD_COUNT = 3
TYPO_SEEDS = 5  # variants of each caption, with one error each
QUESTION_TEMPLATES = (
    "where {be} {it}?",
    "{be} there {it}?",
    "which video shows {it}?",
    "do I have a clip of {it}?",
    "can you find {it}?",
    "when do we see {it}?",
)
VERBOSE_TEMPLATES = (
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
DETERMINERS = SINGULAR_DETERMINERS | PLURAL_DETERMINERS | POSSESSIVES
_KEYBOARD_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def extract_keywords(caption: str, caption_index: int) -> str:  # noqa: ARG001 - as every rewrite
    """Reduce a caption to three keywords, preferably nouns, in the order of the caption.

    Args:
        caption: The caption.
        caption_index: Unused.

    Returns:
        The keywords; the caption if it has no content words.
    """
    return pick_keywords(caption, KEYWORD_COUNT)


def pick_keywords(caption: str, keyword_count: int) -> str:
    """Reduce a caption to some keywords, preferably nouns, in the order of the caption.

    Args:
        caption: The caption.
        keyword_count: Number of words to keep.

    Returns:
        The keywords; the caption if it has no content words.
    """
    noun_spans = {noun.span() for noun in find_head_nouns(caption)}
    words = find_content_words(caption)
    words = sorted(words, key=lambda word: word.span() not in noun_spans)[:keyword_count]
    return " ".join(word[0].lower() for word in sorted(words, key=re.Match.start)) or caption


def phrase_as_question(caption: str, caption_index: int) -> str:
    """Rephrase a caption as a question.

    Args:
        caption: The caption.
        caption_index: Index of the caption, which selects one of the templates.

    Returns:
        The question.
    """
    phrase = extract_phrase(caption)
    be = "are" if any(is_plural(noun[0]) for noun in find_head_nouns(phrase)[:1]) else "is"
    return QUESTION_TEMPLATES[caption_index % len(QUESTION_TEMPLATES)].format(be=be, it=phrase)


def wrap_verbosely(caption: str, caption_index: int) -> str:
    """Wrap a caption in about thirty uninformative words, as some captioning models do.

    Args:
        caption: The caption.
        caption_index: Index of the caption, which selects one of the templates.

    Returns:
        The long caption.
    """
    template = VERBOSE_TEMPLATES[caption_index % len(VERBOSE_TEMPLATES)]
    return template.format(it=extract_phrase(caption))


def rewrite_spelling(caption: str, caption_index: int) -> str:  # noqa: ARG001
    """Swap British and American spellings.

    Args:
        caption: The caption.
        caption_index: Unused.

    Returns:
        The caption; unchanged if no word has two spellings.
    """
    return swap_spelling(caption)


def invert_number(caption: str, caption_index: int) -> str:  # noqa: ARG001
    """Turn singular nouns into plural ones and vice versa, with their articles and verbs.

    Args:
        caption: The caption.
        caption_index: Unused.

    Returns:
        The caption; unchanged if it names nothing countable.
    """
    word_matches = list(WORD_PATTERN.finditer(caption))
    noun_spans = {noun.span() for noun in find_head_nouns(caption)}
    new_words = [word_match[0] for word_match in word_matches]
    for word_index, word_match in enumerate(word_matches):
        noun = word_match[0].lower()
        is_proper_name = word_match.start() > 0 and word_match[0][0].isupper()
        if word_match.span() not in noun_spans or noun in UNCOUNTABLE_NOUNS or is_proper_name:
            continue
        was_plural = is_plural(noun)
        new_words[word_index] = singularize_noun(noun) if was_plural else pluralize_noun(noun)
        phrase_start = find_phrase_start(word_matches, word_index, caption)
        new_words[phrase_start] = _invert_determiner(new_words[phrase_start], was_plural)
        if word_index + 1 < len(word_matches) and is_adjacent(word_matches, word_index, caption):
            new_words[word_index + 1] = _invert_verb(new_words[word_index + 1], was_plural)
    return _join_words(caption, word_matches, new_words)


def insert_typo(caption: str, seed: int) -> str:
    """Insert one typing error into one content word.

    Args:
        caption: The caption.
        seed: Seed of the error.

    Returns:
        The caption; unchanged if no content word has more than three letters.
    """
    long_words = [word for word in find_content_words(caption) if len(word[0]) > 3]
    if not long_words:
        return caption
    rng = random.Random(f"{seed} {caption}")  # noqa: S311 - not security relevant
    word = rng.choice(long_words)
    letter_index = rng.randrange(1, len(word[0]) - 1)  # errors in first letters are rare
    typo = _misspell_word(word[0], letter_index, rng)
    return caption[: word.start()] + typo + caption[word.end() :]


PERTURBATIONS: dict[str, RewriteFunction] = {
    "keywords": extract_keywords,
    "question": phrase_as_question,
    "number": invert_number,
    "spelling": rewrite_spelling,
    "typo": insert_typo,
    "long": wrap_verbosely,
}


def strip_final_marks(caption: str) -> str:
    """Return a caption without a final period or the like, unless nothing else remains.

    Args:
        caption: The caption.
    """
    return caption.strip().rstrip(".!?… ") or caption


def embed_sentence(caption: str) -> str:
    """Return a caption without a final period and, unless it is a name, in lower case at the start.

    Args:
        caption: The caption.
    """
    sentence = strip_final_marks(caption)
    if re.match(r"[^\W\d_]+\s+[A-Z]|[A-Z]{2}", sentence):  # Iron Man, a name
        return sentence
    return sentence[:1].lower() + sentence[1:]


def extract_phrase(caption: str) -> str:
    """Turn a sentence into a noun phrase: `A dog is running.` → `a dog running`.

    Args:
        caption: The caption.

    Returns:
        The phrase.
    """
    phrase_text = embed_sentence(caption)
    subject = next(iter(find_head_nouns(phrase_text)), None)
    for word_match in WORD_PATTERN.finditer(phrase_text, subject.end() if subject else 0):
        word = word_match[0].lower()
        before, after = phrase_text[: word_match.start()], phrase_text[word_match.end() :]
        if word in (*BE_PLURALS, *BE_PLURALS.values()):
            return before.rstrip() + after
        if word in THIRD_PERSON_VERBS and subject and not before[subject.end() :].strip():
            return before + form_gerund(THIRD_PERSON_VERBS[word]) + after
        if word not in FUNCTION_WORDS:
            break
    return phrase_text


def find_phrase_start(
    word_matches: Sequence[re.Match[str]], word_index: int, caption_text: str
) -> int:
    """Return the index of the first word of a noun phrase: its determiner or first adjective.

    Args:
        word_matches: Matches of all words of the caption.
        word_index: Index of the noun.
        caption_text: The caption.
    """
    while word_index > 0 and is_adjacent(word_matches, word_index - 1, caption_text):
        lowercase_word = word_matches[word_index - 1][0].lower()
        previous_word = word_matches[word_index - 2][0].lower() if word_index > 1 else ""
        if lowercase_word in DETERMINERS:
            return word_index - 1
        if lowercase_word == "and" and previous_word in COLOR_WORDS:  # a black and white cat
            word_index -= 2
        elif lowercase_word in FUNCTION_WORDS or (
            is_verb(lowercase_word) and previous_word not in DETERMINERS
        ):
            return word_index
        else:
            word_index -= 1
    return word_index


def _invert_determiner(word: str, was_plural: bool) -> str:
    """Invert the number of the determiner of a phrase."""
    lowercase_word = word.lower()
    if lowercase_word in POSSESSIVES:
        return word
    if was_plural:
        return "a" if lowercase_word in PLURAL_DETERMINERS else f"a {lowercase_word}"
    return {"this": "these", "that": "those"}.get(
        lowercase_word, "" if lowercase_word in SINGULAR_DETERMINERS else word
    )


def _invert_verb(verb: str, was_plural: bool) -> str:
    """Invert the number of a verb."""
    lowercase_verb = verb.lower()
    plural_by_singular = {**BE_PLURALS, "has": "have", "does": "do"}
    if was_plural:
        singular_by_plural = {plural: singular for singular, plural in plural_by_singular.items()}
        return singular_by_plural.get(lowercase_verb) or (
            conjugate_third_person(lowercase_verb) if lowercase_verb in BASE_VERBS else verb
        )
    return plural_by_singular.get(lowercase_verb) or THIRD_PERSON_VERBS.get(lowercase_verb, verb)


def _join_words(
    caption_text: str, word_matches: Sequence[re.Match[str]], new_words: Sequence[str]
) -> str:
    """Replace the words of a text and correct `a` and `an`."""
    joined_text, last_end = "", 0
    for word_match, new_word in zip(word_matches, new_words, strict=True):
        joined_text += caption_text[last_end : word_match.start()] + new_word
        last_end = word_match.end()
    joined_text = " ".join((joined_text + caption_text[last_end:]).split())
    joined_text = re.sub(r"\ban?(?= [aeiou])", "an", joined_text)
    joined_text = re.sub(r"\ban?(?= [^aeiou])", "a", joined_text)
    return joined_text[:1].upper() + joined_text[1:] if caption_text[:1].isupper() else joined_text


def _misspell_word(word: str, letter_index: int, rng: random.Random) -> str:
    """Swap two letters, omit or double one, or hit the neighboring key."""
    before, letter, after = word[:letter_index], word[letter_index], word[letter_index + 1 :]
    return rng.choice(
        (
            f"{before}{after[:1]}{letter}{after[1:]}",
            f"{before}{after}",
            f"{before}{letter}{letter}{after}",
            f"{before}{_pick_neighbor_key(letter, rng)}{after}",
        )
    )


def _pick_neighbor_key(letter: str, rng: random.Random) -> str:
    for row in _KEYBOARD_ROWS:
        if (index := row.find(letter.lower())) >= 0:
            return rng.choice(row[max(index - 1, 0) : index] + row[index + 1 : index + 2])
    return letter
