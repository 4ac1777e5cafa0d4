"""Text terms of a query: their transcript hits, and the segments that `said:`/`shown:` allow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.fusion import MAX_TEXT_GAP_SECONDS, TextHit
from vsearch.search.text import OCR_SOURCES, SPEECH_SOURCES, TranscriptSearch
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.query.model import Term
    from vsearch.search.time_ranges import TimeRanges
    from vsearch.types import Ids

MAX_HITS_PER_TERM = 200
_MIN_SEGMENT_OVERLAP_SECONDS = 0.1  # with the last segment, of words after the last picture
MAX_REQUIRED_HITS = 2_000  # of a `said:` or `shown:` term, which filters the search


@dataclass(frozen=True, slots=True)
class TextMatches:
    """Transcript hits of a query, and the segments that remain to be searched."""

    text_hits: list[TextHit]
    allowed_ids: Ids | None  # int64 (N,), ascending; None: all


def match_text_terms(
    query_terms: Sequence[Term],
    allowed_ids: Ids | None,
    catalog: Catalog,
    transcript_search: TranscriptSearch,
    time_ranges: TimeRanges | None = None,
) -> TextMatches:
    """Search transcripts for the text terms of a query.

    `said:` and `shown:` terms restrict the search to segments near their hits, or exclude these if
    their weight is negative. Plain text terms are optional evidence, weighted by their share of the
    total weight of text terms.

    Args:
        query_terms: All terms of the query; image and clip terms are ignored.
        allowed_ids: Segments that the filters allow, ascending; None: all.
        catalog: The catalog of the library.
        transcript_search: The search for `said:` and `shown:` terms.
        time_ranges: Ranges to which hits are clipped; None: all times.

    Returns:
        The hits, and `allowed_ids` restricted further.
    """
    required_terms = [term for term in query_terms if term.kind in ("said", "shown")]
    plain_terms = [term for term in query_terms if term.kind == "text" and term.weight > 0]
    for term in required_terms:
        nearby_ids = _segments_near(
            _search_term(
                term,
                allowed_ids,
                catalog,
                transcript_search,
                MAX_REQUIRED_HITS,
                time_ranges,
                keep_all=True,
            ),
            catalog,
        )
        if term.weight > 0:
            allowed_ids = (
                nearby_ids if allowed_ids is None else np.intersect1d(allowed_ids, nearby_ids)
            )
        else:
            allowed_ids = np.setdiff1d(
                catalog.segment_ids() if allowed_ids is None else allowed_ids, nearby_ids
            )
    wanted_terms = [term for term in required_terms if term.weight > 0] or plain_terms
    term_kinds = {term.kind for term in wanted_terms}
    total_weight = sum(abs(term.weight) for term in query_terms if term.kind in term_kinds)
    text_hits = [
        replace(text_hit, term_weight=term.weight / total_weight, term_index=term_index)
        for term_index, term in enumerate(wanted_terms)
        for text_hit in _search_term(
            term, allowed_ids, catalog, transcript_search, MAX_HITS_PER_TERM, time_ranges
        )
    ]
    return TextMatches(text_hits, allowed_ids)


def _search_term(
    term: Term,
    allowed_ids: Ids | None,
    catalog: Catalog,
    transcript_search: TranscriptSearch,
    max_hits: int,
    time_ranges: TimeRanges | None,
    *,
    keep_all: bool = False,
) -> list[TextHit]:
    """Search for one term, best first; `keep_all` keeps hits close to a better one."""
    cue_sources = {"said": SPEECH_SOURCES, "shown": OCR_SOURCES}.get(
        term.kind, SPEECH_SOURCES | OCR_SOURCES
    )
    if term.kind == "text" or term.weight < 0:
        # literal matches only: the image embedding covers the meaning better
        transcript_search = TranscriptSearch(catalog)
    transcript_hits = transcript_search.search(
        term.value,
        exact_phrase=term.is_phrase,
        cue_sources=cue_sources,
        allowed_ids=allowed_ids,
        time_ranges=time_ranges,
        max_hits=max_hits,
        keep_all=keep_all,
    )
    if not transcript_hits:
        return []
    videos_by_id = catalog.videos_by_id({hit.video_id for hit in transcript_hits})
    return [
        TextHit(videos_by_id[hit.video_id], hit.quote)
        for hit in transcript_hits
        if hit.video_id in videos_by_id
    ]


def _segments_near(text_hits: Sequence[TextHit], catalog: Catalog) -> Ids:
    """Return the segments near the hits, int64 (N,), ascending; after the picture, the last one."""
    video_spans = []
    for text_hit in text_hits:
        latest_start = max(0.0, text_hit.video.duration - _MIN_SEGMENT_OVERLAP_SECONDS)
        start_time = min(max(0.0, text_hit.span.start - MAX_TEXT_GAP_SECONDS), latest_start)
        end_time = text_hit.span.end + MAX_TEXT_GAP_SECONDS
        video_spans.append((text_hit.video.id, Span(start_time, end_time)))
    overlapping_ids = catalog.segments_overlapping(video_spans)
    return np.unique(np.concatenate([*overlapping_ids, np.empty(0, np.int64)]))
