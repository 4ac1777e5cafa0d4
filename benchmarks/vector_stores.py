"""Two stores of the same vectors for `bench_lancedb`: the IVF index of vsearch, and LanceDB."""

from __future__ import annotations

import json
import math
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmarks.walks import SEGMENTS_PER_VIDEO, VECTOR_DIM
from vsearch.index.cache import IndexCache, SavedIndex
from vsearch.index.ivf_sq8 import IvfIndex
from vsearch.index.rescoring import RescoringIndex
from vsearch.protocols import VectorSource
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.walks import WalkVectors
    from vsearch.types import Ids, Matrix, Vector

BENCH_SPACE = Space("bench", VECTOR_DIM, supports_text=False)
BATCH_ROWS = 10_000
SELECT_VECTORS_SQL = (
    "SELECT id, embedding FROM vectors WHERE id IN (SELECT value FROM json_each(?))"
)
SELECT_IDS_SQL = "SELECT id FROM vectors WHERE video IN (SELECT value FROM json_each(?)) ORDER BY 1"


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """Search effort of LanceDB; vsearch has no such settings.

    Attributes:
        probes: Number of partitions to scan.
        refine_factor: Multiple of k that is rescored with the stored vectors.
        graph_candidates: Candidates of an HNSW search (`ef`); 0 for other indexes.
    """

    probes: int = 0
    refine_factor: int = 0
    graph_candidates: int = 0

    def __str__(self) -> str:
        ef = f", ef {self.graph_candidates}" if self.graph_candidates else ""
        return f"nprobes {self.probes}, refine_factor {self.refine_factor}{ef}"


