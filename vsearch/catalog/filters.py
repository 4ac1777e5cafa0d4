"""Translation of query filters into SQL that selects segments."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from vsearch.catalog import sound_rows
from vsearch.catalog.annotation_rows import resolve_tags
from vsearch.catalog.names import NAMED_SQL, match_name_words
from vsearch.catalog.path_matching import ids_matching
from vsearch.catalog.property_filters import find_cameras, find_nearby, iter_property_conditions
from vsearch.catalog.reader import IN_JSON_SQL, IN_JSON_TEXTS_SQL
from vsearch.errors import LibraryError, QueryError
from vsearch.query.dates import resolve_date
from vsearch.query.model import Filters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from vsearch.catalog.catalog import Catalog
    from vsearch.query.model import Query
    from vsearch.types import Ids

_SELECT_SEGMENTS_SQL = "SELECT id FROM segments WHERE "
_TAGGED_SQL = f"""EXISTS (SELECT 1 FROM tags
    WHERE tags.video_id = segments.video_id AND label {IN_JSON_TEXTS_SQL}
    AND (tags.start IS NULL OR tags.start = segments.start
        OR (tags.start < segments."end" AND tags."end" > segments.start)))"""  # noqa: S608
_HAS_TAG_SQL = f"videos.id IN (SELECT video_id FROM tags WHERE label {IN_JSON_TEXTS_SQL})"  # noqa: S608
_INDEXED_BY_SQL = f"""EXISTS (SELECT 1 FROM frame_features
    WHERE frame_features.video_id = videos.id AND model {IN_JSON_TEXTS_SQL}
    AND frame_features.space_id = (SELECT space_id FROM library))"""  # noqa: S608
_HAS_CUES_SQL = "EXISTS (SELECT 1 FROM cues WHERE cues.video_id = videos.id AND source = ?)"
_SEGMENT_HAS_CUES_SQL = (
    "EXISTS (SELECT 1 FROM cues WHERE cues.video_id = segments.video_id AND source = ?)"
)
_HAS_TAGS_SQL = "EXISTS (SELECT 1 FROM tags WHERE tags.video_id = videos.id)"
# without a recording time, the file was modified at that time or later
_RECORDED_SINCE_SQL = "CASE WHEN recorded_at IS NULL THEN mtime_ns >= ? ELSE recorded_at >= ? END"
_MAX_INTEGER = 2**63 - 1  # largest integer in SQLite; as nanoseconds, the year 2262
_CUE_SOURCES = {"screen": "ocr"}  # where a value of `has:` differs from the source in the catalog
_OVERLAPS_SPAN_SQL = '((segments.start < ? AND segments."end" > ?) OR segments.start = ?)'


@dataclass(frozen=True, slots=True)
class SqlCondition:
    """An SQL condition on a segment or its video."""

    sql: str
    parameters: tuple[Any, ...]
    is_video_level: bool = True  # False: the condition refers to the segment
    implied_sql: str | None = None  # condition on the video, with the same parameters


@dataclass(frozen=True, slots=True)
class ResolvedFilters:
    """Names in filters, resolved against one catalog."""

    video_ids: tuple[int, ...] | None = None  # None: no path filter
    tag_labels: tuple[tuple[str, ...], ...] = ()  # for each tag, the labels it matches
    model_names: tuple[str, ...] | None = None
    cameras: tuple[str, ...] | None = None  # as stored; None: no filter
    nearby_ids: tuple[int, ...] | None = None  # videos; None: no filter


def iter_conditions(filters: Filters, resolved: ResolvedFilters) -> Iterator[SqlCondition]:
    """Yield one SQL condition per filter.

    Args:
        filters: The filters; their times are UTC unless they have a time zone.
        resolved: The names in the filters, resolved against the catalog.
    """
    if resolved.video_ids is not None:
        yield SqlCondition(f"videos.id {IN_JSON_SQL}", (json.dumps(resolved.video_ids),))
    for name_text in filters.names:
        yield SqlCondition(f"videos.{NAMED_SQL}", (match_name_words(name_text),))
    if resolved.model_names is not None:
        yield SqlCondition(_INDEXED_BY_SQL, (json.dumps(resolved.model_names),))
    for label_group in resolved.tag_labels:
        yield SqlCondition(
            _TAGGED_SQL,
            (json.dumps(label_group),),
            is_video_level=False,
            implied_sql=_HAS_TAG_SQL,
        )
    if filters.recorded_after is not None:
        yield SqlCondition(_RECORDED_SINCE_SQL, _encode_time(resolve_date(filters.recorded_after)))
    if filters.recorded_before is not None:
        yield SqlCondition(
            f"NOT ({_RECORDED_SINCE_SQL})", _encode_time(resolve_date(filters.recorded_before))
        )
    if filters.min_duration is not None:
        yield SqlCondition("duration >= ?", (float(filters.min_duration),))
    if filters.max_duration is not None:
        yield SqlCondition("duration < ? AND NOT is_photo", (float(filters.max_duration),))
    if filters.spans:
        span_values = [
            (float(filter_span.end), float(filter_span.start), float(filter_span.start))
            for filter_span in filters.spans
        ]
        any_span_sql = " OR ".join([_OVERLAPS_SPAN_SQL] * len(span_values))
        yield SqlCondition(any_span_sql, tuple(sum(span_values, ())), is_video_level=False)
    yield from map(_has_content, filters.has)
    for property_sql, sql_values in iter_property_conditions(
        filters, resolved.cameras, resolved.nearby_ids
    ):
        yield SqlCondition(property_sql, sql_values)


def _has_content(content_kind: str) -> SqlCondition:
    """Return the condition of `has:`; sounds are where they are, words in all of a video."""
    if content_kind == "tags":
        return SqlCondition(_HAS_TAGS_SQL, ())
    if content_kind not in sound_rows.SOUND_KINDS:
        return SqlCondition(_HAS_CUES_SQL, (_CUE_SOURCES.get(content_kind, content_kind),))
    segment_sql, video_sql = sound_rows.OVERLAPS_SOUND, sound_rows.HAS_SOUND
    parameters: tuple[str, ...] = (content_kind,)
    if content_kind == "speech":  # transcribed, or detected
        segment_sql = f"{_SEGMENT_HAS_CUES_SQL} OR {segment_sql}"
        video_sql = f"{_HAS_CUES_SQL} OR {video_sql}"
        parameters *= 2
    return SqlCondition(segment_sql, parameters, is_video_level=False, implied_sql=video_sql)


def negate(conditions: Iterable[SqlCondition]) -> Iterator[SqlCondition]:
    """Yield the opposite of each condition; what is not known of a video excludes nothing."""
    for condition in conditions:
        yield replace(condition, sql=f"({condition.sql}) IS NOT TRUE", implied_sql=None)


def build_selection(
    included: Sequence[SqlCondition], excluded: Iterable[SqlCondition]
) -> tuple[str, tuple[Any, ...]]:
    """Build a query for the ids of the segments that satisfy conditions.

    Args:
        included: Conditions that must all be true.
        excluded: Conditions that must all be false.

    Returns:
        The SQL and its parameters, for `Catalog.select_segment_ids`.
    """
    all_conditions = [*included, *negate(excluded)]
    # videos are filtered first because there are fewer of them
    video_conditions = [condition for condition in all_conditions if condition.is_video_level]
    segment_conditions = [condition for condition in all_conditions if not condition.is_video_level]
    sql_clauses = [f"({condition.sql})" for condition in segment_conditions]
    if video_conditions:
        videos_sql = " AND ".join(f"({condition.sql})" for condition in video_conditions)
        sql_clauses.insert(0, f"video_id IN (SELECT id FROM videos WHERE {videos_sql})")  # noqa: S608
    parameters = tuple(
        parameter
        for condition in (*video_conditions, *segment_conditions)
        for parameter in condition.parameters
    )
    return f"{_SELECT_SEGMENTS_SQL} {' AND '.join(sql_clauses) or 'TRUE'}", parameters


def _encode_time(local_time: datetime) -> tuple[int, str]:
    """Encode a time as in the columns `mtime_ns` and `recorded_at`."""
    utc_time = (
        local_time.replace(tzinfo=UTC) if local_time.tzinfo is None else local_time.astimezone(UTC)
    )
    iso_text = utc_time.replace(tzinfo=None).isoformat(" ", "microseconds")
    epoch_ns = round(utc_time.timestamp() * 1_000_000) * 1_000
    return max(-_MAX_INTEGER, min(epoch_ns, _MAX_INTEGER)), iso_text


NO_FILTERS = Filters()


def allowed_segment_ids(catalog: Catalog, query: Query) -> Ids | None:
    """Return the segments that pass the filters of a query.

    Args:
        catalog: The catalog to search.
        query: The query; excluded names that match nothing are ignored.

    Returns:
        Segment ids, int64 (N,) ascending; None: the query has no filters.

    Raises:
        QueryError: A required tag does not exist, or a required model did not index any video.
    """
    if query.filters == query.exclude == NO_FILTERS:
        return None
    return catalog.select_segment_ids(*build_selection(*resolve_conditions(catalog, query)))


def resolve_conditions(
    catalog: Catalog, query: Query
) -> tuple[list[SqlCondition], list[SqlCondition]]:
    """Return the conditions that must be true, and those that must be false.

    Raises:
        QueryError: As `allowed_segment_ids`.
    """
    included = iter_conditions(
        query.filters, _resolve_filters(catalog, query.filters, is_excluded=False)
    )
    excluded = iter_conditions(
        query.exclude, _resolve_filters(catalog, query.exclude, is_excluded=True)
    )
    return list(included), list(excluded)


def _resolve_filters(catalog: Catalog, filters: Filters, *, is_excluded: bool) -> ResolvedFilters:
    """Resolve paths, tags and models in filters."""
    return ResolvedFilters(
        tuple(
            sorted(
                ids_matching(
                    catalog,
                    filters.path_patterns,
                    check_disk=not filters.remote,
                    match_folders=True,
                )
            )
        )
        if filters.path_patterns
        else None,
        tuple(_resolve_labels(catalog, filters.tags, is_excluded=is_excluded)),
        _resolve_models(catalog.model_names(), filters.models, is_excluded)
        if filters.models
        else None,
        tuple(find_cameras(catalog, filters.cameras)) if filters.cameras else None,
        tuple(sorted(find_nearby(catalog, filters.areas))) if filters.areas else None,
    )


def _resolve_labels(
    catalog: Catalog, tag_names: Sequence[str], *, is_excluded: bool
) -> Iterable[tuple[str, ...]]:
    known_labels = catalog.tag_labels() if tag_names else []
    for tag_name in tag_names:
        try:
            yield tuple(resolve_tags(tag_name, known_labels))
        except LibraryError as error:
            if not is_excluded:
                raise QueryError(str(error)) from error


def _resolve_models(
    known_names: Sequence[str], model_patterns: Sequence[str], is_excluded: bool
) -> tuple[str, ...]:
    """Return the models that match by name, prefix or glob."""
    resolved_names: dict[str, None] = {}
    for model_pattern in model_patterns:
        matching_names = [
            model_name
            for model_name in known_names
            if _matches_model(model_name.casefold(), model_pattern.casefold())
        ]
        if not matching_names and not is_excluded:
            close_matches = get_close_matches(model_pattern, known_names, 1, 0.6) or known_names
            raise QueryError(
                f"model:{model_pattern}: no video was indexed by this model; try "
                f"{' or '.join(close_matches)}"
                if close_matches
                else f"model:{model_pattern}: the library does not record which model indexed it"
            )
        resolved_names |= dict.fromkeys(matching_names)
    return tuple(resolved_names)


def _matches_model(model_name: str, model_pattern: str) -> bool:
    return (
        model_name == model_pattern
        or model_name.startswith(f"{model_pattern}:")
        or fnmatchcase(model_name, model_pattern)
    )
