"""Connections to PostgreSQL for reading and writing, which behave as those to SQLite."""

from __future__ import annotations

import time
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from vsearch.catalog.dialect import session_settings, to_postgresql
from vsearch.catalog.postgresql_values import adapt_values
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vsearch.catalog.database_url import DatabaseUrl

OLDEST_SERVER = 15  # major version of PostgreSQL
LOCK_TIMEOUT_SECONDS = 60  # for transactions of other processes
RECONNECT_SECONDS = 15.0  # for a server that is restarted
_RETRY_SECONDS = 0.5
_FETCHED_ROWS = 10_000  # of a large result, at once
# Unless the URL says otherwise. A dead peer must not keep the write lock for hours.
_CONNECTION_DEFAULTS = {
    "connect_timeout": "10",
    "application_name": "vsearch",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",  # milliseconds
}
_SETTINGS = {
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS}s",
    "idle_in_transaction_session_timeout": "1h",
    "cursor_tuple_fraction": "1",  # all rows of cursors are read
    "default_transaction_isolation": "read committed",
}
_BEGIN_READING_SQL = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def connect(database_url: DatabaseUrl, *, wait_seconds: float = 0.0) -> psycopg.Connection[Any]:
    """Connect to a database, with transactions that begin explicitly.

    Args:
        database_url: The database.
        wait_seconds: Time in which a server that cannot be reached may come back.

    Raises:
        psycopg.OperationalError: It cannot be reached.
        LibraryError: The server is too old, or the database has another encoding than UTF-8.
    """
    parameters: dict[str, Any] = {
        **_CONNECTION_DEFAULTS,
        **conninfo_to_dict(database_url.conninfo()),
        "client_encoding": "utf8",
    }
    give_up_at = time.monotonic() + wait_seconds
    while True:
        try:
            connection = psycopg.connect(**parameters, autocommit=True)
            break
        except psycopg.OperationalError:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(_RETRY_SECONDS)
    try:
        _check_server(connection, database_url)
        adapt_values(connection)
        settings = _SETTINGS | session_settings()
        calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
        values = [text for setting in settings.items() for text in setting]
        connection.execute(f"SELECT {calls}", values)
    except BaseException:
        connection.close()
        raise
    return connection


def _check_server(connection: psycopg.Connection[Any], database_url: DatabaseUrl) -> None:
    server_version = connection.info.server_version // 10_000
    if server_version < OLDEST_SERVER:
        raise LibraryError(
            f"{database_url}: the server is PostgreSQL {server_version}; a library needs version "
            f"{OLDEST_SERVER} or newer"
        )
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise LibraryError(
            f"{database_url}: the database has the encoding {encoding}; create one with "
            "`createdb --encoding UTF8 --template template0`"
        )


class PostgresReader:
    """A connection in a read transaction; queries are in SQL of SQLite."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Use a new connection."""
        self._connection = connection
        self._cursor_numbers = count()
        self._server_cursors: list[psycopg.ServerCursor[Any]] = []  # of this transaction

    def begin(self) -> None:
        """Begin a transaction, all of whose queries see one state of the database."""
        self._connection.execute(_BEGIN_READING_SQL)

    def rollback(self) -> None:
        """End the transaction."""
        self._connection.execute("ROLLBACK")
        self._close_cursors()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
        self._close_cursors()

    def _close_cursors(self) -> None:
        """Close cursors, whose rows were not necessarily all fetched."""
        while self._server_cursors:
            self._server_cursors.pop().close()

    def execute(self, sql: str, values: Sequence[Any] = (), /) -> PostgresCursor:
        """Return the rows of a query, which runs when the first of them is fetched."""
        return PostgresCursor(self._connection, sql, values, self._open_server_cursor)

    def _open_server_cursor(self) -> psycopg.ServerCursor[Any]:
        # binary: vectors would be twice as long as text
        server_cursor = self._connection.cursor(f"c{next(self._cursor_numbers)}", binary=True)
        self._server_cursors.append(server_cursor)
        return server_cursor


class PostgresCursor:
    """The rows of a query: fetched as a whole, or in parts that fit into memory."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        sql: str,
        values: Sequence[Any],
        open_server_cursor: Callable[[], psycopg.ServerCursor[Any]],
    ) -> None:
        """Use `PostgresReader.execute`."""
        self._connection, self._values = connection, tuple(values)
        self._open_server_cursor = open_server_cursor
        self._sql = to_postgresql(sql)
        self._cursor: psycopg.Cursor[Any] | psycopg.ServerCursor[Any] | None = None

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return self._client_cursor().fetchone()

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""
        return self._client_cursor().fetchall()

    def fetchmany(self, size: int = _FETCHED_ROWS, /) -> list[Any]:
        """Return the next rows, at most `size`, without reading those that follow."""
        return self._server_cursor().fetchmany(size)

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left, without keeping them all in memory."""
        while rows := self.fetchmany():
            yield from rows

    def _client_cursor(self) -> psycopg.Cursor[Any] | psycopg.ServerCursor[Any]:
        if self._cursor is None:
            self._cursor = self._connection.execute(self._sql, self._values)
        return self._cursor

    def _server_cursor(self) -> psycopg.Cursor[Any] | psycopg.ServerCursor[Any]:
        if self._cursor is None:
            server_cursor = self._open_server_cursor()
            server_cursor.execute(self._sql, self._values)
            self._cursor = server_cursor
        return self._cursor
