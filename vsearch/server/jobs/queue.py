"""Queue of jobs of one kind, run one at a time, each in a worker process."""

from __future__ import annotations

import logging
import math
import queue
import threading
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from vsearch.server.jobs.model import FAILED_OUTCOME, FileFailure
from vsearch.server.jobs.process import WorkerProcess, describe_exit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.server.export_store import ExportStore
    from vsearch.server.jobs.model import Job, JobFile, JobState
    from vsearch.server.jobs.registry import JobRegistry

log = logging.getLogger(__name__)
CLOSE_TIMEOUT_SECONDS = 10.0  # for the running job when closing


@dataclass(frozen=True, slots=True)
class WorkerTask:
    """A job together with the module and request of its worker."""

    job_id: str
    module_name: str
    task_request: Mapping[str, Any]
    # of the worker, in addition to those of this process; may have a password
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """Final state of a worker, and the names of the files it has written."""

    state: JobState
    error: str | None = None
    file_names: tuple[str, ...] = ()


class JobQueue:
    """Runs tasks in its own thread and updates the registry. Thread-safe."""

    def __init__(
        self, registry: JobRegistry, queue_name: str, export_store: ExportStore | None = None
    ) -> None:
        """Start the thread.

        Args:
            registry: Receives the progress of the jobs.
            queue_name: Name of the thread.
            export_store: If given, each job gets an output folder in it.
        """
        self._registry, self._export_store = registry, export_store
        self._tasks: queue.SimpleQueue[WorkerTask | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._running_worker: tuple[str, WorkerProcess] | None = None  # job id and worker
        self._cancelled_ids: set[str] = set()
        self._queue_thread = threading.Thread(
            target=self._run_loop, name=f"jobs: {queue_name}", daemon=True
        )
        self._queue_thread.start()

    def submit_task(self, task: WorkerTask) -> None:
        """Append a task to the queue."""
        self._tasks.put(task)

    def cancel_job(self, job_id: str) -> None:
        """Terminate the job if it is running or about to start."""
        with self._lock:
            self._cancelled_ids.add(job_id)
            if self._running_worker is not None and self._running_worker[0] == job_id:
                self._running_worker[1].terminate()

    def close(self) -> None:
        """Stop the thread. Cancel the running job first, or it is killed after a timeout."""
        self._tasks.put(None)
        self._queue_thread.join(CLOSE_TIMEOUT_SECONDS)
        with self._lock:
            if self._running_worker is not None:
                self._running_worker[1].kill()

    def _run_loop(self) -> None:
        while (task := self._tasks.get()) is not None:
            if not self._registry.start_pending(task.job_id):
                continue
            try:
                self._finish_job(task.job_id, self._run_task(task))
            except Exception as error:
                log.exception("job %s", task.job_id)
                error_text = f"unexpected {type(error).__name__}: {error}; please report this"
                self._registry.update_job(
                    task.job_id, partial(_apply_outcome, outcome=JobOutcome("failed", error_text))
                )
            with self._lock:
                self._cancelled_ids.discard(task.job_id)

    def _run_task(self, task: WorkerTask) -> JobOutcome:
        task_request = dict(task.task_request)
        try:
            if self._export_store is not None:
                task_request["output_folder"] = str(self._export_store.create_folder(task.job_id))
            worker = WorkerProcess(task.module_name, task_request, task.environment)
        except OSError as error:
            return JobOutcome("failed", f"cannot start: {error.strerror or error}")
        with self._lock:
            self._running_worker = (task.job_id, worker)
            if task.job_id in self._cancelled_ids:
                worker.terminate()
        try:
            outcome = self._follow_worker(task.job_id, worker)
        finally:
            with self._lock:
                self._running_worker = None
                was_cancelled = task.job_id in self._cancelled_ids
        return JobOutcome("stopped") if was_cancelled and outcome.state != "done" else outcome

    def _follow_worker(self, job_id: str, worker: WorkerProcess) -> JobOutcome:
        """Apply the events of a worker until it exits, and return the outcome."""
        outcome: JobOutcome | None = None
        file_names: list[str] = []
        for event in worker.iter_events():
            try:
                event_name = event["event"]
                if event_name == "done":
                    outcome = JobOutcome("done", None, tuple(file_names))
                elif event_name == "failed":
                    outcome = JobOutcome("failed", str(event["error"]))
                elif event_name == "written":
                    file_names.append(str(event["name"]))
                else:
                    self._registry.update_job(job_id, partial(apply_event, event=event))
            except (KeyError, TypeError, ValueError) as error:
                log.warning("job %s: invalid worker event (%r): %s", job_id, error, event)
        exit_code = worker.wait_for_exit()
        return outcome or JobOutcome(
            "failed", _describe_crash(self._registry.get_job(job_id), exit_code)
        )

    def _finish_job(self, job_id: str, outcome: JobOutcome) -> None:
        job_files: tuple[JobFile, ...] = ()
        if self._export_store is not None and outcome.state != "done":
            self._export_store.delete_export(job_id)
        elif self._export_store is not None:
            job_files, evicted_ids = self._export_store.commit_files(job_id, outcome.file_names)
            for evicted_id in evicted_ids:
                self._registry.update_job(evicted_id, lambda job: replace(job, files=()))
        self._registry.update_job(
            job_id, lambda job: replace(_apply_outcome(job, outcome), files=job_files)
        )


def apply_event(job: Job, event: Mapping[str, Any]) -> Job:
    """Return a job updated with one worker event.

    Args:
        job: The current state.
        event: A `discovered`, `progress`, `file` or `failure` event.

    Returns:
        The updated job.

    Raises:
        KeyError: If the event lacks a field.
        TypeError: If a field has a wrong type.
        ValueError: If the event or a number is invalid.
    """
    event_name = event["event"]
    if event_name == "discovered":
        return replace(job, file_count=int(event["file_count"]))
    if event_name == "progress":
        progress, eta_seconds = float(event["progress"]), event["eta_seconds"]
        eta_seconds = None if eta_seconds is None else float(eta_seconds)
        if not math.isfinite(progress) or not math.isfinite(eta_seconds or 0.0):
            raise ValueError("progress and eta_seconds must be finite")
        current_file = event["current_file"]
        job = job.update_progress(
            progress, eta_seconds, None if current_file is None else str(current_file)
        )
        return _update_position(job, event) if "file_number" in event else job
    if event_name not in ("file", "failure"):
        raise ValueError(f"unknown worker event {event_name!r}")
    job = job.count_outcome(str(event["outcome"]) if event_name == "file" else FAILED_OUTCOME)
    if event["error"] is not None:
        job = job.add_failure(
            FileFailure(
                str(event["path"]),
                str(event["name"]),
                str(event["error"]),
                str(event.get("file_path", "")),
            )
        )
    return job


def _update_position(job: Job, event: Mapping[str, Any]) -> Job:
    """Return a job at the file of a `progress` event of a worker that reads videos."""
    return replace(
        job,
        phase="processing" if event["is_processing"] else "loading",
        stage=str(event["stage"]),
        file_number=int(event["file_number"]),
        file_count=int(event["file_count"]),
    )


def _apply_outcome(job: Job, outcome: JobOutcome) -> Job:
    return job.finish(outcome.state, outcome.error)


def _describe_crash(job: Job, exit_code: int) -> str:
    """Describe why a job failed whose worker reported no error."""
    file_hint = f" while processing {job.current_file}" if job.current_file else ""
    resume_hint = (
        "; finished videos are kept, start it again to continue" if job.kind == "index" else ""
    )
    return f"the worker process {describe_exit(exit_code)}{file_hint}{resume_hint}"
