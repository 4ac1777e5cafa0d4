"""Vector index in PostgreSQL with the extension pgvector: a table of `halfvec` with HNSW.

Filters are part of the query: HNSW is scanned until enough of its results are allowed. Few allowed
vectors are all compared instead.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import IndexServerError, MissingExtraError, SettingsError
from vsearch.index.upserts import take_last_vectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Self

    from psycopg import Connection

    from vsearch.types import Ids, Matrix, Vector

MAX_DIM = 4_000  # of an index on halfvec; above, pgvector compares all vectors without a warning
STAMP_TABLE = "vsearch_index_stamps"
HNSW_OPTIONS = "m = 24, ef_construction = 200"
EF_SEARCH = 1_000  # candidates that HNSW keeps while it searches: the maximum; texts need many
MAX_COMPARED = 20_000  # allowed ids up to which all of their vectors are compared
MIN_SCANNED_SHARE = 0.02  # of the vectors: if fewer are allowed, these are compared
SCANNED_PER_RESULT = 100  # vectors that HNSW may visit per result
UPSERT_ROWS = 5_000  # copied at once
CONNECT_SECONDS, STATEMENT_SECONDS = 10, 600
RETRY_SECONDS, RETRY_DELAY = 20.0, 0.5  # while a server starts again
_SECRETS = ("password", "sslpassword")  # of a conninfo
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_TRAILER = b"\xff\xff"


class PgvectorIndex:
    """A `SharedIndex` in a PostgreSQL database. Thread-safe.

    `save` writes the name of the table, not the vectors.
    """

    def __init__(self, dim: int, *, conninfo: str = "", table_name: str = "") -> None:
        """Describe a table; nothing is sent yet.

        Args:
            dim: Dimension of the vectors.
            conninfo: Database, as a URL or as libpq's key=value pairs; libpq's variables apply.
            table_name: Letters, digits and underscores.
        """
        if dim > MAX_DIM:
            raise SettingsError(
                f"pgvector indexes vectors of up to {MAX_DIM:,} dimensions, but the model has "
                f'{dim:,}. Set index = "auto", or use Milvus.'
            )
        if not table_name.isidentifier():
            raise ValueError(f"not a name of a table: {table_name!r}")
        self.dim, self._conninfo, self._table = dim, conninfo, table_name
        self._idle_connections: list[Connection[Any]] = []
        self._lock = threading.Lock()

    def __del__(self) -> None:
        for connection in getattr(self, "_idle_connections", ()):
            with suppress(Exception):
                connection.close()

    @classmethod
    def connect(cls, address: str, index_name: str, dim: int) -> Self:
        """Open a table, which may not exist yet. See `SharedIndex.connect`."""
        index = cls(dim, conninfo=address, table_name=index_name)
        index._run(lambda connection: connection.execute("SELECT 1"), retry_seconds=0.0)
        return index

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, or replace those of existing ids. See `VectorIndex.upsert`."""
        unique_ids, unique_vectors = take_last_vectors(ids, vectors, self.dim)
        for start in range(0, len(unique_ids), UPSERT_ROWS):
            rows = slice(start, start + UPSERT_ROWS)
            copy_data = _encode_copy(unique_ids[rows], unique_vectors[rows])
            self._run(partial(self._copy_in, copy_data))

    def _copy_in(self, copy_data: bytes, connection: Connection[Any]) -> None:
        self._create_table(connection)
        connection.execute(
            f"CREATE TEMP TABLE vsearch_added (segment_id bigint, embedding halfvec({self.dim})) "
            "ON COMMIT DROP"
        )
        with connection.cursor().copy("COPY vsearch_added FROM STDIN (FORMAT BINARY)") as copy:
            copy.write(copy_data)
        connection.execute(
            f"INSERT INTO {self._table} SELECT segment_id, embedding FROM vsearch_added "  # noqa: S608
            "ON CONFLICT (segment_id) DO UPDATE SET embedding = excluded.embedding"
        )

    def remove(self, ids: Ids) -> None:
        """Remove ids; unknown ids are ignored."""
        if len(ids):
            self._fetch(
                f"DELETE FROM {self._table} WHERE segment_id = ANY(%s::bigint[])",  # noqa: S608
                _encode_array(ids),
            )

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        """Return ids and scores of approximately the k nearest. See `VectorIndex.search`."""
        if k < 1 or (allowed_ids is not None and not len(allowed_ids)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        query_text = (
            "[" + ",".join(map(repr, np.asarray(query_vector).astype(float).tolist())) + "]"
        )
        if allowed_ids is None:
            return self._search_once("", (), query_text, k)
        id_array = _encode_array(allowed_ids)
        if len(allowed_ids) > max(MAX_COMPARED, MIN_SCANNED_SHARE * self._estimate_count()):
            found = self._search_once(
                "WHERE segment_id = ANY(%s::bigint[])", (id_array,), query_text, k
            )
            if len(found[0]) == k:
                return found
        return self._search_once(  # OFFSET 0: all allowed vectors are compared
            f"JOIN (SELECT segment_id FROM {self._table} "  # noqa: S608
            "WHERE segment_id = ANY(%s::bigint[]) OFFSET 0) AS allowed USING (segment_id)",
            (id_array,),
            query_text,
            k,
        )

    def _search_once(
        self, filter_sql: str, filter_values: tuple[str, ...], query_text: str, k: int
    ) -> tuple[Ids, Vector]:
        sql_query = f"""
            SELECT segment_id, -(embedding <#> %s::halfvec) FROM {self._table} {filter_sql}
            ORDER BY embedding <#> %s::halfvec LIMIT %s
        """  # noqa: S608

        def search(connection: Connection[Any]) -> list[tuple[Any, ...]]:
            connection.execute(
                "SELECT set_config('hnsw.iterative_scan', 'strict_order', true), "
                "set_config('hnsw.ef_search', %s, true), "
                "set_config('hnsw.max_scan_tuples', %s, true)",
                (str(EF_SEARCH), str(max(20_000, SCANNED_PER_RESULT * k))),
            )
            sql_values = (query_text, *filter_values, query_text, k)
            return connection.execute(sql_query, sql_values).fetchall()

        found_rows = self._run(search, missing=[])
        ids = np.array([row[0] for row in found_rows], np.int64)
        scores = np.array([row[1] for row in found_rows], np.float32)
        rank_order = np.lexsort((ids, -scores))
        return ids[rank_order], scores[rank_order]

    def save(self, index_path: Path) -> None:
        """Write the database, without its password, and the name of the table."""
        conninfo = _import_psycopg().conninfo
        parts = conninfo.conninfo_to_dict(self._conninfo)
        public_parts = {name: value for name, value in parts.items() if name not in _SECRETS}
        index_path.parent.mkdir(parents=True, exist_ok=True)
        index_path.write_text(
            json.dumps(
                {
                    "conninfo": conninfo.make_conninfo("", **public_parts),
                    "table": self._table,
                    "dim": self.dim,
                }
            )
        )

    @classmethod
    def load(cls, index_path: Path) -> Self:
        """Open the table that `save` named."""
        saved = json.loads(index_path.read_text())
        return cls(int(saved["dim"]), conninfo=saved["conninfo"], table_name=saved["table"])

    def __len__(self) -> int:
        count_rows = self._fetch(f"SELECT count(*) FROM {self._table}")  # noqa: S608
        return int(count_rows[0][0]) if count_rows else 0

    def _estimate_count(self) -> float:
        """Return about the number of vectors, as of the last analysis of the table."""
        estimates = self._fetch(
            "SELECT reltuples FROM pg_class WHERE oid = to_regclass(%s)", self._table
        )
        return float(estimates[0][0]) if estimates else 0.0

    def read_stamp(self, *, latest: bool = False) -> str | None:  # noqa: ARG002 - always the latest
        """Return the stamp, unless the table is gone. See `SharedIndex.read_stamp`."""
        stamp_rows = self._fetch(
            f"SELECT stamp FROM {STAMP_TABLE} "  # noqa: S608
            "WHERE index_name = %s AND to_regclass(index_name) IS NOT NULL",
            self._table,
        )
        return str(stamp_rows[0][0]) if stamp_rows else None

    def write_stamp(self, stamp: str) -> None:
        """Store the stamp, and build HNSW the first time. See `SharedIndex.write_stamp`."""

        def write(connection: Connection[Any]) -> None:
            self._create_table(connection)
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS {self._table}_hnsw ON {self._table} "
                f"USING hnsw (embedding halfvec_ip_ops) WITH ({HNSW_OPTIONS})"
            )
            connection.execute(
                f"INSERT INTO {STAMP_TABLE} VALUES (%s, %s) "  # noqa: S608
                "ON CONFLICT (index_name) DO UPDATE SET stamp = excluded.stamp",
                (self._table, stamp),
            )

        self._run(write)

    def ids_between(self, after_id: int, last_id: int) -> Ids:
        """Return the ids in a range. See `SharedIndex.ids_between`."""
        id_rows = self._fetch(
            f"SELECT segment_id FROM {self._table} "  # noqa: S608
            "WHERE segment_id > %s AND segment_id <= %s ORDER BY segment_id",
            after_id,
            last_id,
        )
        return np.array([id_row[0] for id_row in id_rows], np.int64)

    def clear(self) -> None:
        """Drop the table and the stamp."""
        self._fetch(f"DELETE FROM {STAMP_TABLE} WHERE index_name = %s", self._table)  # noqa: S608
        self._fetch(f"DROP TABLE IF EXISTS {self._table}")

    def _create_table(self, connection: Connection[Any]) -> None:
        """Create the tables unless they exist; one process at a time."""
        found = connection.execute(
            "SELECT to_regclass(%s), to_regclass(%s)", (self._table, STAMP_TABLE)
        ).fetchone()
        if found is not None and None not in found:
            return
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('vsearch index', 0))")
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {self._table} "
            f"(segment_id bigint PRIMARY KEY, embedding halfvec({self.dim}) NOT NULL)"
        )
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {STAMP_TABLE} "
            "(index_name text PRIMARY KEY, stamp text NOT NULL)"
        )

    def _fetch(self, sql_query: str, *sql_values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query; none if the table does not exist."""

        def fetch(connection: Connection[Any]) -> list[tuple[Any, ...]]:
            cursor = connection.execute(sql_query, sql_values)
            return cursor.fetchall() if cursor.description else []

        rows: list[tuple[Any, ...]] = self._run(fetch, missing=[])
        return rows

    def _run(
        self,
        request: Callable[[Connection[Any]], Any],
        *,
        missing: Any = None,
        retry_seconds: float = RETRY_SECONDS,
    ) -> Any:
        """Run a request in a transaction; again after the connection was lost.

        Args:
            request: Uses a connection; it must be idempotent.
            missing: Result if a table does not exist.
            retry_seconds: How long to try again.

        Raises:
            IndexServerError: The server is unreachable, or the request fails.
        """
        psycopg = _import_psycopg()
        deadline = time.monotonic() + retry_seconds
        while True:
            try:
                with self._transaction() as connection:
                    return request(connection)
            except psycopg.errors.UndefinedTable as error:
                if missing is None:
                    raise self._server_error(error) from error
                return missing
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                if time.monotonic() > deadline:
                    raise self._server_error(error) from error
            except psycopg.Error as error:
                raise self._server_error(error) from error
            time.sleep(RETRY_DELAY)

    @contextmanager
    def _transaction(self) -> Iterator[Connection[Any]]:
        """Provide a connection in a transaction that is committed at the end."""
        with self._lock:
            connection = self._idle_connections.pop() if self._idle_connections else None
        if connection is None:
            connection = _import_psycopg().connect(
                self._conninfo,
                connect_timeout=CONNECT_SECONDS,
                options=f"-c statement_timeout={STATEMENT_SECONDS}s",
                prepare_threshold=None,  # plans depend on the length of the filters
            )
        try:
            yield connection
            connection.commit()
        except BaseException:
            with suppress(Exception):
                connection.close()
            raise
        with self._lock:
            self._idle_connections.append(connection)

    def _server_error(self, error: Exception) -> IndexServerError:
        """Return the error to raise, without the password."""
        psycopg = _import_psycopg()
        reason = (str(error).strip().splitlines() or ["no answer"])[0][:300]
        address = "PostgreSQL"
        with suppress(psycopg.Error):
            parts = psycopg.conninfo.conninfo_to_dict(self._conninfo)
            host, port = parts.get("host", "localhost"), parts.get("port", 5432)
            address = f"PostgreSQL at {host}:{port}/{parts.get('dbname', '')}"
            if password := str(parts.get("password") or ""):
                reason = reason.replace(password, "…")
        if "vector" in reason and "extension" in reason:
            return IndexServerError(
                f"{address} lacks the extension pgvector ({reason}). Install it and run `CREATE "
                'EXTENSION vector` as a superuser, or set index = "auto".'
            )
        return IndexServerError(
            f"the vectors in {address} cannot be used ({reason}). Start the server or correct the "
            "setting `index`. Nothing is lost: VSEARCH_INDEX=auto searches without it."
        )


def _import_psycopg() -> Any:
    try:
        import psycopg  # deferred: takes 0.1 s
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the index pgvector needs the package {error.name!r}, which is not installed: "
            "pip install 'vsearch[postgresql]'"
        ) from error
    return psycopg


def _encode_array(ids: Ids) -> str:
    """Return ids as an array literal."""
    return "{" + ",".join(map(str, ids.tolist())) + "}"


def _encode_copy(ids: Ids, vectors: Matrix) -> bytes:
    """Return rows of (bigint, halfvec) in the binary format of COPY.

    Sources: https://www.postgresql.org/docs/current/sql-copy.html and pgvector's `halfvec_send`.
    """
    dim = vectors.shape[1]
    row_type = np.dtype(
        [
            ("field_count", ">i2"),
            ("id_size", ">i4"),
            ("id", ">i8"),
            ("vector_size", ">i4"),
            ("dim", ">i2"),
            ("unused", ">i2"),
            ("vector", ">f2", (dim,)),
        ]
    )
    rows = np.zeros(len(ids), row_type)
    rows["field_count"], rows["id_size"], rows["id"] = 2, 8, ids
    rows["vector_size"], rows["dim"], rows["vector"] = 4 + 2 * dim, dim, vectors
    return _COPY_HEADER + rows.tobytes() + _COPY_TRAILER
