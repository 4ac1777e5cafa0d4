"""The indexing pipeline: one video from its file to the vectors of its segments.

`process_video` samples frames, skips repeated ones, encodes, segments and pools. It knows neither
the catalog nor other files: `store` decides which files to process and saves them, and `workers`
schedules them.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.frame_dedup import DedupEncoder
from vsearch.errors import DamagedLibraryError, NoPictureError, SettingsError
from vsearch.media.file_identity import identify_content
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler
from vsearch.media.segmentation import segment_video
from vsearch.progress import Timings
from vsearch.protocols import TransitionDetector
from vsearch.storage.reindexing import describe_lost_features
from vsearch.types import Features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.media.sampler import VideoInfo
    from vsearch.protocols import Encoder, Pooler, ShotDetector
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import FileIdentity, FrameBatch, Images, Matrix, Span, Times

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

    def raise_if_cancelled(self) -> None:
        """Raise Cancelled if the run is cancelled."""
        if self._is_cancelled:
            raise Cancelled

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


class StageTimer:
    """Sums the busy seconds of the stages of one video."""

    def __init__(self) -> None:
        self._seconds = dict.fromkeys((timing.name for timing in fields(Timings)), 0.0)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the duration of a `with` block to a stage, a field of `Timings`."""
        started_at = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] += time.perf_counter() - started_at

    def timings(self, *, decode: float = 0.0, shots: float = 0.0) -> Timings:
        """Return the sums, with the seconds of the stages that are measured elsewhere added."""
        return Timings(**self._seconds) + Timings(decode=decode, shots=shots)


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
class PendingVideo:
    """A file that must be processed, with its state when that was decided."""

    video_path: Path
    file_identity: FileIdentity  # with the digest, if that is known
    content_fingerprint: str
    is_settled: bool  # see `file_identity.is_settled`
    # of the videos with the same path or fingerprint, where other processes may write
    related_ids: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ProcessedVideo:
    """A processed video, or a processed span of one."""

    video_info: VideoInfo
    features: Features
    shot_cuts: Times
    end_time: float  # end of the last frame in seconds
    warning: str | None
    max_keyframe_gap: float | None  # seconds; None: not restricted to keyframes
    segment_spans: list[Span]  # S; none if only a span was processed
    segment_vectors: Matrix  # float32 (S, D)
    timings: Timings

    @property
    def keyframes_only(self) -> bool:
        """True if only keyframes were sampled."""
        return self.max_keyframe_gap is not None


@dataclass(frozen=True, slots=True)
class PreparedVideo:
    """A video that only has to be stored: the result of the work on one file."""

    pending_video: PendingVideo  # with the identity to record
    processed_video: ProcessedVideo


def _ignore_progress(decoded_seconds: float, duration: float) -> None:
    pass


def prepare_video(
    pending_video: PendingVideo,
    pipeline: Pipeline,
    *,
    keyframes_only: bool = False,
    on_kept_frame: Callable[[Images, float], None] | None = None,
    on_progress: Callable[[float, float], None] = _ignore_progress,
    cancel_token: CancellationToken | None = None,
) -> PreparedVideo:
    """Do all work on a file that needs no library; a thread and a node of a cluster call it.

    Args:
        pending_video: The file.
        pipeline: As of `process_video`, as are the other arguments.
        keyframes_only: Sample only keyframes.
        on_kept_frame: Called with each sampled frame and its time.
        on_progress: Called with (processed seconds, duration).
        cancel_token: Stops the work from another thread.

    Returns:
        The video, ready to be stored.

    Raises:
        MediaError: The file cannot be decoded.
        SettingsError: Unknown hardware decoder or invalid sampling rate.
        Cancelled: `cancel_token` was cancelled.
    """
    cancel_token = cancel_token or CancellationToken()
    processed_video = process_video(
        pending_video.video_path,
        pipeline,
        keyframes_only=keyframes_only,
        on_kept_frame=on_kept_frame,
        on_progress=on_progress,
        cancel_token=cancel_token,
    )
    file_identity = identify_content(
        pending_video.video_path,
        pending_video.file_identity,
        cancel_token.raise_if_cancelled,
        settled=pending_video.is_settled,
    )
    return PreparedVideo(replace(pending_video, file_identity=file_identity), processed_video)


