"""Worker process for index jobs: `python -m vsearch.server.workers.index`.

A separate process keeps a crashing decoder or its memory use away from the server.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vsearch.errors import MissingExtraError
from vsearch.library import Library
from vsearch.server.folders import iter_video_paths
from vsearch.server.jobs.eta import EtaEstimator
from vsearch.server.jobs.worker_task import run_task, truncate_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsearch.indexing.transcribe import TranscriptResult
    from vsearch.progress import Progress
    from vsearch.server.jobs.worker_task import EmitEvent
    from vsearch.types import Video

REPORT_INTERVAL_SECONDS = 0.1  # minimum between progress events
DECODED_OUTCOMES = ("indexed", "updated", "refined", "embedded")  # of files that were processed


@dataclass(slots=True)
class ProgressReporter:
    """Emits the progress of one run over files; a job consists of several runs."""

    emit_event: EmitEvent
    run_index: int = 0
    run_count: int = 1
    eta_estimator: EtaEstimator = field(default_factory=EtaEstimator)
    _reported_at: float = 0.0  # monotonic time of the last event

    def report_progress(self, progress: Progress) -> None:
        """Emit a progress event, at most one per `REPORT_INTERVAL_SECONDS`."""
        eta_seconds = self.eta_estimator.estimate_seconds(progress)
        if time.monotonic() - self._reported_at < REPORT_INTERVAL_SECONDS:
            return
        self._reported_at = time.monotonic()
        is_last_run = self.run_index == self.run_count - 1  # later runs cannot be estimated
        self.emit_event(
            {
                "event": "progress",
                "progress": (self.run_index + progress.completed_share) / self.run_count,
                "eta_seconds": eta_seconds if is_last_run else None,
                "current_file": truncate_text(progress.path.name),
            }
        )


def index_folders(task_request: Mapping[str, Any], emit_event: EmitEvent) -> None:
    """Index folders, then transcribe speech and run OCR if the settings say so.

    Args:
        task_request: `library_path`, `settings` (keyword arguments of `Library.open`),
            `root_paths`, `folder_paths` and `progressive`.
        emit_event: Receives `file` and `progress` events.

    Raises:
        VSearchError: If the library cannot be opened or a required extra is missing.
    """
    roots = [Path(root_path) for root_path in task_request["root_paths"]]
    with Library.open(
        Path(task_request["library_path"]), create=False, **task_request["settings"]
    ) as library:
        _check_extras(library)
        settings = library.settings
        run_count = 1 + settings.transcribe + settings.ocr
        reporter = ProgressReporter(emit_event, 0, run_count)
        folder_paths = [Path(folder_path) for folder_path in task_request["folder_paths"]]
        candidate_paths = list(iter_video_paths(folder_paths, roots))
        indexed_videos = _run_indexing(
            library, candidate_paths, reporter, progressive=task_request["progressive"]
        )
        video_paths = [video.path for video in indexed_videos]
        if video_paths and settings.transcribe:
            reporter = ProgressReporter(emit_event, 1, run_count)
            _report_transcription(
                "speech",
                library.transcribe(video_paths, on_progress=reporter.report_progress),
                reporter,
            )
        if video_paths and settings.ocr:
            reporter = ProgressReporter(emit_event, run_count - 1, run_count)
            _report_transcription(
                "ocr", library.ocr(video_paths, on_progress=reporter.report_progress), reporter
            )


def _run_indexing(
    library: Library, candidate_paths: list[Path], reporter: ProgressReporter, *, progressive: bool
) -> list[Video]:
    """Index files, emit the outcome of each, and return the indexed videos."""
    videos_by_id: dict[int, Video] = {}
    index_results = library.index(
        candidate_paths, progressive=progressive, on_progress=reporter.report_progress
    )
    with closing(index_results) as open_results:
        for index_result in open_results:
            decoded_video = index_result.video if index_result.outcome in DECODED_OUTCOMES else None
            reporter.eta_estimator.finish_file(index_result.path, decoded_video)
            reporter.emit_event(
                {
                    "event": "file",
                    "outcome": str(index_result.outcome),
                    **_describe_file(index_result.path, index_result.error),
                }
            )
            if index_result.video is not None:
                videos_by_id[index_result.video.id] = index_result.video
    return list(videos_by_id.values())


def _report_transcription(
    cue_source: str, transcript_results: Iterator[TranscriptResult], reporter: ProgressReporter
) -> None:
    for transcript_result in transcript_results:
        reporter.eta_estimator.finish_file(
            transcript_result.video.path,
            None if transcript_result.outcome == "known" else transcript_result.video,
        )
        outcome = f"{cue_source} {transcript_result.outcome}"
        reporter.emit_event(
            {
                "event": "file",
                "outcome": outcome,
                **_describe_file(transcript_result.video.path, transcript_result.error),
            }
        )


def _describe_file(file_path: Path, error_text: str | None) -> dict[str, str | None]:
    return {
        "path": truncate_text(file_path),
        "name": truncate_text(file_path.name),
        "error": error_text and truncate_text(error_text),
    }


def _check_extras(library: Library) -> None:
    """Raise MissingExtraError before indexing starts."""
    settings = library.settings
    for is_wanted, package_name, extra_name in (
        (settings.transcribe, "faster_whisper", "speech"),
        (settings.ocr, "rapidocr", "ocr"),
    ):
        if is_wanted and util.find_spec(package_name) is None:
            raise MissingExtraError(
                f"{package_name} is required for transcripts but not installed: "
                f"pip install 'vsearch[{extra_name}]'"
            )


if __name__ == "__main__":
    run_task(index_folders)
