"""Passages: search terms, and windows of consecutive cues that match them.

A sentence may be split over several cues, so a cue is scored together with its neighbors. Terms are
weighted by inverse document frequency (IDF), with stop words and inflected matches weighted down.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.types import Quote, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vsearch.catalog.transcripts import CueRecord
    from vsearch.types import CueSource

MAX_PASSAGE_SECONDS = 10.0  # duration of a passage of several cues
MAX_QUOTE_CHARS = 200
MAX_LEAD_CHARS = 40  # of a quote before the first hit
MIN_MENTION_GAP_SECONDS = 1.0  # between two mentions in one cue
MAX_SEARCH_TERMS = 32  # words of a query; the rest is ignored
MAX_TERM_CHARS = 64  # letters of a word; the rest is cut off
STOP_WORD_WEIGHT = 0.2  # factor on the IDF of a stop word
IDF_FLOOR = 0.5  # added to the IDF, so that common words count a little
INFLECTION_WEIGHT = 0.9  # weight of a match in another word form
WORD_SUFFIXES = ("s", "es", "ed", "ing")
MIN_STEM_CHARS = 3
WINDOW_CUES = 3  # neighbors on either side that a passage may include
_STOP_WORD_TEXT = (
    "a an and are as at be been but by can did do does for from get had has have he her him his "
    "i if in into is it its just like me my no not of off on or our out so some that the their "
    "them then there these they this to too up us very was we were what when where which who will "
    "with would you your"
)
STOP_WORDS = frozenset(_STOP_WORD_TEXT.split())
_TOKEN_RE = re.compile(r"[^\W_]+")
_TERM_RE = re.compile(r"([^\W_]+)(\*?)")


@dataclass(frozen=True)
class Passage:
    """Consecutive cues of one transcript."""

    cue_records: tuple[CueRecord, ...]

    @property
    def video_id(self) -> int:
        """Id of the video."""
        return self.cue_records[0].video_id

    @property
    def source(self) -> CueSource:
        """Source of the transcript."""
        return self.cue_records[0].cue.source

    @property
    def span(self) -> Span:
        """Span from the first cue to the last, in seconds."""
        first_span = self.cue_records[0].cue.span
        return Span(
            first_span.start, max(cue_record.cue.span.end for cue_record in self.cue_records)
        )

    @cached_property
    def full_text(self) -> str:
        """Text of all cues, joined by spaces."""
        return " ".join(cue_record.cue.text for cue_record in self.cue_records)

    @cached_property
    def tokens(self) -> tuple[TextToken, ...]:
        """Words of the text."""
        return tuple(iter_tokens(self.full_text))

    @cached_property
    def token_spans(self) -> dict[int, Span]:
        """Span of each word by its offset in the text: its own if timed, else that of its cue."""
        token_spans: list[Span] = []
        for cue_record in self.cue_records:
            cue = cue_record.cue
            word_spans = [word.span for word in cue.words for _ in iter_tokens(word.text)]
            token_count = sum(1 for _ in iter_tokens(cue.text))
            is_timed = len(word_spans) == token_count
            token_spans += word_spans if is_timed else [cue.span] * token_count
        return {
            token.start_char: span for token, span in zip(self.tokens, token_spans, strict=True)
        }

    def contains_phrase(self, search_terms: Sequence[SearchTerm]) -> bool:
        """Return True if the terms occur consecutively and in order."""
        return next(self._iter_phrases(search_terms), None) is not None

    def find_mentions(
        self, search_terms: Sequence[SearchTerm], *, exact_phrase: bool
    ) -> list[list[TextToken]]:
        """Return the tokens that match a term, or with `exact_phrase` those of each phrase.

        Mentions of a phrase or of a single term are apart if `MIN_MENTION_GAP_SECONDS` are between
        them, which only word timings show.

        Args:
            search_terms: The terms of the query.
            exact_phrase: Match the terms only consecutively and in order.

        Returns:
            The tokens of each mention; one empty list if nothing matches literally.
        """
        if exact_phrase:
            matches = list(self._iter_phrases(search_terms))
        else:
            matches = [
                [token]
                for token in self.tokens
                if any(search_term.match_weight(token.folded_text) for search_term in search_terms)
            ]
        mentions: list[list[TextToken]] = []
        for match in matches:
            is_apart = exact_phrase or len(search_terms) == 1
            if mentions and not (is_apart and self._has_gap(mentions[-1], match)):
                mentions[-1] += match
            else:
                mentions.append(match)
        return mentions or [[]]

    def _has_gap(self, earlier: Sequence[TextToken], later: Sequence[TextToken]) -> bool:
        earlier_span, later_span = self._span_of_hits(earlier), self._span_of_hits(later)
        return later_span.start - earlier_span.end >= MIN_MENTION_GAP_SECONDS

    def _iter_phrases(self, search_terms: Sequence[SearchTerm]) -> Iterator[list[TextToken]]:
        """Yield the tokens of each occurrence of the phrase, which do not overlap."""
        passage_tokens, token_index = self.tokens, 0
        while token_index <= len(passage_tokens) - len(search_terms):
            phrase_tokens = passage_tokens[token_index : token_index + len(search_terms)]
            if all(
                search_term.match_weight(token.folded_text) == 1
                for search_term, token in zip(search_terms, phrase_tokens, strict=True)
            ):
                yield list(phrase_tokens)
                token_index += len(search_terms)
            else:
                token_index += 1

    def build_quote(
        self, quote_score: float, hit_tokens: Sequence[TextToken]
    ) -> tuple[Quote, tuple[TextToken, ...]]:
        """Cut a quote of at most `MAX_QUOTE_CHARS` around the first hit.

        Args:
            quote_score: Score of the quote.
            hit_tokens: Tokens of the passage to highlight.

        Returns:
            The quote, and the hits inside it with offsets into its text.
        """
        start_char, end_char = 0, len(self.full_text)
        if end_char > MAX_QUOTE_CHARS:
            start_char = max(
                0,
                min(
                    hit_tokens[0].start_char - MAX_LEAD_CHARS if hit_tokens else 0,
                    end_char - MAX_QUOTE_CHARS,
                ),
            )
            end_char = start_char + MAX_QUOTE_CHARS
        lead_mark = "…" if start_char > 0 else ""
        tail_mark = "…" if end_char < len(self.full_text) else ""
        quote_text = f"{lead_mark}{self.full_text[start_char:end_char]}{tail_mark}"
        char_shift = start_char - len(lead_mark)
        shown_hits = tuple(
            TextToken(
                hit_token.folded_text,
                hit_token.start_char - char_shift,
                hit_token.end_char - char_shift,
            )
            for hit_token in hit_tokens
            if start_char <= hit_token.start_char and hit_token.end_char <= end_char
        )
        quote = Quote(self.source, self._span_of_hits(hit_tokens), quote_text, quote_score)
        return quote, shown_hits

    def _span_of_hits(self, hit_tokens: Sequence[TextToken]) -> Span:
        """Return the span of the hits, by word timings if known, else by cues."""
        hit_spans = [self.token_spans[token.start_char] for token in hit_tokens] or [self.span]
        return Span(min(span.start for span in hit_spans), max(span.end for span in hit_spans))


@dataclass(frozen=True, slots=True)
class TextToken:
    """A word and its position in a text."""

    folded_text: str  # without case and accents
    start_char: int  # offset in characters
    end_char: int


@dataclass(frozen=True, slots=True)
class SearchTerm:
    """A word of a query with its inflected forms; a trailing `*` makes it a prefix."""

    folded_text: str
    word_forms: frozenset[str]  # typed and folded: the catalog's tokenizer folds differently
    weight: float = 1.0

    def match_weight(self, spoken_word: str) -> float:
        """Return how well a folded word matches, from 0 (not at all) to 1 (exactly)."""
        if spoken_word == self.folded_text:
            return 1.0
        if self.folded_text.endswith("*"):
            return float(spoken_word.startswith(self.folded_text[:-1]))
        return INFLECTION_WEIGHT if spoken_word in self.word_forms else 0.0


def fold_text(raw_text: str) -> str:
    """Remove case and accents, approximately like the catalog's FTS tokenizer."""
    if raw_text.isascii():
        return raw_text.lower()
    decomposed_text = unicodedata.normalize("NFD", raw_text.lower())
    return "".join(
        character for character in decomposed_text if not unicodedata.combining(character)
    )


