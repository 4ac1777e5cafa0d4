"""Workers of an indexing run on a Ray cluster: a task per video."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vsearch.cluster.task_pool import TaskPool, TaskProgress
from vsearch.indexing.node_jobs import IndexJob, expand_features
from vsearch.indexing.pipeline import PreparedVideo
from vsearch.indexing.video_workers import WorkerProgress, WorkerResult, resolve_worker_count
from vsearch.media.file_identity import identify_content

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from vsearch.cluster.node_task import NodeJob
    from vsearch.cluster.options import ClusterOptions
    from vsearch.indexing.file_runs import ProgressTracker
    from vsearch.indexing.node_jobs import NodeWork
    from vsearch.indexing.pipeline import PendingVideo, Pipeline
    from vsearch.indexing.store import IndexOptions


@dataclass(frozen=True, slots=True)
class ClusterTask:
    """A task on a cluster: the argument of the job's function, and the file it is about."""

    video_path: Path
    argument: Any


class RayWorkers:
    """Tasks of a cluster that prepare videos. `VideoWorkers`."""

    def __init__(
        self,
        node_work: NodeWork,
        pipeline: Pipeline,
        options: IndexOptions,
        worker_count: int,
        exit_stack: ExitStack,
    ) -> None:
        """Connect to the cluster; `exit_stack` cancels the tasks when it is closed.

        Args:
            node_work: The cluster and the encoder of its nodes.
            pipeline: The pipeline of this process, of the same models.
            options: Options of the run.
            worker_count: Tasks at a time, if Ray is started on this machine.
            exit_stack: Closed at the end of the run.

        Raises:
            ClusterError: The cluster cannot be used.
            MissingExtraError: Ray is not installed.
        """
        self.pipeline = pipeline
        self._pending_videos: dict[int, PendingVideo] = {}
        job = IndexJob(
            node_work.encoder_for(pipeline.encoder.space),
            pipeline.pooler,
            pipeline.detector_class,
            pipeline.fps,
            pipeline.model_name,
            pipeline.hwaccel_device,
            options.keyframes_only,
        )
        self._task_pool = exit_stack.enter_context(
            TaskPool(node_work.options, job, local_tasks=worker_count)
        )

    def is_full(self, pending_count: int) -> bool:  # noqa: ARG002 - of the protocol
        """Return whether enough tasks are submitted."""
        return self._task_pool.is_full

    def submit(self, file_index: int, pending_video: PendingVideo) -> None:
        """Submit a file."""
        self._pending_videos[file_index] = pending_video
        self._task_pool.submit(file_index, str(pending_video.video_path), pending_video)

    def next_event(self) -> WorkerProgress | WorkerResult:
        """Wait for the next progress or result of a file."""
        event = self._task_pool.next_event()
        if isinstance(event, TaskProgress):
            return WorkerProgress(event.key, event.processed_seconds, event.duration)
        pending_video = self._pending_videos.pop(event.key)
        outcome: PreparedVideo | Exception
        if event.error is not None:
            outcome = event.error
        else:
            try:
                outcome = _adopt_result(pending_video, event.value)
            except Exception as error:  # the file was deleted meanwhile
                outcome = error
        return WorkerResult(event.key, pending_video.video_path, outcome, event.elapsed_seconds)


def _adopt_result(pending_video: PendingVideo, node_result: PreparedVideo) -> PreparedVideo:
    """Return what a node prepared, with the state of the file on this machine."""
    content_digest = node_result.pending_video.file_identity.content_digest
    earlier_state = pending_video.file_identity
    if content_digest is None:  # changed while it was read
        file_identity = replace(earlier_state, ctime_ns=0, content_digest=None)
    else:
        file_identity = identify_content(
            pending_video.video_path,
            replace(earlier_state, content_digest=content_digest),
            settled=pending_video.is_settled,
        )
    processed_video = node_result.processed_video
    return PreparedVideo(
        replace(pending_video, file_identity=file_identity),
        replace(processed_video, features=expand_features(processed_video.features)),
    )


def run_on_cluster(
    options: ClusterOptions,
    job: NodeJob,
    tasks: Mapping[int, ClusterTask],
    progress_tracker: ProgressTracker,
) -> Generator[tuple[int, Any]]:
    """Run tasks of one job on a cluster.

    Args:
        options: The cluster.
        job: The job.
        tasks: The tasks by the index of their file.
        progress_tracker: Of the files.

    Yields:
        The index of a file with its value or its error, in order of completion.

    Raises:
        ClusterError: The cluster cannot be used, or is lost.
        MissingExtraError: Ray is not installed.
    """
    waiting_keys, running_keys = deque(tasks), set[int]()
    with TaskPool(options, job, local_tasks=resolve_worker_count(0)) as task_pool:
        while waiting_keys or running_keys:
            while waiting_keys and not task_pool.is_full:
                task_key = waiting_keys.popleft()
                task = tasks[task_key]
                task_pool.submit(task_key, str(task.video_path), task.argument)
                running_keys.add(task_key)
            event = task_pool.next_event()
            if isinstance(event, TaskProgress):
                report_progress = progress_tracker.create_reporter(
                    tasks[event.key].video_path, event.key
                )
                report_progress(event.processed_seconds, event.duration)
                continue
            running_keys.remove(event.key)
            yield event.key, event.value if event.error is None else event.error
