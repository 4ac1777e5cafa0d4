"""Filters in SQL: of which videos, or parts of them, something is asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from vsearch.types import Filters

_AMONG = "IN (SELECT value FROM json_each(?))"
_CHOSEN = "SELECT id FROM segments WHERE "
_TAGGED = f"""EXISTS (SELECT 1 FROM tags WHERE tags.video_id = segments.video_id AND label {_AMONG}
    AND (tags.start IS NULL OR tags.start = segments.start
        OR (tags.start < segments."end" AND tags."end" > segments.start)))"""  # noqa: S608
_MADE_BY = f"""EXISTS (SELECT 1 FROM features WHERE features.video_id = videos.id
    AND features.space_id = (SELECT space_id FROM library) AND model {_AMONG})"""  # noqa: S608
_SAID = "EXISTS (SELECT 1 FROM cues WHERE cues.video_id = videos.id AND source = ?)"
_HAS_TAGS = "EXISTS (SELECT 1 FROM tags WHERE tags.video_id = videos.id)"
# a file that does not say when it was recorded was written then or later
_SINCE = "CASE WHEN recorded_at IS NULL THEN modified >= ? ELSE recorded_at >= ? END"
_LAST = 2**63 - 1  # of an integer in SQLite; no file is from the years beyond, 2262
_INSIDE = '((segments.start < ? AND segments."end" > ?) OR segments.start = ?)'


@dataclass(frozen=True, slots=True)
class Condition:
    """What a segment has to be like."""

    sql: str
    values: tuple[Any, ...]
    of_video: bool = True  # else of the segment itself


@dataclass(frozen=True, slots=True)
class Meant:
    """What names in filters mean in one catalogue."""

    videos: tuple[int, ...] | None = None  # ids; None: paths say nothing
    tags: tuple[tuple[str, ...], ...] = ()  # labels that each tag means
    models: tuple[str, ...] | None = None


def conditions(filters: Filters, meant: Meant) -> Iterator[Condition]:
    """What filters say, one thing each."""
    if meant.videos is not None:
        yield Condition(f"videos.id {_AMONG}", (json.dumps(meant.videos),))
    if meant.models is not None:
        yield Condition(_MADE_BY, (json.dumps(meant.models),))
    for labels in meant.tags:
        yield Condition(_TAGGED, (json.dumps(labels),), of_video=False)
    if filters.after is not None:
        yield Condition(_SINCE, _moment(filters.after))
    if filters.before is not None:
        yield Condition(f"NOT ({_SINCE})", _moment(filters.before))
    if filters.longer is not None:
        yield Condition("duration >= ?", (float(filters.longer),))
    if filters.shorter is not None:
        yield Condition("duration < ?", (float(filters.shorter),))
    if filters.at:
        values = [(float(one.end), float(one.start), float(one.start)) for one in filters.at]
        any_of = " OR ".join([_INSIDE] * len(values))
        yield Condition(any_of, tuple(sum(values, ())), of_video=False)
    for kind in filters.has:
        yield Condition(_HAS_TAGS, ()) if kind == "tags" else Condition(_SAID, (kind,))


def selection(
    asked: Sequence[Condition], without: Iterable[Condition]
) -> tuple[str, tuple[Any, ...]]:
    """The query for the ids of the segments of which all is true, and nothing of `without`."""
    every = [*asked, *(replace(one, sql=f"NOT ({one.sql})") for one in without)]
    of_videos = [one for one in every if one.of_video]  # these first: there are fewer videos
    own = [one for one in every if not one.of_video]
    said = [f"({one.sql})" for one in own]
    if of_videos:
        which = " AND ".join(f"({one.sql})" for one in of_videos)
        said.insert(0, f"video_id IN (SELECT id FROM videos WHERE {which})")  # noqa: S608
    values = tuple(value for one in (*of_videos, *own) for value in one.values)
    return f"{_CHOSEN} {' AND '.join(said) or '1'}", values


def _moment(when: datetime) -> tuple[int, str]:
    """A time as `modified` has it, and as `recorded_at` does."""
    exact = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    written = exact.replace(tzinfo=None).isoformat(" ", "microseconds")
    nanoseconds = round(exact.timestamp() * 1_000_000) * 1_000
    return max(-_LAST, min(nanoseconds, _LAST)), written
