"""Index several videos concurrently: worker threads decode and encode, one thread stores.

The thread that iterates over the results is the only one that accesses the catalog and reports
progress. At most one more video is in progress than there are workers, so that no worker waits
while a video is stored.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from vsearch.encoders.batching import BatchingEncoder
from vsearch.errors import UnreadableError
from vsearch.indexing.file_runs import ProgressTracker, build_failure_result, run_catching
from vsearch.indexing.pipeline import (
    CancellationToken,
    Cancelled,
    PendingVideo,
    ProcessedVideo,
    process_video,
)
from vsearch.indexing.store import check_catalog, save_video
from vsearch.media.file_identity import identify_content
from vsearch.progress import IndexResult, Outcome
from vsearch.storage.path_roots import is_within_roots
from vsearch.transcripts.subtitles import SubtitleFinder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from pathlib import Path

    from vsearch.indexing.library_storage import Storage
    from vsearch.indexing.pipeline import Pipeline
    from vsearch.indexing.store import IndexOptions
    from vsearch.media.discovery import DiscoveredFile
    from vsearch.progress import Progress

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
    """A processed video, or the error that a worker raised."""

    file_index: int
    pending_video: PendingVideo
    processed_or_error: ProcessedVideo | BaseException
    work_seconds: float


class Indexer:
    """Indexes files in one or two passes."""

    def __init__(
        self,
        storage: Storage,
        pipeline_factory: Callable[[], Pipeline],
        *,
        worker_count: int,
        on_progress: Callable[[Progress], None],
        on_stored: Callable[[], None],
        roots: Sequence[Path] = (),
    ) -> None:
        """Configure the indexer.

        Args:
            storage: The library.
            pipeline_factory: Called when there is something to encode, so that a run without new
                files loads no model.
            worker_count: Number of worker threads.
            on_progress: Called with the progress of the run.
            on_stored: Called after each file.
            roots: Resolved folders that links must not leave; empty allows all.
        """
        self._storage, self._pipeline_factory = storage, pipeline_factory
        self._worker_count = worker_count
        self._on_progress, self._on_stored = on_progress, on_stored
        self._roots, self._subtitle_finder = roots, SubtitleFinder(roots)

    def run_pass(
        self,
        discovered_files: Sequence[DiscoveredFile],
        options: IndexOptions,
        *,
        pass_number: int = 1,
        pass_count: int = 1,
    ) -> Generator[IndexResult]:
        """Index files.

        Args:
            discovered_files: The files.
            options: Options of the run.
            pass_number: Number of this pass, from 1.
            pass_count: Number of passes.

        Yields:
            A result per file, in order of completion.

        Raises:
            LibraryError: The library cannot be written.
            ModelError: The model cannot be loaded.
            SettingsError: A setting is invalid.
        """
        file_sizes = [0 if file.error else _get_file_size(file) for file in discovered_files]
        progress_tracker = ProgressTracker(
            file_sizes, self._on_progress, pass_number=pass_number, pass_count=pass_count
        )
        with ExitStack() as exit_stack:
            worker_pool = _WorkerPool(
                self._storage, self._pipeline_factory, options, self._worker_count, exit_stack
            )
            yield from self._index_files(discovered_files, options, progress_tracker, worker_pool)

    def run_progressive(
        self, discovered_files: Sequence[DiscoveredFile], options: IndexOptions
    ) -> Generator[IndexResult]:
        """Index files in two passes: keyframes of all files first, then all frames.

        Args:
            discovered_files: The files.
            options: Options of the run.

        Yields:
            A result per file and pass; files that the first pass sampled fully have one.
        """
        files_by_path = {file.path: file for file in discovered_files}
        coarse_files: list[DiscoveredFile] = []
        coarse_options = replace(options, keyframes_only=True)
        for index_result in self.run_pass(discovered_files, coarse_options, pass_count=2):
            video = index_result.video
            is_duplicate = index_result.outcome is Outcome.DUPLICATE
            if video is not None and video.keyframes_only and not is_duplicate:
                coarse_files.append(files_by_path[index_result.path])
            yield index_result
        full_options = replace(options, keyframes_only=False, force=False)
        yield from self.run_pass(coarse_files, full_options, pass_number=2, pass_count=2)

    def _index_files(
        self,
        discovered_files: Sequence[DiscoveredFile],
        options: IndexOptions,
        progress_tracker: ProgressTracker,
        worker_pool: _WorkerPool,
    ) -> Iterator[IndexResult]:
        waiting_files = deque(enumerate(discovered_files))
        while waiting_files or worker_pool.pending_videos:
            while waiting_files and not worker_pool.is_full:
                file_index, discovered_file = waiting_files.popleft()
                index_result = self._start_file(
                    file_index, discovered_file, options, worker_pool, progress_tracker
                )
                if index_result is not None:
                    progress_tracker.finish_file(file_index)
                    self._on_stored()
                    yield index_result
            if worker_pool.pending_videos:
                worker_result = self._wait_for_result(
                    worker_pool, discovered_files, progress_tracker
                )
                index_result = self._finish_file(worker_result, options, worker_pool)
                progress_tracker.finish_file(worker_result.file_index)
                waiting_files.extendleft(reversed(worker_pool.release_file(worker_result)))
                self._on_stored()
                yield index_result

    def _start_file(
        self,
        file_index: int,
        discovered_file: DiscoveredFile,
        options: IndexOptions,
        worker_pool: _WorkerPool,
        progress_tracker: ProgressTracker,
    ) -> IndexResult | None:
        """Return the result of a known file; None if it was submitted to a worker."""
        if discovered_file.error is not None:
            return IndexResult(discovered_file.path, Outcome.FAILED, error=discovered_file.error)
        pending_videos: list[PendingVideo] = []

        def check_file() -> IndexResult:
            if self._roots and not is_within_roots(discovered_file.path, self._roots):
                raise UnreadableError(
                    f"{discovered_file.path}: leads out of the folders that may be indexed"
                )
            checked = check_catalog(
                discovered_file.path, self._storage, options, self._subtitle_finder
            )
            if isinstance(checked, PendingVideo):
                pending_videos.append(checked)
                return IndexResult(discovered_file.path, Outcome.UNCHANGED)
            return checked

        index_result = run_catching(discovered_file.path, check_file)
        if pending_videos:
            if not worker_pool.pending_videos:  # before the model is loaded, which may take long
                progress_tracker.create_reporter(discovered_file.path, file_index)(0.0, 0.0)
            worker_pool.submit_file(file_index, discovered_file, pending_videos[0])
            return None
        return index_result

    def _wait_for_result(
        self,
        worker_pool: _WorkerPool,
        discovered_files: Sequence[DiscoveredFile],
        progress_tracker: ProgressTracker,
    ) -> WorkerResult:
        """Return the next result of a worker, reporting progress until then."""
        while True:
            worker_event = worker_pool.worker_events.get()
            if isinstance(worker_event, WorkerResult):
                return worker_event
            file_index = worker_event.file_index
            report_progress = progress_tracker.create_reporter(
                discovered_files[file_index].path, file_index
            )
            report_progress(worker_event.decoded_seconds, worker_event.duration)

    def _finish_file(
        self, worker_result: WorkerResult, options: IndexOptions, worker_pool: _WorkerPool
    ) -> IndexResult:
        processed_or_error = worker_result.processed_or_error
        video_path = worker_result.pending_video.video_path
        if isinstance(processed_or_error, ProcessedVideo):
            save_processed = partial(
                save_video,
                worker_result.pending_video,
                processed_or_error,
                self._storage,
                worker_pool.pipeline,
                options,
                self._subtitle_finder,
            )
            index_result = run_catching(video_path, save_processed)
        elif isinstance(processed_or_error, Exception):
            index_result = build_failure_result(video_path, processed_or_error)
        else:
            raise processed_or_error
        elapsed_seconds = index_result.elapsed_seconds + worker_result.work_seconds
        return replace(index_result, elapsed_seconds=elapsed_seconds)


class _WorkerPool:
    """The worker threads and the files they are processing."""

    def __init__(
        self,
        storage: Storage,
        pipeline_factory: Callable[[], Pipeline],
        options: IndexOptions,
        worker_count: int,
        exit_stack: ExitStack,
    ) -> None:
        """Start without threads; `exit_stack` stops them when it is closed."""
        self._storage, self._pipeline_factory = storage, pipeline_factory
        self._options, self._worker_count = options, worker_count
        self._exit_stack, self._cancel_token = exit_stack, CancellationToken()
        self._executor: ThreadPoolExecutor | None = None
        # Files with the content of one in progress, by fingerprint.
        self._waiting_duplicates: dict[str, list[tuple[int, DiscoveredFile]]] = {}
        self.pending_videos: dict[int, PendingVideo] = {}
        self.worker_events: queue.Queue[WorkerProgress | WorkerResult] = queue.Queue()

    @property
    def is_full(self) -> bool:
        """True if enough files are in progress: one more than there are workers."""
        return len(self.pending_videos) > self._worker_count

    def submit_file(
        self, file_index: int, discovered_file: DiscoveredFile, pending_video: PendingVideo
    ) -> None:
        """Submit a file; one with the same content as a file in progress waits for that file."""
        fingerprint = pending_video.content_fingerprint
        if any(video.content_fingerprint == fingerprint for video in self.pending_videos.values()):
            duplicates = self._waiting_duplicates.setdefault(fingerprint, [])
            duplicates.append((file_index, discovered_file))
            return
        if self._executor is None:
            self._start_workers()
        assert self._executor is not None  # noqa: S101
        self.pending_videos[file_index] = pending_video
        self._executor.submit(self._run_job, file_index, pending_video)

    def release_file(self, worker_result: WorkerResult) -> list[tuple[int, DiscoveredFile]]:
        """Remove a finished file and return the files that waited for it."""
        del self.pending_videos[worker_result.file_index]
        return self._waiting_duplicates.pop(worker_result.pending_video.content_fingerprint, [])

    def _start_workers(self) -> None:
        self.pipeline = self._pipeline_factory()
        if self._worker_count > 1:
            batching_encoder = self._exit_stack.enter_context(
                BatchingEncoder(self.pipeline.encoder)
            )
            self.pipeline = replace(self.pipeline, encoder=batching_encoder)
        self._executor = ThreadPoolExecutor(self._worker_count, thread_name_prefix="index")
        self._exit_stack.callback(self._executor.shutdown, cancel_futures=True)
        self._exit_stack.callback(self._cancel_token.cancel)  # runs first

    def _run_job(self, file_index: int, pending_video: PendingVideo) -> None:
        work_started = time.monotonic()
        outcome: ProcessedVideo | BaseException
        try:
            outcome = self._process_video(file_index, pending_video)
            file_identity = identify_content(
                pending_video.video_path,
                pending_video.file_identity,
                self._cancel_token.raise_if_cancelled,
                settled=pending_video.is_settled,
            )
            pending_video = replace(pending_video, file_identity=file_identity)
        except Cancelled:
            return
        except BaseException as error:
            outcome = error
        work_seconds = time.monotonic() - work_started
        self.worker_events.put(WorkerResult(file_index, pending_video, outcome, work_seconds))

    def _process_video(self, file_index: int, pending_video: PendingVideo) -> ProcessedVideo:
        def report_progress(decoded_seconds: float, duration: float) -> None:
            if self.worker_events.qsize() < _MAX_PENDING_EVENTS:
                self.worker_events.put(WorkerProgress(file_index, decoded_seconds, duration))

        options, frame_store = self._options, self._storage.frame_store
        with (
            frame_store.open_writer(pending_video.content_fingerprint)
            if options.keep_frames
            else nullcontext() as frame_writer
        ):
            return process_video(
                pending_video.video_path,
                self.pipeline,
                keyframes_only=options.keyframes_only,
                on_kept_frame=frame_writer.add_frame if frame_writer else None,
                on_progress=report_progress,
                cancel_token=self._cancel_token,
            )


def _get_file_size(discovered_file: DiscoveredFile) -> int:
    try:
        return discovered_file.path.stat().st_size if discovered_file.path.is_file() else 0
    except (OSError, UnreadableError):  # deleted meanwhile, or not readable
        return 0
