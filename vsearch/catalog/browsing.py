"""Spans of videos that pass the filters of a query without terms, newest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

from vsearch.catalog.dialect import RECORDING_TIME_SQL
from vsearch.catalog.filters import negate, resolve_conditions
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.filters import SqlCondition
    from vsearch.query.model import Query
    from vsearch.types import Segment

_NEWEST_FIRST_SQL = f"ORDER BY {RECORDING_TIME_SQL} DESC, path DESC"
_BATCH_SIZE = 500  # videos whose segments are read together


@dataclass(frozen=True, slots=True)
class BrowsedSpan:
    """Adjacent segments that pass the filters; `span` is None for a whole video."""

    video_id: int
    span: Span | None
    segment_count: int


def iter_newest(catalog: Catalog, query: Query, max_videos: int) -> Iterator[BrowsedSpan]:
    """Yield what passes the filters of a query: whole videos, or parts of them if filters say so.

    Args:
        catalog: The catalog.
        query: The query; its terms are ignored.
        max_videos: Number of videos after which no more are needed.

    Yields:
        Spans by the date of their video, the latest first, then in chronological order.

    Raises:
        QueryError: A required tag or place does not exist, or a required model did not index any
            video.
    """
    included, excluded = resolve_conditions(catalog, query)
    conditions = [*included, *negate(excluded)]
    segment_conditions = [condition for condition in conditions if not condition.is_video_level]
    video_conditions = [
        *(condition for condition in conditions if condition.is_video_level),
        *(
            replace(condition, sql=condition.implied_sql)
            for condition in segment_conditions
            if condition.implied_sql is not None
        ),
    ]
    where_sql, sql_values = _join_conditions(video_conditions)
    limit_sql, limit_values = ("", ()) if segment_conditions else ("LIMIT ?", (max_videos,))
    video_ids = catalog.select_video_ids(
        f"{where_sql} {_NEWEST_FIRST_SQL} {limit_sql}", (*sql_values, *limit_values)
    )
    for first in range(0, len(video_ids), _BATCH_SIZE):
        batch_ids = video_ids[first : first + _BATCH_SIZE]
        segment_counts = catalog.count_segments(batch_ids)
        if not segment_conditions:
            for video_id in batch_ids:
                yield BrowsedSpan(video_id, None, segment_counts.get(video_id, 0))
            continue
        segments = catalog.select_segments(batch_ids, *_join_conditions(segment_conditions))
        segments_by_video = {
            video_id: list(video_segments)
            for video_id, video_segments in groupby(segments, lambda segment: segment.video_id)
        }
        for video_id in batch_ids:
            yield from _join_segments(
                segments_by_video.get(video_id, []), segment_counts.get(video_id, 0)
            )


def _join_segments(segments: Sequence[Segment], total_count: int) -> Iterator[BrowsedSpan]:
    """Yield runs of segments that follow each other, which their ids show."""
    if segments and len(segments) == total_count:
        yield BrowsedSpan(segments[0].video_id, None, total_count)
        return
    for _, numbered_run in groupby(enumerate(segments), lambda pair: pair[1].id - pair[0]):
        run = [segment for _, segment in numbered_run]
        run_span = Span(run[0].span.start, max(segment.span.end for segment in run))
        yield BrowsedSpan(run[0].video_id, run_span, len(run))


def _join_conditions(conditions: Sequence[SqlCondition]) -> tuple[str, tuple[object, ...]]:
    where_sql = " AND ".join(f"({condition.sql})" for condition in conditions) or "TRUE"
    return where_sql, tuple(value for condition in conditions for value in condition.parameters)
