"""The indexing pipeline: sample frames, deduplicate, encode, and pool segments.

`decode_and_encode` runs one video through the first stages; `segment_and_pool` and `save_video` in
`store` do the rest. The pipeline knows neither threads nor the order of files: see `workers`.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.encoders.frame_dedup import DedupEncoder
from vsearch.errors import LibraryError, ModelError, NoPictureError, SettingsError, VSearchError
from vsearch.media.discovery import compute_fingerprint
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler, probe_video
from vsearch.progress import IndexResult, Outcome, Progress, Timings
from vsearch.types import Features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    from vsearch.catalog.catalog import Catalog
    from vsearch.media.frame_cache import FrameStore
    from vsearch.media.sampler import VideoInfo
    from vsearch.protocols import Encoder, Pooler, ShotDetector
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import FrameBatch, Images, Matrix, Span, Times, Video

log = logging.getLogger(__name__)
MIN_LAST_FRAME_SECONDS = 1e-3  # minimum display time of the last frame


class Cancelled(Exception):  # noqa: N818 - not an error
    """Raised in a worker when its run is cancelled."""


class CancellationToken:
    """Stops the samplers of other threads at their next decoded frame."""

    def __init__(self) -> None:
        self._lock, self._is_cancelled = threading.Lock(), False
        self._samplers: set[Sampler] = set()

    def cancel(self) -> None:
        """Stop all watched samplers, and those that will be watched later."""
        with self._lock:
            self._is_cancelled = True
            for sampler in self._samplers:
                sampler.stop()

    @contextmanager
    def watch_sampler(self, sampler: Sampler) -> Iterator[None]:
        """Allow `sampler` to be stopped within a `with` block.

        Args:
            sampler: The sampler to stop on `cancel`.

        Yields:
            Nothing.

        Raises:
            Cancelled: At the start or the end of the block, if the run is cancelled.
        """
        with self._lock:
            if self._is_cancelled:
                raise Cancelled
            self._samplers.add(sampler)
        try:
            yield
        finally:
            with self._lock:
                self._samplers.discard(sampler)
        if self._is_cancelled:
            raise Cancelled


@dataclass(slots=True)
class Stopwatch:
    """Sums the time spent in its `with` blocks."""

    total_seconds: float = 0.0
    _started_at: float = field(default=0.0, repr=False)

    def __enter__(self) -> Self:
        self._started_at = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.total_seconds += time.perf_counter() - self._started_at


class TimedSampler(Sampler):
    """A sampler that measures its own working time, which includes shot detection."""

    busy_seconds = 0.0

    def __iter__(self) -> Iterator[FrameBatch]:
        frame_batches, stopwatch = super().__iter__(), Stopwatch()
        while True:
            with stopwatch:
                frame_batch = next(frame_batches, None)
            self.busy_seconds = stopwatch.total_seconds
            if frame_batch is None:
                return
            yield frame_batch


@dataclass(frozen=True, slots=True)
class DecodedVideo:
    """The result of decoding and encoding a video once."""

    video_info: VideoInfo
    features: Features
    shot_cuts: Times
    end_time: float  # end of the last frame in seconds
    warning: str | None
    max_keyframe_gap: float | None = None  # seconds; None: not restricted to keyframes
    timings: Timings | None = None

    @property
    def keyframes_only(self) -> bool:
        """True if only keyframes were sampled."""
        return self.max_keyframe_gap is not None


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The models and settings with which videos are indexed."""

    encoder: Encoder
    pooler: Pooler
    detector_class: type[ShotDetector]
    fps: float  # sampled frames per second
    model_name: str  # as stored in the catalog
    hwaccel_device: str = ""  # hardware decoder; empty: decode in software


@dataclass(frozen=True, slots=True)
class Storage:
    """The catalog and the file stores of a library."""

    catalog: Catalog
    feature_store: FeatureStore
    frame_store: FrameStore


