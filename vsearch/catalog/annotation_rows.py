"""SQL and row conversion for user data: tags, relevance feedback and saved searches.

The `read_…` functions raise ValueError or TypeError for invalid rows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from vsearch.catalog.rows import encode_text
from vsearch.errors import LibraryError, QueryError
from vsearch.query.model import SavedSearch
from vsearch.types import RelevanceLabel, Span, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INSERT_TAG = """
    INSERT INTO tags (video_id, start, "end", label, probability, source, model, created_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
SELECT_TAGS = """
    SELECT video_id, label, probability, start, "end", source, model, created_at FROM tags
"""
ORDER_TAGS = """ ORDER BY video_id, start IS NOT NULL, start, "end", probability DESC, label, id"""
SELECT_LABELS = "SELECT DISTINCT label FROM tags ORDER BY label"
SELECT_TAGGED_SEGMENTS = """
    SELECT DISTINCT segments.id FROM segments JOIN tags ON tags.video_id = segments.video_id
    WHERE label IN (SELECT atom FROM json_each(?)) AND (tags.start IS NULL
        OR (tags.start < segments."end" AND tags."end" > segments.start)
        OR tags.start = segments.start)
    ORDER BY segments.id
"""


def read_tag(row: Sequence[Any]) -> Tag:
    """Convert a row of `SELECT_TAGS`."""
    video_id, label, probability, start_time, end_time, source, model, created_text = row
    return Tag(
        video_id=int(video_id),
        label=str(label),
        probability=float(probability),
        span=None
        if start_time is None and end_time is None
        else Span(float(start_time), float(end_time)),
        source=str(source),
        model=None if model is None else str(model),
        created_at=_read_utc_time(created_text),
    )


def tag_rows(tags: Iterable[Tag]) -> list[tuple[Any, ...]]:
    """Return the values for `INSERT_TAG`."""
    return [
        (
            int(tag.video_id),
            None if tag.span is None else float(tag.span.start),
            None if tag.span is None else float(tag.span.end),
            encode_text(tag.label),
            float(tag.probability),
            encode_text(tag.source),
            tag.model,
            _format_utc_time(tag.created_at),
        )
        for tag in tags
    ]


def resolve_tags(tag_name: str, known_labels: Sequence[str]) -> list[str]:
    """Return the labels that match a name, ignoring case.

    Raises:
        LibraryError: No label matches; the message suggests similar ones.
    """
    matching_labels = [
        label for label in known_labels if label.casefold() == tag_name.strip().casefold()
    ]
    if matching_labels:
        return matching_labels
    if not known_labels:
        raise LibraryError(
            f"there is no tag {tag_name!r}: nothing is tagged yet, see `vsearch classify`"
        )
    labels_by_folded = {label.casefold(): label for label in known_labels}
    close_matches = [
        labels_by_folded[folded_label]
        for folded_label in get_close_matches(tag_name.casefold(), labels_by_folded, 3, 0.6)
    ]
    suggestion = (
        f"did you mean {' or '.join(map(repr, close_matches))}?"
        if close_matches
        else "see `vsearch tags`"
    )
    raise LibraryError(f"there is no tag {tag_name!r}; {suggestion}")


# Relevance feedback: moments marked as relevant or irrelevant to a query.

SELECT_FEEDBACK = """
    SELECT query, video_id, start, "end", relevant, created_at FROM relevance_feedback
"""
ORDER_FEEDBACK = ' ORDER BY query, created_at DESC, video_id, start, "end"'
INSERT_FEEDBACK = """
    INSERT INTO relevance_feedback (query, video_id, start, "end", relevant, created_at)
    VALUES (?, ?, ?, ?, ?, ?)
"""


def feedback_row(query_text: str, video_id: int, span: Span, relevant: bool) -> tuple[Any, ...]:
    """Return the values for `INSERT_FEEDBACK`, created now."""
    created_text = _format_utc_time(datetime.now(UTC))
    return (
        encode_text(query_text),
        int(video_id),
        float(span.start),
        float(span.end),
        relevant,
        created_text,
    )


def read_relevance_label(row_values: Sequence[Any]) -> RelevanceLabel:
    """Convert a row of `SELECT_FEEDBACK`."""
    query_text, video_id, start_time, end_time, relevant, created_text = row_values
    span = Span(float(start_time), float(end_time))
    created_at = _read_utc_time(created_text)
    return RelevanceLabel(str(query_text), int(video_id), span, bool(relevant), created_at)


# Saved searches.

SELECT_SAVED_SEARCHES = "SELECT name, query, created_at FROM saved_searches ORDER BY name"
INSERT_SAVED_SEARCH = """
    INSERT INTO saved_searches (name, query, created_at) VALUES (?, ?, ?)
    ON CONFLICT (name) DO UPDATE SET query = excluded.query, created_at = excluded.created_at
"""


def saved_search_row(search_name: str, query_text: str) -> tuple[Any, ...]:
    """Return the values for `INSERT_SAVED_SEARCH`, created now."""
    created_at = datetime.now(UTC)
    return (
        encode_text(search_name),
        encode_text(query_text),
        _format_utc_time(created_at),
    )


def read_saved_search(row_values: Sequence[Any]) -> SavedSearch:
    """Convert a row of `SELECT_SAVED_SEARCHES`."""
    search_name, query_text, created_text = row_values
    return SavedSearch(str(search_name), str(query_text), _read_utc_time(created_text))


def resolve_saved_search(search_name: str, saved_searches: Sequence[SavedSearch]) -> SavedSearch:
    """Return the saved search with exactly this name.

    Raises:
        QueryError: There is none; the message suggests a similar name.
    """
    for saved_search in saved_searches:
        if saved_search.name == search_name:
            return saved_search
    close_matches = get_close_matches(
        search_name, [saved_search.name for saved_search in saved_searches], 1, 0.6
    )
    suggestion = f"did you mean @{close_matches[0]}?" if close_matches else "see `vsearch saved`"
    raise QueryError(f"@{search_name}: there is no saved search of that name; {suggestion}")


# The catalog stores UTC without a time zone, as SQLAlchemy does.


def _read_utc_time(stored_text: str) -> datetime:
    return datetime.fromisoformat(stored_text).replace(tzinfo=UTC)


def _format_utc_time(utc_time: datetime) -> str:
    if utc_time.tzinfo is not None:
        utc_time = utc_time.astimezone(UTC).replace(tzinfo=None)
    return utc_time.isoformat(" ", "microseconds")