def process_video(
    video_path: Path,
    pipeline: Pipeline,
    *,
    span: Span | None = None,
    keyframes_only: bool = False,
    on_kept_frame: Callable[[Images, float], None] | None = None,
    on_progress: Callable[[float, float], None] = _ignore_progress,
    cancel_token: CancellationToken | None = None,
) -> ProcessedVideo:
    """Process a video in one pass: sample, deduplicate, encode, segment, pool.

    Decoding, shot detection and encoding overlap: see `prefetch_batches`.

    Args:
        video_path: The video file.
        pipeline: Encoder, pooler, shot detector and sampling rate.
        span: The part to decode and encode, without segments; None processes all.
        keyframes_only: Sample only keyframes.
        on_kept_frame: Called with each sampled frame, uint8 (H, W, 3), and its time, to cache it.
        on_progress: Called with (processed seconds, duration).
        cancel_token: Stops the work from another thread.

    Returns:
        The video with its features and segments.

    Raises:
        MediaError: The file cannot be decoded.
        SettingsError: Unknown hardware decoder or invalid sampling rate.
        Cancelled: `cancel_token` was cancelled.
    """
    timer, shot_detector = StageTimer(), pipeline.detector_class()
    try:
        sampler = Sampler(
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

    def report_progress(frame_time: float) -> None:
        on_progress(frame_time, sampler.info.duration if sampler.info else 0.0)

    with (
        (cancel_token or CancellationToken()).watch_sampler(sampler),
        prefetch_batches(sampler) as frame_batches,
    ):
        features = encode_frames(frame_batches, pipeline.encoder, report_progress, timer)
    if features is None or sampler.info is None:
        raise NoPictureError(
            f"{video_path}: no frame could be decoded; play the file to check whether it is intact"
        )
    shot_cuts, last_frame_time = shot_detector.cuts(), float(features.frame_times[-1])
    end_time = max(sampler.end_time, last_frame_time + MIN_LAST_FRAME_SECONDS)
    with timer.measure("pool"):
        segment_spans = (
            []
            if span
            else segment_video(
                features.frame_times,
                shot_cuts,
                end_time,
                transitions=(
                    shot_detector.transitions()
                    if isinstance(shot_detector, TransitionDetector)
                    else None
                ),
            )
        )
        segment_vectors = pool_segments(features, segment_spans, pipeline.pooler)
    return ProcessedVideo(
        sampler.info,
        features,
        shot_cuts,
        end_time,
        warning=sampler.warning or None,
        # A video whose frames are all keyframes has no gap, and counts as fully sampled.
        max_keyframe_gap=(
            sampler.max_frame_gap or None if keyframes_only and not sampler.info.is_photo else None
        ),
        segment_spans=segment_spans,
        segment_vectors=segment_vectors,
        timings=timer.timings(
            decode=max(sampler.busy_seconds - sampler.shot_seconds, 0.0),
            shots=sampler.shot_seconds,
        ),
    )


def encode_frames(
    frame_batches: Iterable[FrameBatch],
    encoder: Encoder,
    on_progress: Callable[[float], None],
    timer: StageTimer | None = None,
) -> Features | None:
    """Encode frames, skipping near-identical ones (see `DedupEncoder`).

    Args:
        frame_batches: Frames in presentation order.
        encoder: The image encoder.
        on_progress: Called with the time of the last frame of each batch.
        timer: Measures the encoding time.

    Returns:
        The features, rounded to float16 as they will be stored; None without frames.
    """
    dedup_encoder, timer = DedupEncoder(encoder), timer or StageTimer()
    feature_bytes = bytearray()  # one block of memory, which does not fragment the heap
    time_blocks: list[Times] = []
    for frame_batch in frame_batches:
        with timer.measure("encode"):
            frame_vectors = dedup_encoder.encode_frames(frame_batch.images)
        feature_bytes += frame_vectors.astype(np.float16).astype(np.float32).tobytes()
        time_blocks.append(frame_batch.frame_times)
        on_progress(float(frame_batch.frame_times[-1]))
    if not time_blocks:
        return None
    frame_times = np.concatenate(time_blocks)
    feature_matrix = np.frombuffer(feature_bytes, np.float32).reshape(len(frame_times), -1)
    return Features(encoder.space, feature_matrix, frame_times)


def repool_library(catalog: Catalog, feature_store: FeatureStore, pooler: Pooler) -> list[Path]:
    """Recompute all segment vectors from stored features, in one transaction.

    Segments get new ids, so that every index notices. Their vectors in other spaces are removed,
    but the features there are kept: switching to such a space pools them again.

    Args:
        catalog: The catalog of the library.
        feature_store: The stored frame features.
        pooler: The new pooler.

    Returns:
        The videos whose features are missing or damaged. They keep their vectors.

    Raises:
        DamagedLibraryError: There are such videos, and their vectors are of another pooler, which
            would mix; nothing is changed.
    """
    space = catalog.space()
    if space is None:
        return []
    is_same_pooler = catalog.pooler() in (None, pooler.name)
    lost_paths: list[Path] = []
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
            try:
                features = feature_store.load(video.id, space)
            except DamagedLibraryError as error:
                log.info("%s", error)
                lost_paths.append(video.path)
                continue
            if lost_paths and not is_same_pooler:
                continue  # only name all such videos
            segment_vectors = pool_segments(features, segment_spans, pooler)
            transaction.remove_segments(video.id)
            transaction.add_segments(video.id, segment_spans, segment_vectors, space)
        if lost_paths and not is_same_pooler:
            raise DamagedLibraryError(
                f"{describe_lost_features(lost_paths)}. Nothing was changed: vectors of "
                f"{catalog.pooler()} and {pooler.name} would mix. Then run the command again."
            )
    return lost_paths


def pool_segments(features: Features, segment_spans: Sequence[Span], pooler: Pooler) -> Matrix:
    """Pool the frames of each segment.

    Args:
        features: Frame features of a video.
        segment_spans: S segments; one without frames uses the nearest frame.
        pooler: The pooler.

    Returns:
        float32 (S, D) of unit length.
    """
    if not segment_spans:
        return np.empty((0, features.space.dim), np.float32)
    features_by_span = map(features.within, segment_spans)
    return np.stack(
        [
            pooler.pool(span_features.frame_vectors, span_features.frame_times)
            for span_features in features_by_span
        ]
    )