class ProgressTracker:
    """Combines the progress of files that are processed concurrently."""

    def __init__(
        self,
        file_sizes: Sequence[int],
        on_progress: Callable[[Progress], None],
        *,
        pass_number: int = 1,
        pass_count: int = 1,
    ) -> None:
        """Start at zero.

        Args:
            file_sizes: Size of each file in bytes.
            on_progress: Called with the progress of the run.
            pass_number: Number of this pass over the files, from 1.
            pass_count: Number of passes.
        """
        self._file_sizes, self._total_bytes = file_sizes, sum(file_sizes)
        self._on_progress = on_progress
        self._pass_number, self._pass_count = pass_number, pass_count
        self._reached_bytes: dict[int, float] = {}  # processed bytes of each started file
        self._done_bytes = 0.0  # their sum

    def create_reporter(self, video_path: Path, file_index: int) -> Callable[[float, float], None]:
        """Return a callback for the progress of one file.

        Args:
            video_path: The file.
            file_index: Its index in `file_sizes`.

        Returns:
            A function of (processed seconds, duration).
        """
        file_bytes = self._file_sizes[file_index]

        def report_progress(decoded_seconds: float, duration: float) -> None:
            bytes_here = file_bytes * min(1.0, decoded_seconds / duration) if duration > 0 else 0.0
            self._record_progress(file_index, bytes_here)
            bytes_before = max(self._done_bytes - bytes_here, 0.0)
            bytes_after = max(self._total_bytes - file_bytes - bytes_before, 0.0)
            progress = Progress(
                path=video_path,
                file_index=file_index,
                file_count=len(self._file_sizes),
                processed_seconds=decoded_seconds,
                duration=duration,
                size_bytes=file_bytes,
                bytes_before=bytes_before,
                bytes_after=bytes_after,
                pass_number=self._pass_number,
                pass_count=self._pass_count,
            )
            self._on_progress(progress)

        return report_progress

    def finish_file(self, file_index: int) -> None:
        """Count a file as done."""
        self._record_progress(file_index, float(self._file_sizes[file_index]))

    def _record_progress(self, file_index: int, reached_bytes: float) -> None:
        self._done_bytes += reached_bytes - self._reached_bytes.get(file_index, 0.0)
        self._reached_bytes[file_index] = reached_bytes


def _ignore_progress(decoded_seconds: float, duration: float) -> None:
    pass


def run_catching(video_path: Path, operation: Callable[[], IndexResult]) -> IndexResult:
    """Run an operation on one file and turn errors of that file into a result.

    Args:
        video_path: The file.
        operation: The operation.

    Returns:
        Its result, or a failure, with the elapsed time.

    Raises:
        LibraryError: Like ModelError and SettingsError, an error that would affect every file.
    """
    work_started = time.monotonic()
    try:
        index_result = operation()
    except Exception as error:
        index_result = build_failure_result(video_path, error)
    elapsed_seconds = time.monotonic() - work_started
    log.info("%s: %s in %.1f s", video_path, index_result.outcome, elapsed_seconds)
    return replace(index_result, elapsed_seconds=elapsed_seconds)


def build_failure_result(video_path: Path, error: Exception) -> IndexResult:
    """Convert an error of one file to a result.

    Args:
        video_path: The file.
        error: The error.

    Returns:
        A result of outcome FAILED.

    Raises:
        LibraryError: Like ModelError and SettingsError, an error that would affect every file.
    """
    if isinstance(error, LibraryError | ModelError | SettingsError):
        raise error
    if isinstance(error, VSearchError):
        return IndexResult(video_path, Outcome.FAILED, error=str(error))
    if isinstance(error, OSError):
        error_message = f"{video_path}: {error.strerror or error}"
        return IndexResult(video_path, Outcome.FAILED, error=error_message)
    log.info("%s", video_path, exc_info=error)
    error_message = f"{video_path}: unexpected {type(error).__name__}: {error}; please report this"
    return IndexResult(video_path, Outcome.FAILED, error=error_message)


def is_missing(video_path: Path) -> bool:
    """Return whether a file certainly does not exist.

    Args:
        video_path: The file.

    Returns:
        False if the file exists, and also if its folder cannot be accessed.
    """
    try:
        video_path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def matches_fingerprint(video: Video, content_fingerprint: str) -> bool:
    """Return whether the file of a cataloged video exists and has a fingerprint.

    Args:
        video: The video; its fingerprint is trusted if size and mtime are unchanged.
        content_fingerprint: The expected fingerprint.

    Returns:
        True if the content is the same.
    """
    try:
        stat_result = video.path.stat()
    except OSError:
        return False
    file_state = stat_result.st_size, stat_result.st_mtime_ns
    is_unchanged = file_state == (video.size_bytes, video.mtime_ns)
    return is_unchanged or compute_fingerprint(video.path) == content_fingerprint


