"""All differences between SQLite, in whose SQL the catalog is written, and PostgreSQL.

Queries keep to what both databases have, as far as possible. `to_postgresql` translates the rest,
which is named here: add to it what a new query needs. Beyond that:

- Texts have the collation "C" in PostgreSQL (`schema.Text`), which compares them as SQLite does.
- `value` of `json_each` is a text in PostgreSQL: `CAST(value AS BIGINT)` fits both. In
  `IN (SELECT value FROM json_each(?))` it is an integer, in `IN (SELECT atom …)` a text.
- An ascending order puts NULL first in SQLite and last in PostgreSQL: sort by `… IS NULL` before.
- A subquery in FROM needs a name before PostgreSQL 16.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

# Local time of the recording. Without a recording time, that of the last change; without an
# offset, in the zone of this machine, which is that of the session in PostgreSQL.

RECORDING_TIME_SQL = "coalesce(recorded_at, datetime(mtime_ns / 1000000000, 'unixepoch'))"
_LOCAL_TIME_SQL = f"""datetime({RECORDING_TIME_SQL},
    CASE WHEN utc_offset_minutes IS NULL THEN 'localtime'
        ELSE printf('%+d minutes', utc_offset_minutes) END)"""
CLOCK_SQL = f"strftime('%H:%M', {_LOCAL_TIME_SQL})"
WEEKDAY_SQL = f"strftime('%w', {_LOCAL_TIME_SQL})"  # Sunday is 0
_PG_UTC_TIME_SQL = """coalesce(CAST(recorded_at AS timestamp(3)),
    to_timestamp(mtime_ns / 1000000000) AT TIME ZONE 'UTC')"""
_PG_LOCAL_TIME_SQL = f"""CASE WHEN utc_offset_minutes IS NULL
    THEN CAST({_PG_UTC_TIME_SQL} AT TIME ZONE 'UTC' AS timestamp)
    ELSE {_PG_UTC_TIME_SQL} + make_interval(mins => CAST(utc_offset_minutes AS integer)) END"""

# Other parts of queries that differ as a whole.

LAST_SEGMENT_SQL = "SELECT seq FROM sqlite_sequence WHERE name = 'segments'"
KEEP_LAST_SEGMENT_SQL = "SELECT setval('segments_id_seq', ?)"  # of PostgreSQL
CHANGE_NUMBER_SQL = "PRAGMA user_version"
HEX_PATHS_SQL = "group_concat(hex(path))"
CUE_LOCATIONS_SQL = "json_group_array(coalesce(video_id, -1)), json_group_array(source)"
_FRAGMENTS = {
    CLOCK_SQL: f"to_char({_PG_LOCAL_TIME_SQL}, 'HH24:MI')",
    WEEKDAY_SQL: f"CAST(extract(dow FROM {_PG_LOCAL_TIME_SQL}) AS text)",
    # texts as in SQLite, because the shorter one comes first
    RECORDING_TIME_SQL: """coalesce(to_char(recorded_at, 'YYYY-MM-DD HH24:MI:SS.US'),
        to_char(to_timestamp(mtime_ns / 1000000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
        COLLATE "C" """,
    LAST_SEGMENT_SQL: "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM segments_id_seq",
    # of the transaction that was committed last, because each one updates this row
    CHANGE_NUMBER_SQL: "SELECT CAST(CAST(xmin AS text) AS bigint) FROM library",
    HEX_PATHS_SQL: "string_agg(encode(convert_to(path, 'UTF8'), 'hex'), ',')",
    CUE_LOCATIONS_SQL: """
        CAST(coalesce(json_agg(coalesce(video_id, -1) ORDER BY key), '[]') AS text),
        CAST(coalesce(json_agg(source ORDER BY key), '[]') AS text)""",
}
_PATTERNS = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (
            r"IN \(SELECT value FROM json_each\(\?\)\)",
            # not = ANY: of a scanned table, each row would parse the whole array
            "IN (SELECT unnest(CAST(translate(?, '[]', '{}') AS bigint[])))",
        ),
        (
            r"IN \(SELECT atom FROM json_each\(\?\)\)",
            "= ANY (ARRAY(SELECT json_array_elements_text(CAST(? AS json))))",
        ),
        (
            r"json_each\(\?\)",
            """(SELECT ordinality - 1 AS key, value
                FROM json_array_elements_text(CAST(? AS json)) WITH ORDINALITY) AS json_each""",
        ),
        (r"json_extract\((\w+), '\$\[(\d)\]'\)", r"(CAST(\1 AS json) ->> \2)"),
        (r"json_group_array\(((?:DISTINCT )?\w+)\)", r"CAST(coalesce(json_agg(\1), '[]') AS text)"),
        (r"CROSS JOIN (\w+) ON", r"JOIN \1 ON"),
        (r"\bmin\(([^(),]+,[^(),]+)\)", r"least(\1)"),
        (r"\bmax\(([^(),]+,[^(),]+)\)", r"greatest(\1)"),
        (r"\binstr\(", "strpos("),
        (r"\b(\w+_fts) MATCH \?", r"\1.tokens @@ ?"),
    )
]
_POSIX_ZONE_RE = re.compile(r"(?:[A-Za-z]{3,}|<[\w+-]+>)[+-]?\d{1,2}[\w:,./<>+-]*")
_QUOTED_OR_SPECIAL_RE = re.compile(r"""('[^']*'|"[^"]*")|\?""")

POSTGRESQL_DDL = tuple(
    statement
    for fts_table, parent_column in (("cues_fts", "cues (id)"), ("names_fts", "video_names"))
    for statement in (
        f"""CREATE TABLE {fts_table} (
            rowid BIGINT PRIMARY KEY REFERENCES {parent_column} ON DELETE CASCADE,
            tokens tsvector NOT NULL)""",
        f"CREATE INDEX ix_{fts_table}_tokens ON {fts_table} USING gin (tokens)",
    )
)  # full-text indexes, written by `fts.index_cues` and `fts.index_names`


@lru_cache(maxsize=512)
def to_postgresql(sql: str) -> str:
    """Translate a query with `?` as placeholders into PostgreSQL's SQL with `%s` for psycopg.

    The values of a translated query must be passed to psycopg even if there are none.
    """
    for fragment, replacement in _FRAGMENTS.items():
        sql = sql.replace(fragment, replacement)
    for pattern, replacement in _PATTERNS:
        sql = pattern.sub(replacement, sql)
    return _QUOTED_OR_SPECIAL_RE.sub(lambda match: match[1] or "%s", sql.replace("%", "%%"))


def session_settings() -> dict[str, str]:
    """Return the settings that a session of PostgreSQL needs, by name."""
    return {
        "TimeZone": local_time_zone(),
        "DateStyle": "ISO, YMD",
        # how common a word is, or how many ids there are, decides which index is the right one
        "plan_cache_mode": "force_custom_plan",
        "jit": "off",  # takes longer than most queries
    }


def local_time_zone() -> str:
    """Return the time zone of this machine, as PostgreSQL accepts it: a name or a POSIX rule."""
    zone_text = os.environ.get("TZ")
    zone_name = None if zone_text is None else zone_text.removeprefix(":") or "UTC"
    if zone_name is not None and not zone_name.startswith("/"):
        return zone_name if _is_zone(zone_name) else "UTC"  # as the C library does
    zone_file = Path(zone_name or "/etc/localtime")
    try:
        _, separator, file_name = str(zone_file.resolve(strict=True)).rpartition("/zoneinfo/")
        if separator and _is_zone(file_name):
            return file_name
        rule = (
            zone_file.read_bytes().rstrip(b"\n").rpartition(b"\n")[2].decode()
        )  # of any TZif file
        if _POSIX_ZONE_RE.fullmatch(rule):
            return rule
    except (OSError, ValueError, RuntimeError):
        pass  # no such file, as on Windows
    offset_minutes = -round(
        (datetime.now(UTC).astimezone().utcoffset() or timedelta()) / timedelta(minutes=1)
    )
    sign, (hours, minutes) = "-" if offset_minutes < 0 else "+", divmod(abs(offset_minutes), 60)
    return f"<local>{sign}{hours:02}:{minutes:02}"


def _is_zone(zone_name: str) -> bool:
    if _POSIX_ZONE_RE.fullmatch(zone_name):
        return True
    from zoneinfo import ZoneInfo  # deferred: only for PostgreSQL

    try:
        ZoneInfo(zone_name)
    except (OSError, ValueError, KeyError):
        return False
    return True
