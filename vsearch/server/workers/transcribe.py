"""Worker process that reads speech or on-screen text: `-m vsearch.server.workers.transcribe`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vsearch.library import Library
from vsearch.progress import create_stage_reporters
from vsearch.server.jobs.worker_task import run_task
from vsearch.server.workers.index import EventReporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.server.jobs.worker_task import EmitEvent


def transcribe_videos(task_request: Mapping[str, Any], emit_event: EmitEvent) -> None:
    """Transcribe the speech, or recognize the on-screen text, of videos.

    Args:
        task_request: `library_path`, `settings` (keyword arguments of `Library.open`), `source`
            and `video_ids`; videos that were removed since are skipped.
        emit_event: Receives `file` and `progress` events.

    Raises:
        VSearchError: If the library cannot be opened or a model cannot be loaded.
    """
    source, reporter = task_request["source"], EventReporter(emit_event)
    on_progress = create_stage_reporters(reporter.report_progress, [source])[source]
    with Library.open(
        task_request["library_path"], create=False, **task_request["settings"]
    ) as library:
        videos = library.videos_by_id(task_request["video_ids"])
        if not videos:
            return
        read_videos = library.transcripts.ocr if source == "ocr" else library.transcripts.transcribe
        for transcript_result in read_videos(videos, on_progress=on_progress):
            reporter.report_result(transcript_result.to_index_result())


if __name__ == "__main__":
    run_task(transcribe_videos)
