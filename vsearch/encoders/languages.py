"""Identification of the language of short texts, to choose the text tower that reads them.

Other scripts than Latin identify their language. Words in Latin letters are scored under each
language, as P(word | language): by lists of words where there are some, else by letter trigrams
(Cavnar and Trenkle 1994). English is assumed unless another language is clearly more probable.
"""

from __future__ import annotations

import math
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.encoders.bundled_weights import read_verified_arrays
from vsearch.encoders.english_vocabulary import find_words
from vsearch.encoders.unigram_tokenizer import hash_substrings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.encoders.english_vocabulary import EnglishVocabulary

LANGUAGE_FILE = "languages.npz"
MAX_WORDS = 24  # of a text that are scored
# Log-odds that a language needs against English, and an unsupported one in addition.
WORD_MARGINS, PHRASE_MARGINS = (3.0, 5.0), (2.5, 2.0)
MIN_LETTER_SCORE = -7.0  # log-probability a letter; below it a text is in no known language
COMMON_ENGLISH_SCORE = -10.5  # log-probability of words that leave no doubt
SUBWORD_PENALTY = -2.0  # a word made of multilingual pieces
NGRAM_PENALTY = -2.5  # a word known by its letters alone, against one from a list
NAMING_WEIGHT = 0.3  # of the letters in choosing among languages that share a word
FUNCTION_WORD_SCORE = -4.5  # log-probability of a frequent function word


@dataclass(frozen=True, slots=True)
class Language:
    """A language that a text may be in."""

    code: str  # ISO 639-1
    name: str  # in English
    is_supported: bool  # one of the text towers was trained on it

    @property
    def is_english(self) -> bool:
        """True if the English text tower reads it."""
        return self.code == "en"


