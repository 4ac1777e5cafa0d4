"""The vector index of a library that a server keeps, such as Milvus, filled from the catalog by id.

The server also keeps a stamp of what the index contains: the catalog revision, and number and sum
of the ids of each block of a million ids. A process that finds an older stamp makes the changes
since then and writes a new one. As changes are idempotent, several processes may do so at once; an
interrupted one is repeated by the next.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.catalog.pool import OutdatedSnapshotError
from vsearch.catalog.segments import summarize_blocks, summarize_ids
from vsearch.errors import IndexServerError, LibraryError
from vsearch.index.rescoring import RescoringIndex
from vsearch.plugins import resolve_plugin
from vsearch.search.live_index import CountedSegments, IndexSnapshot, LiveIndex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import SharedIndex
    from vsearch.types import Ids, Matrix, Space

log = logging.getLogger(__name__)
STAMP_VERSION = 1
ID_BLOCK = 1_048_576  # ids per block, of which a removal makes one be compared id by id
UPDATE_IDS = 100_000  # ids whose vectors are read from the catalog by one query
CHECKED_SEGMENTS = 2  # vectors compared on connecting: evenly spaced ones, and the last ones
SCORE_TOLERANCE = 0.01  # of the score of a vector with itself, as servers may round vectors
KEY_FILE = "server-key"


@dataclass(frozen=True, slots=True)
class IndexStamp:
    """Description of what an index on a server contains."""

    revision: int  # of the catalog
    pooler_name: str | None  # another pooler gives other vectors for the same segments
    last_id: int
    vector_count: int
    blocks: dict[int, tuple[int, int]]  # number and sum of the ids, see `summarize_ids`

    @property
    def id_summary(self) -> tuple[int, int]:
        """Number and sum of all ids."""
        counts_and_sums = self.blocks.values()
        return sum(count for count, _ in counts_and_sums), sum(sum_ for _, sum_ in counts_and_sums)

    def to_json(self) -> str:
        """Return the text that `from_json` reads."""
        return json.dumps({"version": STAMP_VERSION, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, stamp_text: str | None) -> IndexStamp | None:
        """Read a stamp; None if there is none or it is of another version."""
        try:
            fields: dict[str, Any] = json.loads(stamp_text or "{}")
            if fields.pop("version", None) != STAMP_VERSION:
                return None
            blocks = {
                int(block): (int(id_count), int(id_sum))
                for block, (id_count, id_sum) in fields.pop("blocks").items()
            }
            return cls(**fields, blocks=blocks)
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
    ) -> None:
        """Connect lazily.

        Args:
            catalog: The catalog of the library.
            index_folder: Folder of the key that names the library on the server.
            index_kind: Name of an index plugin.
            address: Address of the server, for the plugin.
            load_tuning_queries: As of `LiveIndex`.
        """
        super().__init__(catalog, index_folder, index_kind, load_tuning_queries)
        self._address = address
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
        library_key = read_library_key(self._index_folder)
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
            else CountedSegments(self._catalog, new_stamp.id_summary[0])
        )
        self._shared_state = _SharedState(space, index, new_stamp, segments)
        return self._shared_state

    def _has_same_vectors(self, index: SharedIndex, stamp: IndexStamp, space: Space) -> bool:
        """Return True if some vectors of the index, the newest among them, are of this library."""
        last_ids = np.arange(max(stamp.last_id - CHECKED_SEGMENTS, 0) + 1, stamp.last_id + 1)
        checked_ids = np.union1d(self._catalog.sample_segment_ids(CHECKED_SEGMENTS), last_ids)
        checked_ids = checked_ids[checked_ids <= stamp.last_id]
        for segment_id, vector in zip(*self._catalog.vectors(checked_ids, space), strict=True):
            found_ids, scores = index.search(vector, 1, np.array([segment_id], np.int64))
            if not len(found_ids) or abs(float(scores[0]) - 1) > SCORE_TOLERANCE:
                return False
        return True

    def _build_shared(self, index: SharedIndex, space: Space, revision: int) -> IndexStamp:
        """Fill an index from the catalog; it may contain what an interrupted build has added."""
        stamp = IndexStamp(revision, self._catalog.pooler(), 0, 0, {})
        stamp = self._append(index, stamp, space)
        if len(index) > stamp.vector_count:  # segments were removed since that build
            for block in stamp.blocks:
                first_id, end_id = block * ID_BLOCK, (block + 1) * ID_BLOCK - 1
                catalog_ids = self._catalog.segment_ids_between(first_id, end_id)
                index.remove(np.setdiff1d(index.ids_between(first_id, end_id), catalog_ids))
        if (found_count := len(index)) != stamp.vector_count:
            index.clear()
            raise IndexServerError(
                f"the index at {self._address} has {found_count} instead of {stamp.vector_count} "
                "vectors after it was built. Run the command again."
            )
        return stamp

    def _catch_up_shared(
        self, index: SharedIndex, stamp: IndexStamp, space: Space, revision: int
    ) -> IndexStamp:
        """Make the changes of the catalog since a stamp."""
        if self._catalog.summarize_segment_ids(stamp.last_id) != stamp.id_summary:
            stamp = self._compare_blocks(index, stamp, space)
        return replace(self._append(index, stamp, space), revision=revision)

    def _append(self, index: SharedIndex, stamp: IndexStamp, space: Space) -> IndexStamp:
        """Add the segments after the last one of the stamp."""
        blocks, vector_count = dict(stamp.blocks), stamp.vector_count
        last_id = self._catalog.last_segment_id()
        for first_id in range(stamp.last_id + 1, last_id + 1, UPDATE_IDS):
            added_ids = self._catalog.segment_ids_between(
                first_id, min(first_id + UPDATE_IDS - 1, last_id)
            )
            vector_count += self._upsert(index, added_ids, space)
            for block, (id_count, id_sum) in summarize_blocks(added_ids, ID_BLOCK).items():
                old_count, old_sum = blocks.get(block, (0, 0))
                blocks[block] = old_count + id_count, old_sum + id_sum
        return replace(
            stamp, last_id=max(last_id, stamp.last_id), vector_count=vector_count, blocks=blocks
        )

    def _compare_blocks(self, index: SharedIndex, stamp: IndexStamp, space: Space) -> IndexStamp:
        """Make the changes up to the last id of the stamp, comparing the blocks that differ."""
        blocks = dict(stamp.blocks)
        catalog_blocks = self._catalog.summarize_segment_blocks(ID_BLOCK)
        vector_count = stamp.vector_count
        for block in sorted({*blocks, *catalog_blocks}):
            first_id, end_id = block * ID_BLOCK, min((block + 1) * ID_BLOCK - 1, stamp.last_id)
            if first_id > end_id or blocks.get(block) == catalog_blocks.get(block):
                continue
            catalog_ids = self._catalog.segment_ids_between(first_id, end_id)
            index_ids = index.ids_between(first_id, end_id)
            removed_ids = np.setdiff1d(index_ids, catalog_ids, assume_unique=True)
            added_ids = np.setdiff1d(catalog_ids, index_ids, assume_unique=True)
            index.remove(removed_ids)
            vector_count += self._upsert(index, added_ids, space) - len(removed_ids)
            blocks[block] = summarize_ids(catalog_ids)
        return replace(
            stamp,
            vector_count=vector_count,
            blocks={block: summary for block, summary in blocks.items() if summary[0]},
        )

    def _upsert(self, index: SharedIndex, segment_ids: Ids, space: Space) -> int:
        """Add the vectors of segments and return their number."""
        vector_count = 0
        for start in range(0, len(segment_ids), UPDATE_IDS):
            part_ids = segment_ids[start : start + UPDATE_IDS]
            for batch_ids, batch_vectors in self._catalog.iter_vectors(space, part_ids):
                self._raise_if_closing()
                index.upsert(batch_ids, batch_vectors)
                vector_count += len(batch_ids)
        return vector_count


def open_live_index(
    catalog: Catalog,
    index_folder: Path,
    index_setting: str,
    load_tuning_queries: Callable[[], Matrix | None] | None = None,
) -> LiveIndex:
    """Open the index of a library.

    Args:
        catalog: The catalog of the library.
        index_folder: Folder of the saved indexes.
        index_setting: Name of an index plugin, `name:address` of one on a server, or "auto".
        load_tuning_queries: Returns typical queries, float32 (Q, D).

    Returns:
        The index, not loaded yet.
    """
    index_kind, separator, address = index_setting.partition(":")
    if separator:
        return SharedLiveIndex(catalog, index_folder, index_kind, address, load_tuning_queries)
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
