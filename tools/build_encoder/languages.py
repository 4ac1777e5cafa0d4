"""Build the tables that identify the language of a text; see `vsearch.encoders.languages`.

Letter statistics are those of the profiles in `langdetect` (Apache-2.0; Shuyo 2010). Part of
rebuilding the embedded model; see `build.py`.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.english_vocabulary import VOCABULARY_FILE, find_words
from vsearch.encoders.languages import LANGUAGE_FILE, LATIN_LANGUAGES, UNSEEN_NGRAM_SCORE
from vsearch.encoders.unigram_tokenizer import hash_substrings

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


MIN_NGRAM_SHARE = 1.2e-4  # of an n-gram among all of its length
BACKOFF_FACTOR = 0.3  # of a bigram's probability where a profile lacks the trigram


def build_vocabulary(english_texts: Iterable[str], output_folder: Path) -> str:
    """Write the English words of training texts with their counts, and return the file's name."""
    word_counts = Counter(word for text in english_texts for word in find_words(text))
    words = sorted(word_counts)
    np.savez_compressed(
        output_folder / VOCABULARY_FILE,
        words=np.frombuffer(" ".join(words).encode(), np.uint8),
        counts=np.array([word_counts[word] for word in words], np.int32),
    )
    return VOCABULARY_FILE


def build_languages(profiles_folder: Path, output_folder: Path) -> str:
    """Write the letter statistics of langdetect's profiles, and return the file's name."""
    ngram_tables = [read_profile(profiles_folder / code) for code in LATIN_LANGUAGES]
    ngrams = sorted({ngram for table in ngram_tables for ngram in table})
    ngram_hashes = np.array([hash_text(ngram) for ngram in ngrams], np.uint64)
    log_probabilities = np.array(
        [[compute_log_probability(ngram, table) for table in ngram_tables] for ngram in ngrams]
    )
    ngram_order = np.argsort(ngram_hashes)
    np.savez_compressed(
        output_folder / LANGUAGE_FILE,
        ngram_hashes=ngram_hashes[ngram_order],
        ngram_scores=log_probabilities[ngram_order].astype(np.float16),
    )
    return LANGUAGE_FILE


def hash_text(text: str) -> np.uint64:
    """Hash a whole text."""
    text_hash: np.uint64 = hash_substrings(text, len(text))[-1][0]
    return text_hash


def read_profile(profile_path: Path) -> dict[str, int]:
    """Return the counts of a language's frequent n-grams of 1 to 3 lower-case letters.

    A space is the border of a word. Some profiles have more of the rare n-grams than others.
    """
    profile = json.loads(profile_path.read_text("utf-8"))
    counts: Counter[str] = Counter()
    for ngram, count in profile["freq"].items():
        if count >= MIN_NGRAM_SHARE * profile["n_words"][len(ngram) - 1]:
            counts[ngram.lower()] += count
    return counts


def compute_log_probability(ngram: str, counts: dict[str, int]) -> float:
    """Return the log-probability of the last letter of an n-gram after the ones before it."""
    if len(ngram) == 1:
        total = sum(count for other, count in counts.items() if len(other) == 1)
        probability = counts.get(ngram, 0) / total
    else:
        context_count = counts.get(ngram[:-1], 0)
        if ngram[:-1] == " ":
            context_count = sum(
                count for other, count in counts.items() if len(other) == 2 and other[0] == " "
            )
        probability = counts.get(ngram, 0) / context_count if context_count else 0.0
    if len(ngram) > 1 and probability == 0.0:
        return max(
            UNSEEN_NGRAM_SCORE,
            math.log(BACKOFF_FACTOR) + compute_log_probability(ngram[1:], counts),
        )
    return max(UNSEEN_NGRAM_SCORE, math.log(max(probability, 1e-9)))