ENGLISH = Language("en", "English", is_supported=True)
SUPPORTED_NAMES = {
    "ar": "Arabic",
    "de": "German",
    "es": "Spanish",
    "fr": "French",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "th": "Thai",
    "tr": "Turkish",
    "zh": "Chinese",
}
UNSUPPORTED_NAMES = {
    "cs": "Czech",
    "da": "Danish",
    "et": "Estonian",
    "fi": "Finnish",
    "hr": "Croatian",
    "hu": "Hungarian",
    "id": "Indonesian",
    "lt": "Lithuanian",
    "lv": "Latvian",
    "no": "Norwegian",
    "ro": "Romanian",
    "sk": "Slovak",
    "sl": "Slovenian",
    "sv": "Swedish",
    "vi": "Vietnamese",
    "uk": "Ukrainian",
    "fa": "Persian",
}
SCRIPT_LANGUAGES = {  # first word of the Unicode name of a letter: language
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "KATAKANA-HIRAGANA": "ja",
    "HANGUL": "ko",
    "CJK": "zh",
    "CYRILLIC": "ru",
    "ARABIC": "ar",
    "THAI": "th",
}
LETTER_LANGUAGES = {"uk": "іїєґ", "fa": "پچژگکی"}  # letters that their neighbors lack
FUNCTION_WORDS = {
    "de": "der die das ein eine einen einem einer und mit auf im in am an von vor zu zum zur bei "
    "aus für ist sind wird den dem des unter über neben nach ohne nicht ich wie sich",
    "es": "el la los las un una unos unas y con en de del al por para sobre que es su sin se no "
    "junto hacia desde está están mientras hay mi como",
    "fr": "le la les un une des du de et avec dans sur au aux en par pour sous qui que est son sa "
    "ses sans vers devant chez ne pas il elle ils",
    "it": "il lo la i gli le un uno una e con in di del della dei delle al alla ai nel nella sul "
    "sulla su per da dal che è sono non si mentre",
    "nl": "de het een en met in op van voor aan bij naar uit over onder door die dat is zijn wordt "
    "niet naast tegen achter zonder",
    "pl": "w we z ze na i do od po pod nad przy za dla przez się jest są nie który która przed "
    "bez obok jak",
    "pt": "o a os as um uma uns umas e com em de do da dos das no na nos nas ao à por para sobre "
    "que é são seu sua sem se não pelo pela",
    "tr": "bir ve ile için da de bu şu o gibi çok olan içinde üzerinde yanında altında var yok "
    "değil kadar ne",
    "cs": "a v ve na s se z ze do od po pod nad při za pro je jsou ne není který která že u před",
    "da": "en et og med på i af til fra ved for er der som den det de ikke under over har sig en",
    "et": "ja on ei see koos kui oma ning mis seda oli ka laua peal all",
    "fi": "ja on ei se joka kanssa että ovat oli mutta päällä alla ilman sekä tai hän kun",
    "hr": "i u na s sa se je su za od do po iz pod nad pri koji koja ne nije kroz kod",
    "hu": "a az egy és van nem hogy ki mi alatt mellett fel is aki amely meg volt nélkül",
    "id": "yang di dan dengan ke dari untuk ini itu pada seorang sebuah sedang dalam atau tidak",
    "lt": "ir su ant yra į iš prie po kaip ne kad per apie už",
    "lv": "un ar uz ir no pie pa kas ne kā par zem bez",
    "no": "en et ei og med på i av til fra ved for er der som den det de ikke under over har seg",
    "ro": "un o și si cu pe în in de la din lângă este sunt care nu pentru sub peste fără al ale",
    "sk": "a v vo na s so sa z zo do od po pod nad pri za pre je sú nie ktorý ktorá že u pred",
    "sl": "in v na s z se je so za od do po iz pod nad pri ki ne ni pred skozi",
    "sv": "en ett och med på i av till från vid för är som den det de inte under över har sig",
    "vi": "một và của trên trong với là có không những các đang người con cái cho đến",
}
FUNCTION_SETS = {code: frozenset(words.split()) for code, words in FUNCTION_WORDS.items()}
OTHER_LATIN_LANGUAGES = tuple(FUNCTION_WORDS)
LATIN_LANGUAGES = ("en", *OTHER_LATIN_LANGUAGES)  # columns of the trigram table
IS_SUPPORTED = np.array([code in SUPPORTED_NAMES for code in OTHER_LATIN_LANGUAGES])
UNSEEN_NGRAM_SCORE = -9.0  # log-probability of a letter after two others
ENGLISH_SHARE = 0.06  # of English in the multilingual vocabulary's probabilities
SHARED_BONUS = 1.0  # languages differ, so a word is more probable in its own
SCRIPT_NAMES = {"Devanagari": "Hindi"}