class VsearchStore:
    """Vectors in SQLite, as in the catalog, with an `IvfIndex` in its cache."""

    name: ClassVar[str] = "vsearch ivf"

    def __init__(self, folder: Path) -> None:
        self._database_path = folder / "vectors.sqlite3"
        self.index_folder = folder / "index"
        self._cache = IndexCache(self.index_folder, "ivf", IvfIndex)

    def write_vectors(self, walks: WalkVectors) -> None:
        """Create the database with all vectors."""
        self._connect()
        self._connection.executescript(
            "PRAGMA journal_mode = WAL;"
            "CREATE TABLE vectors (id INTEGER PRIMARY KEY, video INTEGER, embedding BLOB);"
        )
        for ids, vectors in walks.iter_batches():
            self._insert(ids, vectors)
        self._connection.executescript("CREATE INDEX by_video ON vectors (video)")

    def build(self) -> None:
        """Build and save the index."""
        self._connect()
        ids = self._query("SELECT id FROM vectors ORDER BY 1")
        source = VectorSource(
            len(ids),
            lambda max_rows: self._fetch_vectors(ids[:: -(-len(ids) // max_rows)])[1],
            self._iter_batches,
            lambda: np.empty((0, VECTOR_DIM), np.float32),
        )
        index = IvfIndex.build(VECTOR_DIM, source, single_list=False, check_cancelled=lambda: None)
        self.index_folder.mkdir()
        self._cache.save(BENCH_SPACE, SavedIndex(index, 1, ids))

    def open(self) -> None:
        """Map the saved index."""
        self._connect()
        saved_index = self._cache.load(BENCH_SPACE)
        assert saved_index is not None
        self._index, self._ids = saved_index.index, saved_index.vector_ids
        self._rescoring_index = RescoringIndex(self._index, self._fetch_vectors)

    def search(
        self,
        query: Vector,
        k: int,
        settings: SearchSettings,
        videos: Sequence[int] | None = None,
        allowed_ids: Ids | None = None,
    ) -> list[int]:
        """Return the ids of the k nearest, optionally among videos or among ids."""
        if videos is not None:
            allowed_ids = self._query(SELECT_IDS_SQL, json.dumps(videos))
        found_ids, _ = self._rescoring_index.search(query, k, allowed_ids)
        ids: list[int] = found_ids.tolist()
        return ids

    def add(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors with ids above all others; write them and the index to disk."""
        self._insert(ids, vectors)
        self._index.upsert(ids, vectors)
        self._save(np.concatenate([self._ids, ids]))

    def remove(self, ids: Ids) -> None:
        """Remove vectors from the database and from the saved index."""
        with self._connection:
            self._connection.executemany("DELETE FROM vectors WHERE id = ?", ids[:, None].tolist())
        self._index.remove(ids)
        self._save(np.delete(self._ids, np.searchsorted(self._ids, ids)))

    def _connect(self) -> None:
        self._connection = sqlite3.connect(self._database_path)

    def _save(self, ids: Ids) -> None:
        self._ids = ids
        self._cache.save(BENCH_SPACE, SavedIndex(self._index, 1, ids))

    def _insert(self, ids: Ids, vectors: Matrix) -> None:
        blobs = [vector.tobytes() for vector in vectors.astype("<f2")]
        rows = zip(ids.tolist(), (ids // SEGMENTS_PER_VIDEO).tolist(), blobs, strict=True)
        with self._connection:
            self._connection.executemany("INSERT INTO vectors VALUES (?, ?, ?)", rows)

    def _query(self, sql: str, *arguments: str) -> Ids:
        rows = self._connection.execute(sql, arguments)
        return np.fromiter((row[0] for row in rows), np.int64)

    def _fetch_vectors(self, ids: Ids) -> tuple[Ids, Matrix]:
        cursor = self._connection.execute(SELECT_VECTORS_SQL, (json.dumps(ids.tolist()),))
        return _unpack(cursor.fetchall())

    def _iter_batches(self) -> Iterator[tuple[Ids, Matrix]]:
        cursor = self._connection.execute("SELECT id, embedding FROM vectors ORDER BY 1")
        while rows := cursor.fetchmany(BATCH_ROWS):
            yield _unpack(rows)


class LanceStore:
    """A LanceDB table of float16 vectors with a vector index and scalar indexes."""

    def __init__(self, folder: Path, index_type: str) -> None:
        import lancedb  # deferred: it would count as memory of vsearch

        self.name = f"LanceDB {index_type}"
        self.index_folder = folder / "vectors.lance" / "_indices"
        self._index_type = index_type
        self._database = lancedb.connect(folder)

    def write_vectors(self, walks: WalkVectors) -> None:
        """Create the table with all vectors."""
        import pyarrow as pa

        batches = (_to_arrow(ids, vectors) for ids, vectors in walks.iter_batches())
        schema = _to_arrow(*walks.fetch_vectors(walks.ids[:1])).schema
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        self._database.create_table("vectors", reader)

    def build(self) -> None:
        """Build the vector index, with sqrt(N) partitions, and the indexes of the filters."""
        from lancedb.index import Bitmap, BTree, HnswSq, IvfPq, IvfRq, IvfSq

        self.open()
        partitions = count_partitions(self._table.count_rows())
        options: dict[str, Any] = {"distance_type": "cosine"}
        configs = {
            "IVF_SQ": lambda: IvfSq(num_partitions=partitions, **options),
            "IVF_RQ": lambda: IvfRq(num_partitions=partitions, **options),
            "IVF_PQ": lambda: IvfPq(num_partitions=partitions, **options),
            "IVF_HNSW_SQ": lambda: HnswSq(num_partitions=1, **options),
        }
        self._table.create_index("vector", config=configs[self._index_type]())
        self._table.create_index("id", config=BTree())
        self._table.create_index("video", config=Bitmap())

    def open(self) -> None:
        """Open the table."""
        self._table: Any = self._database.open_table("vectors")

    def search(
        self,
        query: Vector,
        k: int,
        settings: SearchSettings,
        videos: Sequence[int] | None = None,
        allowed_ids: Ids | None = None,
    ) -> list[int]:
        """Return the ids of the k nearest, optionally among videos or among ids."""
        search = self._table.search(query).distance_type("cosine").limit(k)
        search = search.select(["id", "_distance"]).nprobes(settings.probes)
        search = search.refine_factor(settings.refine_factor)
        if settings.graph_candidates:
            search = search.ef(settings.graph_candidates)
        if videos is not None:
            search = search.where(_in_list("video", videos))
        elif allowed_ids is not None:
            search = search.where(_in_list("id", allowed_ids.tolist()))
        ids: list[int] = search.to_arrow()["id"].to_pylist()
        return ids

    def add(self, ids: Ids, vectors: Matrix) -> None:
        """Append vectors to the table; they are scanned exhaustively until `optimize`."""
        self._table.add(_to_arrow(ids, vectors))

    def remove(self, ids: Ids) -> None:
        """Remove vectors from the table."""
        self._table.delete(_in_list("id", ids.tolist()))

    def optimize(self) -> None:
        """Add new vectors to the indexes."""
        self._table.optimize()


def count_partitions(vector_count: int) -> int:
    """Return the number of IVF partitions that LanceDB documents as the default."""
    return max(1, round(math.sqrt(vector_count)))


def _unpack(rows: list[tuple[int, bytes]]) -> tuple[Ids, Matrix]:
    embeddings = np.frombuffer(b"".join(row[1] for row in rows), "<f2")
    vectors = embeddings.reshape(-1, VECTOR_DIM).astype(np.float32)
    return np.array([row[0] for row in rows]), vectors


def _to_arrow(ids: Ids, vectors: Matrix) -> Any:
    import pyarrow

    values = pyarrow.array(vectors.astype(np.float16).ravel())
    columns = {
        "id": pyarrow.array(ids),
        "video": pyarrow.array(ids // SEGMENTS_PER_VIDEO),
        "vector": pyarrow.FixedSizeListArray.from_arrays(values, VECTOR_DIM),
    }
    return pyarrow.RecordBatch.from_pydict(columns)


def _in_list(column: str, values: Sequence[int]) -> str:
    return f"{column} IN ({','.join(map(str, values))})"
