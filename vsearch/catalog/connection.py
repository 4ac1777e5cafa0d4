"""SQLite connections to the catalog, their pool, and translation of SQLite errors.

Reads use `sqlite3` directly, which starts fast; writes use SQLAlchemy.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.catalog.lock import read_lock_holder
from vsearch.errors import DamagedLibraryError, LibraryError, LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

BUSY_TIMEOUT_SECONDS = 10.0  # for the transaction of another process
MAX_IDLE_CONNECTIONS = 5  # kept open; more can be in use


def connect(catalog_path: Path) -> sqlite3.Connection:
    """Connect to an existing file, read-only if the file or its folder is.

    Raises:
        LibraryError: The folder is read-only and a write-ahead log must be recovered.
    """
    if is_writable(catalog_path):
        return connect_uri(catalog_path, "mode=rw")
    connection = connect_uri(catalog_path, "mode=ro")
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError as exc:
        connection.close()
        if _has_wal(catalog_path):  # its transactions would be ignored
            raise LibraryError(
                f"{catalog_path} cannot be read from a read-only folder, because a process that "
                "wrote to it was stopped. Open the library once with its folder writable; "
                "nothing is lost."
            ) from exc
        return connect_uri(catalog_path, "mode=ro&immutable=1")  # needs no -shm file
    return connection


def connect_uri(catalog_path: Path, uri_query: str) -> sqlite3.Connection:
    """Connect with URI parameters such as `mode=ro`; transactions begin explicitly."""
    return sqlite3.connect(
        f"{catalog_path.absolute().as_uri()}?{uri_query}",  # escapes any file name
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )


def is_writable(catalog_path: Path) -> bool:
    """Return whether both the file and its folder, where SQLite adds files, are writable."""
    return os.access(catalog_path, os.W_OK) and os.access(catalog_path.parent, os.W_OK)


def _has_wal(catalog_path: Path) -> bool:
    wal_path = catalog_path.with_name(f"{catalog_path.name}-wal")
    return wal_path.exists() and wal_path.stat().st_size > 0


def open_connection(catalog_path: Path) -> sqlite3.Connection:
    """Connect with the settings of the catalog: foreign keys, full synchronization, WAL."""
    connection = connect(catalog_path)
    connection.execute("PRAGMA foreign_keys = ON")
    # NORMAL may lose a transaction in a power failure, when the features it replaced are deleted
    connection.execute("PRAGMA synchronous = FULL")
    if is_writable(catalog_path):
        _enable_wal(connection)
    return connection


def _enable_wal(connection: sqlite3.Connection) -> None:
    """Enable write-ahead logging, in which readers and a writer do not block each other."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as exc:
        if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            connection.close()
            raise  # if busy, the process that uses the file enables it


