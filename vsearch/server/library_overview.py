"""Contents and file statuses of a library, without checking every file on every request."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.errors import VSearchError

if TYPE_CHECKING:
    from vsearch.library import Library
    from vsearch.types import LibraryInfo

log = logging.getLogger(__name__)
MAX_FRESH_VIDEOS = 2_000  # all files of a library up to this size are checked every time
REFRESH_SECONDS = 60.0


class LibraryOverview:
    """The contents of one library. Thread-safe.

    In a large library the size and the counts of missing and offline files may be a minute old;
    they are counted in the background.
    """

    def __init__(self, library: Library) -> None:
        """Describe an open library."""
        self._library, self._lock = library, threading.Lock()
        self._known_info: LibraryInfo | None = None
        self._checked_at = 0.0  # monotonic
        self._refresh_thread: threading.Thread | None = None

    def read_info(self) -> tuple[LibraryInfo, bool]:
        """Return the contents and size of the library, and True once its files were checked.

        Raises:
            LibraryError: If the library cannot be read.
        """
        videos = self._library.outline().videos
        if len(videos) <= MAX_FRESH_VIDEOS:
            return self._library.info(), True
        with self._lock:
            known_info = self._known_info
            if known_info is None or time.monotonic() - self._checked_at > REFRESH_SECONDS:
                self._start_refresh()
        info = known_info or self._library.info(check_files=False)
        total_seconds = sum(video.duration for video in videos)
        info = replace(info, video_count=len(videos), duration_seconds=total_seconds)
        return info, known_info is not None

    def _start_refresh(self) -> None:
        if self._refresh_thread is None or not self._refresh_thread.is_alive():
            self._refresh_thread = threading.Thread(
                target=self._refresh, name="file statuses", daemon=True
            )
            self._refresh_thread.start()

    def _refresh(self) -> None:
        try:
            self._check_files()
        except VSearchError as error:  # the next request reports it
            log.warning("%s", error)

    def _check_files(self) -> None:
        self._known_info = self._library.info()
        self._checked_at = time.monotonic()
