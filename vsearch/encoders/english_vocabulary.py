"""English words that the text tower was trained on: those of BERT's vocabulary and of captions."""

from __future__ import annotations

import math
import re
import unicodedata
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.encoders.bundled_weights import read_verified_arrays
from vsearch.encoders.query_variants import MIN_WORD_LETTERS, correct_spelling, iter_stems

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.encoders.query_variants import WordRank

VOCABULARY_FILE = "english-words.npz"
MIN_CAPTION_COUNT = 3  # of a word that is surely spelled correctly
CAPTION_WORD_RANK = 25_000  # of a word that captions have and BERT's vocabulary lacks
FIRST_WORD_RANK = 1_995  # of a whole word in BERT's vocabulary; before it are single characters
# Logarithms of probabilities.
RANK_SCORE = -2.0  # of a word times its rank
INFLECTION_PENALTY = -1.5  # of a word known by its stem, against its stem
COMPOUND_SCORE, COMPOUND_PART_SCORE = -15.0, -11.5  # of a word known by its parts, and of a part
MISSPELLED_SCORE = -21.0  # of a word one slip from a known one
CHECKED_WORDS = 24  # of a text that are checked for unknown ones


def find_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without digits and punctuation."""
    return re.findall(r"[^\W\d_]+", unicodedata.normalize("NFC", text).lower())


class EnglishVocabulary:
    """Vocabulary with frequencies.

    Args:
        weights_folder: Folder of the weight files.
        bert_rank: Frequency rank of a word in BERT's vocabulary, None if unknown.
    """

    def __init__(self, weights_folder: Path, bert_rank: WordRank) -> None:
        self._weights_folder, self._bert_rank = weights_folder, bert_rank

    def rank_word(self, word: str) -> int | None:
        """Return the frequency rank of a word; None if it is unknown or perhaps misspelled."""
        if (bert_rank := self._bert_rank(word)) is not None:
            return bert_rank
        is_frequent = self._caption_counts.get(word, 0) >= MIN_CAPTION_COUNT
        return CAPTION_WORD_RANK if is_frequent else None

    def score_word(self, word: str) -> float:
        """Return log P(word) from the word, its stem, parts or correction; -inf if unknown."""
        known_score = self._score_known_word(word)
        if known_score == -math.inf and self.correct_word(word) != word:
            return MISSPELLED_SCORE
        return known_score

    def correct_word(self, word: str) -> str:
        """Return a word with corrected spelling, or as it is."""
        return correct_spelling(word, self.rank_word) if word.isascii() else word

    def check_words(self, text: str) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
        """Find the misspelled and the unknown words of a text.

        Returns:
            Pairs of a word and its correction; and the unknown words without one.
        """
        replacements, unknown_words = [], []
        for word in dict.fromkeys(find_words(text)[:CHECKED_WORDS]):
            if (corrected_word := self.correct_word(word)) != word:
                replacements.append((word, corrected_word))
            elif len(word) >= MIN_WORD_LETTERS and self._score_known_word(word) == -math.inf:
                unknown_words.append(word)
        return tuple(replacements), tuple(unknown_words)

    def _score_known_word(self, word: str) -> float:
        """Return log P(word) from the word, its stem or its parts; -inf if they are unknown."""
        if (listed_score := self._score_listed_word(word)) > -math.inf:
            return listed_score
        stem_scores = [self._score_listed_word(stem) for stem in iter_stems(word)]
        if (stem_score := max(stem_scores, default=-math.inf)) > -math.inf:
            return stem_score + INFLECTION_PENALTY
        is_compound = any(
            all(
                self._score_listed_word(part) > COMPOUND_PART_SCORE for part in (word[:i], word[i:])
            )
            for i in range(3, len(word) - 2)
        )
        return COMPOUND_SCORE if is_compound else -math.inf

    def _score_listed_word(self, word: str) -> float:
        """Return log P(word) from its count in captions or its rank; -inf if it is in neither."""
        caption_count, bert_rank = self._caption_counts.get(word, 0), self._bert_rank(word)
        score = math.log(caption_count / self._caption_total) if caption_count else -math.inf
        if bert_rank is not None and len(word) > 1:
            score = max(score, RANK_SCORE - math.log(max(bert_rank - FIRST_WORD_RANK, 0) + 10))
        return score

    @cached_property
    def _caption_total(self) -> int:
        return sum(self._caption_counts.values())

    @cached_property
    def _caption_counts(self) -> dict[str, int]:
        """Counts of the words in the training captions."""
        arrays = read_verified_arrays(VOCABULARY_FILE, self._weights_folder)
        words = arrays["words"].tobytes().decode().split()
        return dict(zip(words, arrays["counts"].tolist(), strict=True))
