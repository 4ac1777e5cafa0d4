"""Decide whether a file must be decoded, and write the result of decoding to the library."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vsearch.content_match import FileContent, confirm_identity
from vsearch.errors import DamagedLibraryError
from vsearch.indexing.pipeline import PendingVideo, StageTimer
from vsearch.indexing.places import find_available_place, move_to_place
from vsearch.indexing.subtitles import collect_subtitles, compute_source_digest
from vsearch.media.bucket_frames import frames_name
from vsearch.media.file_identity import is_fully_fingerprinted
from vsearch.media.file_status import find_file_statuses, is_missing
from vsearch.media.recording import find_drone_location
from vsearch.progress import IndexResult, Outcome

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.transaction import Transaction
    from vsearch.indexing.library_storage import Storage
    from vsearch.indexing.pipeline import Pipeline, ProcessedVideo
    from vsearch.indexing.subtitles import Subtitles
    from vsearch.transcripts.subtitles import SubtitleFinder
    from vsearch.types import Features, FileIdentity, Video

_FEATURE_TOLERANCE = 0.01  # between processors


class _StoredMeanwhileError(Exception):
    """Raised if another process has stored the same file or content."""


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
    known_video = None if options.force else storage.catalog.video_by_path(video_path)
    if known_video is not None:
        index_result = _check_known(known_video, storage, options)
        if index_result is not None:
            return _refresh_subtitles(index_result, storage.catalog, subtitle_finder)
    content = FileContent(video_path, storage.catalog)
    if known_video is None and not options.force:
        index_result = _find_by_content(video_path, content, storage.catalog, options)
        if index_result is not None:
            return _refresh_subtitles(index_result, storage.catalog, subtitle_finder)
    pending_video = PendingVideo(
        video_path,
        replace(content.identity, ctime_ns=content.state.ctime_ns),
        content.fingerprint,
        content.settled,
        _find_related_ids(video_path, content.fingerprint, storage.catalog),
    )
    if known_video is None:
        return pending_video
    return _reuse_digest(pending_video, storage.catalog.file_identity(known_video.id))


def save_video(
    pending_video: PendingVideo,
    processed_video: ProcessedVideo,
    storage: Storage,
    pipeline: Pipeline,
    options: IndexOptions,
    subtitle_finder: SubtitleFinder,
) -> IndexResult:
    """Store a video in one transaction, replacing what was stored for its path.

    Transcripts and tags are kept if the content is the same. If another process has meanwhile
    stored the same file or content, the file is compared with the catalog again.

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
        while True:
            try:
                index_result = _save_video(
                    pending_video, processed_video, storage, pipeline, options, subtitle_finder
                )
                break
            except _StoredMeanwhileError:
                video_path = pending_video.video_path
                checked_file = check_catalog(video_path, storage, options, subtitle_finder)
                if isinstance(checked_file, IndexResult):
                    index_result = checked_file
                    break
                pending_video = replace(pending_video, related_ids=checked_file.related_ids)
    return replace(index_result, timings=processed_video.timings + timer.timings())


def _find_related_ids(
    video_path: Path, content_fingerprint: str, catalog: Catalog
) -> frozenset[int]:
    """Return the ids of the videos with this path or fingerprint, if others may write."""
    if not catalog.is_in_database:
        return frozenset()
    same_content = catalog.videos_by_fingerprint(content_fingerprint)
    related_videos = [catalog.video_by_path(video_path), *same_content]
    return frozenset(video.id for video in related_videos if video is not None)


def _check_related(pending_video: PendingVideo, catalog: Catalog) -> None:
    """Raise _StoredMeanwhileError if another process has stored the same file or content."""
    video_path, fingerprint = pending_video.video_path, pending_video.content_fingerprint
    if pending_video.related_ids != _find_related_ids(video_path, fingerprint, catalog):
        raise _StoredMeanwhileError


def _reuse_digest(pending_video: PendingVideo, known_identity: FileIdentity) -> PendingVideo:
    """Add the recorded digest, unless the file may have changed since."""
    if known_identity.ctime_ns is None or not known_identity.has_state(pending_video.file_identity):
        return pending_video
    file_identity = replace(
        pending_video.file_identity, content_digest=known_identity.content_digest
    )
    return replace(pending_video, file_identity=file_identity)


