"""Switch a library to another model while the previous one continues to answer queries.

Segments are kept: they depend on shots, not on the model. Each video is embedded in one
transaction, so an interrupted run continues with the videos that are missing. When every segment
has a vector, one transaction makes the new embedding space the active one.
"""

from __future__ import annotations

import logging
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vsearch.config import absolute_model_name
from vsearch.content_match import is_unchanged
from vsearch.errors import (
    DamagedLibraryError,
    LibraryError,
    ModelError,
    NoPictureError,
    SpaceMismatchError,
    UnreadableError,
)
from vsearch.indexing.file_runs import ProgressTracker, build_failure_result, run_catching
from vsearch.indexing.node_jobs import EmbeddingJob, expand_features
from vsearch.indexing.pipeline import encode_frames, pool_segments
from vsearch.indexing.ray_workers import ClusterTask, run_on_cluster
from vsearch.media.bucket_frames import frames_name
from vsearch.media.file_status import is_missing, locate_videos
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler
from vsearch.plugins import create_encoder
from vsearch.pooling.selection import select_pooler
from vsearch.progress import IndexResult, Outcome, SwitchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.config import Settings
    from vsearch.indexing.library_storage import Storage
    from vsearch.indexing.node_jobs import NodeWork
    from vsearch.progress import Progress
    from vsearch.protocols import Encoder, Pooler
    from vsearch.types import Features, FrameBatch, Space, SpaceInfo, Video

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SwitchTarget:
    """The embedding space to switch to, and the model that computes it."""

    space: Space
    model_name: str
    pooler: Pooler
    encoder_factory: Callable[[], Encoder]  # called if there is something to encode
    created_encoder: Encoder | None  # if it had to be loaded to determine the space

    def to_settings(self, previous_space: Space | None) -> dict[str, str]:
        """Return the settings to change.

        Args:
            previous_space: The active space; a text model only works with the space it is for.

        Returns:
            Setting names and values.
        """
        changed_settings = {"model": self.model_name}
        if previous_space != self.space:
            changed_settings["text_model"] = ""
        return changed_settings


