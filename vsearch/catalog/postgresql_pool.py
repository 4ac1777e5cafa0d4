"""A pool of connections to a catalog in PostgreSQL."""

from __future__ import annotations

from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from vsearch.catalog.connection import translate_errors
from vsearch.catalog.pool import MAX_IDLE_CONNECTIONS, ConnectionPool
from vsearch.catalog.postgresql_connection import RECONNECT_SECONDS, PostgresReader, connect
from vsearch.catalog.postgresql_errors import is_transient
from vsearch.catalog.revision import read_database_revision
from vsearch.errors import LibraryError, LockedError, NoLibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from vsearch.catalog.database_url import DatabaseUrl
    from vsearch.catalog.revision import SchemaVersion

_MAX_READ_ATTEMPTS = 3
_HOLD_LIBRARY_SQL = "SELECT pg_try_advisory_lock(hashtext('vsearch'), 1)"
_SHARE_LIBRARY_SQL = "SELECT pg_try_advisory_lock_shared(hashtext('vsearch'), 1)"
# Writers take turns, as with SQLite: ids and revisions become visible in ascending order, what a
# transaction has read stays true until it commits, and two of them cannot wait for each other.
_LOCK_LIBRARY_SQL = "SELECT id FROM library FOR UPDATE"


class PostgresPool(ConnectionPool):
    """A pool of connections to one database. Safe to use from several threads.

    A connection that was lost is replaced when the next transaction begins.
    """

    def __init__(self, database_url: DatabaseUrl, schema: SchemaVersion) -> None:
        """Open no connection yet.

        Args:
            database_url: The database.
            schema: The schema to upgrade to.
        """
        super().__init__()
        self._database_url, self._schema = database_url, schema
        self._was_opened = False

    # --- the database

    @property
    def was_opened(self) -> bool:
        """True unless there was no library in the database so far."""
        return self._was_opened

    def prepare(self, *, create: bool) -> None:
        """Check the database, and create or upgrade its tables if necessary."""
        with self._transaction_of_reader() as reader:
            found_revision = read_database_revision(reader, self._database_url)
        if found_revision is None and not create:
            raise NoLibraryError(f"{self._database_url}: there is no library in this database")
        if found_revision != self._schema.head_revision:
            from vsearch.catalog.postgresql_upgrade import upgrade_database  # deferred: slow

            upgrade_database(self._database_url, self._schema)
        self._was_opened = True

    def check_file(self) -> None:
        """Raise LibraryError if the catalog was closed, or does not exist yet."""
        if self._may_not_read:
            raise LibraryError(f"the library {self._database_url} was closed; open it again")
        if not self._was_opened:
            self.prepare(create=False)

    def is_current(self) -> bool:
        """Return True: a database is not replaced while it is open."""
        return True

    @contextmanager
    def pin_file(self) -> Iterator[None]:
        """Check the catalog."""
        self.check_file()
        yield

    # --- transactions

    def fetch_rows(self, sql_query: str, sql_values: Sequence[object]) -> list[Any]:
        """Return the rows of a query, which is repeated if the connection was lost."""
        attempt_count = 0
        while True:
            try:
                return super().fetch_rows(sql_query, sql_values)
            except psycopg.Error as exc:
                attempt_count += 1
                if (
                    self.has_snapshot
                    or attempt_count == _MAX_READ_ATTEMPTS
                    or not is_transient(exc)
                ):
                    raise

    @contextmanager
    def read_transaction(self, *, latest: bool = False) -> Iterator[PostgresReader]:
        """Provide a connection that sees one snapshot.

        Args:
            latest: Read the latest state, even in a `snapshot` block.
        """
        if self._snapshot_connection is not None and not latest:
            yield self._snapshot_connection
            return
        self.check_file()
        with self._transaction_of_reader() as reader:
            yield reader

    @contextmanager
    def _transaction_of_reader(self) -> Iterator[PostgresReader]:
        generation, reader = self._generation, self._begin_reading()
        try:
            yield reader
            reader.rollback()
        except BaseException:  # the state of the connection is unknown
            reader.close()
            raise
        self._keep_idle(reader, generation, MAX_IDLE_CONNECTIONS)

    def _begin_reading(self) -> PostgresReader:
        while (idle_connection := self._take_idle()) is not None:
            reader: PostgresReader = idle_connection
            try:
                reader.begin()
                return reader
            except psycopg.OperationalError:  # the server was restarted
                reader.close()
        reader = PostgresReader(self._connect())
        reader.begin()
        return reader

    @contextmanager
    def write_transaction(self) -> Iterator[Connection]:
        """Provide a connection whose transaction is the only one that writes."""
        self.check_file()
        with self._current_engine().begin() as connection:
            connection.exec_driver_sql(_LOCK_LIBRARY_SQL)
            yield connection

    @contextmanager
    def hold_write_lock(self) -> Iterator[None]:
        """Hold the write lock without writing."""
        with self.write_transaction() as connection:
            yield
            connection.rollback()

    @contextmanager
    def hold_library(self, purpose: str, *, is_shared: bool) -> Iterator[None]:
        """Hold the library for work of several transactions, on a connection of its own.

        The server releases it when the connection ends, and so when this process is killed.

        Args:
            purpose: What the block does, for messages.
            is_shared: Allow other blocks that are shared as well.

        Raises:
            LockedError: Another process is in a block that cannot run at the same time.
        """
        self.check_file()
        with closing(self._connect()) as connection:
            lock_sql = _SHARE_LIBRARY_SQL if is_shared else _HOLD_LIBRARY_SQL
            is_held = connection.execute(lock_sql).fetchone()
            connection.commit()
            if not is_held or not is_held[0]:
                others = "is changing the whole library" if is_shared else "is writing"
                raise LockedError(
                    f"{self._database_url}: another process {others}, so that this one cannot "
                    f"{purpose}. Try again when it has finished; searching still works."
                )
            yield

    # --- connections

    def _connect(self) -> psycopg.Connection[Any]:
        wait_seconds = RECONNECT_SECONDS if self._was_opened else 0.0
        with translate_errors(self._database_url):
            return connect(self._database_url, wait_seconds=wait_seconds)

    def _current_engine(self) -> Engine:
        from sqlalchemy import create_engine  # deferred: slow, and only for writers

        with self._lock:
            if self._engine is None:
                self._engine = create_engine(
                    "postgresql+psycopg://",
                    creator=self._connect,
                    isolation_level="READ COMMITTED",
                    pool_size=MAX_IDLE_CONNECTIONS,
                    max_overflow=-1,
                    pool_pre_ping=True,  # the server may have been restarted
                    hide_parameters=True,
                    use_native_hstore=False,  # saves a query
                )
            return self._engine