class LanguageIdentifier:
    """Identifies the language of a text.

    Args:
        weights_folder: Folder of the weight files.
        english_vocabulary: Words that are English.
        score_pieces: Log-probability of a word in the multilingual vocabulary, and the number of
            its pieces.
    """

    def __init__(
        self,
        weights_folder: Path,
        english_vocabulary: EnglishVocabulary,
        score_pieces: Callable[[str], tuple[float, int]],
    ) -> None:
        self._weights_folder = weights_folder
        self._english_vocabulary, self._score_pieces = english_vocabulary, score_pieces

    def __call__(self, text: str) -> Language:
        """Identify the language of a text; English if nothing speaks for another one."""
        if (script_language := identify_script(text)) is not None:
            return script_language
        words = list(dict.fromkeys(filter(is_latin, find_words(text))))[:MAX_WORDS]
        if all(self._english_vocabulary.score_word(word) > COMMON_ENGLISH_SCORE for word in words):
            return ENGLISH  # without loading the multilingual vocabulary
        english_scores = [self._score_english(word) for word in words]
        other_scores = np.sum(
            [
                self._score_other_languages(word, english_score)
                for word, english_score in zip(words, english_scores, strict=True)
            ],
            axis=0,
        )
        english_margin, unsupported_margin = WORD_MARGINS if len(words) == 1 else PHRASE_MARGINS
        log_odds = (
            other_scores - sum(english_scores) - np.where(IS_SUPPORTED, 0, unsupported_margin)
        )
        best_column = int(np.argmax(log_odds))
        is_gibberish = other_scores[best_column] < MIN_LETTER_SCORE * sum(
            len(word) + 1 for word in words
        )
        if log_odds[best_column] < english_margin or is_gibberish:
            return ENGLISH
        return get_language(OTHER_LATIN_LANGUAGES[best_column])

    def _score_english(self, word: str) -> float:
        """Return log P(word | English)."""
        letter_score = float(self._score_letters(word)[0]) + NGRAM_PENALTY
        return max(letter_score, self._english_vocabulary.score_word(word))

    def _score_other_languages(self, word: str, english_score: float) -> npt.NDArray[np.float64]:
        """Return log P(word | language) for each of `LATIN_LANGUAGES` but English."""
        letter_scores = self._score_letters(word)[1:]
        shared_score, piece_count = max(
            self._score_pieces(word), self._score_pieces(word.capitalize())
        )
        if piece_count == 1:
            probability = math.exp(shared_score) - ENGLISH_SHARE * math.exp(english_score)
            listed_score = math.log(max(probability, 1e-9)) + SHARED_BONUS
            naming_scores = NAMING_WEIGHT * (letter_scores - letter_scores[IS_SUPPORTED].max())
            supported_scores = np.maximum(
                letter_scores + NGRAM_PENALTY, listed_score + naming_scores
            )
        else:
            supported_scores = (letter_scores + shared_score) / 2 + SUBWORD_PENALTY
        scores = np.where(IS_SUPPORTED, supported_scores, letter_scores + NGRAM_PENALTY)
        is_function_word = np.array([word in words for words in FUNCTION_SETS.values()])
        return np.where(is_function_word, np.maximum(scores, FUNCTION_WORD_SCORE), scores)

    def _score_letters(self, word: str) -> npt.NDArray[np.float64]:
        """Return log P(letters | language) of a word for each of `LATIN_LANGUAGES`."""
        ngram_hashes, ngram_scores = self._ngram_table
        bordered_word = f" {word} "
        by_length = hash_substrings(bordered_word, 3)
        hashes = np.concatenate([by_length[1][:1], by_length[2]])
        rows = np.searchsorted(ngram_hashes, hashes).clip(max=len(ngram_hashes) - 1)
        is_known = ngram_hashes[rows] == hashes
        letter_scores = np.where(is_known[:, None], ngram_scores[rows], UNSEEN_NGRAM_SCORE)
        total: npt.NDArray[np.float64] = letter_scores.sum(axis=0)
        return total

    @cached_property
    def _ngram_table(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.float64]]:
        """Hashes of n-grams (N,), ascending, and log-probabilities of their last letter (N, L)."""
        arrays = read_verified_arrays(LANGUAGE_FILE, self._weights_folder)
        return arrays["ngram_hashes"], arrays["ngram_scores"].astype(np.float64)


def get_language(code: str) -> Language:
    """Return the language with an ISO 639-1 code."""
    if code in SUPPORTED_NAMES:
        return Language(code, SUPPORTED_NAMES[code], is_supported=True)
    return Language(code, UNSUPPORTED_NAMES[code], is_supported=False)


def read_script(letter: str) -> str:
    """Return the script of a letter, as the first word of its Unicode name; "" if unnamed."""
    return unicodedata.name(letter, "").partition(" ")[0]


def is_latin(word: str) -> bool:
    """Return whether a word begins with a Latin letter."""
    return word[0] < "\u0250" or read_script(word[0]) in ("LATIN", "")


def identify_script(text: str) -> Language | None:
    """Return the language of a text that is not in Latin letters; None if it is."""
    letters = [letter for letter in unicodedata.normalize("NFKC", text) if letter.isalpha()]
    scripts = Counter(read_script(letter) for letter in letters if not is_latin(letter))
    supported_codes = [code for script, code in SCRIPT_LANGUAGES.items() if script in scripts]
    if supported_codes:
        for code, distinctive_letters in LETTER_LANGUAGES.items():
            if any(letter in distinctive_letters for letter in text.lower()):
                return get_language(code)
        return get_language(supported_codes[0])
    if scripts and scripts.total() > len(letters) / 2:
        name = scripts.most_common(1)[0][0].title()
        return Language(name.lower(), SCRIPT_NAMES.get(name, name), is_supported=False)
    return None
