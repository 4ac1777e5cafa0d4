"""Progress and errors of runs over several files."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from vsearch.errors import (
    LibraryError,
    ModelError,
    SettingsError,
    UnreadableError,
    VSearchError,
)
from vsearch.memory import describe_exhaustion, is_exhausted, is_memory_error
from vsearch.progress import IndexResult, Outcome, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

log = logging.getLogger(__name__)


class ProgressTracker:
    """Combines the progress of files that are processed concurrently."""

    def __init__(
        self,
        file_sizes: Sequence[int],
        on_progress: Callable[[Progress], None],
        *,
        pass_number: int = 1,
        pass_count: int = 1,
    ) -> None:
        """Start at zero.

        Args:
            file_sizes: Size of each file in bytes.
            on_progress: Called with the progress of the run.
            pass_number: Number of this pass over the files, from 1.
            pass_count: Number of passes.
        """
        self._file_sizes, self._total_bytes = file_sizes, sum(file_sizes)
        self._on_progress = on_progress
        self._pass_number, self._pass_count = pass_number, pass_count
        self._reached_bytes: dict[int, float] = {}  # processed bytes of each started file
        self._done_bytes = 0.0  # their sum

    def create_reporter(self, video_path: Path, file_index: int) -> Callable[[float, float], None]:
        """Return a callback for the progress of one file.

        Args:
            video_path: The file.
            file_index: Its index in `file_sizes`.

        Returns:
            A function of (processed seconds, duration).
        """
        file_bytes = self._file_sizes[file_index]

        def report_progress(decoded_seconds: float, duration: float) -> None:
            bytes_here = file_bytes * min(1.0, decoded_seconds / duration) if duration > 0 else 0.0
            self._record_progress(file_index, bytes_here)
            bytes_before = max(self._done_bytes - bytes_here, 0.0)
            bytes_after = max(self._total_bytes - file_bytes - bytes_before, 0.0)
            progress = Progress(
                path=video_path,
                file_index=file_index,
                file_count=len(self._file_sizes),
                processed_seconds=decoded_seconds,
                duration=duration,
                size_bytes=file_bytes,
                bytes_before=bytes_before,
                bytes_after=bytes_after,
                pass_number=self._pass_number,
                pass_count=self._pass_count,
            )
            self._on_progress(progress)

        return report_progress

    def finish_file(self, file_index: int) -> None:
        """Count a file as done."""
        self._record_progress(file_index, float(self._file_sizes[file_index]))

    def _record_progress(self, file_index: int, reached_bytes: float) -> None:
        self._done_bytes += reached_bytes - self._reached_bytes.get(file_index, 0.0)
        self._reached_bytes[file_index] = reached_bytes


def run_catching(video_path: Path, operation: Callable[[], IndexResult]) -> IndexResult:
    """Run an operation on one file and turn errors of that file into a result.

    Args:
        video_path: The file.
        operation: The operation.

    Returns:
        Its result, or a failure, with the elapsed time.

    Raises:
        LibraryError: Like ModelError and SettingsError, an error that would affect every file.
    """
    work_started = time.monotonic()
    try:
        index_result = operation()
    except Exception as error:
        index_result = build_failure_result(video_path, error)
    elapsed_seconds = time.monotonic() - work_started
    log.info("%s: %s in %.1f s", video_path, index_result.outcome, elapsed_seconds)
    return replace(index_result, elapsed_seconds=elapsed_seconds)


def build_failure_result(video_path: Path, error: Exception) -> IndexResult:
    """Convert an error of one file to a result.

    Args:
        video_path: The file.
        error: The error.

    Returns:
        A result of outcome FAILED.

    Raises:
        LibraryError: Like ModelError and SettingsError, an error that would affect every file;
            ModelError also if the memory limit of this process is reached.
    """
    if isinstance(error, LibraryError | ModelError | SettingsError):
        raise error
    if is_exhausted(error):
        raise ModelError(f"{video_path}: {describe_exhaustion()}") from error
    if isinstance(error, VSearchError):
        return IndexResult(video_path, Outcome.FAILED, error=str(error))
    if isinstance(error, OSError):
        error_message = f"{video_path}: {error.strerror or error}"
        return IndexResult(video_path, Outcome.FAILED, error=error_message)
    if is_memory_error(error):
        error_message = f"{video_path}: {describe_exhaustion()}"
        return IndexResult(video_path, Outcome.FAILED, error=error_message)
    log.info("%s", video_path, exc_info=error)
    error_message = f"{video_path}: unexpected {type(error).__name__}: {error}; please report this"
    return IndexResult(video_path, Outcome.FAILED, error=error_message)


def get_file_size(file_path: Path) -> int:
    """Return the size of a file in bytes; 0 if it is not a file, or cannot be accessed."""
    try:
        return file_path.stat().st_size if file_path.is_file() else 0
    except (OSError, UnreadableError):  # deleted meanwhile, or not readable
        return 0
