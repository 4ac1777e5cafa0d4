"""Decide whether a file must be decoded, and write the result of decoding to the library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.indexing.pipeline import (
    PendingVideo,
    StageTimer,
    is_missing,
    matches_fingerprint,
)
from vsearch.indexing.subtitles import collect_subtitles, compute_source_digest
from vsearch.media.discovery import compute_fingerprint
from vsearch.progress import IndexResult, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.transaction import Transaction
    from vsearch.indexing.pipeline import Pipeline, ProcessedVideo, Storage
    from vsearch.indexing.subtitles import Subtitles
    from vsearch.transcripts.subtitles import SubtitleFinder
    from vsearch.types import Video


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Options of an indexing run."""

    fps: float | None = None  # required sampling rate; other videos are indexed again
    keyframes_only: bool = False  # sample only keyframes
    force: bool = False  # index known files again
    keep_frames: bool = False  # cache the sampled frames


def check_catalog(
    video_path: Path, storage: Storage, options: IndexOptions, subtitle_finder: SubtitleFinder
) -> IndexResult | PendingVideo:
    """Look up a file in the catalog, by path and by content.

    Re-reads the subtitles of a known video if its sidecar files changed, and updates the path of a
    file that was moved.

    Args:
        video_path: The file.
        storage: The library.
        options: Options of the run.
        subtitle_finder: Finds sidecar files.

    Returns:
        A result if the video is known, or the file to decode.

    Raises:
        OSError: The file cannot be read.
    """
    stat_result = video_path.stat()
    if not options.force:
        index_result = _find_by_path(
            video_path, storage, options, stat_result.st_size, stat_result.st_mtime_ns
        )
        if index_result is not None:
            return _refresh_subtitles(index_result, storage.catalog, subtitle_finder)
    return PendingVideo(
        video_path, stat_result.st_size, stat_result.st_mtime_ns, compute_fingerprint(video_path)
    )


def save_video(
    pending_video: PendingVideo,
    processed_video: ProcessedVideo,
    storage: Storage,
    pipeline: Pipeline,
    options: IndexOptions,
    subtitle_finder: SubtitleFinder,
) -> IndexResult:
    """Store a video in one transaction, replacing what was stored for its path.

    Transcripts and tags are kept if the content is the same.

    Args:
        pending_video: The file.
        processed_video: The result of processing it.
        storage: The library.
        pipeline: The pipeline that processed it.
        options: Options of the run.
        subtitle_finder: Finds sidecar files.

    Returns:
        The result, with timings.
    """
    timer = StageTimer()
    with timer.measure("store"):
        index_result = _save_video(
            pending_video, processed_video, storage, pipeline, options, subtitle_finder
        )
    return replace(index_result, timings=processed_video.timings + timer.timings())


def _find_by_path(
    video_path: Path, storage: Storage, options: IndexOptions, size_bytes: int, mtime_ns: int
) -> IndexResult | None:
    """Return the result for a known path; None if the file must be decoded."""
    catalog, space = storage.catalog, storage.catalog.space()
    video = catalog.video_by_path(video_path)
    if video is None:
        return _find_by_content(video_path, catalog, options, size_bytes, mtime_ns)
    if space is None or not storage.feature_store.has_features(video.id, space):
        return None
    if not _is_detailed_enough(video, catalog, options):
        return None
    if (video.size_bytes, video.mtime_ns) != (size_bytes, mtime_ns):
        if video.fingerprint != compute_fingerprint(video_path):
            return None
        with catalog.begin() as transaction:  # touched or restored: the content is the same
            transaction.update_file_stat(video.id, size_bytes, mtime_ns)
    return IndexResult(video_path, Outcome.UNCHANGED, video)


def _find_by_content(
    video_path: Path, catalog: Catalog, options: IndexOptions, size_bytes: int, mtime_ns: int
) -> IndexResult | None:
    """Return the result for a new path with known content; None if it must be decoded."""
    content_fingerprint = compute_fingerprint(video_path)
    identical_videos = catalog.videos_by_fingerprint(content_fingerprint)
    for identical_video in identical_videos:
        if matches_fingerprint(identical_video, content_fingerprint):
            return IndexResult(video_path, Outcome.DUPLICATE, identical_video)
    for identical_video in identical_videos:
        if not is_missing(identical_video.path) or not _has_sample_rate(
            identical_video, catalog, options
        ):
            continue  # replaced by another video, or sampled at another rate
        with catalog.begin() as transaction:
            transaction.move_video(identical_video.id, video_path, size_bytes, mtime_ns)
        moved_result = IndexResult(video_path, Outcome.MOVED, catalog.video_by_path(video_path))
        return moved_result if _is_detailed_enough(identical_video, catalog, options) else None
    return None


