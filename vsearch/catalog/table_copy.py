"""Copying of all rows of a catalog to another one, with the same ids, in batches that resume."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Boolean,
    DateTime,
    Float,
    Integer,
    LargeBinary,
    Table,
    func,
    insert,
    select,
    update,
)

from vsearch.catalog.fts import rebuild_indexes
from vsearch.catalog.rows import text_to_path
from vsearch.catalog.schema import Base, LibraryRow
from vsearch.errors import DamagedLibraryError, LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Column, Connection

    from vsearch.catalog.catalog import Catalog

ROWS_PER_BATCH = 2_000  # of one transaction
_LIBRARY_COLUMNS = ("revision", "created_by_version", "space_id")  # the others are not copied
_SELECT_LIBRARY_SQL = "SELECT revision, created_by_version, space_id FROM library"
_DIGEST_BITS = 256


@dataclass(frozen=True, slots=True)
class TableDigest:
    """The content of a table: equal for two tables with the same rows."""

    table_name: str
    row_count: int
    digest: str  # sum of SHA-256 of all rows, hexadecimal


def copy_tables(
    source: Catalog, target: Catalog, on_progress: Callable[[str, int, int], None]
) -> None:
    """Copy all rows that the target does not have yet, parents before children.

    The source must not change meanwhile: call it in a `snapshot` of the source. A copy that was
    interrupted continues after the last row of each table.

    Args:
        source: The catalog to read.
        target: The catalog to write, which has rows of the source only.
        on_progress: Called with the name of a table, and its numbers of copied and of all rows.

    Raises:
        LibraryError: If a row cannot be written.
    """
    for table in _data_tables():
        [[total]] = source.read_rows(f"SELECT count(*) FROM {table.name}")  # noqa: S608
        if isinstance(_key_columns(table)[0].type, Integer):
            [[done]] = target.read_rows(f"SELECT count(*) FROM {table.name}")  # noqa: S608
            last_key = _last_key(target, table)
        else:  # the databases sort other keys differently
            done, last_key = 0, None
            with target.write_rows() as connection:
                connection.execute(table.delete())
        on_progress(table.name, done, total)
        for row_batch in _iter_batches(source, table, last_key):
            with target.write_rows() as connection:
                connection.execute(insert(table), row_batch)
            done += len(row_batch)
            on_progress(table.name, done, total)
    _copy_library_row(source, target)


def _copy_library_row(source: Catalog, target: Catalog) -> None:
    """Copy the revision and the active space; continue ids where the source does."""
    last_ids = {table.name: _last_id(source, table) for table in _data_tables() if _has_id(table)}
    [library_values] = source.read_rows(_SELECT_LIBRARY_SQL)
    with target.write_rows() as connection:
        if connection.dialect.name == "postgresql":
            rebuild_indexes(connection)
        for table in filter(_has_id, _data_tables()):
            _continue_ids(connection, table, last_ids[table.name])
        values = dict(zip(_LIBRARY_COLUMNS, library_values, strict=True))
        [[revision]] = connection.execute(select(func.max(LibraryRow.revision)))
        values["revision"] = max(int(values["revision"]), int(revision))
        connection.execute(update(LibraryRow).values(**values))


def compare_tables(
    source: Catalog, target: Catalog, on_progress: Callable[[str, int, int], None]
) -> list[TableDigest]:
    """Compare all rows of two catalogs.

    Args:
        source: A catalog.
        target: Its copy.
        on_progress: As of `copy_tables`, called once for each table.

    Returns:
        The digest of each table.

    Raises:
        LibraryError: If a table differs; the message names it.
    """
    table_digests: list[TableDigest] = []
    for table in [*_data_tables(), LibraryRow.metadata.tables["library"]]:
        source_digest, target_digest = (
            digest_table(catalog, table) for catalog in (source, target)
        )
        if source_digest != target_digest:
            raise LibraryError(
                f"the table {table.name} of the copy differs: {source_digest.row_count} rows with "
                f"digest {source_digest.digest[:12]} became {target_digest.row_count} with "
                f"{target_digest.digest[:12]}"
            )
        table_digests.append(source_digest)
        on_progress(table.name, source_digest.row_count, source_digest.row_count)
    return table_digests


def digest_table(catalog: Catalog, table: Table) -> TableDigest:
    """Return the digest of a table.

    Args:
        catalog: The catalog.
        table: A table of `schema`.
    """
    row_count = digest_sum = 0
    for row_batch in _iter_batches(catalog, table, None):
        row_count += len(row_batch)
        for row in row_batch:
            row_digest = hashlib.sha256(repr(sorted(row.items())).encode("utf-8", "replace"))
            digest_sum += int.from_bytes(row_digest.digest(), "big")
    digest = f"{digest_sum % (1 << _DIGEST_BITS):064x}"
    return TableDigest(table.name, row_count, digest)


def clear_tables(catalog: Catalog) -> None:
    """Delete all rows of a catalog, but not its record.

    Args:
        catalog: The catalog.
    """
    with catalog.write_rows() as connection:
        connection.execute(update(LibraryRow).values(space_id=None))
        for table in reversed(_data_tables()):
            connection.execute(table.delete())


def _data_tables() -> list[Table]:
    """Return all tables but that of the library, those referred to first."""
    return [table for table in Base.metadata.sorted_tables if table.name != "library"]


def _key_columns(table: Table) -> list[Column[Any]]:
    return list(table.primary_key.columns)


def _has_id(table: Table) -> bool:
    return [column.name for column in _key_columns(table)] == ["id"]


def _last_key(catalog: Catalog, table: Table) -> tuple[Any, ...] | None:
    """Return the largest key of a table; None if it is empty."""
    names = [_quote(column) for column in _key_columns(table)]
    key_rows = catalog.read_rows(
        f"SELECT {', '.join(names)} FROM {table.name} "  # noqa: S608
        f"ORDER BY {', '.join(f'{name} DESC' for name in names)} LIMIT 1"
    )
    return tuple(key_rows[0]) if key_rows else None


def _iter_batches(
    catalog: Catalog, table: Table, last_key: tuple[Any, ...] | None
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows after a key, in order of the key, with the same values for any database."""
    columns, key_names = _copied_columns(table), [_quote(column) for column in _key_columns(table)]
    key_indexes = [columns.index(column) for column in _key_columns(table)]
    select_sql = f"SELECT {', '.join(map(_quote, columns))} FROM {table.name}"  # noqa: S608
    order_sql = f" ORDER BY {', '.join(key_names)} LIMIT {ROWS_PER_BATCH}"
    marks = ", ".join("?" * len(key_names))
    while True:
        where_sql = "" if last_key is None else f" WHERE ({', '.join(key_names)}) > ({marks})"
        sql_rows = catalog.read_rows(select_sql + where_sql + order_sql, *(last_key or ()))
        if not sql_rows:
            return
        last_key = tuple(sql_rows[-1][index] for index in key_indexes)
        yield [_convert_row(columns, sql_row) for sql_row in sql_rows]


