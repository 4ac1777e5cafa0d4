"""Video files that arrive in folders, each once it is complete."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vsearch.media.discovery import find_videos

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    State = tuple[int, int]  # bytes, and nanoseconds since the epoch

QUIET = 5.0  # seconds; who writes a film seldom pauses for longer


class Arrivals:
    """Looks again and again. A file that is still being written waits until it no longer changes:
    until two looks or more, so far apart, find it as it was, or its own time is that long ago.
    """

    def __init__(
        self, paths: Sequence[str], quiet: float = QUIET, now: Callable[[], float] = time.time
    ) -> None:
        """`quiet` is how many seconds a complete file has been left alone."""
        self._paths, self._quiet, self._now = list(paths), quiet, now
        self._seen: dict[Path, State] = {}  # at the last look
        self._since: dict[Path, float] = {}  # when it was first seen as it was at the last look
        self._given: dict[Path, State] = {}
        self.waiting: list[Path] = []  # what is not complete yet
        self.errors: list[str] = []  # what cannot be looked at

    def look(self) -> list[Path]:
        """The files that have become complete since they were given the last time."""
        now = self._now()
        seen: dict[Path, State] = {}
        ready: list[Path] = []
        self.waiting, self.errors = [], []
        for found in find_videos(self._paths):
            if found.error is not None:
                self.errors.append(found.error)
            elif (state := _state(found.path)) is not None:
                seen[found.path] = state
        self._since = {
            path: self._since[path] if self._seen.get(path) == state else now
            for path, state in seen.items()
        }
        for path, state in seen.items():
            if self._given.get(path) == state:
                continue
            if self._quiet <= now - min(self._since[path], state[1] / 1e9):
                ready.append(path)
            else:
                self.waiting.append(path)
        self._seen = seen
        self._given = {path: state for path, state in self._given.items() if path in seen}
        return ready

    def given(self, path: Path) -> None:
        """A file is dealt with, as it was at the last look."""
        if path in self._seen:
            self._given[path] = self._seen[path]


def _state(path: Path) -> State | None:
    """What changes while a file is written; None where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
