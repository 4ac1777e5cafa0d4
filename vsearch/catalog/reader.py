"""Base of the catalog's query classes: run SQL in read transactions and convert the rows."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from vsearch.catalog.connection import corruption_as_error, translate_errors

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.catalog.connection import ConnectionPool

RowObject = TypeVar("RowObject")
IN_JSON_SQL = "IN (SELECT value FROM json_each(?))"  # one variable for any number of ids


class CatalogReader:
    """Read access to one catalog file. Safe to use from several threads."""

    def __init__(self, catalog_path: Path, pool: ConnectionPool) -> None:
        self._catalog_path, self._pool = catalog_path, pool

    def _read_objects(
        self, read_row: Callable[[Sequence[Any]], RowObject], sql_query: str, *sql_values: object
    ) -> list[RowObject]:
        """Run a query and convert its rows; raise DamagedLibraryError for invalid ones."""
        sql_rows = self._fetch_rows(sql_query, *sql_values)
        with corruption_as_error(self._catalog_path):
            return [read_row(sql_row) for sql_row in sql_rows]

    def _fetch_rows(self, sql_query: str, *sql_values: object) -> Sequence[Sequence[Any]]:
        with self._read_transaction() as connection:
            return connection.execute(sql_query, sql_values).fetchall()

    @contextmanager
    def _read_transaction(self) -> Iterator[sqlite3.Connection]:
        """Provide a connection that sees a single snapshot of the library."""
        with translate_errors(self._catalog_path), self._pool.read_transaction() as connection:
            yield connection


def ids_to_json(ids: Iterable[int]) -> str:
    """Return ids as a JSON array, the value for `IN_JSON_SQL`."""
    return json.dumps([int(id_) for id_ in ids])
