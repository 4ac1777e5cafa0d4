"""Transcript search: passages of speech, subtitles and OCR that contain most of a text.

Candidate cues come from the postings of the rarest terms in the FTS index; each is then scored with
its neighbors as a passage. Semantic matches are added with a lower score.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np

from vsearch.query.times import OPEN_END_SECONDS
from vsearch.search.passages import WINDOW_CUES, CueWindowScorer, Passage, parse_search_terms
from vsearch.types import CueSource, Span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    import numpy.typing as npt

    from vsearch.catalog.catalog import Catalog
    from vsearch.search.passages import SearchTerm, TextToken
    from vsearch.search.semantic_cues import SemanticCueIndex
    from vsearch.search.time_ranges import TimeRanges
    from vsearch.types import Ids, Quote, Vector

ALL_SOURCES: frozenset[CueSource] = frozenset(get_args(CueSource))
SPEECH_SOURCES: frozenset[CueSource] = frozenset({"subtitles", "speech"})
OCR_SOURCES: frozenset[CueSource] = frozenset({"ocr"})
MIN_TEXT_COVERAGE = 0.5  # share of the query, by IDF weight, that a passage must contain
MAX_POSTINGS = 3_000  # cues fetched per term
MAX_FILTERED_POSTINGS = 12_000  # the same for a search in some sources or videos only
MAX_PASSAGES = 240  # passages that are scored
PASSAGE_OVERSAMPLE = 8  # factor on MAX_PASSAGES before filtering
KNUTH_HASH = 2_654_435_761  # Knuth's multiplicative hash: scatters neighboring ids
PER_VIDEO_DIVISOR = 20  # a video may have at most this fraction of the passages
MERGE_GAP_SECONDS = 5.0  # partial and semantic matches so close to a better one are dropped
MAX_SOURCE_OFFSET_SECONDS = 2.0  # between a subtitle and the same words in the speech transcript
MIN_MENTION_SCORE = 0.9  # share of the query, by IDF weight, from which on a passage mentions it


class ScoredPassage(NamedTuple):
    """A passage that matches a query."""

    score: float  # share of the query that it contains; at most 0.9 by meaning
    passage: Passage
    is_mention: bool  # it contains the whole query, literally


@dataclass(frozen=True, slots=True)
class TranscriptHit:
    """A passage that matches a text query."""

    video_id: int
    quote: Quote
    hit_tokens: tuple[TextToken, ...] = ()  # matched words, with offsets into the quote's text


class TranscriptSearch:
    """Search over the transcripts of one library. Thread-safe."""

    def __init__(self, catalog: Catalog, semantic_cues: SemanticCueIndex | None = None) -> None:
        """Search literally, and by meaning if `semantic_cues` is given."""
        self._catalog, self._semantic_cues = catalog, semantic_cues

    def search(
        self,
        query_text: str,
        *,
        exact_phrase: bool = False,
        cue_sources: Collection[CueSource] = ALL_SOURCES,
        allowed_ids: Ids | None = None,
        time_ranges: TimeRanges | None = None,
        max_hits: int = 100,
        keep_all: bool = False,
    ) -> list[TranscriptHit]:
        """Find passages that contain a text or most of it.

        The score of a quote is the share of the query that the passage contains, weighted by IDF,
        and is comparable across queries. Semantic matches score from 0.5 to 0.9.

        Args:
            query_text: The text; without any word, nothing is found.
            exact_phrase: Require the words consecutively, in order and not inflected. Semantic
                matches are then only added if there is no literal one.
            cue_sources: Transcript sources to search.
            allowed_ids: Passages must overlap one of these segments, ascending; None: all.
            time_ranges: Hits must overlap one of these, and are clipped to it; None: all times.
            max_hits: Maximum number of hits.
            keep_all: Do not merge hits that are close in time, and do not limit hits per video.

        Returns:
            Hits, best first.
        """
        cue_index = self._catalog.cue_index
        search_terms = (
            self._parse_text(query_text, exact_phrase=exact_phrase)
            if cue_index.estimate_size()
            else []
        )
        if not search_terms:
            return []
        video_ids = None if allowed_ids is None else cue_index.video_ids_of_segments(allowed_ids)
        max_passages = max(MAX_PASSAGES, max_hits)
        max_per_video = max_passages if keep_all else max_passages // PER_VIDEO_DIVISOR
        candidate_ids = self._find_candidate_cues(
            search_terms,
            cue_sources,
            video_ids,
            max_passages,
            max_per_video,
            exact_phrase=exact_phrase,
        )
        window_ids = np.unique(
            (candidate_ids[:, None] + np.arange(-WINDOW_CUES, WINDOW_CUES + 1)).ravel()
        )
        window_scorer = CueWindowScorer(
            cue_index.read_cues(window_ids), search_terms, exact_phrase=exact_phrase
        )
        scored_passages = [
            ScoredPassage(*best_passage, best_passage[0] >= MIN_MENTION_SCORE - 1e-6)
            for cue_id in candidate_ids.tolist()
            if (best_passage := window_scorer.best_passage(cue_id, MIN_TEXT_COVERAGE)) is not None
        ]
        if not (exact_phrase and scored_passages):
            scored_passages += self._search_semantic(
                query_text, cue_sources, video_ids, max_passages, max_per_video
            )
        if allowed_ids is not None:
            scored_passages = self._filter_by_segments(scored_passages, allowed_ids)
        if time_ranges is not None:
            scored_passages = [
                scored_passage
                for scored_passage in scored_passages
                if time_ranges.clip(scored_passage.passage.span) is not None
            ]
        ranked_passages = (
            sorted(scored_passages, key=_passage_order)
            if keep_all
            else merge_nearby(scored_passages)
        )
        return [
            hit
            for scored_passage in ranked_passages[:max_hits]
            for built_hit in _build_hits(scored_passage, search_terms, exact_phrase=exact_phrase)
            if (hit := _clip_hit(built_hit, time_ranges)) is not None
        ][:max_hits]

    def _search_semantic(
        self,
        query_text: str,
        cue_sources: Collection[CueSource],
        video_ids: Ids | None,
        max_cues: int,
        max_per_video: int,
    ) -> list[ScoredPassage]:
        """Return semantic matches, at most `max_per_video` of one video."""
        if self._semantic_cues is None:
            return []
        cue_ids, cue_scores = self._semantic_cues.search_similar(query_text)
        cue_ids, cue_scores = cue_ids[:MAX_FILTERED_POSTINGS], cue_scores[:MAX_FILTERED_POSTINGS]
        allowed_mask, cue_video_ids = self._filter_cues(cue_ids, cue_sources, video_ids)
        cue_ids = select_top_ids(
            cue_ids[allowed_mask],
            cue_scores[allowed_mask],
            cue_video_ids[allowed_mask],
            max_cues,
            max_per_video,
        )
        score_by_cue = dict(zip(cue_ids.tolist(), cue_scores.tolist(), strict=False))
        return [
            ScoredPassage(score_by_cue[cue_record.id], Passage((cue_record,)), is_mention=False)
            for cue_record in self._catalog.cue_index.read_cues(cue_ids)
        ]

    def _filter_cues(
        self, cue_ids: Ids, cue_sources: Collection[CueSource], video_ids: Ids | None
    ) -> tuple[npt.NDArray[np.bool_], Ids]:
        """Return which cues are allowed, bool (N,), and their videos, int64 (N,)."""
        cue_video_ids, found_sources = self._catalog.cue_index.locate_cues(cue_ids)
        allowed_mask = np.array(
            [cue_source in cue_sources for cue_source in found_sources], np.bool_
        ) & (cue_video_ids >= 0)
        if video_ids is not None:
            allowed_mask &= np.isin(cue_video_ids, video_ids)
        return allowed_mask, cue_video_ids

    def _parse_text(self, query_text: str, *, exact_phrase: bool) -> list[SearchTerm]:
        cue_index = self._catalog.cue_index

        def count_cues(search_term: SearchTerm) -> int:
            return cue_index.estimate_count([search_term.word_forms], MAX_POSTINGS)

        return parse_search_terms(
            query_text,
            exact_form=exact_phrase,
            count_cues=count_cues,
            cue_count=cue_index.estimate_size(),
        )

    def _find_candidate_cues(
        self,
        search_terms: Sequence[SearchTerm],
        cue_sources: Collection[CueSource],
        video_ids: Ids | None,
        max_cues: int,
        max_per_video: int,
        *,
        exact_phrase: bool,
    ) -> Ids:
        """Return the ids of the cues to score, most promising first, int64 (N,).

        A passage with sufficient coverage contains at least one of the `required_terms`.
        """
        cue_index = self._catalog.cue_index
        is_filtered = video_ids is not None or bool(
            cue_index.transcript_sources() - set(cue_sources)
        )
        max_postings = MAX_FILTERED_POSTINGS if is_filtered else MAX_POSTINGS

        def search_cues(form_groups: Sequence[Collection[str]]) -> Ids:
            return cue_index.search(form_groups, max_results=max_postings, video_ids=video_ids)

        full_groups = (
            [[" ".join(search_term.folded_text for search_term in search_terms)]]
            if exact_phrase
            else [search_term.word_forms for search_term in search_terms]
        )
        needed_terms = required_terms(search_terms, 1.0 if exact_phrase else MIN_TEXT_COVERAGE)
        full_match_ids = search_cues(full_groups)
        weighted_postings = [
            (search_term.weight, search_cues([search_term.word_forms]))
            for search_term in needed_terms
        ]
        candidate_ids = np.unique(
            np.concatenate([full_match_ids, *(posting_ids for _, posting_ids in weighted_postings)])
        )
        promise_scores = np.isin(candidate_ids, full_match_ids) * sum(
            search_term.weight for search_term in search_terms
        )
        promise_scores = np.maximum(
            promise_scores,
            sum(
                term_weight * has_neighbor(candidate_ids, posting_ids)
                for term_weight, posting_ids in weighted_postings
            ),
        )
        if not is_filtered:  # break ties by hash, to draw from the whole library
            promise_order = np.lexsort((candidate_ids * KNUTH_HASH % 2**32, -promise_scores))[
                : PASSAGE_OVERSAMPLE * max_cues
            ]
            candidate_ids, promise_scores = (
                candidate_ids[promise_order],
                promise_scores[promise_order],
            )
        allowed_mask, cue_video_ids = self._filter_cues(candidate_ids, cue_sources, video_ids)
        return select_top_ids(
            candidate_ids[allowed_mask],
            promise_scores[allowed_mask],
            cue_video_ids[allowed_mask],
            max_cues,
            max_per_video,
        )

    def _filter_by_segments(
        self, scored_passages: Sequence[ScoredPassage], allowed_ids: Ids
    ) -> list[ScoredPassage]:
        """Keep the passages that overlap an allowed segment.

        What is said after the last picture belongs to the last segment.
        """
        allowed_set = set(allowed_ids.tolist())
        spans_by_video: dict[int, list[Span]] = {}
        for video_id in {passage.video_id for _, passage, _ in scored_passages}:
            video_segments = self._catalog.segments_of_video(video_id)
            picture_end = max((segment.span.end for segment in video_segments), default=0.0)
            spans_by_video[video_id] = [
                segment.span
                if segment.span.end < picture_end
                else Span(segment.span.start, OPEN_END_SECONDS)
                for segment in video_segments
                if segment.id in allowed_set
            ]
        return [
            scored_passage
            for scored_passage in scored_passages
            if _overlaps_any(
                scored_passage.passage.span, spans_by_video[scored_passage.passage.video_id]
            )
        ]


def required_terms(search_terms: Sequence[SearchTerm], min_share: float) -> list[SearchTerm]:
    """Return the fewest terms of which every passage with enough coverage contains one.

    Args:
        search_terms: The terms of the query.
        min_share: Coverage by weight that a passage must reach, in [0, 1].

    Returns:
        The terms with the highest weight; all others together do not reach `min_share`.
    """
    remaining_weight = sum(search_term.weight for search_term in search_terms)
    needed_weight = min_share * remaining_weight
    needed_terms: list[SearchTerm] = []
    for search_term in sorted(
        {candidate_term.folded_text: candidate_term for candidate_term in search_terms}.values(),
        key=lambda candidate_term: -candidate_term.weight,
    ):
        needed_terms.append(search_term)
        remaining_weight -= search_term.weight * sum(
            candidate_term.folded_text == search_term.folded_text for candidate_term in search_terms
        )
        if remaining_weight < needed_weight - 1e-9:
            break
    return needed_terms


def has_neighbor(cue_ids: Ids, other_ids: Ids) -> Vector:
    """Mark cues that have one of the other cues within `WINDOW_CUES`.

    Args:
        cue_ids: int64 (N,).
        other_ids: int64 (M,), ascending.

    Returns:
        1 or 0 for each cue, float32 (N,).
    """
    neighbor_rows = np.searchsorted(other_ids, cue_ids - WINDOW_CUES)
    has_match = neighbor_rows < len(other_ids)
    has_match[has_match] = other_ids[neighbor_rows[has_match]] <= cue_ids[has_match] + WINDOW_CUES
    return has_match.astype(np.float32)


def select_top_ids(
    cue_ids: Ids, promise_scores: Vector, video_ids: Ids, max_ids: int, max_per_video: int
) -> Ids:
    """Select the most promising cues with a limit per video.

    Args:
        cue_ids: int64 (N,).
        promise_scores: Upper bounds of the score, float32 (N,).
        video_ids: int64 (N,).
        max_ids: Maximum number of cues.
        max_per_video: Maximum number of cues of one video.

    Returns:
        Cue ids, int64 (n,), by descending score; ties by id.
    """
    promise_order = np.lexsort((cue_ids, -promise_scores))
    ordered_videos = video_ids[promise_order]
    video_order = np.argsort(ordered_videos, kind="stable")
    group_starts = np.searchsorted(ordered_videos[video_order], ordered_videos[video_order])
    rank_in_video = np.empty(len(cue_ids), np.int64)  # from 0
    rank_in_video[video_order] = np.arange(len(cue_ids)) - group_starts
    return cue_ids[promise_order][rank_in_video < max_per_video][:max_ids]


def merge_nearby(scored_passages: Sequence[ScoredPassage]) -> list[ScoredPassage]:
    """Sort passages by score and drop those that belong to a better one close by.

    Two mentions of the whole query are both kept, unless they overlap. Speech and OCR passages of
    one video are not merged with each other.
    """
    kept_by_track: dict[tuple[int, bool], list[ScoredPassage]] = {}
    for scored_passage in sorted(scored_passages, key=_passage_order):
        passage = scored_passage.passage
        kept_passages = kept_by_track.setdefault(
            (passage.video_id, passage.source in OCR_SOURCES), []
        )
        if not any(
            _overlaps_any(
                passage.span, [kept_passage.passage.span], _merge_gap(scored_passage, kept_passage)
            )
            for kept_passage in kept_passages
        ):
            kept_passages.append(scored_passage)
    return sorted(
        (
            scored_passage
            for kept_passages in kept_by_track.values()
            for scored_passage in kept_passages
        ),
        key=_passage_order,
    )


def _merge_gap(scored_passage: ScoredPassage, kept_passage: ScoredPassage) -> float:
    """Return the distance in seconds below which a passage belongs to a better one."""
    if not (scored_passage.is_mention and kept_passage.is_mention):
        return MERGE_GAP_SECONDS
    is_same_source = scored_passage.passage.source == kept_passage.passage.source
    return 0.0 if is_same_source else MAX_SOURCE_OFFSET_SECONDS


def _passage_order(scored_passage: ScoredPassage) -> tuple[float, ...]:
    """Sort best first; ties: the shortest text."""
    passage = scored_passage.passage
    return (-scored_passage.score, len(passage.full_text), passage.video_id, passage.span.start)


def _build_hits(
    scored_passage: ScoredPassage, search_terms: Sequence[SearchTerm], *, exact_phrase: bool
) -> Iterator[TranscriptHit]:
    """Yield a hit for each mention in a passage."""
    passage = scored_passage.passage
    for mention in passage.find_mentions(search_terms, exact_phrase=exact_phrase):
        quote, hit_tokens = passage.build_quote(scored_passage.score, mention)
        yield TranscriptHit(passage.video_id, quote, hit_tokens)


def _clip_hit(hit: TranscriptHit, time_ranges: TimeRanges | None) -> TranscriptHit | None:
    if time_ranges is None:
        return hit
    clipped_span = time_ranges.clip(hit.quote.span)
    return replace(hit, quote=replace(hit.quote, span=clipped_span)) if clipped_span else None


def _overlaps_any(span: Span, other_spans: Sequence[Span], max_gap: float = 0.0) -> bool:
    return any(
        span.start == other_span.start or span.overlaps(other_span, max_gap)
        for other_span in other_spans
    )
