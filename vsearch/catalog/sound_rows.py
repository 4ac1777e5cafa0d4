"""SQL and row conversion for the sounds of videos: spans of speech, music and singing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from vsearch.types import SoundKind, SoundSpan, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SOUND_KINDS: tuple[SoundKind, ...] = get_args(SoundKind)
DELETE_SPANS = "DELETE FROM sound_spans WHERE video_id = ?"
INSERT_SPAN = 'INSERT INTO sound_spans (video_id, kind, start, "end") VALUES (?, ?, ?, ?)'
RECORD_ANALYSIS = """
    INSERT INTO sound_analyses (video_id, model, created_at) VALUES (?, ?, ?)
    ON CONFLICT (video_id) DO UPDATE SET model = excluded.model, created_at = excluded.created_at
"""
SELECT_SPANS = """
    SELECT kind, start, "end" FROM sound_spans WHERE video_id = ? ORDER BY start, "end", kind
"""
SELECT_ANALYSES = "SELECT video_id, model FROM sound_analyses"
COUNT_KINDS = "SELECT kind, count(DISTINCT video_id) FROM sound_spans GROUP BY kind ORDER BY kind"
# on segments, and on videos; both with the kind. Edges are not exact, so a segment that a span
# merely touches does not count; no span is shorter than that
MIN_OVERLAP_SECONDS = 0.3
OVERLAPS_SOUND = f"""EXISTS (SELECT 1 FROM sound_spans
    WHERE sound_spans.video_id = segments.video_id AND kind = ?
    AND min(sound_spans."end", segments."end") - max(sound_spans.start, segments.start)
        >= {MIN_OVERLAP_SECONDS})"""  # noqa: S608
HAS_SOUND = "EXISTS (SELECT 1 FROM sound_spans WHERE sound_spans.video_id = videos.id AND kind = ?)"


def span_rows(video_id: int, sound_spans: Iterable[SoundSpan]) -> list[tuple[Any, ...]]:
    """Return the values for `INSERT_SPAN`."""
    return [
        (
            int(video_id),
            sound_span.kind,
            float(sound_span.span.start),
            float(sound_span.span.end),
        )
        for sound_span in sound_spans
    ]


def read_sound(row: Sequence[Any]) -> SoundSpan:
    """Convert a row of `SELECT_SPANS`; raise ValueError or TypeError for an invalid one."""
    kind, start, end = row
    if kind not in SOUND_KINDS:
        raise ValueError(f"unknown kind of sound {kind!r}")
    return SoundSpan(kind, Span(float(start), float(end)))
