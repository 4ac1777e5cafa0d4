"""Worker process for index jobs: `python -m vsearch.server.workers.index`.

A separate process keeps a crashing decoder or its memory use away from the server.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.library import Library
from vsearch.server.jobs.eta import EtaEstimator
from vsearch.server.jobs.worker_task import run_task, truncate_text
from vsearch.storage.path_roots import is_within_roots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.progress import IndexResult, Progress
    from vsearch.server.jobs.worker_task import EmitEvent

REPORT_INTERVAL_SECONDS = 0.1  # minimum between progress events
PROCESSED_OUTCOMES = ("indexed", "updated", "refined", "embedded", "transcribed")


@dataclass(slots=True)
class EventReporter:
    """Emits the progress of a job and the outcome of each file."""

    emit_event: EmitEvent
    _stage: str = "index"
    _eta_estimator: EtaEstimator = field(default_factory=EtaEstimator)  # of the stage
    _reported_at: float = 0.0  # monotonic time of the last progress event
    _is_processing: bool = False  # the model of the stage is loaded
    _file_count: int = 0  # of the stage

    def report_discovered(self, file_count: int) -> None:
        """Emit the number of files found so far, at most once per `REPORT_INTERVAL_SECONDS`."""
        if time.monotonic() - self._reported_at >= REPORT_INTERVAL_SECONDS:
            self._reported_at = time.monotonic()
            self.emit_event({"event": "discovered", "file_count": file_count})

    def report_progress(self, progress: Progress) -> None:
        """Emit a progress event, at most one per `REPORT_INTERVAL_SECONDS`."""
        self._enter_stage(progress.stage)
        eta_seconds = self._eta_estimator.estimate_seconds(progress)
        was_processing = self._is_processing
        self._is_processing |= progress.processed_seconds > 0
        is_new_phase = was_processing != self._is_processing or self._file_count == 0
        self._file_count = progress.file_count
        if not is_new_phase and time.monotonic() - self._reported_at < REPORT_INTERVAL_SECONDS:
            return
        self._reported_at = time.monotonic()
        self.emit_event(
            {
                "event": "progress",
                "progress": progress.completed_share,
                # later stages cannot be estimated
                "eta_seconds": eta_seconds if progress.is_last_stage else None,
                "current_file": truncate_text(progress.path.name),
                "is_processing": self._is_processing,
                "stage": progress.stage,
                "file_number": progress.file_index + 1,
                "file_count": progress.file_count,
            }
        )

    def report_result(self, index_result: IndexResult) -> None:
        """Emit the outcome of a file, or of the transcription of its video."""
        transcript, outcome = index_result.transcript, str(index_result.outcome)
        if transcript is not None:
            self._enter_stage(transcript.source)
            outcome = f"{transcript.source} {transcript.outcome}"
        is_processed = index_result.outcome in PROCESSED_OUTCOMES
        self._eta_estimator.finish_file(
            index_result.path, index_result.video if is_processed else None
        )
        self.emit_event(
            {
                "event": "file",
                "outcome": outcome,
                "path": truncate_text(index_result.path),
                "name": truncate_text(index_result.path.name),
                "error": index_result.error and truncate_text(index_result.error),
                "file_path": str(index_result.path),
            }
        )

    def _enter_stage(self, stage: str) -> None:
        """Estimate the remaining time of a new stage from its own speed only."""
        if stage != self._stage:
            self._stage, self._eta_estimator, self._reported_at = stage, EtaEstimator(), 0.0
            self._is_processing, self._file_count = False, 0


def index_folders(task_request: Mapping[str, Any], emit_event: EmitEvent) -> None:
    """Index folders, then transcribe speech and run OCR if the settings say so.

    Args:
        task_request: `library_path`, `settings` (keyword arguments of `Library.open`),
            `root_paths`, `folder_paths`, `progressive` and `excludes`.
        emit_event: Receives `discovered`, `file` and `progress` events.

    Raises:
        VSearchError: If the library cannot be opened or a required extra is missing.
    """
    roots = [Path(root_path) for root_path in task_request["root_paths"]]
    folder_paths = [Path(folder_path) for folder_path in task_request["folder_paths"]]
    reporter = EventReporter(emit_event)
    with (
        Library.open(
            task_request["library_path"], create=False, **task_request["settings"]
        ) as library,
        closing(
            library.index(
                [path for path in folder_paths if is_within_roots(path, roots)],
                progressive=task_request["progressive"],
                on_progress=reporter.report_progress,
                roots=roots,
                excludes=task_request.get("excludes", ()),
                on_discovered=reporter.report_discovered,
            )
        ) as index_results,
    ):
        for index_result in index_results:
            reporter.report_result(index_result)


if __name__ == "__main__":
    run_task(index_folders)
