"""Words found in videos in SQL: cues, their full-text index, and what was looked for."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vsearch.catalog.paths import storable
from vsearch.types import Cue, Span, Transcript, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INSERT = """
    INSERT INTO cues (video_id, source, start, "end", text, words) VALUES (?, ?, ?, ?, ?, ?)
"""
INSERT_VECTOR = "INSERT OR REPLACE INTO cue_vectors (cue_id, space_id, data) VALUES (?, ?, ?)"
REBUILD = "INSERT INTO cues_fts (cues_fts) VALUES ('rebuild')"
INHERIT = (  # ids of cues stay, and so does what they mean
    "UPDATE tags SET video_id = :new WHERE video_id = :old",
    "UPDATE marks SET video_id = :new WHERE video_id = :old",
    "UPDATE cues SET video_id = :new WHERE video_id = :old AND source <> 'subtitles'",
    "UPDATE transcripts SET video_id = :new WHERE video_id = :old AND source <> 'subtitles'",
)
OF_VIDEO = """
    SELECT start, "end", text, source, words FROM cues WHERE video_id = ?
    ORDER BY start, "end", id
"""
TRANSCRIPTS = """
    SELECT video_id, source, origin, language,
        (SELECT count(*) FROM cues
            WHERE cues.video_id = transcripts.video_id AND cues.source = transcripts.source),
        made_at
    FROM transcripts
"""
COUNTS = """
    SELECT source, count(*) FROM transcripts WHERE EXISTS (
        SELECT 1 FROM cues WHERE cues.video_id = transcripts.video_id
        AND cues.source = transcripts.source)
    GROUP BY source ORDER BY source DESC
"""
IN_ORDER = " ORDER BY video_id, source"


def rows(video_id: int, cues: Iterable[Cue]) -> list[tuple[Any, ...]]:
    """The values of `INSERT`."""
    return [
        (
            int(video_id),
            cue.source,
            float(cue.span.start),
            float(cue.span.end),
            storable(cue.text),
            _words(cue.words),
        )
        for cue in cues
    ]


def read_cue(row: Sequence[Any]) -> Cue:
    """A row of `OF_VIDEO`; ValueError or TypeError if it makes no sense."""
    start, end, text, source, words = row
    if source not in ("subtitles", "speech", "screen"):
        raise ValueError(f"no source of words: {source!r}")
    spoken = [] if words is None else json.loads(words)
    return Cue(
        Span(float(start), float(end)),
        str(text),
        source,
        tuple(Word(str(each), Span(float(begin), float(last))) for begin, last, each in spoken),
    )


def read_transcript(row: Sequence[Any]) -> Transcript:
    """A row of `TRANSCRIPTS`; ValueError or TypeError if it makes no sense."""
    video_id, source, origin, language, cues, made_at = row
    if source not in ("subtitles", "speech", "screen"):
        raise ValueError(f"no source of words: {source!r}")
    known = None if language is None else str(language)
    when = datetime.fromisoformat(made_at)
    return Transcript(int(video_id), source, str(origin), known, int(cues), when)


def _words(words: Sequence[Word]) -> str | None:
    if not words:
        return None
    times = [[round(w.span.start, 3), round(w.span.end, 3), storable(w.text)] for w in words]
    return json.dumps(times, ensure_ascii=False)
