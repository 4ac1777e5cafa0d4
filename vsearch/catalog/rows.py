"""Rows of the catalogue as the nouns they stand for; ValueError or TypeError if one makes no sense.

SQLite takes any value in any column, so what a file from elsewhere holds is checked here.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vsearch.catalog.paths import restored
from vsearch.types import Counts, KnownSpace, Segment, Space, Span, Video

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = Sequence[Any]

_WIDEST = 65_536  # dimensions; no model has as many, and an index of more would fill the memory


def read_space(row: Row) -> Space:
    """name, dim, speaks_text."""
    name, dim, speaks_text = row
    if not isinstance(dim, int) or dim > _WIDEST:
        raise ValueError(f"{name!r} with {dim!r} dimensions")
    return Space(str(name), dim, bool(speaks_text))


def read_known_space(row: Row) -> KnownSpace:
    """name, dim, speaks_text, model, pooler, answered_until, in_use."""
    model, pooler, until, in_use = row[3:]
    return KnownSpace(
        space=read_space(row[:3]),
        model=_text(model),
        pooler=_text(pooler),
        answered_until=None if until is None else int(until),
        in_use=bool(in_use),
    )


def read_video(row: Row) -> Video:
    """id, path, fingerprint, size, modified, duration, fps, width, height, codec, frames, note,
    recorded_at, model, keyframes.
    """
    id_, path, fingerprint, size, modified, duration, fps, width, height, codec, *more = row
    frames, note, recorded, model, keyframes = more
    return Video(
        id=int(id_),
        path=restored(path),
        fingerprint=str(fingerprint),
        size=int(size),
        modified=int(modified),
        duration=read_number(duration),
        fps=read_number(fps),
        width=int(width),
        height=int(height),
        codec=str(codec),
        frames=int(frames),
        note=_text(note),
        model=_text(model),
        recorded=None if recorded is None else datetime.fromisoformat(recorded).replace(tzinfo=UTC),
        keyframes=bool(keyframes),
    )


def read_segment(row: Row) -> Segment:
    """id, video_id, start, end."""
    id_, video_id, start, end = row
    return Segment(int(id_), int(video_id), Span(float(start), float(end)))


def read_counts(row: Row) -> Counts:
    """videos, segments, seconds, frames."""
    videos, segments, seconds, frames = row
    return Counts(int(videos), int(segments), read_number(seconds), int(frames))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def read_number(value: float) -> float:
    """A number that is finite and not negative."""
    number = float(value)
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"{value!r} in place of a number from 0 on")
    return number