def _copied_columns(table: Table) -> list[Column[Any]]:
    is_library = table.name == "library"
    return [
        column
        for column in table.columns
        if not is_library or column.name in ("id", *_LIBRARY_COLUMNS)
    ]


def _convert_row(columns: Sequence[Column[Any]], sql_row: Sequence[Any]) -> dict[str, Any]:
    try:
        return {
            column.name: None if value is None else _convert_value(column, value)
            for column, value in zip(columns, sql_row, strict=True)
        }
    except (TypeError, ValueError) as exc:
        raise DamagedLibraryError(
            f"the table {columns[0].table.name} has a row that is not valid ({exc}); "
            "`vsearch doctor` checks the library"
        ) from exc


def _convert_value(column: Column[Any], value: Any) -> Any:
    if column.name == "path":
        return text_to_path(value)
    if isinstance(column.type, Boolean):
        return bool(value)
    if isinstance(column.type, LargeBinary):
        return bytes(value)
    if isinstance(column.type, DateTime):
        return value if isinstance(value, datetime) else datetime.fromisoformat(value)
    if isinstance(column.type, Float):
        return float(value)
    # PostgreSQL cannot store U+0000, see `postgresql_values`
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value


def _last_id(catalog: Catalog, table: Table) -> int:
    """Return the largest id that was ever used, as far as the database knows."""
    last_id_sql = (
        "SELECT pg_sequence_last_value(CAST(pg_get_serial_sequence(?, 'id') AS regclass))"
        if catalog.is_in_database
        else "SELECT seq FROM sqlite_sequence WHERE name = ?"
    )
    known_ids = [
        *(catalog.read_rows(last_id_sql, table.name) or [[0]])[0],
        *(_last_key(catalog, table) or [0]),
    ]
    return max(int(known_id or 0) for known_id in known_ids)


def _continue_ids(connection: Connection, table: Table, last_id: int) -> None:
    """Let new ids of a table be greater than `last_id`."""
    if connection.dialect.name == "postgresql":
        if last_id:
            connection.exec_driver_sql(
                "SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", (table.name, last_id)
            )
    elif table.dialect_options["sqlite"]["autoincrement"]:
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
        connection.exec_driver_sql(
            "INSERT INTO sqlite_sequence VALUES (?, ?)", (table.name, last_id)
        )


def _quote(column: Column[Any]) -> str:
    return f'"{column.name}"'
