"""Files that exports made, each export in a private folder, until they are forgotten."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.config import cache_folder
from vsearch.web.job import Made

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT = 20  # exports
BYTES = 20 * 1024**3  # of all of them, but for the latest one
LEFT = 7 * 24 * 3600.0  # seconds until what a killed server left is deleted
_PREFIX = "vsearch-exports-"


class Exports:
    """Lies in a folder of its own, which goes with it."""

    def __init__(self, folder: Path | None = None) -> None:
        """The private folder is made in `folder`, else in this user's cache, once it is needed."""
        self._within = folder
        self._folder: Path | None = None
        self._sizes: dict[str, int] = {}  # bytes, oldest first
        self._lock = threading.Lock()

    def room(self, job: str) -> Path:
        """A new folder for what a job makes. Raises OSError."""
        with self._lock:
            if self._folder is None:
                self._folder = _private(self._within)
            room = self._folder / job
        room.mkdir(mode=0o700, parents=True)
        return room

    def keep(self, job: str, names: Iterable[str]) -> tuple[tuple[Made, ...], list[str]]:
        """The files of a job that are there; and the jobs whose files made way for them."""
        made = []
        for name in names:
            path = self.path(job, name)
            if path is not None:
                made.append(Made(name, path.stat().st_size))
        with self._lock:
            self._sizes[job] = sum(one.size for one in made)
            gone = []
            while len(self._sizes) > 1 and (
                len(self._sizes) > KEPT or sum(self._sizes.values()) > BYTES
            ):
                gone.append(next(iter(self._sizes)))
                del self._sizes[gone[-1]]
        for old in gone:
            self.forget(old)
        return tuple(made), gone

    def path(self, job: str, name: str) -> Path | None:
        """A file of a job; None where it is gone. Both names must be ours: see `Jobs.file`."""
        if self._folder is None:
            return None
        path = self._folder / job / name
        return path if path.is_file() and not path.is_symlink() else None

    def forget(self, job: str) -> None:
        """Delete what a job made."""
        with self._lock:
            self._sizes.pop(job, None)
            folder = self._folder
        if folder is not None:
            shutil.rmtree(folder / job, ignore_errors=True)

    def close(self) -> None:
        """Delete all of it."""
        with self._lock:
            folder, self._folder = self._folder, None
            self._sizes.clear()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _private(folder: Path | None) -> Path:
    """A new folder for this user alone; the temporary one will do where there is no cache."""
    within = folder or cache_folder() / "exports"
    try:
        within.mkdir(parents=True, exist_ok=True)
    except OSError:
        if folder is not None:
            raise
        within = Path(tempfile.gettempdir())
    for left in within.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT:
                shutil.rmtree(left, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=within))
