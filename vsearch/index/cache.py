"""On-disk cache of vector indexes, with a stamp that records what each one contains."""

from __future__ import annotations

import glob
import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.protocols import RebuildableIndex
from vsearch.storage.array_files import load_arrays, save_arrays
from vsearch.storage.atomic_files import damage_as_error

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Space

log = logging.getLogger(__name__)
_STAMP_SUFFIX = ".npz"
_PARTIAL_SUFFIX = ".new"
_RETRY_SECONDS = 0.1  # replacing an index and its stamp rarely takes longer
_MAX_RETRIES = 10  # for slow disks


@dataclass(frozen=True, slots=True)
class SavedIndex:
    """A vector index, the catalog revision it reflects, and the ids it contains."""

    index: VectorIndex
    revision: int
    vector_ids: Ids  # int64 (N,) ascending


class IndexCache:
    """Reads and writes the index of each embedding space; losing the cache only costs time.

    Files in `folder`: the index `<space>.<kind>`, its stamp `<space>.<kind>.npz`, and the companion
    files of a `RebuildableIndex`. The stamp is deleted before the index is replaced and written
    after it, so an existing stamp always describes the index file next to it.
    """

    def __init__(self, folder: Path, index_kind: str, index_class: type[VectorIndex]) -> None:
        self.index_kind, self.index_class = index_kind, index_class
        self._folder = folder

    def load(self, space: Space) -> SavedIndex | None:
        """Return the saved index of `space`, or None if none is usable.

        Waits for another process that is replacing it at this moment.
        """
        index_path, stamp_path = self._index_paths(space)
        previous_state, saved_index = _stamp_state(stamp_path), None
        try:
            with damage_as_error(index_path, "it is rebuilt from the catalog"):
                if previous_state:
                    saved_index = self._load_checked(space, index_path, stamp_path)
        except DamagedLibraryError as error:
            if _stamp_state(stamp_path) == previous_state:
                log.warning("%s", error)
                return None
        if saved_index and _stamp_state(stamp_path) == previous_state:
            return saved_index  # otherwise index and stamp may not belong together
        if not index_path.exists():
            return None
        # A stamp that was missing from the start may never come: wait only once for it.
        for _ in range(_MAX_RETRIES if previous_state else 1):
            time.sleep(_RETRY_SECONDS)
            if _stamp_state(stamp_path) not in (None, previous_state):
                return self.load(space)
        return None

    def save(self, space: Space, saved_index: SavedIndex) -> None:
        """Save an index, replacing the saved indexes of `space` of every kind.

        A failure (disk full, read-only folder) is logged, not raised.
        """
        index_path, stamp_path = self._index_paths(space)
        partial_path = index_path.with_name(f"{index_path.name}{_PARTIAL_SUFFIX}")
        previous_files = list_saved_files(self._folder, space)
        try:
            saved_index.index.save(partial_path)  # readers still use the previous index meanwhile
            kept_paths = {partial_path, index_path}  # a reader that waits checks for `index_path`
            if isinstance(saved_index.index, RebuildableIndex):
                kept_paths |= set(map(index_path.with_name, saved_index.index.companion_files))
            delete_saved_indexes(self._folder, space, kept_paths)
            partial_path.replace(index_path)
            stamp_arrays = {
                "revision": saved_index.revision,
                "ids": saved_index.vector_ids,
                "space": space.name,
            }
            save_arrays(stamp_path, stamp_arrays)
        except OSError as error:
            _delete_files({*list_saved_files(self._folder, space) - previous_files, partial_path})
            log.info("%s was not saved: %s", index_path, error)

    def _load_checked(self, space: Space, index_path: Path, stamp_path: Path) -> SavedIndex:
        """Load index and stamp; any exception means that the files are unusable."""
        stamp_arrays = load_arrays(stamp_path)
        revision, vector_ids = int(stamp_arrays["revision"]), stamp_arrays["ids"]
        index: VectorIndex = self.index_class.load(index_path)  # type: ignore[attr-defined]
        if (
            vector_ids.dtype != np.int64
            or vector_ids.shape != (len(index),)
            or stamp_arrays["space"] != space.name
        ):
            raise ValueError(f"{index_path} does not match its stamp {stamp_path.name}")
        # Searching also fails if the vectors have another dimension than the space.
        found_ids, _ = index.search(np.zeros(space.dim, np.float32), 1, allowed_ids=vector_ids[:1])
        if not np.array_equal(found_ids, vector_ids[:1]):
            raise ValueError(f"{index_path} lacks ids that its stamp {stamp_path.name} lists")
        return SavedIndex(index, revision, vector_ids)

    def _index_paths(self, space: Space) -> tuple[Path, Path]:
        file_name = f"{_file_stem(space)}.{self.index_kind}"
        return self._folder / file_name, self._folder / f"{file_name}{_STAMP_SUFFIX}"


def delete_saved_indexes(folder: Path, space: Space, kept_paths: Collection[Path] = ()) -> None:
    """Delete the saved indexes of `space`, of every kind; stamps first, so that none is used.

    Args:
        folder: The folder of the index cache.
        space: The embedding space.
        kept_paths: Files to keep.

    Raises:
        OSError: A stamp cannot be deleted. An index file that Windows locks because it is being
            searched may remain.
    """
    index_files = list_saved_files(folder, space).difference(kept_paths)
    stamp_paths = {index_path for index_path in index_files if index_path.suffix == _STAMP_SUFFIX}
    for stamp_path in stamp_paths:
        stamp_path.unlink(missing_ok=True)
    _delete_files(index_files - stamp_paths)


def _delete_files(file_paths: Collection[Path]) -> None:
    """Delete files, ignoring those that cannot be deleted."""
    for file_path in file_paths:
        with suppress(OSError):
            file_path.unlink(missing_ok=True)


def list_saved_files(folder: Path, space: Space) -> set[Path]:
    """Return the paths of all index, companion and stamp files of `space`."""
    file_stem = glob.escape(_file_stem(space))
    return set(folder.glob(f"{file_stem}.*"))


def _stamp_state(stamp_path: Path) -> tuple[int, int] | None:
    """Return a value that changes whenever the stamp is rewritten; None if there is no stamp."""
    try:
        stat_result = stamp_path.stat()
    except OSError:
        return None
    return stat_result.st_ino, stat_result.st_mtime_ns


def _file_stem(space: Space) -> str:
    return re.sub(r"[^\w.-]", "_", space.name)
