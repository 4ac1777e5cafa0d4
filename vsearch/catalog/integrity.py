"""Integrity checks of the catalog."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING

from vsearch.catalog.connection import DAMAGE_MESSAGE, is_corruption
from vsearch.catalog.rows import decode_path
from vsearch.storage.reindexing import reindex_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.catalog.pool import ReadConnection

log = logging.getLogger(__name__)
_MAX_PROBLEMS = 20  # reported per kind
_SELECT_WITHOUT_SEGMENTS_SQL = """
    SELECT path FROM videos WHERE NOT EXISTS (SELECT 1 FROM segments WHERE video_id = videos.id)
    ORDER BY path LIMIT ?
"""
_COUNT_WITHOUT_VECTORS_SQL = """
    SELECT videos.path, count(*) FROM segments
    JOIN videos ON videos.id = segments.video_id
    LEFT JOIN vectors ON vectors.segment_id = segments.id
        AND vectors.space_id = (SELECT space_id FROM library)
    WHERE vectors.segment_id IS NULL
    GROUP BY videos.id ORDER BY videos.path LIMIT ?
"""
_MAX_EXCESS_SECONDS = 1.0  # of a segment after the end of its video, from rounding
# IS NOT TRUE: also values that are not numbers
_COUNT_INVALID_SPANS_SQL = f"""
    SELECT videos.path, count(*) FROM segments JOIN videos ON videos.id = segments.video_id
    WHERE (start >= 0 AND "end" >= start AND "end" <= duration + {_MAX_EXCESS_SECONDS})
        IS NOT TRUE
    GROUP BY videos.id ORDER BY videos.path LIMIT ?
"""  # noqa: S608
_MAX_SECONDS = 1e9  # of other times; subtitles may go on after the video
_COUNT_INVALID_TIMES_SQL = f"""
    SELECT videos.path, count(*) FROM {{table}} AS spans JOIN videos ON videos.id = spans.video_id
    WHERE start IS NOT NULL
        AND (start >= 0 AND "end" >= start AND "end" <= {_MAX_SECONDS}) IS NOT TRUE
    GROUP BY videos.id ORDER BY videos.path LIMIT ?
"""  # noqa: S608
_SPAN_TABLES = {"cues": "transcript lines", "tags": "tags", "relevance_feedback": "marks"}
_CHECK_FTS_SQL = "INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)"
_HAS_UNINDEXED_SQL = """
    SELECT EXISTS (SELECT 1 FROM {source}
        WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE rowid = {source}.{id_column}))
"""
_FTS_TABLES = {  # index: table, its ids, name for messages
    "cues_fts": ("cues", "id", "the transcripts"),
    "names_fts": ("video_names", "video_id", "the names of the videos"),
}


def find_problems(connection: ReadConnection, location: CatalogLocation) -> Iterator[str]:
    """Check the file, its references, and its full-text index.

    PostgreSQL checks pages and references itself.

    Args:
        connection: A connection in a transaction that will be rolled back.
        location: The file or database, for messages.

    Yields:
        One sentence per problem, at most 20 of each kind.
    """
    is_fts_damaged = _has_unindexed
    if isinstance(connection, sqlite3.Connection):
        yield from _check_file(connection, location)
        is_fts_damaged = _is_fts_damaged
    yield from _check_rows(connection)
    for fts_table, (_, _, content_name) in _FTS_TABLES.items():
        if is_fts_damaged(connection, fts_table):
            yield f"the full-text index does not match {content_name}: run `vsearch rebuild`"


def _check_file(connection: sqlite3.Connection, location: CatalogLocation) -> Iterator[str]:
    for (check_result,) in connection.execute(f"PRAGMA integrity_check({_MAX_PROBLEMS})"):
        if check_result != "ok":
            yield f"{location} {DAMAGE_MESSAGE.format(error=_join_lines(check_result))}"
    for table_name, row_id, parent_table, _ in connection.execute(
        "PRAGMA foreign_key_check"
    ).fetchmany(_MAX_PROBLEMS):
        reason = (
            f"row {row_id} of {table_name} refers to a row of {parent_table} that does not exist"
        )
        yield f"{location} {DAMAGE_MESSAGE.format(error=reason)}"


def _check_rows(connection: ReadConnection) -> Iterator[str]:
    for (stored_path,) in connection.execute(_SELECT_WITHOUT_SEGMENTS_SQL, (_MAX_PROBLEMS,)):
        video_path = decode_path(stored_path)
        yield (
            f"{video_path} has no segments and cannot be found: "
            f"index it again with {reindex_command(video_path)}"
        )
    count_rows = connection.execute(_COUNT_WITHOUT_VECTORS_SQL, (_MAX_PROBLEMS,))
    for stored_path, segment_count in count_rows:
        video_path = decode_path(stored_path)
        yield (
            f"{video_path} has {segment_count} segments without a vector: "
            f"index it again with {reindex_command(video_path)}"
        )
    for stored_path, segment_count in connection.execute(
        _COUNT_INVALID_SPANS_SQL, (_MAX_PROBLEMS,)
    ):
        video_path = decode_path(stored_path)
        yield (
            f"{video_path} has {segment_count} segments with damaged times: "
            f"index it again with {reindex_command(video_path)}"
        )
    for table_name, row_name in _SPAN_TABLES.items():
        invalid_sql = _COUNT_INVALID_TIMES_SQL.format(table=table_name)
        for stored_path, row_count in connection.execute(invalid_sql, (_MAX_PROBLEMS,)):
            yield (
                f"{decode_path(stored_path)} has {row_count} {row_name} with damaged times: "
                "restore a backup with `vsearch restore`"
            )


def _join_lines(text: str) -> str:
    return "; ".join(line for line in text.splitlines() if not line.startswith("***"))


def _is_fts_damaged(connection: ReadConnection, fts_table: str) -> bool:
    """Compare an index with all of its texts; skipped if the catalog is read-only."""
    try:
        connection.execute(_CHECK_FTS_SQL.format(table=fts_table))
    except Exception as exc:
        if is_corruption(exc):
            return True
        log.info("skipped checking the full-text index: %s", exc)
    return False


def _has_unindexed(connection: ReadConnection, fts_table: str) -> bool:
    """Return whether an index of PostgreSQL lacks any text; its rows cannot be of other texts."""
    source, id_column, _ = _FTS_TABLES[fts_table]
    check_sql = _HAS_UNINDEXED_SQL.format(source=source, table=fts_table, id_column=id_column)
    return bool(connection.execute(check_sql).fetchone()[0])
