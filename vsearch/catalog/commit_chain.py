"""Detection of a catalog file that was overwritten while its write-ahead log was in use.

A file copied over `catalog.sqlite3` is combined with the pages in `catalog.sqlite3-wal`: the copy
is hidden, or the result is a mixture of both. SQLite does not record which database a log belongs
to, so each commit stores two numbers in the header of the database: a random one of its own
(`user_version`) and that of the commit before it (`application_id`). The database then is either
at the commit before the log, or at one of the log's commits.

File formats: https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import logging
import os
import sqlite3
import struct
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.catalog.connection import connect_uri
from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection

log = logging.getLogger(__name__)
_WAL_HEADER = struct.Struct(">8I")  # magic, version, page size, number, two salts, checksum
_WAL_MAGIC = 0x377F0682, 0x377F0683
_FRAME_HEADER = struct.Struct(">6I")  # page, pages after a commit or 0, two salts, checksum
_USER_VERSION_OFFSET, _APPLICATION_ID_OFFSET = 60, 68  # of the first page
_ATTEMPTED_OFFSET = 128  # in the -shm file: frames that SQLite has begun to move into the database
_KEPT_FILES: dict[tuple[int, int], int] = {}  # descriptor by inode and device
_MAX_CHECKS = 3  # another process may commit during a check
_HOW_TO_RESTORE = "Restore backups with `vsearch restore` instead of copying files."


@dataclass(frozen=True, slots=True)
class _LogCommits:
    """The commits in a write-ahead log."""

    base_number: int  # number of the commit before the log
    commit_numbers: frozenset[int]


@contextmanager
def link_commit(connection: Connection) -> Iterator[None]:
    """Give the transaction of the block a number, and record that of the commit before it."""
    driver_connection = connection.connection.dbapi_connection
    assert isinstance(driver_connection, sqlite3.Connection)  # noqa: S101 - of the pool
    previous_changes = driver_connection.total_changes
    yield
    if driver_connection.total_changes != previous_changes:
        [previous_number] = driver_connection.execute("PRAGMA user_version").fetchone()
        driver_connection.execute(f"PRAGMA application_id = {previous_number:d}")
        driver_connection.execute(f"PRAGMA user_version = {_random_number():d}")


def _random_number() -> int:
    """Return a number from 1 to 2**31 - 1; `secrets` would take longer to import."""
    return 1 + int.from_bytes(os.urandom(8), "big") % (2**31 - 1)


def check_commit_chain(catalog_path: Path) -> str | None:
    """Compare a catalog with its write-ahead log, before SQLite combines them.

    Args:
        catalog_path: The SQLite file.

    Returns:
        A warning if an older copy was written over the file and is hidden by the log, or None.

    Raises:
        DamagedLibraryError: The file and the log belong to different states of the library.
    """
    wal_path = catalog_path.with_name(f"{catalog_path.name}-wal")
    for _ in range(_MAX_CHECKS):
        log_commits = _read_log(wal_path)
        if log_commits is None:
            return None
        file_number = _read_file_number(catalog_path)
        if file_number is None or file_number in log_commits.commit_numbers:
            return None
        is_base = file_number == log_commits.base_number
        if is_base and (
            read_file_mtime(catalog_path) <= read_file_mtime(wal_path)
            or _is_partly_applied(catalog_path)
        ):
            return None  # nothing was written since the log was started, or by SQLite
        if _read_log(wal_path) == log_commits and _read_file_number(catalog_path) == file_number:
            if is_base:
                return (
                    f"{catalog_path} was written, probably by copying a backup over it, while "
                    f"{wal_path.name} has later changes, which are still in effect: the library "
                    f"shows these, not the copy. {_HOW_TO_RESTORE}"
                )
            raise DamagedLibraryError(
                f"{catalog_path} was overwritten, probably by a backup, while {wal_path.name} "
                "still had changes of the previous file; together they would be a mixture. To "
                "use the copy, stop all processes that use the library, then delete "
                f"{wal_path.name} and {catalog_path.name}-shm. {_HOW_TO_RESTORE}"
            )
    return None


def has_logged_commits(catalog_path: Path) -> bool:
    """Return whether the write-ahead log of a catalog has commits."""
    return _read_log(catalog_path.with_name(f"{catalog_path.name}-wal")) is not None


def is_stale(connection: sqlite3.Connection, catalog_path: Path) -> bool:
    """Return whether a connection has another state in its cache than the file, without a log.

    SQLite notices only changes that are in the log; a file that is copied over another one while
    the log is empty stays unnoticed by connections that are open.

    Args:
        connection: A connection without a transaction.
        catalog_path: The SQLite file.
    """
    for _ in range(_MAX_CHECKS):  # another process may commit meanwhile
        try:
            [cached_number] = connection.execute("PRAGMA user_version").fetchone()
        except sqlite3.Error:
            return True  # opening the file again reports what is wrong
        if _read_file_number(catalog_path) == cached_number or has_logged_commits(catalog_path):
            return False
    return True


def _is_partly_applied(catalog_path: Path) -> bool:
    """Return whether SQLite has begun to move the log into the file; its first page comes last."""
    if not hasattr(os, "pread"):  # Windows, which does not allow to overwrite an open file
        return True
    shared_memory_path = catalog_path.with_name(f"{catalog_path.name}-shm")
    try:
        stat_result = shared_memory_path.stat()
        file_id = stat_result.st_ino, stat_result.st_dev
        # never closed, because that would release SQLite's locks; this state is rare
        if file_id not in _KEPT_FILES:
            _KEPT_FILES[file_id] = os.open(shared_memory_path, os.O_RDONLY)
        return any(os.pread(_KEPT_FILES[file_id], 4, _ATTEMPTED_OFFSET))
    except OSError:  # no process uses the library
        return False


def read_file_mtime(file_path: Path) -> int:
    """Return the modification time in nanoseconds since the epoch, 0 if there is no file."""
    try:
        return file_path.stat().st_mtime_ns
    except OSError:
        return 0


def _read_file_number(catalog_path: Path) -> int | None:
    """Return the commit number in the database file alone; None if it cannot be read.

    SQLite reads it, because closing a file in Python would release SQLite's locks on it.
    """
    with (
        suppress(sqlite3.Error),
        closing(connect_uri(catalog_path, "mode=ro&immutable=1")) as connection,
    ):
        return int(connection.execute("PRAGMA user_version").fetchone()[0])
    return None


def _read_log(wal_path: Path) -> _LogCommits | None:
    """Return the commits in a log that changed the first page; None if there are none."""
    base_number, commit_numbers = None, set()
    page_numbers: tuple[int, int] | None = None  # in the last first page of a transaction
    try:
        with wal_path.open("rb") as wal_file:
            header = _WAL_HEADER.unpack(wal_file.read(_WAL_HEADER.size))
            page_size, salts = header[2], header[4:6]
            if header[0] not in _WAL_MAGIC or not 512 <= page_size <= 65_536:
                return None
            while len(frame_bytes := wal_file.read(_FRAME_HEADER.size)) == _FRAME_HEADER.size:
                page, commit_pages, *frame_salts = _FRAME_HEADER.unpack(frame_bytes)[:4]
                if tuple(frame_salts) != salts:
                    break  # left over from before the log was started again
                if page == 1:
                    page_bytes = wal_file.read(page_size)
                    page_numbers = (
                        struct.unpack_from(">i", page_bytes, _USER_VERSION_OFFSET)[0],
                        struct.unpack_from(">i", page_bytes, _APPLICATION_ID_OFFSET)[0],
                    )
                else:
                    wal_file.seek(page_size, 1)
                if commit_pages and page_numbers is not None:
                    if base_number is None:
                        base_number = page_numbers[1]
                    commit_numbers.add(page_numbers[0])
                    page_numbers = None
    except (OSError, struct.error):  # none, or shorter than its header says
        pass
    return None if base_number is None else _LogCommits(base_number, frozenset(commit_numbers))
