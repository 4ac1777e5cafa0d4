"""The vector index of a library that a server keeps, such as Milvus, filled from the catalog by id.

The server also keeps a stamp of what the index contains: the catalog revision, a sample of the
ids, and number and sum of the ids in each block of a million. A process that finds an older stamp
makes the changes since then and writes a new one. As changes are idempotent, several processes may
do so at once; an interrupted one is repeated by the next.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
from dataclasses import asdict, astuple, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.catalog.pool import OutdatedSnapshotError
from vsearch.catalog.segments import summarize_ids
from vsearch.errors import IndexServerError, LibraryError, SettingsError
from vsearch.index.rescoring import RescoringIndex
from vsearch.plugins import resolve_plugin
from vsearch.search.live_index import CountedSegments, IndexSnapshot, LiveIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import SharedIndex
    from vsearch.types import Ids, Matrix, Space

log = logging.getLogger(__name__)
STAMP_VERSION = 1
BLOCK_SEGMENTS = 1_000_000  # of which a removal makes one block be compared id by id
UPDATE_SEGMENTS = 50_000  # whose vectors are read from the catalog by one query
MAX_SAMPLED_IDS = 2_048  # kept in the stamp
CHECKED_SEGMENTS = 2  # vectors compared on connecting: evenly spaced ones, and the last ones
SCORE_TOLERANCE = 0.01  # of the score of a vector with itself, as servers may round vectors
KEY_FILE = "server-key"
_PASSWORD_RE = re.compile(r"//[^/@]*:[^/@]*@|\bpassword\s*=", re.IGNORECASE)
_PASSWORD_SOURCES = {
    "milvus": "VSEARCH_MILVUS_TOKEN",
    "pgvector": "PGPASSFILE or PGPASSWORD",
}


@dataclass(frozen=True, slots=True)
class IdBlock:
    """The segments of an index with ids above those of the block before."""

    last_id: int
    id_count: int
    id_sum: int  # see `summarize_ids`


@dataclass(frozen=True, slots=True)
class IndexStamp:
    """Description of what an index on a server contains."""

    revision: int  # of the catalog
    pooler_name: str | None  # another pooler gives other vectors for the same segments
    vector_count: int = 0
    blocks: tuple[IdBlock, ...] = ()  # ascending
    sampled_ids: tuple[int, ...] = ()  # every `sample_stride`-th, ascending
    sample_stride: int = 1
    added_count: int = 0  # segments that were ever added

    @property
    def last_id(self) -> int:
        """Id up to which the index has all segments."""
        return self.blocks[-1].last_id if self.blocks else 0

    @property
    def id_count(self) -> int:
        """Number of segments."""
        return sum(block.id_count for block in self.blocks)

    def add_ids(self, added_ids: Ids, vector_count: int) -> IndexStamp:
        """Return the stamp after segments with higher ids, int64 (N,) ascending, were added.

        Args:
            added_ids: Their ids, N >= 1.
            vector_count: Number of them that have a vector.
        """
        last_block = self.blocks[-1] if self.blocks else None
        id_count, id_sum = summarize_ids(added_ids)
        kept_blocks = self.blocks
        if last_block is not None and last_block.id_count < BLOCK_SEGMENTS:
            kept_blocks = self.blocks[:-1]
            id_count, id_sum = id_count + last_block.id_count, id_sum + last_block.id_sum
        first_row = -self.added_count % self.sample_stride
        sampled_ids = (*self.sampled_ids, *added_ids[first_row :: self.sample_stride].tolist())
        sample_stride = self.sample_stride
        while len(sampled_ids) > MAX_SAMPLED_IDS:
            sampled_ids, sample_stride = sampled_ids[::2], 2 * sample_stride
        return replace(
            self,
            vector_count=self.vector_count + vector_count,
            blocks=(*kept_blocks, IdBlock(int(added_ids[-1]), id_count, id_sum)),
            sampled_ids=sampled_ids,
            sample_stride=sample_stride,
            added_count=self.added_count + len(added_ids),
        )

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        fields = asdict(self) | {"blocks": [astuple(block) for block in self.blocks]}
        return json.dumps({"version": STAMP_VERSION, **fields}, separators=(",", ":"))

    @classmethod
    def from_json(cls, stamp_text: str | None) -> IndexStamp | None:
        """Read a stamp; None if there is none or it is of another version."""
        try:
            fields: dict[str, Any] = json.loads(stamp_text or "{}")
            if fields.pop("version", None) != STAMP_VERSION:
                return None
            fields["blocks"] = tuple(IdBlock(*map(int, block)) for block in fields["blocks"])
            fields["sampled_ids"] = tuple(map(int, fields["sampled_ids"]))
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass(frozen=True, slots=True, eq=False)
class _SharedState:
    """A connected index, what it contains, and for which space."""

    space: Space
    index: SharedIndex
    stamp: IndexStamp
    segments: CountedSegments  # replaced when segments are added or removed


class SharedLiveIndex(LiveIndex):
    """An index on a server, kept in sync with the catalog. Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        index_folder: Path,
        index_kind: str,
        address: str,
        load_tuning_queries: Callable[[], Matrix | None] | None = None,
        library_key: str = "",
    ) -> None:
        """Connect lazily.

        Args:
            catalog: The catalog of the library.
            index_folder: Folder of the key that names the library on the server.
            index_kind: Name of an index plugin.
            address: Address of the server, for the plugin.
            load_tuning_queries: As of `LiveIndex`.
            library_key: As of `open_live_index`.
        """
        super().__init__(catalog, index_folder, index_kind, load_tuning_queries)
        self._address, self._library_key = address, library_key
        self._shared_state: _SharedState | None = None

    @property
    def keeps_all_ids(self) -> bool:
        """False: there may be hundreds of millions."""
        return False

    def take_snapshot(self) -> IndexSnapshot | None:
        """Return the index at the catalog's current revision; None if nothing is indexed.

        Raises:
            IndexServerError: The server is unreachable or fails.
        """
        with self._state_lock:
            state = self._catalog.read_consistently(self._refresh_shared)
        if state is None:
            return None
        space = state.space
        rescoring_index = RescoringIndex(
            state.index, lambda segment_ids: self._catalog.vectors(segment_ids, space)
        )
        return IndexSnapshot(rescoring_index, space, state.segments, state.stamp.revision)

    def save(self) -> None:
        """Bring the index up to date. If the server fails, a later search does it."""
        try:
            self.take_snapshot()
        except IndexServerError as error:
            log.warning("%s The next search updates the index.", error)

    def rebuild(self) -> None:
        """Do nothing: the server maintains the index."""

    def invalidate(self, space: Space | None = None) -> None:
        """Delete the index of a space. See `LiveIndex.invalidate`.

        Raises:
            IndexServerError: The server is unreachable or fails.
        """
        space = space or self._catalog.space()
        with self._state_lock:
            self._shared_state = None
            if space is not None:
                self._connect(space).clear()

    def saved_bytes(self, space: Space) -> int:  # noqa: ARG002 - of `LiveIndex`
        """Return 0: nothing is stored in the library."""
        return 0

    def find_problems(self) -> list[str]:
        """Return why the index cannot be used, or how its content differs from the catalog."""
        try:
            with self._state_lock:
                self._shared_state = None  # so that the content is compared
            self.take_snapshot()
        except IndexServerError as error:
            return [str(error)]
        return []

    def forget(self) -> None:
        """Drop what is known, after another catalog has replaced the file."""
        with self._state_lock:
            self._shared_state = None

    def _connect(self, space: Space) -> SharedIndex:
        """Open the index of a space; it may not exist yet."""
        index_class = resolve_plugin("indexes", self._index_kind)
        library_key = self._library_key or read_library_key(self._index_folder)
        digest = hashlib.sha256(f"{library_key} {space.name} {space.dim}".encode()).hexdigest()
        index: SharedIndex = index_class.connect(self._address, f"vsearch_{digest[:24]}", space.dim)
        return index

    def _refresh_shared(self) -> _SharedState | None:
        """Return the state at the revision of this thread's snapshot."""
        space, revision = self._catalog.space(), self._catalog.revision()
        if space is None:
            return None
        state = self._shared_state
        index = state.index if state and state.space == space else self._connect(space)
        stamp = IndexStamp.from_json(index.read_stamp())
        if state and state.index is index and stamp == state.stamp and stamp.revision == revision:
            return state
        if stamp is None or stamp.revision != revision:
            stamp = IndexStamp.from_json(index.read_stamp(latest=True))
        if stamp and stamp.revision > revision and self._catalog.is_outdated():
            raise OutdatedSnapshotError("the index on the server is newer than the snapshot")
        is_usable = (
            stamp is not None
            and stamp.revision <= revision
            and stamp.pooler_name == self._catalog.pooler()
            and len(index) == stamp.vector_count  # else data were lost
            and (
                (state is not None and state.index is index)
                or self._has_same_vectors(index, stamp, space)
            )
        )
        if stamp is not None and not is_usable:
            log.warning("the index on the server does not match the library; it is built again")
            index.clear()
        new_stamp = (
            self._catch_up_shared(index, stamp, space, revision)
            if stamp is not None and is_usable
            else self._build_shared(index, space, revision)
        )
        if new_stamp != stamp:
            index.write_stamp(new_stamp.to_json())
        has_same_segments = (
            state is not None and state.index is index and state.stamp.blocks == new_stamp.blocks
        )
        segments = (
            state.segments
            if state is not None and has_same_segments
            else CountedSegments(
                self._catalog, new_stamp.id_count, np.array(new_stamp.sampled_ids, np.int64)
            )
        )
        self._shared_state = _SharedState(space, index, new_stamp, segments)
        return self._shared_state

    def _has_same_vectors(self, index: SharedIndex, stamp: IndexStamp, space: Space) -> bool:
        """Return True if some vectors of the index, the newest among them, are of this library."""
        last_ids = range(max(stamp.last_id - CHECKED_SEGMENTS, 0) + 1, stamp.last_id + 1)
        checked_ids = np.unique(np.array([*stamp.sampled_ids[:CHECKED_SEGMENTS], *last_ids]))
        for segment_id, vector in zip(*self._catalog.vectors(checked_ids, space), strict=True):
            found_ids, scores = index.search(vector, 1, np.array([segment_id], np.int64))
            if not len(found_ids) or abs(float(scores[0]) - 1) > SCORE_TOLERANCE:
                return False
        return True

    def _build_shared(self, index: SharedIndex, space: Space, revision: int) -> IndexStamp:
        """Fill an index from the catalog; it may contain what an interrupted build has added."""
        stamp = self._append(index, IndexStamp(revision, self._catalog.pooler()), space)
        if len(index) > stamp.vector_count:  # segments were removed since that build
            for after_id, block in _with_lower_bounds(stamp.blocks):
                catalog_ids = self._catalog.segment_ids_between(after_id, block.last_id)
                index.remove(np.setdiff1d(index.ids_between(after_id, block.last_id), catalog_ids))
        if (found_count := len(index)) != stamp.vector_count:
            index.clear()
            raise IndexServerError(
                f"the {self._index_kind} index has {found_count} instead of {stamp.vector_count} "
                "vectors after it was built. Run the command again."
            )
        return stamp

    def _catch_up_shared(
        self, index: SharedIndex, stamp: IndexStamp, space: Space, revision: int
    ) -> IndexStamp:
        """Make the changes of the catalog since a stamp."""
        blocks, vector_count = [], stamp.vector_count
        for after_id, block in _with_lower_bounds(stamp.blocks):
            if self._catalog.summarize_segment_ids(block.last_id, after_id=after_id) == (
                block.id_count,
                block.id_sum,
            ):
                blocks.append(block)
                continue
            catalog_ids = self._catalog.segment_ids_between(after_id, block.last_id)
            index_ids = index.ids_between(after_id, block.last_id)
            removed_ids = np.setdiff1d(index_ids, catalog_ids, assume_unique=True)
            added_ids = np.setdiff1d(catalog_ids, index_ids, assume_unique=True)
            index.remove(removed_ids)
            vector_count += self._upsert(index, added_ids, space) - len(removed_ids)
            blocks.append(IdBlock(block.last_id, *summarize_ids(catalog_ids)))
        if tuple(blocks) != stamp.blocks:
            sampled_ids = np.array(stamp.sampled_ids, np.int64)
            known_ids, _ = self._catalog.vectors(sampled_ids, space)
            stamp = replace(
                stamp,
                vector_count=vector_count,
                blocks=tuple(blocks),
                sampled_ids=tuple(known_ids.tolist()),
            )
        return replace(self._append(index, stamp, space), revision=revision)

    def _append(self, index: SharedIndex, stamp: IndexStamp, space: Space) -> IndexStamp:
        """Add the segments after the last one of the stamp."""
        while len(added_ids := self._catalog.next_segment_ids(stamp.last_id, UPDATE_SEGMENTS)):
            stamp = stamp.add_ids(added_ids, self._upsert(index, added_ids, space))
        return stamp

    def _upsert(self, index: SharedIndex, segment_ids: Ids, space: Space) -> int:
        """Add the vectors of segments and return their number."""
        vector_count = 0
        for start in range(0, len(segment_ids), UPDATE_SEGMENTS):
            part_ids = segment_ids[start : start + UPDATE_SEGMENTS]
            for batch_ids, batch_vectors in self._catalog.iter_vectors(space, part_ids):
                self._raise_if_closing()
                index.upsert(batch_ids, batch_vectors)
                vector_count += len(batch_ids)
        return vector_count