def iter_tokens(raw_text: str) -> Iterator[TextToken]:
    """Yield the words of a text."""
    for token_match in _TOKEN_RE.finditer(raw_text):
        yield TextToken(fold_text(token_match[0]), token_match.start(), token_match.end())


def parse_search_terms(
    query_text: str, *, exact_form: bool, count_cues: Callable[[SearchTerm], int], cue_count: int
) -> list[SearchTerm]:
    """Parse a text query into terms weighted by inverse document frequency (IDF).

    Args:
        query_text: The query as typed.
        exact_form: Match words only as typed, not in inflected forms.
        count_cues: Returns the number of cues that contain a term.
        cue_count: Number of all cues.

    Returns:
        At most `MAX_SEARCH_TERMS` terms in order of appearance.

    Source: Spärck Jones, "A statistical interpretation of term specificity and its application in
    retrieval", 1972.
    """
    search_terms: list[SearchTerm] = []
    for term_match in list(_TERM_RE.finditer(unicodedata.normalize("NFC", query_text)))[
        :MAX_SEARCH_TERMS
    ]:
        typed_word, wildcard = term_match[1][:MAX_TERM_CHARS], term_match[2]
        search_term = _parse_term(typed_word, wildcard, exact_form=exact_form)
        cue_frequency = count_cues(search_term)
        idf = math.log1p(max(0, cue_count - cue_frequency) / (cue_frequency + 1)) + IDF_FLOOR
        is_stop_word = search_term.folded_text in STOP_WORDS
        term_weight = idf * (STOP_WORD_WEIGHT if is_stop_word else 1.0)
        search_terms.append(replace(search_term, weight=term_weight))
    return search_terms


