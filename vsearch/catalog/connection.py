"""A connection to the catalogue's file, in the way the file and its folder allow."""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING

from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 10.0  # seconds to wait for another process's transaction


def connect(path: Path) -> sqlite3.Connection:
    """A connection to a file that exists, read-only where the file or its folder is."""
    if is_writable(path):
        return attach(path, "mode=rw")
    connection = attach(path, "mode=ro")
    try:
        connection.execute("PRAGMA schema_version")
    except sqlite3.OperationalError as error:
        connection.close()
        if _has_log(path):  # what is in there would be missed
            raise LibraryError(
                f"{path} cannot be read without writing: a process that wrote to it was stopped. "
                "Open the library once where its folder is writable; nothing is lost."
            ) from error
        return attach(path, "mode=ro&immutable=1")  # needs no files beside the catalogue
    return connection


def attach(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in one of SQLite's modes; transactions are begun explicitly."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",  # escapes any byte a file name can have
        uri=True,
        timeout=PATIENCE,
        isolation_level=None,
        check_same_thread=False,
    )


def is_writable(path: Path) -> bool:
    """Whether the file can be written: SQLite needs to write beside it, too."""
    return os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)


def _has_log(path: Path) -> bool:
    log = path.with_name(f"{path.name}-wal")
    return log.exists() and log.stat().st_size > 0


def prepared(path: Path) -> sqlite3.Connection:
    """A connection as the catalogue uses it."""
    connection = connect(path)
    connection.execute("PRAGMA foreign_keys = ON")
    # NORMAL could forget a transaction in a power cut, after features were deleted that it replaced
    connection.execute("PRAGMA synchronous = FULL")
    if is_writable(path):
        _log_ahead(connection)
    return connection


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Turn on WAL, where readers and the writer pass by each other; the file remembers it."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            connection.close()
            raise  # when busy, whoever is using the file turns it on
