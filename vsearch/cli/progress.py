"""Progress line for long-running commands: current file, speed and remaining time."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING, Self

import click

from vsearch.cli.messages import is_quiet, log_printed
from vsearch.cli.render import escape_unprintable, format_bytes, format_time
from vsearch.progress import KEYFRAME_PASS_SHARE

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.media.download import DownloadProgress
    from vsearch.progress import IndexResult, Progress
    from vsearch.types import Video

PROCESSED_OUTCOMES = ("indexed", "updated", "refined", "embedded")


class ProgressLine:
    """One line on stderr that is redrawn in place; silent if stderr is not a terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        context = click.get_current_context(silent=True)
        self.console = Console(
            stderr=True,
            highlight=False,
            emoji=False,
            no_color=True if context is not None and context.color is False else None,
            force_terminal=sys.stderr.isatty(),  # FORCE_COLOR draws no line in files
        )
        self._progress_bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[rate]}", style="cyan"),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.fields[name]}", style="dim", markup=False),
            console=self.console,
            transient=True,
            disable=is_quiet() or not self.console.is_terminal,
        )
        self._task_id = self._progress_bar.add_task(
            "", total=1.0, count="", rate="", left="", name=""
        )
        self._start_time = time.monotonic()
        self._done_seconds = 0.0  # seconds of finished videos
        self._done_bytes = 0  # file size of finished videos
        self._active_seconds: dict[Path, float] = {}  # processed seconds of videos in progress
        self._download_url, self._download_start = "", (0.0, 0)  # (time, received bytes)
        self._latest_position = (1, 0)  # (pass number, index of the last file started)

    def __enter__(self) -> Self:
        self._progress_bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress_bar.stop()

    def print_message(self, message: str, *, is_failure: bool = False) -> None:
        """Print a line on stderr above the progress line; with --quiet, only if it is a failure."""
        if is_failure or not is_quiet():
            self.console.print(message, markup=False, soft_wrap=True)
        log_printed(message, logging.ERROR if is_failure else logging.INFO)

    def update(self, progress: Progress) -> None:
        """Redraw the line for progress within a file."""
        if progress.pass_number != self._latest_position[0]:  # the second pass is slower
            self._start_time, self._done_seconds, self._done_bytes = time.monotonic(), 0.0, 0
        self._latest_position = max(
            self._latest_position, (progress.pass_number, progress.file_index)
        )
        self._active_seconds[progress.path] = progress.processed_seconds
        elapsed_seconds = max(time.monotonic() - self._start_time, 1e-3)
        processed_seconds = self._done_seconds + sum(self._active_seconds.values())
        realtime_factor = max(processed_seconds, 1e-3) / elapsed_seconds
        remaining_seconds = self._estimate_remaining(progress) / realtime_factor
        pass_seconds = elapsed_seconds + remaining_seconds
        done_share = progress.to_stage_share(elapsed_seconds / pass_seconds)
        stage_text = ""
        if progress.pass_number < progress.pass_count:
            stage_text = "key frames "
            remaining_seconds += pass_seconds * (1 / KEYFRAME_PASS_SHARE - 1)
        self._progress_bar.update(
            self._task_id,
            completed=done_share,
            count=f"{stage_text}{self._latest_position[1] + 1}/{progress.file_count}",
            rate=f"{realtime_factor:.1f}× real time",
            left=f"{format_time(remaining_seconds)} left",
            name=escape_unprintable(progress.path.name)[:40],
        )

    def update_download(self, progress: DownloadProgress) -> None:
        """Redraw the line for the progress of a download."""
        now = time.monotonic()
        if progress.url != self._download_url:
            self._download_url, self._download_start = progress.url, (now, progress.received_bytes)
        start_time, start_bytes = self._download_start
        bytes_per_second = (progress.received_bytes - start_bytes) / max(now - start_time, 1e-3)
        total_bytes, left_text = progress.total_bytes, ""
        if total_bytes and bytes_per_second > 0:
            left_bytes = max(total_bytes - progress.received_bytes, 0)
            left_text = f"{format_time(left_bytes / bytes_per_second)} left"
        self._progress_bar.update(
            self._task_id,
            completed=progress.received_bytes / total_bytes if total_bytes else 0.0,
            count=f"download {format_bytes(progress.received_bytes)}",
            rate=f"{format_bytes(round(bytes_per_second))}/s",
            left=left_text,
            name=escape_unprintable(progress.url.rpartition("/")[2])[:40],
        )

    def update_rows(self, name: str, done: int, total: int) -> None:
        """Show the rows of a table, or the files of a folder, that were copied.

        Args:
            name: What is copied.
            done: The number of rows or files so far.
            total: The number of all.
        """
        self._progress_bar.update(
            self._task_id,
            completed=done / total if total else 1.0,
            count=f"{done:,}/{total:,}",
            name=name,
        )

    def finish_file(self, index_result: IndexResult) -> None:
        """Count a finished file, if its video was processed."""
        self._active_seconds.pop(index_result.path, None)
        if index_result.video is not None and index_result.outcome in PROCESSED_OUTCOMES:
            self.finish_video(index_result.video)

    def finish_video(self, video: Video) -> None:
        """Count a finished video."""
        self._active_seconds.pop(video.path, None)
        self._done_seconds += video.duration
        self._done_bytes += video.size_bytes

    def _estimate_remaining(self, progress: Progress) -> float:
        """Estimate the seconds of video left, from the bit rate of the videos opened so far."""
        known_bytes = max(self._done_bytes + progress.size_bytes, 1)
        later_seconds = (
            progress.bytes_after * (self._done_seconds + progress.duration) / known_bytes
        )
        return max(progress.duration - progress.processed_seconds, 0.0) + later_seconds
