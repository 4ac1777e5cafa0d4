"""Parts of remote files on the local disk, bounded in size; those used last are kept."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)
_CHECKSUM_BYTES = 4
_PRUNE_TO_SHARE = 0.9  # of `max_bytes`, left after pruning
_RECOUNT_SHARE = 1 / 16  # of `max_bytes`, written by this process before files are counted again


class ObjectCache:
    """Contents by key, in a folder that several processes may share.

    Losing a file only means fetching it again; damaged files count as missing. Without space or
    permission nothing is cached.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Use a folder.

        Args:
            folder: The folder, created when something is stored.
            max_bytes: Size beyond which the files used longest ago are deleted.
        """
        self._folder, self._max_bytes = folder, max_bytes
        self._uncounted_bytes: int | None = (
            None  # written since the last count; None: never counted
        )
        self._lock = threading.Lock()
        self._is_reported = False

    def load(self, object_name: str, part: int) -> bytes | None:
        """Return a part of a remote file; None if it is not cached.

        Args:
            object_name: The file, unique among all stores.
            part: Number of the part.
        """
        part_path = self._part_path(object_name, part)
        try:
            stored = part_path.read_bytes()
            os.utime(part_path)
        except OSError:
            return None
        content, checksum = stored[:-_CHECKSUM_BYTES], stored[-_CHECKSUM_BYTES:]
        return content if checksum == _checksum(content) else None

    def store(self, object_name: str, part: int, content: bytes) -> None:
        """Cache a part of a remote file, if that is possible."""
        if len(content) > self._max_bytes:
            return
        part_path = self._part_path(object_name, part)
        partial_path = part_path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.part")
        try:
            part_path.parent.mkdir(parents=True, exist_ok=True)
            partial_path.write_bytes(content + _checksum(content))
            partial_path.replace(part_path)
            self._bound_size(len(content))
        except OSError as error:
            with suppress(OSError):
                partial_path.unlink(missing_ok=True)
            if not self._is_reported:
                self._is_reported = True
                log.warning(
                    "%s: files of the store are not cached (%s)", self._folder, error.strerror
                )

    def forget(self, object_name: str) -> None:
        """Delete all parts of a remote file."""
        pattern = self._part_path(object_name, 0).stem
        for part_path in self._part_path(object_name, 0).parent.glob(f"{pattern}.*"):
            with suppress(OSError):
                part_path.unlink(missing_ok=True)

    def _bound_size(self, added_bytes: int) -> None:
        with self._lock:
            if self._uncounted_bytes is not None:
                self._uncounted_bytes += added_bytes
                if self._uncounted_bytes < self._max_bytes * _RECOUNT_SHARE:
                    return
            self._uncounted_bytes = 0
            cached_files = []
            for folder_name, _, file_names in os.walk(self._folder):
                for file_name in file_names:
                    file_path = os.path.join(folder_name, file_name)  # noqa: PTH118 - many files
                    with suppress(OSError):  # deleted by another process
                        status = os.stat(file_path)  # noqa: PTH116
                        cached_files.append((status.st_mtime_ns, status.st_size, file_path))
            total_bytes = sum(size_bytes for _, size_bytes, _ in cached_files)
            if total_bytes <= self._max_bytes * (1 - _RECOUNT_SHARE):
                return
            for _, size_bytes, file_path in sorted(cached_files):
                if total_bytes <= self._max_bytes * _PRUNE_TO_SHARE:
                    break
                with suppress(OSError):
                    os.unlink(file_path)  # noqa: PTH108
                    total_bytes -= size_bytes

    def _part_path(self, object_name: str, part: int) -> Path:
        digest = hashlib.sha256(object_name.encode()).hexdigest()[:40]
        return self._folder / digest[:2] / f"{digest}.{part}"


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECKSUM_BYTES, "little")