def _parse_term(typed_word: str, wildcard: str, *, exact_form: bool) -> SearchTerm:
    folded_word = fold_text(typed_word)
    if wildcard and not _is_common_prefix(folded_word):
        return SearchTerm(f"{folded_word}*", frozenset({f"{typed_word}*"}))
    if exact_form or folded_word in STOP_WORDS:
        return SearchTerm(folded_word, frozenset({typed_word, folded_word}))
    return SearchTerm(
        folded_word, frozenset({typed_word, folded_word, *_inflect_word(folded_word)})
    )


def _is_common_prefix(word_prefix: str) -> bool:
    """Return True for a single letter of an alphabet, which would match a tenth of all words."""
    return len(word_prefix) == 1 and unicodedata.category(word_prefix) != "Lo"


def _inflect_word(folded_word: str) -> Iterator[str]:
    """Yield the word's stems with all suffixes; forms that do not exist do no harm."""
    for word_stem in _find_stems(folded_word):
        yield from (
            word_stem,
            *(word_stem + suffix for suffix in WORD_SUFFIXES),
            word_stem + word_stem[-1] + "ed",
        )
        yield word_stem + word_stem[-1] + "ing"  # running
        if word_stem.endswith("e"):
            yield from (f"{word_stem}d", f"{word_stem[:-1]}ing")
        if word_stem.endswith("y"):
            yield from (f"{word_stem[:-1]}ies", f"{word_stem[:-1]}ied")


def _find_stems(folded_word: str) -> set[str]:
    word_stems = {folded_word}
    for suffix in WORD_SUFFIXES:
        word_stem = folded_word.removesuffix(suffix)
        if word_stem == folded_word or len(word_stem) < MIN_STEM_CHARS:
            continue
        word_stems |= {word_stem} if suffix == "s" else {word_stem, f"{word_stem}e"}
        if word_stem[-1] == word_stem[-2]:
            word_stems.add(word_stem[:-1])
        if word_stem.endswith("i"):
            word_stems.add(f"{word_stem[:-1]}y")
    return {word_stem for word_stem in word_stems if word_stem}


