"""A pool of connections to a catalog file, which follows a file that is replaced."""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vsearch.catalog.commit_chain import (
    check_commit_chain,
    has_logged_commits,
    is_stale,
    link_commit,
    read_file_mtime,
)
from vsearch.catalog.connection import allow_triggers, is_writable, open_connection
from vsearch.catalog.pool import MAX_IDLE_CONNECTIONS, ConnectionPool
from vsearch.errors import LibraryError, NoLibraryError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

log = logging.getLogger(__name__)


class SqlitePool(ConnectionPool):
    """A pool of connections to one file. Safe to use from several threads.

    Each operation compares the file with the one that was opened, by device and inode, and its
    commit number if its modification time has changed. A file that was renamed or copied over it,
    or a whole library moved to its place, is opened instead; a file that is gone raises
    LibraryError, so that nothing is written to a deleted file. A file that does not exist yet is
    opened when it does.
    """

    def __init__(self, catalog_path: Path, prepare_file: Callable[[bool], None]) -> None:
        """Open no connection yet.

        Args:
            catalog_path: The SQLite file.
            prepare_file: Checks and upgrades the file, or creates it if its argument is True.
        """
        super().__init__()
        self._catalog_path, self._prepare_file = catalog_path, prepare_file
        self._reopen_lock = threading.Lock()
        self._file_id: tuple[int, int] | None = None
        self._remember_file()
        self._pin_count = 0

    # --- the file

    def prepare(self, *, create: bool) -> None:
        """Check the file, and create or upgrade it if necessary."""
        self._prepare_file(create)

    def check_file(self) -> None:
        """Follow a catalog that was replaced or overwritten, or created since.

        Raises:
            NoLibraryError: It does not exist yet.
            LibraryError: It is gone, or it was replaced while this process is writing.
            DamagedLibraryError: Another program has written to it, and not to its log.
        """
        if self._may_not_read:
            raise LibraryError(
                f"the library in {self._catalog_path.parent} was closed; open it again"
            )
        if self._is_unchanged():
            return
        with self._reopen_lock:
            if self._is_unchanged():
                return  # another thread was first
            if self.is_same_file() and not self._was_overwritten():
                return
            self.require_same_file(is_pinned=bool(self._pin_count))
            self.dispose()
            self._prepare_file(False)
            self._remember_file()
        self.on_replaced()

    def require_same_file(self, *, is_pinned: bool = True) -> None:
        """Raise LibraryError if the catalog is gone or, if `is_pinned`, was replaced."""
        file_id = self._current_file_id()
        if file_id is None and self._file_id is None:
            raise NoLibraryError(
                f"there is no library at {self._catalog_path.parent}: index a video first"
            )
        if file_id is None:
            raise LibraryError(
                f"{self._catalog_path} is gone: the library was moved or deleted while it was "
                "open, and cannot be read or written. Move it back, or restore it with "
                "`vsearch restore`."
            )
        if is_pinned and (file_id != self._file_id or self._is_overwritten):
            raise LibraryError(
                f"{self._catalog_path} was replaced by another file while it was being written. "
                "The new library is unchanged; run the command again."
            )

    def _remember_file(self) -> None:
        self._file_id = self._current_file_id()
        self._file_mtime = read_file_mtime(self._catalog_path)
        self._is_overwritten = False
        # an immutable connection misses changes, so a read-only file is opened for each read
        self._max_idle = MAX_IDLE_CONNECTIONS if is_writable(self._catalog_path) else 0

    @property
    def was_opened(self) -> bool:
        """True unless the file did not exist so far."""
        return self._file_id is not None

    def is_same_file(self) -> bool:
        """Return whether the file is still the one that was opened, if it was opened."""
        return self._file_id is not None and self._current_file_id() == self._file_id

    def is_current(self) -> bool:
        """Return whether the file is still the one that was opened, and was not overwritten."""
        if self._is_unchanged():
            return True
        with self._reopen_lock:
            return self._is_unchanged() or (self.is_same_file() and not self._was_overwritten())

    def _is_unchanged(self) -> bool:
        """Return whether nobody has written to the file itself, as opposed to its log."""
        return self.is_same_file() and read_file_mtime(self._catalog_path) == self._file_mtime

    def _was_overwritten(self) -> bool:
        """Return whether another program has written over the file, and nothing to its log.

        Raises:
            DamagedLibraryError: It has, and the log has changes of the previous content.
        """
        file_mtime = read_file_mtime(self._catalog_path)
        if hidden_copy_warning := check_commit_chain(self._catalog_path):
            log.error("%s", hidden_copy_warning)
        if self._is_overwritten:
            return True
        if not has_logged_commits(self._catalog_path):
            has_stale_connections = self._has_stale_connections()
            if has_stale_connections is not False:
                # only what was seen ends a transaction that is being written
                self._is_overwritten = bool(has_stale_connections)
                return True
        self._file_mtime = file_mtime  # mostly because SQLite has moved the log into the file
        return False

    def _has_stale_connections(self) -> bool | None:
        """Close all connections; return whether one was stale, or None if none was there."""
        with self._lock:
            idle_connections, self._idle_connections = self._idle_connections, []
        try:
            if not idle_connections:
                return False if self._pin_count else None
            return any(is_stale(connection, self._catalog_path) for connection in idle_connections)
        finally:
            for connection in idle_connections:
                connection.close()
            self.dispose()

    @contextmanager
    def pin_file(self) -> Iterator[None]:
        """Raise LibraryError in this block, instead of following a file that is replaced."""
        self.check_file()
        with self._lock:
            self._pin_count += 1
        try:
            yield
        finally:
            with self._lock:
                self._pin_count -= 1

    def _current_file_id(self) -> tuple[int, int] | None:
        """Return device and inode of the catalog; None if it does not exist."""
        try:
            stat_result = self._catalog_path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            return self._file_id  # SQLite reports what is wrong
        return stat_result.st_dev, stat_result.st_ino

    # --- transactions

    @contextmanager
    def read_transaction(self, *, latest: bool = False) -> Iterator[sqlite3.Connection]:
        """Provide a connection that sees one snapshot; changes are rolled back.

        Args:
            latest: Read the latest state, even in a `snapshot` block.
        """
        if self._snapshot_connection is not None and not latest:
            yield self._snapshot_connection
            return
        self.check_file()
        generation, connection = self._generation, self._take_connection()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.rollback()
        except BaseException:  # the state of the connection is unknown
            connection.close()
            raise
        max_idle = self._max_idle if self.is_same_file() else 0
        self._keep_idle(connection, generation, max_idle)

    @contextmanager
    def write_transaction(self) -> Iterator[Connection]:
        """Provide a connection that has the write lock; commit at the end or roll back."""
        self.check_file()
        with self._current_engine().begin() as connection:
            self.require_same_file()  # it may have been replaced while another process wrote
            with link_commit(connection):
                yield connection
            self.require_same_file()

    @contextmanager
    def hold_write_lock(self) -> Iterator[None]:
        """Hold the write lock without writing, even if the file is moved away meanwhile."""
        self.check_file()
        connection = open_connection(self._catalog_path)
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.rollback()
        finally:
            connection.close()

    def _take_connection(self) -> sqlite3.Connection:
        return self._take_idle() or open_connection(self._catalog_path)

    def _current_engine(self) -> Engine:
        from sqlalchemy import create_engine, event  # deferred: slow, and only for writers
        from sqlalchemy.pool import NullPool, QueuePool

        with self._lock:
            if self._engine is None:
                pool_class = QueuePool if self._max_idle else NullPool
                self._engine = create_engine(
                    "sqlite://", creator=self._open_for_writing, poolclass=pool_class
                )
                event.listen(
                    self._engine,
                    "begin",
                    lambda sql_connection: sql_connection.exec_driver_sql("BEGIN IMMEDIATE"),
                )
            return self._engine

    def _open_for_writing(self) -> sqlite3.Connection:
        return allow_triggers(self._take_connection())