def _check_known(video: Video, storage: Storage, options: IndexOptions) -> IndexResult | None:
    """Return the result for a known path; None if the file must be decoded."""
    catalog, space = storage.catalog, storage.catalog.space()
    if space is None or not storage.feature_store.has_features(video.id, space):
        return None
    if not _is_detailed_enough(video, catalog, options):
        return None
    present_identity = confirm_identity(video, catalog)
    if present_identity is None:
        return None
    if present_identity != catalog.file_identity(video.id):
        with catalog.begin() as transaction:  # touched or restored: the content is the same
            transaction.set_file_identity(video.id, present_identity)
    return IndexResult(video.path, Outcome.UNCHANGED, video)


def _find_by_content(
    video_path: Path, content: FileContent, catalog: Catalog, options: IndexOptions
) -> IndexResult | None:
    """Return the result for a new path with known content; None if it must be decoded."""
    candidate_videos = content.find_candidates()
    for candidate_video in candidate_videos:
        if content.is_copy_of(candidate_video):
            return _record_duplicate(video_path, content, candidate_video, catalog)
    for candidate_video in candidate_videos:
        if (
            video_path in candidate_video.other_paths
            and find_file_statuses([candidate_video.path])[candidate_video.path] == "offline"
            and content.was_indexed_as(candidate_video)
        ):  # the original may come back
            return _record_duplicate(video_path, content, candidate_video, catalog)
        if not (
            is_missing(candidate_video.path)
            and _has_sample_rate(candidate_video, catalog, options)
            and content.was_indexed_as(candidate_video)
        ):
            continue  # replaced by another video, or sampled at another rate
        known_digest = catalog.file_identity(candidate_video.id).content_digest
        moved_identity = replace(
            content.identity, content_digest=content.identity.content_digest or known_digest
        )
        with catalog.begin() as transaction:
            transaction.move_video(
                candidate_video.id, video_path, moved_identity.size_bytes, moved_identity.mtime_ns
            )
            transaction.set_file_identity(candidate_video.id, moved_identity)
        moved_result = IndexResult(video_path, Outcome.MOVED, catalog.video_by_path(video_path))
        return moved_result if _is_detailed_enough(candidate_video, catalog, options) else None
    return None


def _record_duplicate(
    video_path: Path, content: FileContent, video: Video, catalog: Catalog
) -> IndexResult:
    """Record what was read of a duplicate and its original, so that it is not read again."""
    identity = content.identity
    other_paths = tuple(sorted({*video.other_paths, video_path}))
    index_result = IndexResult(
        video_path, Outcome.DUPLICATE, replace(video, other_paths=other_paths)
    )
    original_identity = catalog.file_identity(video.id)
    is_digest_new = (  # of a video of an older version
        original_identity.content_digest is None and identity.content_digest is not None
    )
    is_recorded = video_path in video.other_paths and catalog.duplicate_file(video_path) == identity
    if is_recorded and not is_digest_new:
        return index_result
    with catalog.begin() as transaction:
        transaction.set_duplicate_file(video_path, identity, video.id)
        if is_digest_new:
            transaction.set_file_identity(
                video.id, replace(original_identity, content_digest=identity.content_digest)
            )
    return index_result


def _is_detailed_enough(video: Video, catalog: Catalog, options: IndexOptions) -> bool:
    """Return whether a video was sampled as densely as the options require."""
    if options.keyframes_only != video.keyframes_only:
        return options.keyframes_only  # full sampling satisfies a request for keyframes
    return _has_sample_rate(video, catalog, options)


