"""SQLite's failures, told as errors of vsearch: what is wrong, with which file, what to do."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vsearch.catalog.lock import read_holder
from vsearch.errors import DamagedLibraryError, LibraryError, LockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAMAGED = (
    "is damaged ({error}). Restore it from a backup, or move it away and index the videos again."
)
_FAILURES: dict[int, tuple[type[LibraryError], str]] = {
    sqlite3.SQLITE_NOTADB: (
        DamagedLibraryError,
        "is not a catalogue of vsearch, or is damaged from its first byte. Restore it from a "
        "backup, or move it away and index the videos again.",
    ),
    sqlite3.SQLITE_CORRUPT: (DamagedLibraryError, _DAMAGED),
    sqlite3.SQLITE_FULL: (
        LibraryError,
        "cannot grow: the disk is full. What was stored before is safe; free some space and "
        "run the command again.",
    ),
    sqlite3.SQLITE_READONLY: (
        LibraryError,
        "cannot be written. Make the file and its folder writable for you.",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        LibraryError,
        "cannot be opened. Check that it is a file and that you may read it and its folder.",
    ),
    sqlite3.SQLITE_IOERR: (
        LibraryError,
        "cannot be read or written: the disk reports an error ({error}). Check the disk and its "
        "free space.",
    ),
    sqlite3.SQLITE_CONSTRAINT: (LibraryError, "refused a change: {error}."),
}
_FAILURES[sqlite3.SQLITE_PERM] = _FAILURES[sqlite3.SQLITE_CANTOPEN]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of SQLite and SQLAlchemy about this catalogue leave as LibraryError."""
    try:
        yield
    except LibraryError:
        raise
    except Exception as error:
        cause = _cause(error)
        if cause is None:
            raise
        raise _told(path, cause) from error


@contextmanager
def sensible(path: Path) -> Iterator[None]:
    """What of this catalogue makes no sense leaves as DamagedLibraryError."""
    try:
        yield
    except (ValueError, TypeError, OverflowError) as error:
        told = f"what it holds makes no sense: {error}"
        raise DamagedLibraryError(f"{path} {_DAMAGED.format(error=told)}") from error


def is_damage(error: Exception) -> bool:
    """Whether SQLite said that what it holds is not as it was written."""
    code = getattr(_cause(error), "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _cause(error: Exception) -> Exception | None:
    """What SQLite said, if it was SQLite or the layer above it that failed."""
    if isinstance(error, sqlite3.Error):
        return error
    from sqlalchemy.exc import SQLAlchemyError  # slow to import, and loaded if it is the cause

    if isinstance(error, SQLAlchemyError):
        original = getattr(error, "orig", None)
        return original if isinstance(original, Exception) else error
    return None


def _told(path: Path, cause: Exception) -> LibraryError:
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF  # the extended codes' family
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        who = read_holder(path.parent) or "another process"
        return LockedError(f"{path} is being written by {who}. Try again when that is done.")
    kind, message = _FAILURES.get(code, (LibraryError, "cannot be used: {error}."))
    return kind(f"{path} {message.format(error=cause)}")
