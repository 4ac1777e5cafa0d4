"""Integrity checks of the catalog."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from vsearch.catalog.connection import is_corruption
from vsearch.catalog.rows import decode_path

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

log = logging.getLogger(__name__)
_MAX_PROBLEMS = 20  # reported per kind
_SELECT_WITHOUT_SEGMENTS_SQL = """
    SELECT path FROM videos WHERE id NOT IN (SELECT video_id FROM segments) ORDER BY path LIMIT ?
"""
_COUNT_WITHOUT_VECTORS_SQL = """
    SELECT videos.path, count(*) FROM segments
    JOIN videos ON videos.id = segments.video_id
    LEFT JOIN vectors ON vectors.segment_id = segments.id
        AND vectors.space_id = (SELECT space_id FROM library)
    WHERE vectors.segment_id IS NULL
    GROUP BY videos.id ORDER BY videos.path LIMIT ?
"""
_CHECK_FTS_SQL = "INSERT INTO cues_fts (cues_fts, rank) VALUES ('integrity-check', 1)"


def find_problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Check the file, its references, and its full-text index.

    Args:
        connection: A connection in a transaction that will be rolled back.

    Yields:
        One sentence per problem, at most 20 of each kind.
    """
    for (check_result,) in connection.execute(f"PRAGMA integrity_check({_MAX_PROBLEMS})"):
        if check_result != "ok":
            yield f"the file is damaged: {check_result}"
    for table_name, row_id, parent_table, _ in connection.execute(
        "PRAGMA foreign_key_check"
    ).fetchmany(_MAX_PROBLEMS):
        yield f"row {row_id} of {table_name} refers to a row of {parent_table} that does not exist"
    for (stored_path,) in connection.execute(_SELECT_WITHOUT_SEGMENTS_SQL, (_MAX_PROBLEMS,)):
        yield f"{decode_path(stored_path)} has no segments and cannot be found: index it again"
    count_rows = connection.execute(_COUNT_WITHOUT_VECTORS_SQL, (_MAX_PROBLEMS,))
    for stored_path, segment_count in count_rows:
        yield (
            f"{decode_path(stored_path)} has {segment_count} segments without a vector: "
            "index it again"
        )
    if _is_fts_damaged(connection):
        yield "the full-text index does not match the transcripts: run `vsearch rebuild`"


def _is_fts_damaged(connection: sqlite3.Connection) -> bool:
    """Compare the index with all cues; skipped if the catalog is read-only."""
    try:
        connection.execute(_CHECK_FTS_SQL)
    except Exception as exc:
        if is_corruption(exc):
            return True
        log.info("skipped checking the full-text index: %s", exc)
    return False
