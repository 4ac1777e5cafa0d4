"""Base of the pools of connections to a catalog."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection, Engine

MAX_IDLE_CONNECTIONS = 5  # kept open; more can be in use


class OutdatedSnapshotError(LibraryError):
    """Raised if a file or the index no longer matches the snapshot that a thread reads."""


class ReadCursor(Protocol):
    """The rows of a query, as `sqlite3.Cursor` returns them."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchmany(self, size: int = ..., /) -> list[Any]:
        """Return the next rows, at most `size`."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Yield the rows that are left."""


class ReadConnection(Protocol):
    """A connection in a read transaction, such as `sqlite3.Connection`."""

    def execute(self, sql: str, values: Sequence[Any] = ..., /) -> ReadCursor:
        """Run a query in SQL of SQLite."""


class ConnectionPool(ABC):
    """Connections to one catalog. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle_connections: list[Any] = []
        self._generation = 0  # of the connections that may be kept
        self._engine: Engine | None = None  # for writing
        self._thread_state = threading.local()
        self._is_closed = False
        self.on_replaced: Callable[[], None] = lambda: None  # called after another file is opened

    @property
    @abstractmethod
    def was_opened(self) -> bool:
        """True unless the catalog did not exist so far."""

    @abstractmethod
    def prepare(self, *, create: bool) -> None:
        """Check the catalog, and create or upgrade it if necessary.

        Args:
            create: Create it if it does not exist.

        Raises:
            NoLibraryError: It does not exist, and `create` is False.
        """

    @abstractmethod
    def check_file(self) -> None:
        """Raise LibraryError unless the catalog can still be used; follow a replaced file."""

    @abstractmethod
    def is_current(self) -> bool:
        """Return whether the catalog is still the one that was opened."""

    @abstractmethod
    def pin_file(self) -> AbstractContextManager[None]:
        """Raise LibraryError in this block, instead of following a file that is replaced."""

    @abstractmethod
    def read_transaction(self, *, latest: bool = False) -> AbstractContextManager[ReadConnection]:
        """Provide a connection that sees one snapshot; changes are rolled back.

        Args:
            latest: Read the latest state, even in a `snapshot` block.
        """

    @abstractmethod
    def write_transaction(self) -> AbstractContextManager[Connection]:
        """Provide a connection that has the write lock; commit at the end or roll back."""

    @abstractmethod
    def hold_write_lock(self) -> AbstractContextManager[None]:
        """Hold the write lock without writing."""

    def hold_library(self, purpose: str, *, is_shared: bool) -> AbstractContextManager[None]:
        """Hold the library for work of several transactions; a file has a lock file for this."""
        del purpose, is_shared
        return nullcontext()

    def dispose(self) -> None:
        """Close all connections."""
        with self._lock:
            idle_connections, self._idle_connections = self._idle_connections, []
            self._generation += 1
            engine, self._engine = self._engine, None
        for connection in idle_connections:
            connection.close()
        if engine is not None:
            engine.dispose()

    def _take_idle(self) -> Any | None:
        """Return a connection that is kept, or None."""
        with self._lock:
            return self._idle_connections.pop() if self._idle_connections else None

    def _keep_idle(self, connection: Any, generation: int, max_idle: int) -> None:
        """Keep a connection that was taken in a generation, or close it."""
        with self._lock:
            if generation == self._generation and len(self._idle_connections) < max_idle:
                self._idle_connections.append(connection)
                return
        connection.close()

    def fetch_rows(self, sql_query: str, sql_values: Sequence[object]) -> list[Any]:
        """Return the rows of a query."""
        with self.read_transaction() as connection:
            return connection.execute(sql_query, sql_values).fetchall()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads of this thread see one state of the catalog. May be nested."""
        if self.has_snapshot:
            yield
            return
        with self.read_transaction() as connection:
            self._thread_state.connection = connection
            try:
                yield
            finally:
                self._thread_state.connection = None

    @property
    def has_snapshot(self) -> bool:
        """True if this thread is in a `snapshot` block."""
        return self._snapshot_connection is not None

    @property
    def _snapshot_connection(self) -> Any:
        return getattr(self._thread_state, "connection", None)

    def close(self) -> None:
        """Close all connections for good."""
        self._is_closed = True
        self.dispose()

    @contextmanager
    def reopen(self) -> Iterator[None]:
        """Allow this thread to read in the block even if the catalog was closed."""
        self._thread_state.may_reopen = True
        try:
            yield
        finally:
            self._thread_state.may_reopen = False
            if self._is_closed:
                self.dispose()

    @property
    def _may_not_read(self) -> bool:
        return self._is_closed and not getattr(self._thread_state, "may_reopen", False)
