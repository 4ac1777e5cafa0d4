"""SQL and row conversion for transcripts, their cues, and the full-text index of cues.

The `read_…` functions raise ValueError or TypeError for invalid rows.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from vsearch.catalog.rows import encode_text
from vsearch.types import Cue, Span, Transcript, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

INSERT_CUE = """
    INSERT INTO cues (video_id, source, start, "end", text, words) VALUES (?, ?, ?, ?, ?, ?)
"""
INSERT_CUE_VECTOR = """
    INSERT INTO cue_vectors (cue_id, space_id, embedding) VALUES (?, ?, ?)
    ON CONFLICT (cue_id, space_id) DO UPDATE SET embedding = excluded.embedding
"""
REBUILD_FTS = (
    "INSERT INTO cues_fts (cues_fts) VALUES ('rebuild')",
    "INSERT INTO names_fts (names_fts) VALUES ('rebuild')",
)
MOVE_ANNOTATIONS = (  # cue ids do not change, so cue vectors stay valid
    "UPDATE tags SET video_id = :new WHERE video_id = :old",
    "UPDATE relevance_feedback SET video_id = :new WHERE video_id = :old",
    "UPDATE cues SET video_id = :new WHERE video_id = :old AND source <> 'subtitles'",
    "UPDATE transcripts SET video_id = :new WHERE video_id = :old AND source <> 'subtitles'",
    "UPDATE sound_spans SET video_id = :new WHERE video_id = :old",
    "UPDATE sound_analyses SET video_id = :new WHERE video_id = :old",
    "UPDATE duplicate_files SET video_id = :new WHERE video_id = :old",
)
SELECT_CUES_OF_VIDEO = """
    SELECT start, "end", text, source, words FROM cues WHERE video_id = ?
    ORDER BY start, "end", id
"""
SELECT_TRANSCRIPTS = """
    SELECT video_id, source, source_name, language,
        (SELECT count(*) FROM cues
            WHERE cues.video_id = transcripts.video_id AND cues.source = transcripts.source),
        created_at, source_digest
    FROM transcripts
"""
COUNT_TRANSCRIPTS = """
    SELECT source, count(*) FROM transcripts WHERE EXISTS (
        SELECT 1 FROM cues WHERE cues.video_id = transcripts.video_id
        AND cues.source = transcripts.source)
    GROUP BY source ORDER BY source DESC
"""
ORDER_TRANSCRIPTS = " ORDER BY video_id, source"


def cue_rows(video_id: int, cues: Iterable[Cue]) -> list[tuple[Any, ...]]:
    """Return the values for `INSERT_CUE`."""
    return [
        (
            int(video_id),
            cue.source,
            float(cue.span.start),
            float(cue.span.end),
            encode_text(cue.text),
            _encode_words(cue.words),
        )
        for cue in cues
    ]


def read_cue(row: Sequence[Any]) -> Cue:
    """Convert a row of `SELECT_CUES_OF_VIDEO`."""
    start_time, end_time, cue_text, source, words_json = row
    if source not in ("subtitles", "speech", "ocr"):
        raise ValueError(f"unknown transcript source {source!r}")
    word_times = [] if words_json is None else json.loads(words_json)
    return Cue(
        Span(float(start_time), float(end_time)),
        str(cue_text),
        source,
        tuple(
            Word(str(word_text), Span(float(word_start), float(word_end)))
            for word_start, word_end, word_text in word_times
        ),
    )


def read_transcript(row: Sequence[Any]) -> Transcript:
    """Convert a row of `SELECT_TRANSCRIPTS`."""
    video_id, source, source_name, language, cue_count, created_text, source_digest = row
    if source not in ("subtitles", "speech", "ocr"):
        raise ValueError(f"unknown transcript source {source!r}")
    language_code = None if language is None else str(language)
    created_at = datetime.fromisoformat(created_text)
    return Transcript(
        int(video_id),
        source,
        str(source_name),
        language_code,
        int(cue_count),
        created_at,
        None if source_digest is None else str(source_digest),
    )


def _encode_words(words: Sequence[Word]) -> str | None:
    if not words:
        return None
    word_times = [
        [round(word.span.start, 3), round(word.span.end, 3), encode_text(word.text)]
        for word in words
    ]
    return json.dumps(word_times, ensure_ascii=False)
