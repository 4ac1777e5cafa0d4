"""Workers that prepare the videos of an indexing run: the protocol, and threads of this process."""

from __future__ import annotations

import os
import queue
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from vsearch.encoders.batching import BatchingEncoder
from vsearch.indexing.pipeline import (
    CancellationToken,
    Cancelled,
    PreparedVideo,
    prepare_video,
)

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from vsearch.indexing.library_storage import Storage
    from vsearch.indexing.pipeline import PendingVideo, Pipeline
    from vsearch.indexing.store import IndexOptions

_MAX_PENDING_EVENTS = 100  # queued progress events; further ones are dropped
MAX_DEFAULT_WORKERS = 8


def resolve_worker_count(requested_workers: int) -> int:
    """Return the number of worker threads.

    Args:
        requested_workers: The requested number; 0 for half the CPU cores.

    Returns:
        At least 1.
    """
    return requested_workers or max(1, min(MAX_DEFAULT_WORKERS, (os.cpu_count() or 1) // 2))


@dataclass(frozen=True, slots=True)
class WorkerProgress:
    """Progress of a worker on one file, in seconds of the video."""

    file_index: int
    decoded_seconds: float
    duration: float


@dataclass(frozen=True, slots=True)
class WorkerResult:
    """A prepared video, or the error that a worker raised."""

    file_index: int
    video_path: Path
    prepared_or_error: PreparedVideo | BaseException
    work_seconds: float


class VideoWorkers(Protocol):
    """Workers that prepare videos, whose results this thread stores."""

    pipeline: Pipeline  # with which videos are prepared

    def is_full(self, pending_count: int) -> bool:
        """Return whether enough files are in progress."""

    def submit(self, file_index: int, pending_video: PendingVideo) -> None:
        """Submit a file."""

    def next_event(self) -> WorkerProgress | WorkerResult:
        """Wait for the next progress or result of a file."""


class ThreadWorkers:
    """Threads of this process that prepare videos. `VideoWorkers`."""

    def __init__(
        self,
        storage: Storage,
        pipeline: Pipeline,
        options: IndexOptions,
        worker_count: int,
        exit_stack: ExitStack,
    ) -> None:
        """Start the threads; `exit_stack` stops them when it is closed."""
        self._storage, self._options, self._worker_count = storage, options, worker_count
        self._cancel_token = CancellationToken()
        self._worker_events: queue.Queue[WorkerProgress | WorkerResult] = queue.Queue()
        self.pipeline = pipeline
        if worker_count > 1:
            batching_encoder = exit_stack.enter_context(BatchingEncoder(pipeline.encoder))
            self.pipeline = replace(pipeline, encoder=batching_encoder)
        self._executor = ThreadPoolExecutor(worker_count, thread_name_prefix="index")
        exit_stack.callback(self._executor.shutdown, cancel_futures=True)
        exit_stack.callback(self._cancel_token.cancel)  # runs first

    def is_full(self, pending_count: int) -> bool:
        """Return True from one more file than there are threads."""
        return pending_count > self._worker_count

    def submit(self, file_index: int, pending_video: PendingVideo) -> None:
        """Submit a file."""
        self._executor.submit(self._run_job, file_index, pending_video)

    def next_event(self) -> WorkerProgress | WorkerResult:
        """Wait for the next progress or result of a file."""
        return self._worker_events.get()

    def _run_job(self, file_index: int, pending_video: PendingVideo) -> None:
        work_started = time.monotonic()
        outcome: PreparedVideo | BaseException
        try:
            outcome = self._prepare_video(file_index, pending_video)
        except Cancelled:
            return
        except BaseException as error:
            outcome = error
        work_seconds = time.monotonic() - work_started
        self._worker_events.put(
            WorkerResult(file_index, pending_video.video_path, outcome, work_seconds)
        )

    def _prepare_video(self, file_index: int, pending_video: PendingVideo) -> PreparedVideo:
        def report_progress(decoded_seconds: float, duration: float) -> None:
            if self._worker_events.qsize() < _MAX_PENDING_EVENTS:
                self._worker_events.put(WorkerProgress(file_index, decoded_seconds, duration))

        options, frame_store = self._options, self._storage.frame_store
        with (
            frame_store.open_writer(pending_video.content_fingerprint)
            if options.keep_frames
            else nullcontext() as frame_writer
        ):
            return prepare_video(
                pending_video,
                self.pipeline,
                keyframes_only=options.keyframes_only,
                on_kept_frame=frame_writer.add_frame if frame_writer else None,
                on_progress=report_progress,
                cancel_token=self._cancel_token,
            )
