"""Connections to a catalogue: SQLite's own to read, which start fast, SQLAlchemy's to write."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.catalog.connection import is_writable, prepared

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Engine

IDLE = 5  # connections that are kept; all may read at once


class Pool:
    """Safe to use from several threads: each has a connection to itself while it reads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        # else somebody else may write it between two reads: it is opened for each
        self._kept = IDLE if is_writable(path) else 0

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state throughout; what it changes is undone."""
        connection = self._taken()
        try:
            connection.execute("BEGIN")
            yield connection
            connection.rollback()
        except BaseException:  # it may be in any state
            connection.close()
            raise
        self._give_back(connection)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection that holds the pen before it reads; all of it is stored, or nothing."""
        with self._engine.begin() as connection:
            yield connection

    def dispose(self) -> None:
        """Let go of the file."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()
        if "_engine" in self.__dict__:
            self._engine.dispose()

    def _taken(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return prepared(self._path)

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._lock:
            if len(self._idle) < self._kept:
                self._idle.append(connection)
                return
        connection.close()

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, event  # slow to import: for writers only
        from sqlalchemy.pool import NullPool, QueuePool

        pool = QueuePool if self._kept else NullPool
        engine = create_engine("sqlite://", creator=self._taken, poolclass=pool)
        event.listen(engine, "begin", lambda raw: raw.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
