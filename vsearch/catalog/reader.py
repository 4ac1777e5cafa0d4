"""Base of the catalog's query classes: run SQL in read transactions and convert the rows."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from vsearch.catalog.connection import corruption_as_error, translate_errors
from vsearch.catalog.pool import OutdatedSnapshotError
from vsearch.errors import LibraryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.catalog.pool import ConnectionPool, ReadConnection
    from vsearch.types import Space

RowObject = TypeVar("RowObject")
MAX_READ_ATTEMPTS = 20  # a writer commits at most every few milliseconds
_HAS_VIDEO_SQL = """
    SELECT EXISTS (SELECT 1 FROM videos WHERE id = ?)
        AND EXISTS (SELECT 1 FROM spaces JOIN library ON space_id = spaces.id WHERE name = ?)
"""
# one variable for any number of ids or texts
IN_JSON_SQL = "IN (SELECT value FROM json_each(?))"
IN_JSON_TEXTS_SQL = "IN (SELECT atom FROM json_each(?))"


class CatalogReader:
    """Read access to one catalog. Safe to use from several threads."""

    def __init__(self, location: CatalogLocation, pool: ConnectionPool) -> None:
        self._location, self._pool = location, pool

    def _read_objects(
        self, read_row: Callable[[Sequence[Any]], RowObject], sql_query: str, *sql_values: object
    ) -> list[RowObject]:
        """Run a query and convert its rows; raise DamagedLibraryError for invalid ones."""
        sql_rows = self._fetch_rows(sql_query, *sql_values)
        with corruption_as_error(self._location):
            return [read_row(sql_row) for sql_row in sql_rows]

    def _fetch_rows(self, sql_query: str, *sql_values: object) -> Sequence[Sequence[Any]]:
        with translate_errors(self._location):
            return self._pool.fetch_rows(sql_query, sql_values)

    @contextmanager
    def _read_transaction(self) -> Iterator[ReadConnection]:
        """Provide a connection that sees a single snapshot of the library."""
        with translate_errors(self._location), self._pool.read_transaction() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let all reads of this thread in the block see one state of the catalog."""
        with translate_errors(self._location), self._pool.snapshot():
            yield

    def read_consistently(self, read: Callable[[], RowObject]) -> RowObject:
        """Read from one state of the library: catalog, feature files and index.

        Args:
            read: Reads the catalog only in this thread. It is called again if the catalog file was
                replaced meanwhile, or if a file that it needed was deleted by another process.

        Raises:
            LibraryError: What `read` raises, unless it is due to a change of the library; or the
                library changes too often.
        """
        if self._pool.has_snapshot:
            return read()
        for _ in range(MAX_READ_ATTEMPTS):
            with self.snapshot():
                try:
                    read_result = read()
                except OutdatedSnapshotError:
                    continue
                except LibraryError:
                    if self.is_outdated():
                        continue
                    raise
            if self._pool.is_current():
                return read_result
        raise LibraryError(
            f"{self._location} is being changed too quickly to be read. Try again in a moment."
        )

    def is_outdated(self) -> bool:
        """Return whether the library has changed since the `snapshot` block of this thread began.

        Raises:
            LibraryError: The catalog is gone.
        """
        revision_query = "SELECT revision FROM library"
        with translate_errors(self._location):
            with self._pool.read_transaction() as connection:
                known_rows = connection.execute(revision_query).fetchall()
            with self._pool.read_transaction(latest=True) as connection:
                return connection.execute(revision_query).fetchall() != known_rows

    def is_replaced(self, video_id: int, space: Space) -> bool:
        """Return whether a video or its features in a space were removed from the catalog.

        Unlike other reads, this one is of the latest state, even in a `snapshot` block.

        Args:
            video_id: The video.
            space: The space, which was active.
        """
        with (
            translate_errors(self._location),
            self._pool.read_transaction(latest=True) as connection,
        ):
            return not connection.execute(_HAS_VIDEO_SQL, (int(video_id), space.name)).fetchone()[0]


def ids_to_json(ids: Iterable[int]) -> str:
    """Return ids as a JSON array, the value for `IN_JSON_SQL`."""
    return json.dumps([int(id_) for id_ in ids])
