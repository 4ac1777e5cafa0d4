"""Remaining-time estimate for indexing, from the speed so far."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.progress import Progress
    from vsearch.types import Video

MIN_ELAPSED_SECONDS = 1.0  # before the first estimate


class EtaEstimator:
    """Estimator for one run over files; assumes unopened files have the average bit rate."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()
        self._finished_seconds = 0.0  # of processed video
        self._finished_bytes = 0  # of processed video
        self._seconds_in_progress: dict[Path, float] = {}  # processed, per open file
        self._pass_number = 1

    def estimate_seconds(self, progress: Progress) -> float | None:
        """Update the estimate with the progress of one file.

        Args:
            progress: The latest progress report.

        Returns:
            Remaining seconds, or None while there is too little data.
        """
        if progress.pass_number != self._pass_number:  # passes differ in speed
            self._started_at, self._finished_seconds, self._finished_bytes = (
                time.monotonic(),
                0.0,
                0,
            )
            self._pass_number = progress.pass_number
        self._seconds_in_progress[progress.path] = progress.processed_seconds
        elapsed_seconds = time.monotonic() - self._started_at
        done_seconds = self._finished_seconds + sum(self._seconds_in_progress.values())
        if elapsed_seconds < MIN_ELAPSED_SECONDS or done_seconds <= 0:
            return None
        remaining_seconds = self._estimate_pending(progress) * elapsed_seconds / done_seconds
        if progress.pass_number < progress.pass_count:
            remaining_seconds += (elapsed_seconds + remaining_seconds) * (
                1 / progress.to_stage_share(1.0) - 1
            )
        return remaining_seconds

    def finish_file(self, video_path: Path, video: Video | None) -> None:
        """Record a finished file; `video` is None if it was not processed."""
        self._seconds_in_progress.pop(video_path, None)
        if video is not None:
            self._finished_seconds += video.duration
            self._finished_bytes += video.size_bytes

    def _estimate_pending(self, progress: Progress) -> float:
        """Return the estimated seconds of video not yet processed."""
        seen_bytes = max(self._finished_bytes + progress.size_bytes, 1)
        unopened_seconds = (
            progress.bytes_after * (self._finished_seconds + progress.duration) / seen_bytes
        )
        return max(progress.duration - progress.processed_seconds, 0.0) + unopened_seconds
