"""Index, transcription and export jobs of a server, run in worker processes.

Jobs that change the library share a queue; an export does not wait for hours of indexing.
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime
from importlib import util
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vsearch import config
from vsearch.export.excerpts import to_one_line
from vsearch.server.export_store import ExportStore
from vsearch.server.jobs.model import Job
from vsearch.server.jobs.queue import JobQueue, WorkerTask
from vsearch.server.jobs.registry import JobRegistry
from vsearch.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.library import Library
    from vsearch.server.folders import AllowedFolders
    from vsearch.server.jobs.model import JobKind
    from vsearch.server.jobs.registry import JobUpdates
    from vsearch.types import Span, Video

__all__ = ["Job", "JobService"]
ReadSource: TypeAlias = Literal["speech", "ocr"]
MAX_PENDING_JOBS = 20  # waiting jobs per kind
MAX_FILM_SECONDS = 4 * 3600.0  # of video in one export
FILM_KINDS = ("clips", "supercut")
# server settings passed to workers as keyword arguments of `Library.open`
FORWARDED_SETTINGS = (
    "model", "text_model", "device", "fps", "pooler", "index", "keep_frames", "workers", "hwaccel",
    "photos",
)  # fmt: skip
SOURCE_NAMES: dict[ReadSource, str] = {"speech": "speech recognition", "ocr": "text recognition"}
_SOURCE_PACKAGES: dict[ReadSource, str] = {"speech": "faster_whisper", "ocr": "rapidocr"}


def can_read(source: ReadSource) -> bool:
    """Return True if the package that reads speech or on-screen text is installed."""
    return util.find_spec(_SOURCE_PACKAGES[source]) is not None


class JobService:
    """Submits, tracks and cancels the jobs of one library. Thread-safe."""

    def __init__(
        self, library: Library, allowed_folders: AllowedFolders, exports_folder: Path | None = None
    ) -> None:
        """Start one queue per kind of job.

        Args:
            library: The served library; workers open it by path.
            allowed_folders: Folders that may be indexed.
            exports_folder: Parent of the private folder for exported files, see `ExportStore`.
        """
        self._library, self._allowed_folders = library, allowed_folders
        self._export_store, self._registry = ExportStore(exports_folder), JobRegistry()
        self._lock, self._is_closed = threading.Lock(), False
        writing_queue = JobQueue(self._registry, "index")
        self._queues: dict[JobKind, JobQueue] = {
            "index": writing_queue,
            "transcribe": writing_queue,
            "export": JobQueue(self._registry, "export", self._export_store),
        }
        self._tasks_by_id: dict[str, WorkerTask] = {}  # of the jobs that can be retried

    # --- submitting

    @property
    def can_index(self) -> bool:
        """Return True if there are folders that may be indexed."""
        return bool(self._allowed_folders)

    def submit_index(
        self,
        folder_ids: Sequence[str],
        *,
        keyframes_only: bool | None = None,
        progressive: bool = False,
        transcribe: bool | None = None,
        ocr: bool | None = None,
        audio_track: str | None = None,
        excludes: Sequence[str] = (),
    ) -> Job:
        """Submit a job that indexes the videos below folders.

        Args:
            folder_ids: Ids from `AllowedFolders`.
            keyframes_only: Sample only key frames; None means the library's setting.
            progressive: Index key frames first, then refine.
            transcribe: Transcribe speech; None means the library's setting.
            ocr: Recognize text on the screen; None means the library's setting.
            audio_track: Audio track to transcribe; None means the library's setting.
            excludes: Patterns of files and folders to leave out, besides the defaults.

        Returns:
            The waiting job.

        Raises:
            Problem: If indexing is not allowed, a folder is unknown or too many jobs wait.
        """
        if not self.can_index:
            reason = (
                "this server has no folders to index; its administrator names them when it starts"
            )
            raise Problem(403, "forbidden", reason)
        folder_paths = [
            self._allowed_folders.resolve_path(folder_id) for folder_id in dict.fromkeys(folder_ids)
        ]
        overrides = {
            "keyframes_only": keyframes_only,
            "transcribe": transcribe,
            "ocr": ocr,
            "audio_track": audio_track,
        }
        settings = diff_settings(self._library)
        settings |= {
            setting_name: setting_value
            for setting_name, setting_value in overrides.items()
            if setting_value is not None
        }
        task_request = {
            "library_path": self._library.location.absolute_name,
            "settings": settings,
            "root_paths": [str(root_path) for root_path in self._allowed_folders.resolved_roots],
            "folder_paths": [str(folder_path) for folder_path in folder_paths],
            "progressive": progressive,
            "excludes": list(excludes),
        }
        folder_names = [
            to_one_line(folder_path.name or str(folder_path)) for folder_path in folder_paths[:3]
        ]
        title_suffix = f" and {len(folder_paths) - 3} more" if len(folder_paths) > 3 else ""
        return self._submit_job(
            "index",
            ", ".join(folder_names) + title_suffix,
            "vsearch.server.workers.index",
            task_request,
        )

    def submit_transcription(self, source: ReadSource, videos: Sequence[Video]) -> Job:
        """Submit a job that transcribes the speech, or reads the on-screen text, of videos.

        Args:
            source: "speech" or "ocr".
            videos: Videos of the library; those that have such a transcript are skipped.

        Returns:
            The waiting job.

        Raises:
            Problem: If the extra is not installed, no video is given or too many jobs wait.
        """
        if not can_read(source):
            raise Problem(403, "forbidden", f"{SOURCE_NAMES[source]} is not installed here")
        if not videos:
            raise Problem(409, "nothing", "no video lacks such a transcript")
        task_request = {
            "library_path": self._library.location.absolute_name,
            "settings": diff_settings(self._library),
            "source": source,
            "video_ids": [video.id for video in videos],
        }
        video_names = [to_one_line(video.path.name) for video in videos]
        title = video_names[0] if len(videos) == 1 else f"{len(videos):,} videos"
        return self._submit_job(
            "transcribe", title, "vsearch.server.workers.transcribe", task_request
        )

    def retry_failures(self, job_id: str, failure_ids: Sequence[int] | None = None) -> Job:
        """Submit a job that processes the failed files of another job again.

        Args:
            job_id: A finished or running job that indexes or transcribes.
            failure_ids: Indexes into `Job.errors`; None retries all that were not retried yet.

        Returns:
            The waiting job.

        Raises:
            Problem: 404 if the job or an error is unknown, 409 if there is nothing to retry.
        """
        job, task = self.get_job(job_id), self._tasks_by_id.get(job_id)
        if task is None:
            raise Problem(409, "nothing", "this job cannot be retried; start it again")
        if failure_ids is None:
            failure_ids = [
                index for index, failure in enumerate(job.errors) if not failure.is_retried
            ]
        elif any(failure_id >= len(job.errors) for failure_id in failure_ids):
            raise Problem(404, "not-found", "the job has no such error")
        file_paths = [job.errors[index].file_path for index in dict.fromkeys(failure_ids)]
        if not any(file_paths):
            raise Problem(409, "nothing", "no file of this job failed and was not retried")
        task_request = {**task.task_request, "folder_paths": file_paths}
        if job.kind == "transcribe":
            video_ids = self._find_video_ids(task.task_request["video_ids"], file_paths)
            task_request = {**task.task_request, "video_ids": video_ids}
        elif job.errors_truncated and len(failure_ids) == len(job.errors):
            task_request = dict(task.task_request)  # finds also the files whose errors are lost
        names = [job.errors[index].name for index in failure_ids]
        title = names[0] if len(names) == 1 else f"{len(names):,} failed files"
        retry_job = self._submit_job(job.kind, title, task.module_name, task_request)
        self._registry.update_job(job_id, lambda known: known.mark_retried(set(failure_ids)))
        return retry_job

    def _find_video_ids(self, video_ids: Sequence[int], file_paths: Sequence[str]) -> list[int]:
        """Return the ids of the videos with these paths."""
        wanted_paths = set(file_paths)
        return [
            video.id
            for video in self._library.videos_by_id(video_ids)
            if str(video.path) in wanted_paths
        ]

    def submit_export(
        self,
        export_kind: str,
        moments: Sequence[tuple[Video, Span]],
        *,
        pad: float = 0.0,
        title: str = "",
        rate_name: str | None = None,
    ) -> Job:
        """Submit a job that exports moments.

        Args:
            export_kind: "clips", "supercut" or a timeline or list format, see
                `vsearch.export.exporter`.
            moments: Videos and spans to export, in order.
            pad: Seconds added before and after each span.
            title: Title and base name of the files.
            rate_name: Rate of timelines, see `vsearch.export.timeline.RATE_NAMES`; None chooses it.

        Returns:
            The waiting job.

        Raises:
            Problem: If the export is too long or too many jobs wait.
        """
        total_seconds = sum(span.duration + 2 * pad for _, span in moments)
        if export_kind in FILM_KINDS and total_seconds > MAX_FILM_SECONDS:
            max_hours = MAX_FILM_SECONDS / 3600
            raise Problem(
                422,
                "too-large",
                f"an export is limited to {max_hours:.0f} hours; choose fewer moments",
            )
        title = to_one_line(title.strip())
        moment_specs = [
            {
                "path": str(video.path),
                "start": span.start,
                "end": span.end,
                "duration": video.duration,
            }
            for video, span in moments
        ]
        task_request = {
            "kind": export_kind,
            "title": title,
            "pad": pad,
            "rate": rate_name,
            "moments": moment_specs,
        }
        return self._submit_job(
            "export", title or export_kind, "vsearch.server.workers.export", task_request
        )

    def _submit_job(
        self, job_kind: JobKind, title: str, module_name: str, task_request: dict[str, Any]
    ) -> Job:
        with self._lock:
            if self._is_closed:
                raise Problem(503, "closing", "the server is shutting down")
            if self._registry.count_pending(job_kind) >= MAX_PENDING_JOBS:
                busy_text = f"{MAX_PENDING_JOBS} jobs are already waiting; cancel some or wait"
                raise Problem(429, "busy", busy_text, headers={"Retry-After": "30"})
            job = Job(secrets.token_hex(8), job_kind, title, datetime.now(UTC))
            for evicted_id in self._registry.add_job(job):
                self._export_store.delete_export(evicted_id)
                self._tasks_by_id.pop(evicted_id, None)
            task = WorkerTask(
                job.id, module_name, task_request, self._library.location.child_environment()
            )
            if job_kind != "export":
                self._tasks_by_id[job.id] = task
            self._queues[job_kind].submit_task(task)
        return job

    # --- reading

    def get_job(self, job_id: str) -> Job:
        """Return the current state of a job.

        Raises:
            Problem: 404 if the job is unknown.
        """
        return self._registry.get_job(job_id)

    def list_jobs(self) -> list[Job]:
        """Return all jobs, newest first."""
        return self._registry.list_jobs()

    @property
    def unfinished_count(self) -> int:
        """Number of jobs waiting or running."""
        return sum(not job.is_finished for job in self.list_jobs())

    def subscribe(self, job_id: str | None = None, client_address: str = "") -> JobUpdates:
        """Subscribe to changes, see `JobRegistry.subscribe`."""
        return self._registry.subscribe(job_id, client_address)

    def require_file(self, job_id: str, file_name: str) -> Path:
        """Return the path of an exported file; `file_name` must match one of the job's files.

        Raises:
            Problem: 404 if there is no such job or file.
        """
        job = self.get_job(job_id)
        known_name = next(
            (job_file.name for job_file in job.files if job_file.name == file_name), None
        )
        file_path = None if known_name is None else self._export_store.find_file(job.id, known_name)
        if file_path is None:
            raise Problem(404, "not-found", "there is no such file; export the moments again")
        return file_path

    # --- stopping

    def cancel_job(self, job_id: str) -> Job:
        """Cancel a job unless it has finished; videos already indexed are kept.

        Raises:
            Problem: 404 if the job is unknown.
        """
        if (
            not self._registry.cancel_pending(job_id)
            and not (job := self.get_job(job_id)).is_finished
        ):
            self._queues[job.kind].cancel_job(job_id)
        return self.get_job(job_id)

    def close_subscriptions(self) -> None:
        """End all subscriptions, which would otherwise delay the shutdown."""
        self._registry.close_subscriptions()

    def close(self) -> None:
        """Cancel all jobs and delete all exported files."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        self.close_subscriptions()
        for job in self.list_jobs():
            self.cancel_job(job.id)
        for job_queue in set(self._queues.values()):
            job_queue.close()
        self._export_store.close()


def diff_settings(library: Library) -> dict[str, Any]:
    """Return the settings of an open library that a worker would not load by itself."""
    worker_settings, current_settings = (
        config.load(library.location.settings_source, {}),
        library.settings,
    )
    return {
        setting_name: getattr(current_settings, setting_name)
        for setting_name in FORWARDED_SETTINGS
        if getattr(current_settings, setting_name) != getattr(worker_settings, setting_name)
    }