def decode_and_encode(
    video_path: Path,
    pipeline: Pipeline,
    *,
    span: Span | None = None,
    keyframes_only: bool = False,
    on_kept_frame: Callable[[Images, float], None] | None = None,
    on_progress: Callable[[float, float], None] = _ignore_progress,
    cancel_token: CancellationToken | None = None,
) -> DecodedVideo:
    """Decode and encode a video, or a span of it, in one pass.

    Decoding, shot detection and encoding overlap: see `prefetch_batches`.

    Args:
        video_path: The video file.
        pipeline: Encoder, shot detector and sampling rate.
        span: The part to decode; None decodes all.
        keyframes_only: Sample only keyframes.
        on_kept_frame: Called with each sampled frame, uint8 (H, W, 3), and its time, to cache it.
        on_progress: Called with (processed seconds, duration).
        cancel_token: Stops the work from another thread.

    Returns:
        Features, shot cuts and properties of the video.

    Raises:
        MediaError: The file cannot be decoded.
        SettingsError: Unknown hardware decoder or invalid sampling rate.
        Cancelled: `cancel_token` was cancelled.
    """
    with Stopwatch() as probe_stopwatch:
        video_info = probe_video(video_path)
    shot_detector, encode_stopwatch = pipeline.detector_class(), Stopwatch()
    try:
        sampler = TimedSampler(
            video_path,
            fps=pipeline.fps,
            short_side=pipeline.encoder.image_size,
            span=span,
            shot_detector=shot_detector,
            on_kept_frame=on_kept_frame,
            keyframes_only=keyframes_only,
            hwaccel=pipeline.hwaccel_device,
        )
    except ValueError as error:
        raise SettingsError(str(error)) from error
    with (
        (cancel_token or CancellationToken()).watch_sampler(sampler),
        prefetch_batches(sampler) as frame_batches,
    ):
        features = encode_frames(
            frame_batches,
            pipeline.encoder,
            lambda frame_time: on_progress(frame_time, video_info.duration),
            encode_stopwatch,
        )
    if features is None:
        raise NoPictureError(
            f"{video_path}: no frame could be decoded; play the file to check whether it is intact"
        )
    # A video whose frames are all keyframes has no gap, and counts as fully sampled.
    max_keyframe_gap = sampler.max_frame_gap if keyframes_only else 0.0
    sampling_seconds = max(sampler.busy_seconds - sampler.shot_seconds, 0.0)
    return DecodedVideo(
        video_info,
        features,
        shot_detector.cuts(),
        end_time=max(sampler.end_time, float(features.frame_times[-1]) + MIN_LAST_FRAME_SECONDS),
        warning=sampler.warning or None,
        max_keyframe_gap=max_keyframe_gap if max_keyframe_gap > 0 else None,
        timings=Timings(
            decode=probe_stopwatch.total_seconds + sampling_seconds,
            shots=sampler.shot_seconds,
            encode=encode_stopwatch.total_seconds,
        ),
    )


def encode_frames(
    frame_batches: Iterable[FrameBatch],
    encoder: Encoder,
    on_progress: Callable[[float], None],
    stopwatch: Stopwatch | None = None,
) -> Features | None:
    """Encode frames, skipping near-identical ones (see `DedupEncoder`).

    Args:
        frame_batches: Frames in presentation order.
        encoder: The image encoder.
        on_progress: Called with the time of the last frame of each batch.
        stopwatch: Measures the encoding time.

    Returns:
        The features, rounded to float16 as they will be stored; None without frames.
    """
    dedup_encoder, stopwatch = DedupEncoder(encoder), stopwatch or Stopwatch()
    feature_blocks: list[npt.NDArray[np.float16]] = []  # (N, D) each
    time_blocks: list[Times] = []
    for frame_batch in frame_batches:
        with stopwatch:
            frame_vectors = dedup_encoder.encode_frames(frame_batch.images)
        feature_blocks.append(frame_vectors.astype(np.float16))
        time_blocks.append(frame_batch.frame_times)
        on_progress(float(frame_batch.frame_times[-1]))
    if not feature_blocks:
        return None
    feature_matrix = np.concatenate(feature_blocks, dtype=np.float32)
    return Features(encoder.space, feature_matrix, np.concatenate(time_blocks))


def repool_library(catalog: Catalog, feature_store: FeatureStore, pooler: Pooler) -> None:
    """Recompute all segment vectors from stored features, in one transaction.

    Segments get new ids, so that every index notices. Their vectors in other spaces are removed,
    but the features there are kept: switching to such a space pools them again.

    Args:
        catalog: The catalog of the library.
        feature_store: The stored frame features.
        pooler: The new pooler.

    Raises:
        DamagedLibraryError: Stored features are damaged.
    """
    space = catalog.space()
    if space is None:
        return
    videos_with_features = catalog.videos_with_features(space)
    with catalog.begin() as transaction:
        transaction.set_space(space, pooler.name)
        for video in catalog.videos():
            segment_spans = [segment.span for segment in catalog.segments_of_video(video.id)]
            has_features = video.id in videos_with_features or feature_store.has_features(
                video.id, space
            )
            if not segment_spans or not has_features:
                continue  # `vsearch doctor` reports it
            features = feature_store.load(video.id, space)
            segment_vectors = pool_segments(features, segment_spans, pooler)
            transaction.remove_segments(video.id)
            transaction.add_segments(video.id, segment_spans, segment_vectors, space)


def pool_segments(features: Features, segment_spans: Sequence[Span], pooler: Pooler) -> Matrix:
    """Pool the frames of each segment.

    Args:
        features: Frame features of a video.
        segment_spans: Segments, N of them; one without frames uses the nearest frame.
        pooler: The pooler.

    Returns:
        float32 (N, D) of unit length.
    """
    features_by_span = map(features.within, segment_spans)
    return np.stack(
        [
            pooler.pool(span_features.frame_vectors, span_features.frame_times)
            for span_features in features_by_span
        ]
    )
