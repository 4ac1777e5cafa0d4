"""Marks in SQL: which moments were said to be what a query asks for, and which not."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vsearch.catalog.paths import storable
from vsearch.types import Mark, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

ALL = 'SELECT query, video_id, start, "end", up, made_at FROM marks'
IN_ORDER = ' ORDER BY query, made_at DESC, video_id, start, "end"'
INSERT = """
    INSERT INTO marks (query, video_id, start, "end", up, made_at) VALUES (?, ?, ?, ?, ?, ?)
"""


def row(query: str, video_id: int, span: Span, up: bool) -> tuple[Any, ...]:
    """The values of `INSERT`, as of now."""
    now = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    return storable(query), int(video_id), float(span.start), float(span.end), up, now


def read_mark(found: Sequence[Any]) -> Mark:
    """A row of `ALL`; ValueError or TypeError if it makes no sense."""
    query, video_id, start, end, up, made_at = found
    span, when = Span(float(start), float(end)), datetime.fromisoformat(made_at)
    return Mark(str(query), int(video_id), span, bool(up), when)