class ModelSwitch:
    """Switches a library to a target. Requires the write lock."""

    def __init__(
        self,
        storage: Storage,
        target: SwitchTarget,
        *,
        invalidate_index: Callable[[Space], None],
        keep_frames: bool,
        hwaccel: str = "",
        node_work: NodeWork | None = None,
    ) -> None:
        """Configure the switch.

        Args:
            storage: The library.
            target: The space to switch to.
            invalidate_index: Deletes the index of a space.
            keep_frames: Cache the sampled frames of videos that are decoded.
            hwaccel: Hardware decoder; empty: decode in software.
            node_work: Decode and encode on a cluster.
        """
        self._storage, self._target = storage, target
        self._invalidate_index = invalidate_index
        self._keep_frames, self._hwaccel, self._node_work = keep_frames, hwaccel, node_work
        self._videos_with_features: set[int] = set()  # ids, in the target space

    def run(
        self,
        *,
        skip_missing: bool,
        on_progress: Callable[[Progress], None],
        on_result: Callable[[IndexResult], None],
    ) -> SwitchResult:
        """Embed the videos that lack vectors, then switch.

        Args:
            skip_missing: Switch even if some videos cannot be embedded (but not if all fail).
            on_progress: Called with the progress of the run.
            on_result: Called with the result of each video.

        Returns:
            The result; `is_switched` is False if a video failed and may not be skipped.

        Raises:
            SpaceMismatchError: Poolers would mix, or the model has changed.
            ModelError: The model cannot be loaded.
        """
        catalog, target = self._storage.catalog, self._target
        previous_space = catalog.space()
        self._prepare_space(previous_space)
        self._videos_with_features = catalog.videos_with_features(target.space)
        pending_videos = locate_videos(catalog.videos_without_vectors(target.space))
        file_sizes = [video.size_bytes for video in pending_videos]
        progress_tracker = ProgressTracker(file_sizes, on_progress)
        failed_results = []
        for video_index, index_result in self._embed_videos(pending_videos, progress_tracker):
            progress_tracker.finish_file(video_index)
            on_result(index_result)
            if index_result.error is not None:
                failed_results.append(index_result)
        is_switched = not failed_results or (
            skip_missing and len(failed_results) < catalog.library_counts().video_count
        )
        if is_switched:
            with catalog.begin() as transaction:
                transaction.set_space_model(target.space, target.model_name)
                if previous_space != target.space:
                    transaction.switch_space(target.space)
        return SwitchResult(
            target.model_name,
            target.space,
            previous_space,
            is_switched,
            embedded_count=len(pending_videos) - len(failed_results),
            failed_results=tuple(failed_results),
        )

    def _prepare_space(self, previous_space: Space | None) -> None:
        """Record the target in the catalog. Raises SpaceMismatchError if poolers would mix."""
        catalog, target = self._storage.catalog, self._target
        if target.space != previous_space:
            known_poolers = {
                space_info.pooler
                for space_info in catalog.spaces()
                if space_info.space == target.space
            }
            if target.pooler.name not in known_poolers:
                # Before the vectors are replaced: their ids stay, so the index would not notice.
                self._invalidate_index(target.space)
            with catalog.begin() as transaction:
                transaction.prepare_space(target.space, target.model_name, target.pooler.name)
        elif catalog.pooler() not in (None, target.pooler.name):
            raise SpaceMismatchError(
                f"the segments of the library are pooled by {catalog.pooler()}, not by "
                f"{target.pooler.name}: run `vsearch rebuild` first to pool them again"
            )

    def _embed_videos(
        self, videos: Sequence[Video], progress_tracker: ProgressTracker
    ) -> Iterator[tuple[int, IndexResult]]:
        """Yield the index of each video with its result."""
        remote_indexes = []  # of the videos that must be decoded, if a cluster does that
        for video_index, video in enumerate(videos):
            if self._node_work is not None and not self._has_local_data(video):
                remote_indexes.append(video_index)
                continue
            report_progress = progress_tracker.create_reporter(video.path, video_index)
            yield video_index, self._try_embed_video(video, report_progress)
        if self._node_work is not None and remote_indexes:
            yield from self._embed_on_cluster(
                self._node_work, videos, remote_indexes, progress_tracker
            )

    def _has_local_data(self, video: Video) -> bool:
        """Return whether a video can be embedded without decoding its file."""
        return self._storage.frame_store.has_frames(video.id) or (
            self._load_features(video) is not None
        )

    def _embed_on_cluster(
        self,
        node_work: NodeWork,
        videos: Sequence[Video],
        video_indexes: Sequence[int],
        progress_tracker: ProgressTracker,
    ) -> Iterator[tuple[int, IndexResult]]:
        catalog, tasks = self._storage.catalog, {}
        for video_index in video_indexes:
            video = videos[video_index]
            try:
                _check_unchanged(video, catalog)
            except UnreadableError as error:
                yield video_index, build_failure_result(video.path, error)
            else:
                tasks[video_index] = ClusterTask(video.path, (video, catalog.sample_fps(video.id)))
        if not tasks:
            return
        job = EmbeddingJob(node_work.encoder_for(self._target.space), self._hwaccel)
        outcomes = run_on_cluster(node_work.options, job, tasks, progress_tracker)
        with closing(outcomes):
            for video_index, outcome in outcomes:
                video = videos[video_index]
                if isinstance(outcome, Exception):
                    yield video_index, build_failure_result(video.path, outcome)
                else:
                    yield (
                        video_index,
                        self._try_embed_video(video, lambda *_: None, expand_features(outcome)),
                    )

    def _try_embed_video(
        self,
        video: Video,
        on_progress: Callable[[float, float], None],
        node_features: Features | None = None,
    ) -> IndexResult:
        def embed_one() -> IndexResult:
            self._embed_video(
                video, lambda frame_time: on_progress(frame_time, video.duration), node_features
            )
            return IndexResult(video.path, Outcome.EMBEDDED, video)

        return run_catching(video.path, embed_one)

    def _embed_video(
        self,
        video: Video,
        on_progress: Callable[[float], None],
        node_features: Features | None = None,
    ) -> None:
        """Store features and segment vectors of a video; features first."""
        catalog, space = self._storage.catalog, self._target.space
        segments = catalog.segments_of_video(video.id)
        stored_features = None if node_features is not None else self._load_features(video)
        features = node_features or stored_features or self._compute_features(video, on_progress)
        segment_spans = [segment.span for segment in segments]
        vectors = pool_segments(features, segment_spans, self._target.pooler)
        crc32 = None
        if stored_features is None:
            crc32 = self._storage.feature_store.save(video.id, features)
        with catalog.begin() as transaction:
            transaction.add_vectors(np.array([segment.id for segment in segments]), vectors, space)
            if stored_features is None:
                transaction.add_features(video.id, space, self._target.model_name, crc32)

    def _load_features(self, video: Video) -> Features | None:
        """Return the features in the target space that an earlier run stored, if any."""
        if video.id not in self._videos_with_features:
            return None
        try:
            return self._storage.feature_store.load(video.id, self._target.space)
        except DamagedLibraryError as exc:
            log.info("%s", exc)
            return None

    def _compute_features(self, video: Video, on_progress: Callable[[float], None]) -> Features:
        """Return the features of a video from its cached frames, or else from its file."""
        if self._storage.frame_store.has_frames(video.id):
            try:
                return self._features_from_frames(video, on_progress)
            except DamagedLibraryError as exc:
                log.warning("%s", exc)
        return self._features_from_video(video, on_progress)

    def _features_from_frames(self, video: Video, on_progress: Callable[[float], None]) -> Features:
        frame_batches = self._storage.frame_store.iter_batches(video.id)
        features = self._encode_batches(frame_batches, on_progress)
        if features is None or len(features.frame_times) != video.sampled_frames:
            raise DamagedLibraryError(
                f"{video.path}: cached frames do not match the indexed features"
            )
        return features

    def _features_from_video(self, video: Video, on_progress: Callable[[float], None]) -> Features:
        _check_unchanged(video, self._storage.catalog)
        frame_store = self._storage.frame_store
        with frame_store.open_writer() if self._keep_frames else nullcontext() as frame_writer:
            sampler = Sampler(
                video.path,
                fps=self._storage.catalog.sample_fps(video.id),
                short_side=self._target.encoder_factory().image_size,
                on_kept_frame=frame_writer.add_frame if frame_writer else None,
                keyframes_only=video.keyframes_only,
                hwaccel=self._hwaccel,
            )
            with prefetch_batches(sampler) as frame_batches:
                features = self._encode_batches(frame_batches, on_progress)
        if features is None:
            raise NoPictureError(
                f"{video.path}: no frame can be decoded any more; restore the file"
            )
        if self._keep_frames:  # there were none, or damaged ones
            frame_store.save_content("", self._frames_name(video))
            frame_store.assign_frames(video.id)
        return features

    def _frames_name(self, video: Video) -> str | None:
        """Return the name of a video's frames in a store; None if its content is not known."""
        catalog = self._storage.catalog
        content_digest = catalog.file_identity(video.id).content_digest
        if content_digest is None:
            return None
        return frames_name(
            content_digest,
            catalog.sample_fps(video.id),
            video.sampled_frames,
            keyframes_only=video.keyframes_only,
        )

    def _encode_batches(
        self, frame_batches: Iterable[FrameBatch], on_progress: Callable[[float], None]
    ) -> Features | None:
        encoder = self._target.encoder_factory()
        if encoder.space != self._target.space:
            raise SpaceMismatchError(
                f"{self._target.model_name} now has the space {encoder.space.name}, not "
                f"{self._target.space.name}: run `vsearch model switch {self._target.model_name}` "
                "to embed the library again"
            )
        return encode_frames(frame_batches, encoder, on_progress)


