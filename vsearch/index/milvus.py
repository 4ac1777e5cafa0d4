"""Vector index on a Milvus server: ids and vectors in one collection, with HNSW.

A collection is a cache: it can be deleted at any time and is filled again from the catalog. Filters
are answered by the catalog and arrive here as ids, which may be millions. HNSW misses neighbors if
a filter leaves out most vectors, but Milvus compares the rest exactly if a filter leaves out more
than 93 %. So a list of ids is either not sent at all, or in parts that are small enough.
"""

from __future__ import annotations

import json
import logging
import math
import os
import secrets
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np

from vsearch.errors import IndexServerError, MissingExtraError, SettingsError
from vsearch.index.upserts import take_last_vectors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

    from pymilvus import MilvusClient

    from vsearch.types import Ids, Matrix, Vector

log = logging.getLogger(__name__)
TOKEN_VARIABLE = "VSEARCH_MILVUS_TOKEN"  # noqa: S105 - the name of a variable
URL_VARIABLE = "VSEARCH_MILVUS_URL"  # of an index that is not connected by an address
STAMP_COLLECTION = "vsearch_stamps"  # one row per collection
MAX_STAMP_BYTES = 65_000  # of a VARCHAR
HNSW_PARAMS = {"M": 24, "efConstruction": 256}
MIN_EF, MAX_EF = 1_024, 32_768  # candidates that HNSW keeps while it searches; texts need many
MIN_PART_IDS, PART_IDS, PART_SHARE = 50, 5_000, 0.05  # ids in one filter, see below
MAX_RESULTS = 16_384  # limit of Milvus for one search or query
MAX_REMOVED_IDS = 10_000  # in one request, which Milvus parses in 50 ms
MIN_UNFILTERED_SHARE = 0.05  # of the ids that are allowed
OVERFETCH = 2.0  # candidates fetched per expected match of a filter
MAX_BATCH_ROWS, MAX_BATCH_BYTES = 2_000, 8_000_000  # sent at once
FLUSH_MIN_ROWS = 1_000  # after which HNSW is built; Milvus searches new rows less thoroughly
MAX_BUILD_SECONDS = 600.0  # to wait for HNSW; it is built even if it takes longer
CONNECT_SECONDS, CALL_SECONDS = 10.0, 20.0
RETRY_SECONDS = 40.0  # a server that was started again loads its collections first
FIRST_DELAY, MAX_DELAY = 0.1, 3.0  # seconds between retries
FRESH_SECONDS = 20.0  # later, reads of bounded staleness (5 s) see a change, if clocks agree
_NOT_FOUND = 100  # error code
_PERMANENT_CODES = 65, 1100, 1101, 1400, 1401, 1800, 1801, 1802, 1803, 1804  # not worth a retry
_REJECTED_WORDS = "auth check failure", "unauthenticated", "permission"


