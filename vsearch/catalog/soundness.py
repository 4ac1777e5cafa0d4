"""What is wrong with a catalogue, in sentences."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vsearch.catalog.failures import is_damage
from vsearch.catalog.paths import restored

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

log = logging.getLogger(__name__)

_LIMIT = 20  # problems of one kind that are told
_WITHOUT_SEGMENTS = """
    SELECT path FROM videos WHERE id NOT IN (SELECT video_id FROM segments) ORDER BY path LIMIT ?
"""
_WITHOUT_VECTORS = """
    SELECT videos.path, count(*) FROM segments
    JOIN videos ON videos.id = segments.video_id
    LEFT JOIN vectors ON vectors.segment_id = segments.id
        AND vectors.space_id = (SELECT space_id FROM library)
    WHERE vectors.segment_id IS NULL
    GROUP BY videos.id ORDER BY videos.path LIMIT ?
"""
_INDEX = "INSERT INTO cues_fts (cues_fts, rank) VALUES ('integrity-check', 1)"


def problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Every problem found, at most 20 of a kind; none in a sound catalogue."""
    for (told,) in connection.execute(f"PRAGMA integrity_check({_LIMIT})"):
        if told != "ok":
            yield f"the file is damaged: {told}"
    for table, row, parent, _ in connection.execute("PRAGMA foreign_key_check").fetchmany(_LIMIT):
        yield f"row {row} of {table} belongs to a row of {parent} that is gone"
    for (path,) in connection.execute(_WITHOUT_SEGMENTS, (_LIMIT,)):
        yield f"{restored(path)} has no segments, so it is never found: index it again"
    for path, count in connection.execute(_WITHOUT_VECTORS, (_LIMIT,)):
        yield f"{restored(path)} has {count} segments without a vector: index it again"
    if _is_index_damaged(connection):
        yield "the full-text index does not hold the words of the videos: run `vsearch rebuild`"


def _is_index_damaged(connection: sqlite3.Connection) -> bool:
    """Compares every word; that changes nothing, and is left out where nothing may be written."""
    try:
        connection.execute(_INDEX)
    except Exception as error:
        if is_damage(error):
            return True
        log.info("the full-text index was not checked: %s", error)
    return False
