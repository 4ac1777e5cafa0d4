"""Watch folders for new video files by polling; report each once it is complete."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vsearch.media.discovery import DEFAULT_OPTIONS, DiscoveryOptions, find_videos

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    FileState = tuple[int, int, int]  # size in bytes, mtime and ctime in nanoseconds

STABLE_SECONDS = 5.0  # programs that write a video seldom pause longer


class FolderWatcher:
    """Polling watcher of files and folders.

    A file that is still being written is incomplete: it is reported once it stayed unchanged for
    `stable_seconds`, as seen by successive polls or by its modification time.

    Args:
        watched_paths: Files, folders or glob patterns.
        stable_seconds: Seconds after which an unchanged file is complete.
        clock: Current time in seconds since the epoch.
        discovery_options: What is left out of folders.
    """

    def __init__(
        self,
        watched_paths: Sequence[str],
        stable_seconds: float = STABLE_SECONDS,
        clock: Callable[[], float] = time.time,
        discovery_options: DiscoveryOptions = DEFAULT_OPTIONS,
    ) -> None:
        self._watched_paths = list(watched_paths)
        self._discovery_options = discovery_options
        self._stable_seconds = stable_seconds
        self._clock = clock
        self._last_states: dict[Path, FileState] = {}  # at the last poll
        self._unchanged_since: dict[Path, float] = {}  # time of the first poll with that state
        self._acknowledged_states: dict[Path, FileState] = {}
        self.incomplete_paths: list[Path] = []  # as of the last poll
        self.error_messages: list[str] = []  # paths that cannot be read, as of the last poll

    def poll_folders(self) -> list[Path]:
        """Return the complete files that were not acknowledged in their current state."""
        current_time = self._clock()
        current_states: dict[Path, FileState] = {}
        complete_paths: list[Path] = []
        self.incomplete_paths, self.error_messages = [], []
        for discovered_file in find_videos(self._watched_paths, self._discovery_options):
            if discovered_file.error is not None:
                self.error_messages.append(discovered_file.error)
            elif (file_state := _read_file_state(discovered_file.path)) is not None:
                current_states[discovered_file.path] = file_state
        self._unchanged_since = {
            video_path: self._unchanged_since[video_path]
            if self._last_states.get(video_path) == file_state
            else current_time
            for video_path, file_state in current_states.items()
        }
        for video_path, file_state in current_states.items():
            if self._acknowledged_states.get(video_path) == file_state:
                continue
            if self._stable_seconds <= current_time - min(
                self._unchanged_since[video_path], file_state[1] / 1e9
            ):
                complete_paths.append(video_path)
            else:
                self.incomplete_paths.append(video_path)
        self._last_states = current_states
        self._acknowledged_states = {
            video_path: file_state
            for video_path, file_state in self._acknowledged_states.items()
            if video_path in current_states
        }
        return complete_paths

    def acknowledge(self, video_path: Path) -> None:
        """Mark a file as processed in the state seen by the last poll."""
        if video_path in self._last_states:
            self._acknowledged_states[video_path] = self._last_states[video_path]


def _read_file_state(video_path: Path) -> FileState | None:
    """Return size and times, which change during writing; None if it is gone.

    The ctime also changes if a program sets the modification time back.
    """
    try:
        stat_result = video_path.stat()
    except OSError:
        return None
    return stat_result.st_size, stat_result.st_mtime_ns, stat_result.st_ctime_ns