class ConnectionPool:
    """A pool of connections to one file. Safe to use from several threads."""

    def __init__(self, catalog_path: Path) -> None:
        self._catalog_path = catalog_path
        self._idle_connections: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        # an immutable connection misses changes, so a read-only file is opened for each read
        self._max_idle = MAX_IDLE_CONNECTIONS if is_writable(catalog_path) else 0

    @contextmanager
    def read_transaction(self) -> Iterator[sqlite3.Connection]:
        """Provide a connection that sees one snapshot; changes are rolled back."""
        connection = self._take_connection()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.rollback()
        except BaseException:  # the state of the connection is unknown
            connection.close()
            raise
        self._return_connection(connection)

    @contextmanager
    def write_transaction(self) -> Iterator[Connection]:
        """Provide a connection that has the write lock; commit at the end or roll back."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Close all connections."""
        with self._lock:
            idle_connections, self._idle_connections = self._idle_connections, []
        for connection in idle_connections:
            connection.close()
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def _take_connection(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle_connections:
                return self._idle_connections.pop()
        return open_connection(self._catalog_path)

    def _return_connection(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if len(self._idle_connections) < self._max_idle:
                self._idle_connections.append(connection)
                return
        connection.close()

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, event  # deferred: slow, and only for writers
        from sqlalchemy.pool import NullPool, QueuePool

        pool_class = QueuePool if self._max_idle else NullPool
        engine = create_engine("sqlite://", creator=self._take_connection, poolclass=pool_class)
        event.listen(
            engine,
            "begin",
            lambda sql_connection: sql_connection.exec_driver_sql("BEGIN IMMEDIATE"),
        )
        return engine


# Messages for SQLite's error codes: what is wrong, and what to do.

_DAMAGE_MESSAGE = (
    "is damaged ({error}). Restore it from a backup, or move it away and index the videos again."
)
_ERRORS_BY_CODE: dict[int, tuple[type[LibraryError], str]] = {
    sqlite3.SQLITE_NOTADB: (
        DamagedLibraryError,
        "is not a vsearch catalog, or its header is damaged. Restore it from a backup, or move "
        "it away and index the videos again.",
    ),
    sqlite3.SQLITE_CORRUPT: (DamagedLibraryError, _DAMAGE_MESSAGE),
    sqlite3.SQLITE_FULL: (
        LibraryError,
        "cannot grow: the disk is full. Free some space and run the command again; stored "
        "data is safe.",
    ),
    sqlite3.SQLITE_READONLY: (
        LibraryError,
        "cannot be written. Make the file and its folder writable.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        LibraryError,
        "cannot be opened. Check that it is a file and that it and its folder are readable.",
    ),
    sqlite3.SQLITE_IOERR: (
        LibraryError,
        "cannot be read or written: the disk reports an error ({error}). Check the disk and its "
        "free space.",
    ),
    sqlite3.SQLITE_CONSTRAINT: (LibraryError, "rejected a change: {error}."),
}
_ERRORS_BY_CODE[sqlite3.SQLITE_PERM] = _ERRORS_BY_CODE[sqlite3.SQLITE_CANTOPEN]


@contextmanager
def translate_errors(catalog_path: Path) -> Iterator[None]:
    """Translate errors of SQLite and SQLAlchemy into LibraryError and its subclasses.

    Args:
        catalog_path: The file, for messages.

    Raises:
        LockedError: Another process is writing.
        DamagedLibraryError: The file is damaged or not a catalog.
        LibraryError: Any other error of SQLite.
    """
    try:
        yield
    except LibraryError:
        raise
    except Exception as exc:
        sqlite_error = _find_sqlite_cause(exc)
        if sqlite_error is None:
            raise
        raise _to_library_error(catalog_path, sqlite_error) from exc


@contextmanager
def corruption_as_error(catalog_path: Path) -> Iterator[None]:
    """Translate errors from converting invalid rows into DamagedLibraryError.

    Args:
        catalog_path: The file, for messages.

    Raises:
        DamagedLibraryError: The block raised ValueError, TypeError or OverflowError.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as exc:
        reason_text = f"it has an invalid row: {exc}"
        raise DamagedLibraryError(
            f"{catalog_path} {_DAMAGE_MESSAGE.format(error=reason_text)}"
        ) from exc


def is_corruption(exc: Exception) -> bool:
    """Return whether an exception reports a corrupt SQLite file."""
    error_code = getattr(_find_sqlite_cause(exc), "sqlite_errorcode", 0) & 0xFF
    return error_code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _find_sqlite_cause(exc: Exception) -> Exception | None:
    """Return the underlying SQLite or SQLAlchemy error, None for other exceptions."""
    if isinstance(exc, sqlite3.Error):
        return exc
    from sqlalchemy.exc import SQLAlchemyError  # deferred: slow

    if isinstance(exc, SQLAlchemyError):
        driver_error = getattr(exc, "orig", None)
        return driver_error if isinstance(driver_error, Exception) else exc
    return None


def _to_library_error(catalog_path: Path, sqlite_error: Exception) -> LibraryError:
    # the low byte of an extended error code is the primary one
    error_code = getattr(sqlite_error, "sqlite_errorcode", 0) & 0xFF
    if error_code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        lock_holder = read_lock_holder(catalog_path.parent) or "another process"
        return LockedError(
            f"{catalog_path} is being written by {lock_holder}. Try again when it has finished."
        )
    error_class, message_template = _ERRORS_BY_CODE.get(
        error_code, (LibraryError, "cannot be used: {error}.")
    )
    return error_class(f"{catalog_path} {message_template.format(error=sqlite_error)}")