def _has_sample_rate(video: Video, catalog: Catalog, options: IndexOptions) -> bool:
    return video.is_photo or options.fps in (None, catalog.sample_fps(video.id))


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
    video_subtitles = collect_subtitles(
        index_result.path, subtitle_finder, picture_end=video.duration
    )
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
    is_same_content = old_video is not None and _has_same_content(
        old_video, pending_video, features, storage
    )
    kept_place = (
        None
        if old_video is None or is_same_content
        else find_available_place(storage.catalog, old_video, old_video.other_paths)
    )
    file_identity = pending_video.file_identity
    video_subtitles = collect_subtitles(
        pending_video.video_path,
        subtitle_finder,
        picture_end=processed_video.end_time,
        has_streams=video_info.has_subtitle_streams,
    )
    recording, subtitle_texts = video_info.recording, (cue.text for cue in video_subtitles.cues)
    stored_crc32 = storage.feature_store.save_content(pending_video.content_fingerprint, features)
    if options.keep_frames:
        object_name = None
        if file_identity.content_digest is not None:
            object_name = frames_name(
                file_identity.content_digest,
                pipeline.fps,
                len(features.frame_times),
                keyframes_only=processed_video.keyframes_only,
            )
        storage.frame_store.save_content(pending_video.content_fingerprint, object_name)
    with storage.catalog.begin() as transaction:
        _check_related(pending_video, storage.catalog)  # no other process writes from here on
        transaction.set_space(features.space, pipeline.pooler.name, pipeline.model_name)
        if old_video is not None and kept_place is not None:
            move_to_place(transaction, old_video, *kept_place)
        elif old_video is not None:
            transaction.detach_path(old_video.id)
        video = transaction.add_video(
            video_path=pending_video.video_path,
            fingerprint=pending_video.content_fingerprint,
            size_bytes=file_identity.size_bytes,
            mtime_ns=file_identity.mtime_ns,
            duration=processed_video.end_time,
            fps=video_info.fps,
            width=video_info.width,
            height=video_info.height,
            codec=video_info.codec,
            sampled_frames=len(features.frame_times),
            warning=_join_warnings(processed_video.warning, file_identity),
            sample_fps=pipeline.fps,
            recorded_at=recording.recorded_at,
            keyframes_only=processed_video.keyframes_only,
            max_keyframe_gap=processed_video.max_keyframe_gap,
            is_photo=video_info.is_photo,
            utc_offset_minutes=recording.utc_offset_minutes,
            location=recording.location or find_drone_location(subtitle_texts),
            camera=recording.camera,
            source_url=old_video.source_url if old_video is not None else None,
        )
        transaction.set_file_identity(video.id, file_identity)
        transaction.set_duplicate_file(pending_video.video_path, None)
        transaction.add_segments(
            video.id, processed_video.segment_spans, processed_video.segment_vectors, features.space
        )
        _save_cues(transaction, video.id, video_subtitles)
        if old_video is not None and kept_place is None:
            if is_same_content:
                transaction.move_annotations(video.id, old_video.id)
            transaction.remove_videos([old_video.id])
        crc32 = stored_crc32
        if crc32 is None:
            crc32 = storage.feature_store.save(video.id, features)
        transaction.add_features(video.id, features.space, pipeline.model_name, crc32)
        if options.keep_frames:
            storage.frame_store.assign_frames(video.id, pending_video.content_fingerprint)
    if old_video is not None and kept_place is None:
        storage.feature_store.remove_video(old_video.id)
        storage.frame_store.remove_frames(old_video.id)
    stored_video = replace(video, model=pipeline.model_name)
    return IndexResult(
        pending_video.video_path,
        _choose_outcome(old_video, stored_video, is_same_content=is_same_content),
        stored_video,
        shot_count=len(processed_video.shot_cuts) + 1,
        subtitle_notes=video_subtitles.warnings,
    )


def _join_warnings(decoding_warning: str | None, file_identity: FileIdentity) -> str | None:
    """Return the warning about decoding, and one if the file changed meanwhile."""
    changed_warning = None
    if file_identity.content_digest is None and not file_identity.ctime_ns:
        changed_warning = "changed while it was indexed; index it again when it is complete"
    return "; ".join(filter(None, (decoding_warning, changed_warning))) or None


def _has_same_content(
    old_video: Video, pending_video: PendingVideo, features: Features, storage: Storage
) -> bool:
    """Return whether a file has the content that was indexed at its path before."""
    old_identity = storage.catalog.file_identity(old_video.id)
    new_identity = pending_video.file_identity
    if old_video.fingerprint != pending_video.content_fingerprint:
        return False
    if new_identity.content_digest is None and not new_identity.ctime_ns:
        return False  # it changed while it was read
    if is_fully_fingerprinted(new_identity) or old_identity.has_state(new_identity):
        return True
    if old_identity.content_digest is not None and new_identity.content_digest is not None:
        return old_identity.content_digest == new_identity.content_digest
    try:  # of an older version, or read in part
        old_features = storage.feature_store.load(old_video.id, features.space)
    except DamagedLibraryError:
        return False
    return np.array_equal(old_features.frame_times, features.frame_times) and np.allclose(
        old_features.frame_vectors, features.frame_vectors, atol=_FEATURE_TOLERANCE
    )


def _choose_outcome(old_video: Video | None, new_video: Video, *, is_same_content: bool) -> Outcome:
    if old_video is None:
        return Outcome.INDEXED
    if is_same_content and old_video.keyframes_only and not new_video.keyframes_only:
        return Outcome.REFINED
    return Outcome.UPDATED