def resolve_target(
    requested_name: str | None,
    library_path: Path,
    catalog: Catalog,
    settings: Settings,
    encoder: Encoder | None,
) -> SwitchTarget:
    """Resolve the space to switch to.

    Args:
        requested_name: A model name; None for the previously active model.
        library_path: Folder of the library.
        catalog: Its catalog.
        settings: Its settings.
        encoder: Replaces the named model.

    Returns:
        The target. The model is only loaded if its space is not known.

    Raises:
        ModelError: The model cannot be loaded.
        LibraryError: There was no other model, or its name was not recorded.
    """
    space_info = find_previous_space(catalog) if requested_name is None else None
    model_name = absolute_model_name(requested_name or (space_info and space_info.model) or "")
    # with a cluster, the setting is about its nodes
    device = "auto" if settings.ray and settings.device == "cuda" else settings.device
    encoder_factory = cache(lambda: encoder or create_encoder(model_name, device))
    created_encoder = encoder_factory() if space_info is None else None
    space = space_info.space if space_info is not None else encoder_factory().space
    recorded_pooler = next(
        (other_space.pooler for other_space in catalog.spaces() if other_space.space == space), None
    )
    is_active = space == catalog.space()
    pooler = select_pooler(
        settings.pooler, library_path, space, recorded_pooler, allow_best=not is_active
    )
    return SwitchTarget(space, model_name, pooler, encoder_factory, created_encoder)


def record_active_model(catalog: Catalog, active_model: ActiveModel) -> None:
    """Record the name of the active model, which early versions of vsearch did not store.

    Args:
        catalog: The catalog of the library.
        active_model: The model that the settings name; ignored if it has another space.
    """
    for space_info in catalog.spaces():
        if space_info.is_active and space_info.model is None:
            with suppress(ModelError, SpaceMismatchError):
                active_model.check_space(space_info.space)
                with catalog.begin() as transaction:
                    transaction.set_space_model(
                        space_info.space, absolute_model_name(active_model.settings.model)
                    )


def find_previous_space(catalog: Catalog) -> SpaceInfo:
    """Return the space that was active before the present one.

    Args:
        catalog: The catalog of the library.

    Returns:
        The space; its model is known.

    Raises:
        LibraryError: There is none, or its model was not recorded.
    """
    retired_spaces = [
        space_info
        for space_info in catalog.spaces()
        if space_info.retired_at_revision and not space_info.is_active
    ]
    if not retired_spaces:
        raise LibraryError(
            "the library never used another model; choose one with `vsearch model switch NAME`"
        )
    latest_space = max(retired_spaces, key=lambda space_info: space_info.retired_at_revision or 0)
    if latest_space.model is None:
        raise LibraryError(
            f"the model of {latest_space.space.name} was not recorded; "
            "specify it with `vsearch model switch NAME`"
        )
    return latest_space


def _check_unchanged(video: Video, catalog: Catalog) -> None:
    """Raise UnreadableError unless the file still has the content that was segmented."""
    if is_missing(video.path):
        raise UnreadableError(
            f"{video.path}: the file is missing; restore it, run `vsearch index NEWPLACE` if it "
            "was moved, or remove it with `vsearch remove --missing`"
        )
    if not is_unchanged(video, catalog):
        raise UnreadableError(
            f"{video.path}: has changed since it was indexed, or cannot be read; index it again"
        )