def _with_lower_bounds(blocks: Sequence[IdBlock]) -> Iterator[tuple[int, IdBlock]]:
    """Yield each block with the last id of the block before."""
    after_id = 0
    for block in blocks:
        yield after_id, block
        after_id = block.last_id


def open_live_index(
    catalog: Catalog,
    index_folder: Path,
    index_setting: str,
    load_tuning_queries: Callable[[], Matrix | None] | None = None,
    *,
    catalog_address: str = "",
    library_key: str = "",
) -> LiveIndex:
    """Open the index of a library.

    Args:
        catalog: The catalog of the library.
        index_folder: Folder of the saved indexes.
        index_setting: Name of an index plugin, `name:address` of one on a server, or "auto".
        load_tuning_queries: Returns typical queries, float32 (Q, D).
        catalog_address: Database server of the catalog, for `index = "pgvector"` without an
            address, which may contain a password; empty: the catalog is a file.
        library_key: Text that only this library has, the same on all machines; empty: a file in
            `index_folder` has it.

    Returns:
        The index, not loaded yet.

    Raises:
        SettingsError: The index needs an address, or the address contains a password.
    """
    index_kind, separator, address = index_setting.partition(":")
    if _PASSWORD_RE.search(address):
        raise SettingsError(
            f"the address in `index` must not contain a password; {index_kind} takes it from "
            + _PASSWORD_SOURCES.get(index_kind, "elsewhere")
        )
    if index_setting == "pgvector" and not catalog_address:
        raise SettingsError(
            "this library is not in PostgreSQL, so pgvector needs the address of a database: "
            'index = "pgvector:postgresql://user@host/database"'
        )
    if separator or index_setting == "pgvector":
        return SharedLiveIndex(
            catalog,
            index_folder,
            index_kind,
            address or catalog_address,
            load_tuning_queries,
            library_key,
        )
    return LiveIndex(catalog, index_folder, index_setting, load_tuning_queries)


def read_library_key(index_folder: Path) -> str:
    """Return a text that no other library has, not even a copy of its folder.

    It is in the folder of indexes, which a backup leaves out, and is made on first use. A copied
    file has another inode.

    Raises:
        LibraryError: The folder is read-only and has no key yet.
    """
    key_path = index_folder / KEY_FILE
    try:
        if not key_path.exists():
            index_folder.mkdir(parents=True, exist_ok=True)
            partial_path = index_folder / f"{KEY_FILE}.{secrets.token_hex(8)}"
            partial_path.write_text(secrets.token_hex(16))
            try:
                os.link(partial_path, key_path)  # fails if another process was faster
            except FileExistsError:
                pass
            finally:
                partial_path.unlink()
        return f"{key_path.read_text()} {key_path.stat().st_ino}"
    except OSError as error:
        raise LibraryError(
            f"{key_path} cannot be written ({error.strerror}). Make the folder writable, or set "
            "VSEARCH_INDEX=auto to search without the index on the server."
        ) from error