class MilvusIndex:
    """A `SharedIndex` on a Milvus server. Thread-safe.

    `save` writes the name of the collection, not the vectors; `load` opens the same collection.
    """

    def __init__(self, dim: int, *, url: str = "", collection_name: str = "") -> None:
        """Describe a collection; nothing is sent yet.

        Args:
            dim: Dimension of the vectors.
            url: Address of the server; empty: $VSEARCH_MILVUS_URL.
            collection_name: Its name; empty: a random one.
        """
        self.dim, self._collection = dim, collection_name or f"vsearch_{secrets.token_hex(8)}"
        self._url = check_url(url or os.environ.get(URL_VARIABLE, ""))
        self._strong_until = 0.0  # until then, reads wait for all earlier writes
        self._unflushed_rows = 0
        self._created: set[str] = set()  # collections that exist for certain
        self._has_vectors = False  # then a missing collection was lost

    @classmethod
    def connect(cls, address: str, index_name: str, dim: int) -> Self:
        """Open a collection, which may not exist yet. See `SharedIndex.connect`."""
        index = cls(dim, url=address, collection_name=index_name)
        index._call(lambda client: client.list_collections(timeout=CALL_SECONDS))
        return index

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add vectors, or replace those of existing ids. See `VectorIndex.upsert`."""
        unique_ids, unique_vectors = take_last_vectors(ids, vectors, self.dim)
        if not len(ids):
            return
        unique_vectors = np.asarray(unique_vectors, np.float32)
        self._create_collection()
        batch_size = max(1, min(MAX_BATCH_ROWS, MAX_BATCH_BYTES // (4 * self.dim)))
        for start in range(0, len(unique_ids), batch_size):
            rows = slice(start, start + batch_size)
            self._upsert_batch(unique_ids[rows].tolist(), unique_vectors[rows])
        self._unflushed_rows += len(unique_ids)
        self._expect_changes()

    def _upsert_batch(self, batch_ids: list[int], batch_vectors: Matrix) -> None:
        rows = [
            {"id": id_, "vector": vector}
            for id_, vector in zip(batch_ids, batch_vectors, strict=True)
        ]
        self._call(lambda client: client.upsert(self._collection, rows, timeout=CALL_SECONDS))

    def remove(self, ids: Ids) -> None:
        """Remove ids; unknown ids are ignored."""
        for start in range(0, len(ids), MAX_REMOVED_IDS):
            self._remove_listed(ids[start : start + MAX_REMOVED_IDS].tolist())
        self._expect_changes()

    def _remove_listed(self, listed_ids: list[int]) -> None:
        self._call_existing(
            lambda client: client.delete(
                self._collection, filter=f"id in {listed_ids}", timeout=CALL_SECONDS
            )
        )

    def search(
        self, query_vector: Vector, k: int, allowed_ids: Ids | None = None
    ) -> tuple[Ids, Vector]:
        """Return ids and scores of approximately the k nearest. See `VectorIndex.search`.

        At most 16,384 are returned. If many ids are allowed, a search without a filter fetches so
        many candidates that k of them should be allowed. If less are, as their vectors are far from
        the query, or few ids are allowed, these are sent in parts.
        """
        k = min(k, MAX_RESULTS)
        if k < 1 or (allowed_ids is not None and not len(allowed_ids)):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        if allowed_ids is None:
            return self._search_once(query_vector, k, "")
        allowed_ids = np.unique(allowed_ids)
        vector_count = len(self)
        part_size = max(MIN_PART_IDS, min(PART_IDS, int(PART_SHARE * vector_count)))
        allowed_share = len(allowed_ids) / max(vector_count, len(allowed_ids))
        if len(allowed_ids) > part_size and allowed_share >= MIN_UNFILTERED_SHARE:
            limit = min(math.ceil(OVERFETCH * k / allowed_share), MAX_RESULTS)
            ids, scores = self._search_once(query_vector, limit, "")
            is_allowed = np.isin(ids, allowed_ids)
            if np.count_nonzero(is_allowed) >= k or len(ids) < limit:
                return ids[is_allowed][:k], scores[is_allowed][:k]
        parts = [
            self._search_once(query_vector, k, f"id in {part_ids.tolist()}")
            for part_ids in np.split(allowed_ids, range(part_size, len(allowed_ids), part_size))
        ]
        return _sort_results(
            np.concatenate([ids for ids, _ in parts]),
            np.concatenate([scores for _, scores in parts]),
            k,
        )

    def _search_once(
        self, query_vector: Vector, limit: int, filter_text: str
    ) -> tuple[Ids, Vector]:
        limit = min(limit, MAX_RESULTS)
        found_lists = self._call_existing(
            lambda client: client.search(
                self._collection,
                [np.asarray(query_vector, np.float32)],
                filter=filter_text,
                limit=limit,
                search_params={
                    "metric_type": "IP",
                    "params": {"ef": min(max(MIN_EF, 4 * limit), MAX_EF)},
                },
                consistency_level=self._consistency(),
                timeout=CALL_SECONDS,
            )
        )
        found_rows = found_lists[0] if found_lists else []
        return _sort_results(
            np.array([row["id"] for row in found_rows], np.int64),
            np.array([row["distance"] for row in found_rows], np.float32),
            limit,
        )

    def save(self, index_path: Path) -> None:
        """Write the name of the collection."""
        index_path.parent.mkdir(parents=True, exist_ok=True)
        index_path.write_text(json.dumps({"collection": self._collection, "dim": self.dim}))

    @classmethod
    def load(cls, index_path: Path) -> Self:
        """Open the collection that `save` named, on the server of $VSEARCH_MILVUS_URL."""
        saved = json.loads(index_path.read_text())
        index = cls(int(saved["dim"]), collection_name=str(saved["collection"]))
        index._expect_changes()
        return index

    def __len__(self) -> int:
        return self._count("")

    def _count(self, filter_text: str) -> int:
        count_rows = self._call_existing(
            lambda client: client.query(
                self._collection,
                filter=filter_text,
                output_fields=["count(*)"],
                consistency_level=self._consistency(),
                timeout=CALL_SECONDS,
            )
        )
        return int(count_rows[0]["count(*)"]) if count_rows else 0

    def read_stamp(self, *, latest: bool = False) -> str | None:
        """Return the stamp, unless the collection is gone. See `SharedIndex.read_stamp`."""
        has_vectors = self._call(
            lambda client: client.has_collection(self._collection, timeout=CALL_SECONDS)
        )
        self._has_vectors = has_vectors
        if not has_vectors:
            self._created.clear()
            return None
        stamp_rows = self._call_existing(
            lambda client: client.query(
                STAMP_COLLECTION,
                filter=f'collection == "{self._collection}"',
                output_fields=["stamp", "written_at"],
                consistency_level="Strong" if latest else self._consistency(),
                timeout=CALL_SECONDS,
            )
        )
        if not stamp_rows:
            return None
        age_seconds = abs(time.time() - stamp_rows[0]["written_at"])
        if age_seconds < FRESH_SECONDS:  # another process may have written it
            self._expect_changes(FRESH_SECONDS - age_seconds)
        return str(stamp_rows[0]["stamp"])

    def write_stamp(self, stamp: str) -> None:
        """Store the stamp. See `SharedIndex.write_stamp`."""
        if len(stamp.encode()) > MAX_STAMP_BYTES:
            raise IndexServerError(f"the stamp of an index is too long for Milvus at {self._url}")
        self._create_collection()
        self._create_stamps()
        if self._unflushed_rows >= FLUSH_MIN_ROWS:
            self._build_hnsw()
            self._unflushed_rows = 0
        stamp_row: dict[str, Any] = {
            "collection": self._collection,
            "stamp": stamp,
            "written_at": time.time(),
            "unused": np.zeros(2, np.float32),
        }
        self._call(
            lambda client: client.upsert(STAMP_COLLECTION, [stamp_row], timeout=CALL_SECONDS)
        )
        self._expect_changes()

    def _build_hnsw(self) -> None:
        """Seal the new rows, and wait until HNSW contains them."""
        self._call(lambda client: client.flush(self._collection, timeout=CALL_SECONDS))
        deadline = time.monotonic() + MAX_BUILD_SECONDS
        while time.monotonic() < deadline:
            progress = self._call(
                lambda client: client.describe_index(
                    self._collection, "vector", timeout=CALL_SECONDS
                )
            )
            if not progress or int(progress.get("pending_index_rows", 0)) == 0:
                return
            time.sleep(FIRST_DELAY)

    def ids_between(self, after_id: int, last_id: int) -> Ids:
        """Return the ids in a range. See `SharedIndex.ids_between`.

        A query returns so many ids at most, and in no order, so that the range is halved.
        """
        filter_text = f"id > {after_id} and id <= {last_id}"
        id_count = self._count(filter_text)
        if id_count > MAX_RESULTS:
            middle_id = (after_id + last_id) // 2
            return np.concatenate(
                [self.ids_between(after_id, middle_id), self.ids_between(middle_id, last_id)]
            )
        found_rows = id_count and self._call_existing(
            lambda client: client.query(
                self._collection,
                filter=filter_text,
                output_fields=["id"],
                limit=MAX_RESULTS,
                consistency_level=self._consistency(),
                timeout=CALL_SECONDS,
            )
        )
        return np.sort(np.array([row["id"] for row in found_rows or ()], np.int64))

    def clear(self) -> None:
        """Drop the collection and the stamp."""
        self._has_vectors = False
        self._created.clear()
        self._call_existing(
            lambda client: client.delete(
                STAMP_COLLECTION,
                filter=f'collection in ["{self._collection}"]',
                timeout=CALL_SECONDS,
            )
        )
        self._call_existing(
            lambda client: client.drop_collection(self._collection, timeout=CALL_SECONDS)
        )
        self._unflushed_rows = 0
        self._expect_changes()

    def _expect_changes(self, seconds: float = FRESH_SECONDS) -> None:
        """Let reads wait for earlier writes for a while, which takes up to 0.2 s each."""
        self._strong_until = max(self._strong_until, time.monotonic() + seconds)

    def _consistency(self) -> str:
        return "Strong" if time.monotonic() < self._strong_until else "Bounded"

    def _create_collection(self) -> None:
        self._create(self._collection, [("id", "INT64")], "vector", self.dim)
        self._has_vectors = True

    def _create_stamps(self) -> None:
        fields = [("collection", "VARCHAR"), ("stamp", "VARCHAR"), ("written_at", "DOUBLE")]
        self._create(STAMP_COLLECTION, fields, "unused", 2)  # Milvus requires a vector

    def _create(
        self, collection_name: str, fields: list[tuple[str, str]], vector_name: str, dim: int
    ) -> None:
        """Create a collection and load it into memory; its first field is the key."""
        if collection_name in self._created:
            return
        from pymilvus import DataType  # deferred: takes 0.4 s

        client = self._client
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        for field_index, (field_name, type_name) in enumerate(fields):
            lengths = {"max_length": 65_535} if type_name == "VARCHAR" else {}
            schema.add_field(
                field_name, DataType[type_name], is_primary=field_index == 0, **lengths
            )
        schema.add_field(vector_name, DataType.FLOAT_VECTOR, dim=dim)
        index_params = client.prepare_index_params()
        index_params.add_index(vector_name, index_type="HNSW", metric_type="IP", params=HNSW_PARAMS)

        def create_or_complete(client: MilvusClient) -> None:
            if not client.has_collection(collection_name, timeout=CALL_SECONDS):
                client.create_collection(collection_name, schema=schema, timeout=CALL_SECONDS)
            # even if it exists: another process may have been killed here
            if not client.list_indexes(collection_name, timeout=CALL_SECONDS):
                client.create_index(collection_name, index_params, timeout=CALL_SECONDS)
            client.load_collection(collection_name, timeout=CALL_SECONDS)

        self._call(create_or_complete)
        self._created.add(collection_name)

    @cached_property
    def _client(self) -> MilvusClient:
        try:
            from pymilvus import MilvusClient, MilvusException  # deferred: takes 0.4 s
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"the index milvus needs the package {error.name!r}, which is not installed: "
                "pip install 'vsearch[milvus]'"
            ) from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it logs what it raises
        token = os.environ.get(TOKEN_VARIABLE, "")
        try:
            return MilvusClient(self._url, token=token, timeout=CONNECT_SECONDS)
        except MilvusException as error:
            raise self._server_error(error) from error

    def _call_existing(self, request: Callable[[MilvusClient], Any]) -> Any:
        """Send a request; return an empty list if its collection was never created."""
        return self._call(request, returns_missing=True)

    def _call(
        self, request: Callable[[MilvusClient], Any], *, returns_missing: bool = False
    ) -> Any:
        """Send a request, and again after errors that may pass.

        Raises:
            IndexServerError: The server is unreachable, or refuses the request.
        """
        client, deadline, delay = self._client, time.monotonic() + RETRY_SECONDS, FIRST_DELAY
        import grpc  # deferred, as it comes with pymilvus
        from pymilvus import MilvusException

        while True:
            try:
                return request(client)
            except (MilvusException, grpc.RpcError) as error:
                code, reason = getattr(error, "code", None), str(error)
                if code == _NOT_FOUND or "can't find collection" in reason:
                    if returns_missing and not self._has_vectors:
                        return []
                    self._created.clear()
                    raise self._server_error(error) from error
                if (
                    code in _PERMANENT_CODES
                    or any(word in reason.lower() for word in _REJECTED_WORDS)
                    or time.monotonic() > deadline
                ):
                    raise self._server_error(error) from error
                log.info("Milvus at %s: %s; trying again", self._url, self._describe(error))
            time.sleep(delay)
            delay = min(2 * delay, MAX_DELAY)

    def _describe(self, error: Exception) -> str:
        """Return the first line of a message, without the token."""
        reason = (str(getattr(error, "message", "") or error).splitlines() or [""])[0][:300]
        if len(token := os.environ.get(TOKEN_VARIABLE, "")) > 2:
            reason = reason.replace(token, "…")
        return reason

    def _server_error(self, error: Exception) -> IndexServerError:
        """Return the error to raise, without the token."""
        reason = self._describe(error)
        if any(word in reason.lower() for word in _REJECTED_WORDS):
            return IndexServerError(
                f"Milvus at {self._url} refuses the request ({reason}). Set {TOKEN_VARIABLE} to "
                "user:password or to a key that may read and write."
            )
        return IndexServerError(
            f"Milvus at {self._url} cannot be used ({reason}). Start the server or correct the "
            "setting `index`. Nothing is lost: VSEARCH_INDEX=auto searches without it."
        )


def check_url(url: str) -> str:
    """Return the address of a Milvus server; raise SettingsError if it is not valid."""
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        raise SettingsError(
            'the index of Milvus needs an address: index = "milvus:http://host:19530"'
        )
    if "@" in parts.netloc:  # the address is written to files and messages
        raise SettingsError(
            f"the address of Milvus must not contain a password; set {TOKEN_VARIABLE} instead"
        )
    return url


def _sort_results(ids: Ids, scores: Vector, k: int) -> tuple[Ids, Vector]:
    """Return the k best results, ties by ascending id."""
    rank_order = np.lexsort((ids, -scores))[:k]
    return ids[rank_order], scores[rank_order]
