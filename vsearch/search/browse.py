"""Results of a query that only has filters: videos, or parts of them, newest first."""

from __future__ import annotations

import time
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

from vsearch.catalog.browsing import iter_newest
from vsearch.search.hints import EMPTY_LIBRARY_HINT, collect_hints
from vsearch.search.result import SearchResult
from vsearch.search.time_ranges import TimeRanges
from vsearch.types import Explanation, Moment, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.browsing import BrowsedSpan
    from vsearch.catalog.catalog import Catalog
    from vsearch.query.model import Query
    from vsearch.types import Video

_BATCH_SIZE = 500  # spans whose videos are read together


def browse(catalog: Catalog, query: Query, k: int, per_video: int | None) -> SearchResult:
    """Return what passes the filters of a query; no model and no index are needed.

    Args:
        catalog: The catalog, of which one state is read.
        query: A query without terms.
        k: Maximum number of moments.
        per_video: Maximum number of moments of one video; None: all.

    Returns:
        Moments without scores, by the date of their video, the latest first. A moment is a whole
        video, or adjacent segments with a tag or in a time range of the filters.

    Raises:
        QueryError: A filter names something that does not exist.
    """
    start_time = time.perf_counter()
    space = catalog.space()
    if space is None or catalog.is_empty():
        return SearchResult((), str(query), None, (EMPTY_LIBRARY_HINT,), browse=True)
    moments = list(islice(_limit_per_video(_iter_moments(catalog, query, k), per_video), k))
    return SearchResult(
        tuple(moments),
        str(query),
        space.name,
        collect_hints(catalog, query, moments),
        took_ms=(time.perf_counter() - start_time) * 1_000,
        browse=True,
    )


def _iter_moments(catalog: Catalog, query: Query, k: int) -> Iterator[Moment]:
    time_ranges = TimeRanges.from_query(query)
    browsed_spans = iter_newest(catalog, query, k)
    while batch := list(islice(browsed_spans, min(k, _BATCH_SIZE))):
        videos = catalog.videos_by_id({browsed.video_id for browsed in batch})
        for browsed in batch:
            yield from _make_moments(videos[browsed.video_id], browsed, time_ranges)


def _make_moments(
    video: Video, browsed: BrowsedSpan, time_ranges: TimeRanges | None
) -> Iterator[Moment]:
    """Yield the span as a moment, or its part in each time range."""
    whole_span = browsed.span or Span(0.0, video.duration)
    spans = [whole_span] if time_ranges is None else time_ranges.split(whole_span)
    for span in spans:
        middle_time = (span.start + span.end) / 2
        explanation = Explanation(middle_time, 0.0, browsed.segment_count)
        yield Moment(video, span, 0.0, None, explanation)


def _limit_per_video(moments: Iterator[Moment], per_video: int | None) -> Iterator[Moment]:
    moment_counts: Counter[int] = Counter()
    for moment in moments:
        moment_counts[moment.video.id] += 1
        if per_video is None or moment_counts[moment.video.id] <= per_video:
            yield moment
