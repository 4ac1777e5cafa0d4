"""Store for exported files: one private folder per job, deleted when evicted or closed."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.config import cache_folder
from vsearch.server.jobs.model import JobFile

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_EXPORTS = 20
MAX_TOTAL_BYTES = 20 * 1024**3  # of all exports; the latest one is always kept
ORPHAN_AGE_SECONDS = 7 * 24 * 3600.0  # after which folders left by a killed server are deleted
_FOLDER_PREFIX = "vsearch-exports-"


class ExportStore:
    """Files of recent export jobs in a private temporary folder. Thread-safe."""

    def __init__(self, parent_folder: Path | None = None) -> None:
        """Create the private folder lazily in `parent_folder`, by default the user's cache."""
        self._parent_folder = parent_folder
        self._private_folder: Path | None = None
        self._export_sizes: dict[str, int] = {}  # bytes, oldest first
        self._lock = threading.Lock()

    def create_folder(self, job_id: str) -> Path:
        """Create and return the output folder of a job.

        Raises:
            OSError: If the folder cannot be created.
        """
        with self._lock:
            if self._private_folder is None:
                self._private_folder = _create_private_folder(self._parent_folder)
            job_folder = self._private_folder / job_id
        job_folder.mkdir(mode=0o700, parents=True)
        return job_folder

    def commit_files(
        self, job_id: str, file_names: Iterable[str]
    ) -> tuple[tuple[JobFile, ...], list[str]]:
        """Register the files that a job has written and evict the oldest exports over the limits.

        Args:
            job_id: The export job.
            file_names: Names that the worker reported; missing files are skipped.

        Returns:
            The existing files, and the ids of the jobs whose files were deleted.
        """
        written_files = []
        for file_name in file_names:
            file_path = self.find_file(job_id, file_name)
            if file_path is not None:
                written_files.append(JobFile(file_name, file_path.stat().st_size))
        with self._lock:
            self._export_sizes[job_id] = sum(
                written_file.size_bytes for written_file in written_files
            )
            evicted_ids = []
            while len(self._export_sizes) > 1 and (
                len(self._export_sizes) > MAX_EXPORTS
                or sum(self._export_sizes.values()) > MAX_TOTAL_BYTES
            ):
                evicted_ids.append(next(iter(self._export_sizes)))
                del self._export_sizes[evicted_ids[-1]]
        for evicted_id in evicted_ids:
            self.delete_export(evicted_id)
        return tuple(written_files), evicted_ids

    def find_file(self, job_id: str, file_name: str) -> Path | None:
        """Return the path of a file, or None if missing. Both names must be trusted.

        See `JobService.require_file`.
        """
        if self._private_folder is None:
            return None
        file_path = self._private_folder / job_id / file_name
        return file_path if file_path.is_file() and not file_path.is_symlink() else None

    def delete_export(self, job_id: str) -> None:
        """Delete all files of a job."""
        with self._lock:
            self._export_sizes.pop(job_id, None)
            private_folder = self._private_folder
        if private_folder is not None:
            shutil.rmtree(private_folder / job_id, ignore_errors=True)

    def close(self) -> None:
        """Delete the private folder."""
        with self._lock:
            private_folder, self._private_folder = self._private_folder, None
            self._export_sizes.clear()
        if private_folder is not None:
            shutil.rmtree(private_folder, ignore_errors=True)


def _create_private_folder(parent_folder: Path | None) -> Path:
    """Create a folder only this user can read; falls back to the system's temporary folder."""
    base_folder = parent_folder or cache_folder() / "exports"
    try:
        base_folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        if parent_folder is not None:
            raise
        base_folder = Path(tempfile.gettempdir())
    for orphan_folder in base_folder.glob(f"{_FOLDER_PREFIX}*"):
        with suppress(OSError):
            if time.time() - orphan_folder.stat().st_mtime > ORPHAN_AGE_SECONDS:
                shutil.rmtree(orphan_folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=base_folder))
