"""SQLite connections to the catalog, and translation of SQLite errors.

Reads use `sqlite3` directly, which starts fast; writes use SQLAlchemy.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from vsearch.catalog.database_url import CatalogLocation, DatabaseUrl
from vsearch.catalog.lock import read_lock_holder
from vsearch.errors import DamagedLibraryError, LibraryError, LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUSY_TIMEOUT_SECONDS = 10.0  # for the transaction of another process


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
    connection = sqlite3.connect(
        f"{catalog_path.absolute().as_uri()}?{uri_query}",  # escapes any file name
        uri=True,
        timeout=BUSY_TIMEOUT_SECONDS,
        isolation_level=None,
        check_same_thread=False,
    )
    # the file may come from somebody else
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def allow_triggers(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Let triggers write to the full-text index, after `revision.check_schema_objects`."""
    connection.execute("PRAGMA trusted_schema = ON")
    return connection


def copy_database(source_db: sqlite3.Connection, copy_path: Path) -> None:
    """Copy a database to a new file, a single one without a write-ahead log, flushed to disk."""
    with closing(connect_uri(copy_path, "mode=rwc")) as copied_db:
        source_db.backup(copied_db)
        copied_db.execute("PRAGMA journal_mode = DELETE")
    with copy_path.open("rb+") as copied_file:
        os.fsync(copied_file.fileno())


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


# Messages for SQLite's error codes: what is wrong, and what to do.

DAMAGE_MESSAGE = (
    "is damaged ({error}). Restore it from a backup, or move it away and index the videos again."
)
_UNUSABLE_MESSAGE = (
    "cannot be used ({error}). `vsearch doctor` checks the library; if it is damaged, restore a "
    "backup with `vsearch restore`."
)
_ERRORS_BY_CODE: dict[int, tuple[type[LibraryError], str]] = {
    sqlite3.SQLITE_NOTADB: (
        DamagedLibraryError,
        "is not a vsearch catalog, or its header is damaged. Restore it from a backup, or move "
        "it away and index the videos again.",
    ),
    sqlite3.SQLITE_CORRUPT: (DamagedLibraryError, DAMAGE_MESSAGE),
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
def translate_errors(location: CatalogLocation) -> Iterator[None]:
    """Translate errors of databases and SQLAlchemy into LibraryError and its subclasses.

    Args:
        location: The file or database, for messages.

    Raises:
        LockedError: Another process is writing.
        DamagedLibraryError: The catalog is damaged, or the file is not a catalog.
        LibraryError: Any other error of the database.
    """
    try:
        yield
    except LibraryError:
        raise
    except Exception as exc:
        library_error = _translate_error(location, exc)
        if library_error is None:
            raise
        raise library_error from exc


@contextmanager
def corruption_as_error(location: CatalogLocation) -> Iterator[None]:
    """Translate errors from converting invalid rows into DamagedLibraryError.

    Args:
        location: The file or database, for messages.

    Raises:
        DamagedLibraryError: The block raised ValueError, TypeError or OverflowError.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as exc:
        reason_text = f"it has an invalid row: {exc}"
        raise DamagedLibraryError(f"{location} {DAMAGE_MESSAGE.format(error=reason_text)}") from exc


def is_corruption(exc: Exception) -> bool:
    """Return whether an exception reports a corrupt SQLite file."""
    error_code = getattr(_find_sqlite_cause(exc), "sqlite_errorcode", 0) & 0xFF
    return error_code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _translate_error(location: CatalogLocation, exc: Exception) -> LibraryError | None:
    """Return the error to raise instead of one of a database; None for other exceptions."""
    if isinstance(location, DatabaseUrl):
        from vsearch.catalog.postgresql_errors import to_library_error  # deferred: needs psycopg

        return to_library_error(location, exc)
    sqlite_error = _find_sqlite_cause(exc)
    return None if sqlite_error is None else _to_library_error(location, sqlite_error)


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
        error_code, (LibraryError, _UNUSABLE_MESSAGE)
    )
    return error_class(f"{catalog_path} {message_template.format(error=sqlite_error)}")