class CueWindowScorer:
    """Scorer of cue windows for one query; cues of a transcript must have consecutive ids.

    Thousands of cues are scored per query, so all word forms are in one lookup table.
    """

    def __init__(
        self,
        cue_records: Iterable[CueRecord],
        search_terms: Sequence[SearchTerm],
        *,
        exact_phrase: bool,
    ) -> None:
        """Index the cues; `exact_phrase` requires the terms to occur consecutively."""
        self._cues_by_id = {cue_record.id: cue_record for cue_record in cue_records}
        self._search_terms, self._exact_phrase = search_terms, exact_phrase
        self._total_weight = sum(search_term.weight for search_term in search_terms)
        self._terms_by_form: dict[str, list[tuple[int, float]]] = {}  # (term index, match weight)
        self._prefix_terms = [
            search_term for search_term in search_terms if search_term.folded_text.endswith("*")
        ]
        for term_index, search_term in enumerate(search_terms):
            for word_form in {search_term.folded_text, *map(fold_text, search_term.word_forms)}:
                self._terms_by_form.setdefault(word_form, []).append(
                    (term_index, search_term.match_weight(word_form))
                )
        self._matches_by_cue: dict[int, dict[int, float]] = {}  # term index -> match weight

    def best_passage(self, cue_id: int, min_share: float) -> tuple[float, Passage] | None:
        """Find the window around a cue that matches most of the query; ties: the shortest.

        Args:
            cue_id: The cue that the window must contain.
            min_share: Minimum weighted share of the query, in [0, 1].

        Returns:
            The matched share and the passage, or None if no window reaches `min_share`.
        """
        middle_cue = self._cues_by_id.get(cue_id)
        if middle_cue is None:
            return None
        if not self._exact_phrase and self._matched_share((middle_cue,)) > 1 - 1e-6:
            return 1.0, Passage((middle_cue,))  # the common case
        preceding_cues = list(self._neighbor_cues(middle_cue, -1))
        following_cues = list(self._neighbor_cues(middle_cue, 1))
        full_share = self._matched_share((*preceding_cues, middle_cue, *following_cues))
        if full_share < min_share - 1e-6 or (self._exact_phrase and full_share < 1 - 1e-6):
            return None
        best_match: tuple[float, Passage] | None = None
        for window_cues in _iter_windows(preceding_cues, middle_cue, following_cues):
            matched_share = self._matched_share(window_cues)
            if matched_share < min_share - 1e-6 or (
                best_match is not None and matched_share < best_match[0] + 1e-6
            ):
                continue
            passage = Passage(window_cues)
            if self._exact_phrase and not passage.contains_phrase(self._search_terms):
                continue
            best_match = min(matched_share, 1.0), passage
            if matched_share > full_share - 1e-6:
                break
        return best_match

    def _matched_share(self, cue_records: Sequence[CueRecord]) -> float:
        best_matches: dict[int, float] = {}
        for cue_record in cue_records:
            for term_index, match_weight in self._match_cue(cue_record).items():
                best_matches[term_index] = max(match_weight, best_matches.get(term_index, 0.0))
        return (
            sum(
                self._search_terms[term_index].weight * match_weight
                for term_index, match_weight in best_matches.items()
            )
            / self._total_weight
        )

    def _match_cue(self, cue_record: CueRecord) -> dict[int, float]:
        term_matches = self._matches_by_cue.get(cue_record.id)
        if term_matches is None:
            term_matches = self._matches_by_cue[cue_record.id] = {}
            for spoken_word in _TOKEN_RE.findall(fold_text(cue_record.cue.text)):
                for term_index, match_weight in self._terms_by_form.get(spoken_word, ()):
                    term_matches[term_index] = max(match_weight, term_matches.get(term_index, 0.0))
                if self._prefix_terms:
                    self._match_prefixes(spoken_word, term_matches)
        return term_matches

    def _match_prefixes(self, spoken_word: str, term_matches: dict[int, float]) -> None:
        """Add the prefix terms that a word matches."""
        for term_index, search_term in enumerate(self._search_terms):
            if search_term in self._prefix_terms and search_term.match_weight(spoken_word):
                term_matches[term_index] = 1.0

    def _neighbor_cues(self, middle_cue: CueRecord, direction: int) -> Iterator[CueRecord]:
        """Yield the neighbors in the same transcript on one side, nearest first."""
        previous_cue = middle_cue
        for cue_offset in range(1, WINDOW_CUES + 1):
            neighbor_cue = self._cues_by_id.get(middle_cue.id + direction * cue_offset)
            if neighbor_cue is None or not _continues_track(
                *((previous_cue, neighbor_cue) if direction > 0 else (neighbor_cue, previous_cue))
            ):
                return
            yield neighbor_cue
            previous_cue = neighbor_cue


def _iter_windows(
    preceding_cues: Sequence[CueRecord], middle_cue: CueRecord, following_cues: Sequence[CueRecord]
) -> Iterator[tuple[CueRecord, ...]]:
    """Yield windows around the middle cue up to `MAX_PASSAGE_SECONDS`, fewest cues first."""
    side_counts = [
        (left_count, right_count)
        for left_count in range(len(preceding_cues) + 1)
        for right_count in range(len(following_cues) + 1)
    ]
    for left_count, right_count in sorted(side_counts, key=sum):
        window_cues = (
            *reversed(preceding_cues[:left_count]),
            middle_cue,
            *following_cues[:right_count],
        )
        if (
            len(window_cues) == 1
            or window_cues[-1].cue.span.end - window_cues[0].cue.span.start <= MAX_PASSAGE_SECONDS
        ):
            yield window_cues


def _continues_track(earlier_cue: CueRecord, later_cue: CueRecord) -> bool:
    """Return True if the cues belong to one transcript and start within 10 s of each other."""
    same_track = (earlier_cue.video_id, earlier_cue.cue.source) == (
        later_cue.video_id,
        later_cue.cue.source,
    )
    return (
        same_track
        and 0 <= later_cue.cue.span.start - earlier_cue.cue.span.start <= MAX_PASSAGE_SECONDS
    )