def _is_detailed_enough(video: Video, catalog: Catalog, options: IndexOptions) -> bool:
    """Return whether a video was sampled as densely as the options require."""
    if options.keyframes_only != video.keyframes_only:
        return options.keyframes_only  # full sampling satisfies a request for keyframes
    return _has_sample_rate(video, catalog, options)


def _has_sample_rate(video: Video, catalog: Catalog, options: IndexOptions) -> bool:
    return options.fps in (None, catalog.sample_fps(video.id))


def _refresh_subtitles(
    index_result: IndexResult, catalog: Catalog, subtitle_finder: SubtitleFinder
) -> IndexResult:
    """Re-read the subtitles of a known video if its sidecar files changed."""
    video = index_result.video
    if video is None or index_result.outcome not in (Outcome.UNCHANGED, Outcome.MOVED):
        return index_result
    known_digests = [
        transcript.source_digest
        for transcript in catalog.transcripts([video.id])
        if transcript.source == "subtitles"
    ]
    source_digest = compute_source_digest(index_result.path, subtitle_finder)
    if source_digest in known_digests:
        return index_result
    video_subtitles = collect_subtitles(index_result.path, subtitle_finder)
    with catalog.begin() as transaction:
        _save_cues(transaction, video.id, video_subtitles)
    messages = []
    if video_subtitles.cues or known_digests:
        messages.append(f"{index_result.path}: {len(video_subtitles.cues)} subtitles read")
    return replace(index_result, subtitle_notes=(*messages, *video_subtitles.warnings))


def _save_cues(transaction: Transaction, video_id: int, video_subtitles: Subtitles) -> None:
    transaction.replace_cues(
        video_id,
        "subtitles",
        video_subtitles.cues,
        source_name=video_subtitles.source_name,
        source_digest=video_subtitles.source_digest,
        language=video_subtitles.language,
    )


def _save_video(
    pending_video: PendingVideo,
    processed_video: ProcessedVideo,
    storage: Storage,
    pipeline: Pipeline,
    options: IndexOptions,
    subtitle_finder: SubtitleFinder,
) -> IndexResult:
    video_info, features = processed_video.video_info, processed_video.features
    old_video = storage.catalog.video_by_path(pending_video.video_path)
    video_subtitles = collect_subtitles(
        pending_video.video_path,
        subtitle_finder,
        has_streams=video_info.has_subtitle_streams,
    )
    with storage.catalog.begin() as transaction:
        transaction.set_space(features.space, pipeline.pooler.name, pipeline.model_name)
        if old_video is not None:
            transaction.detach_path(old_video.id)
        video = transaction.add_video(
            video_path=pending_video.video_path,
            fingerprint=pending_video.content_fingerprint,
            size_bytes=pending_video.size_bytes,
            mtime_ns=pending_video.mtime_ns,
            duration=processed_video.end_time,
            fps=video_info.fps,
            width=video_info.width,
            height=video_info.height,
            codec=video_info.codec,
            sampled_frames=len(features.frame_times),
            warning=processed_video.warning,
            sample_fps=pipeline.fps,
            recorded_at=video_info.recorded_at,
            keyframes_only=processed_video.keyframes_only,
            max_keyframe_gap=processed_video.max_keyframe_gap,
        )
        transaction.add_segments(
            video.id, processed_video.segment_spans, processed_video.segment_vectors, features.space
        )
        transaction.add_features(video.id, features.space, pipeline.model_name)
        _save_cues(transaction, video.id, video_subtitles)
        if old_video is not None:
            if old_video.fingerprint == pending_video.content_fingerprint:
                transaction.move_annotations(video.id, old_video.id)
            transaction.remove_videos([old_video.id])
        storage.feature_store.save(video.id, features)
        if options.keep_frames:
            storage.frame_store.assign_frames(video.id, pending_video.content_fingerprint)
    if old_video is not None:
        storage.feature_store.remove_video(old_video.id)
        storage.frame_store.remove_frames(old_video.id)
    stored_video = replace(video, model=pipeline.model_name)
    return IndexResult(
        pending_video.video_path,
        _choose_outcome(old_video, stored_video),
        stored_video,
        shot_count=len(processed_video.shot_cuts) + 1,
        subtitle_notes=video_subtitles.warnings,
    )


def _choose_outcome(old_video: Video | None, new_video: Video) -> Outcome:
    if old_video is None:
        return Outcome.INDEXED
    is_same_content = old_video.fingerprint == new_video.fingerprint
    if is_same_content and old_video.keyframes_only and not new_video.keyframes_only:
        return Outcome.REFINED
    return Outcome.UPDATED
