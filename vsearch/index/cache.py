"""On-disk cache of vector indexes, with a stamp that records what each one contains."""

from __future__ import annotations

import glob
import logging
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.protocols import CopyableIndex, RebuildableIndex
from vsearch.storage.array_files import load_arrays, save_arrays
from vsearch.storage.atomic_files import damage_as_error
from vsearch.storage.checksums import compute_checksum

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Space

log = logging.getLogger(__name__)
_STAMP_SUFFIX = ".npz"
_PARTIAL_SUFFIX = ".new"
REBUILD_REMEDY = "it is rebuilt from the catalog"
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
    after it, so an existing stamp always describes the index file next to it. It contains the
    checksums of the other files; a stamp without them is of an older version and not used.
    """

    def __init__(self, folder: Path, index_kind: str, index_class: type[VectorIndex]) -> None:
        self.index_kind, self.index_class = index_kind, index_class
        self._folder = folder

    def load(self, space: Space) -> SavedIndex | None:
        """Return the saved index of `space`, or None if none is usable.

        Waits for another process that is replacing it at this moment.
        """
        index_path, stamp_path = self._index_paths(space)
        previous_state, saved_index = _file_state(stamp_path), None
        try:
            with damage_as_error(index_path, REBUILD_REMEDY):
                if previous_state:
                    saved_index = self._load_checked(space, index_path, stamp_path)
        except DamagedLibraryError as error:
            if _file_state(stamp_path) == previous_state:
                log.warning("%s", error)
                return None
        if previous_state and _file_state(stamp_path) == previous_state:
            return saved_index  # otherwise index and stamp may not belong together
        if not index_path.exists():
            return None
        # A stamp that was missing from the start may never come: wait only once for it.
        for _ in range(_MAX_RETRIES if previous_state else 1):
            time.sleep(_RETRY_SECONDS)
            if _file_state(stamp_path) not in (None, previous_state):
                return self.load(space)
        return None

    def find_problem(self, space: Space) -> str | None:
        """Return what is wrong with the saved index of `space`; None if it is usable or missing."""
        index_path, stamp_path = self._index_paths(space)
        if not stamp_path.exists():
            return None
        try:
            with damage_as_error(index_path, REBUILD_REMEDY):
                self._load_checked(space, index_path, stamp_path)
        except DamagedLibraryError as error:
            return str(error)
        return None

    def has_files(self, space: Space) -> bool:
        """Return whether there is a saved index of `space` of this kind, usable or not."""
        return any(index_path.exists() for index_path in self._index_paths(space))

    def save(self, space: Space, saved_index: SavedIndex) -> None:
        """Save an index, replacing the saved indexes of `space` of every kind.

        A failure (disk full, read-only folder) is logged, not raised.
        """
        index_path, stamp_path = self._index_paths(space)
        partial_path = index_path.with_name(f"{index_path.name}{_PARTIAL_SUFFIX}")
        previous_files = list_saved_files(self._folder, space)
        known_checksums = {
            file_path: (_file_state(file_path), checksum)
            for file_path, checksum in _read_checksums(stamp_path).items()
        }
        try:
            saved_index.index.save(partial_path)  # readers still use the previous index meanwhile
            companion_paths: set[Path] = set()
            if isinstance(saved_index.index, RebuildableIndex):
                companion_paths = set(map(index_path.with_name, saved_index.index.companion_files))
            checksums = {index_path.name: compute_checksum(partial_path)}
            for companion_path in companion_paths:
                # of a file that was written before, not of what may have become of it since
                state, checksum = known_checksums.get(companion_path, (None, 0))
                if state is None or state != _file_state(companion_path):
                    checksum = compute_checksum(companion_path)
                checksums[companion_path.name] = checksum
            # a reader that waits checks for `index_path`
            delete_saved_indexes(self._folder, space, {partial_path, index_path, *companion_paths})
            partial_path.replace(index_path)
            stamp_arrays = {
                "revision": saved_index.revision,
                "ids": saved_index.vector_ids,
                "space": space.name,
                "files": list(checksums),
                "checksums": list(checksums.values()),
            }
            save_arrays(stamp_path, stamp_arrays)
        except OSError as error:
            _delete_files({*list_saved_files(self._folder, space) - previous_files, partial_path})
            log.info("%s was not saved: %s", index_path, error)

    def _load_checked(self, space: Space, index_path: Path, stamp_path: Path) -> SavedIndex | None:
        """Load index and stamp, None if of an older version; any exception means damage."""
        stamp_arrays = load_arrays(stamp_path)
        if "checksums" not in stamp_arrays:
            log.info("%s has no checksum; %s", index_path, REBUILD_REMEDY)
            return None
        checked_names = _check_files(stamp_path, stamp_arrays)
        revision, vector_ids = int(stamp_arrays["revision"]), stamp_arrays["ids"]
        index: VectorIndex = self.index_class.load(index_path)  # type: ignore[attr-defined]
        if (
            vector_ids.dtype != np.int64
            or vector_ids.shape != (len(index),)
            or stamp_arrays["space"] != space.name
        ):
            raise ValueError(f"{index_path} does not match its stamp {stamp_path.name}")
        companion_names = index.companion_files if isinstance(index, RebuildableIndex) else ()
        if checked_names != {index_path.name, *companion_names}:
            raise ValueError(f"{stamp_path} has no checksums of {companion_names}")
        # Searching also fails if the vectors have another dimension than the space.
        found_ids, _ = index.search(np.zeros(space.dim, np.float32), 1, allowed_ids=vector_ids[:1])
        if not np.array_equal(found_ids, vector_ids[:1]):
            raise ValueError(f"{index_path} lacks ids that its stamp {stamp_path.name} lists")
        return SavedIndex(index, revision, vector_ids)

    def _index_paths(self, space: Space) -> tuple[Path, Path]:
        file_name = f"{_file_stem(space)}.{self.index_kind}"
        return self._folder / file_name, self._folder / f"{file_name}{_STAMP_SUFFIX}"


def _check_files(stamp_path: Path, stamp_arrays: Mapping[str, Any]) -> set[str]:
    """Return the names of the files that a stamp describes; ValueError if one has changed."""
    checksums = dict(
        zip(stamp_arrays["files"].tolist(), stamp_arrays["checksums"].tolist(), strict=True)
    )
    for file_name, checksum in checksums.items():
        # with_name raises ValueError for anything but a plain name
        if compute_checksum(stamp_path.with_name(file_name)) != checksum:
            raise ValueError(f"the checksum of {file_name} does not match")
    return set(checksums)


def _read_checksums(stamp_path: Path) -> dict[Path, int]:
    """Return the checksums in a stamp by path; none if it cannot be read."""
    with suppress(Exception):  # damaged files raise almost anything
        stamp_arrays = load_arrays(stamp_path, "files", "checksums")
        file_paths = map(stamp_path.with_name, stamp_arrays["files"].tolist())
        return dict(zip(file_paths, stamp_arrays["checksums"].tolist(), strict=True))
    return {}


def copy_index(index: VectorIndex) -> VectorIndex:
    """Return an index that later changes of `index` do not affect."""
    if isinstance(index, CopyableIndex):
        return index.copy()
    import tempfile  # deferred: rarely used

    index_class: Any = type(index)
    # a loaded index may map its file, which Windows then cannot delete
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        index_path = Path(folder) / "index"
        index.save(index_path)
        copied_index: VectorIndex = index_class.load(index_path)
    return copied_index


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


def _file_state(file_path: Path) -> tuple[int, int] | None:
    """Return a value that changes whenever the file is rewritten; None if there is no file."""
    try:
        stat_result = file_path.stat()
    except OSError:
        return None
    return stat_result.st_ino, stat_result.st_mtime_ns


def _file_stem(space: Space) -> str:
    return re.sub(r"[^\w.-]", "_", space.name)
