"""Tags in SQL: what a video, or a span of it, was said to show, and by whom."""

from __future__ import annotations

from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from vsearch.catalog.paths import storable
from vsearch.errors import LibraryError
from vsearch.types import Span, Tag

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INSERT = """
    INSERT INTO tags (video_id, start, "end", label, probability, source, model, made_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
ALL = """
    SELECT video_id, label, probability, start, "end", source, model, made_at FROM tags
"""
ORDER = """ ORDER BY video_id, start IS NOT NULL, start, "end", probability DESC, label, id"""
LABELS = "SELECT DISTINCT label FROM tags ORDER BY label"
SEGMENTS = """
    SELECT DISTINCT segments.id FROM segments JOIN tags ON tags.video_id = segments.video_id
    WHERE label IN (SELECT value FROM json_each(?)) AND (tags.start IS NULL
        OR (tags.start < segments."end" AND tags."end" > segments.start)
        OR tags.start = segments.start)
    ORDER BY segments.id
"""


def read_tag(row: Sequence[Any]) -> Tag:
    """A row of `ALL`; ValueError or TypeError if it makes no sense."""
    video_id, label, probability, start, end, source, model, made_at = row
    return Tag(
        video_id=int(video_id),
        label=str(label),
        probability=float(probability),
        span=None if start is None and end is None else Span(float(start), float(end)),
        source=str(source),
        model=None if model is None else str(model),
        made_at=datetime.fromisoformat(made_at),
    )


def rows(tags: Iterable[Tag]) -> list[tuple[Any, ...]]:
    """The values of `INSERT`."""
    return [
        (
            int(tag.video_id),
            None if tag.span is None else float(tag.span.start),
            None if tag.span is None else float(tag.span.end),
            storable(tag.label),
            float(tag.probability),
            storable(tag.source),
            tag.model,
            tag.made_at.isoformat(" ", "microseconds"),
        )
        for tag in tags
    ]


def meant(asked: str, known: Sequence[str]) -> list[str]:
    """The known labels that a person means, in any case; LibraryError, with near ones, if none."""
    found = [label for label in known if label.casefold() == asked.strip().casefold()]
    if found:
        return found
    if not known:
        raise LibraryError(
            f"there is no tag {asked!r}: nothing is tagged yet, see `vsearch classify`"
        )
    folded = {label.casefold(): label for label in known}
    near = [folded[each] for each in get_close_matches(asked.casefold(), folded, 3, 0.6)]
    those = f"did you mean {' or '.join(map(repr, near))}?" if near else "see `vsearch tags`"
    raise LibraryError(f"there is no tag {asked!r}; {those}")
