"""Write transactions on the catalog: committed as a whole or not at all."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import case, delete, exists, func, insert, select, text, update

from vsearch.catalog import annotation_rows, fts, sound_rows, transcript_rows
from vsearch.catalog.connection import translate_errors
from vsearch.catalog.dialect import KEEP_LAST_SEGMENT_SQL, LAST_SEGMENT_SQL, to_postgresql
from vsearch.catalog.rows import decode_path, encode_path, encode_text, name_words, pack
from vsearch.catalog.schema import (
    CueRow,
    CueVectorRow,
    DuplicateFileRow,
    FeedbackRow,
    FrameFeaturesRow,
    LibraryRow,
    SavedSearchRow,
    SegmentRow,
    SpaceRow,
    TagRow,
    TranscriptRow,
    VectorRow,
    VideoNameRow,
    VideoRow,
)
from vsearch.errors import LibraryError, SpaceMismatchError
from vsearch.types import Video

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, CursorResult, Executable, Insert, Update

    from vsearch.catalog.database_url import CatalogLocation
    from vsearch.types import (
        Cue,
        CueSource,
        FileIdentity,
        Ids,
        Location,
        Matrix,
        SoundSpan,
        Space,
        Span,
        Tag,
    )

_INSERT_SEGMENT_SQL = 'INSERT INTO segments (id, video_id, start, "end") VALUES (?, ?, ?, ?)'
_INSERT_VECTOR_SQL = (
    "INSERT INTO vectors (segment_id, space_id, embedding) VALUES (?, ?, ?) "
    "ON CONFLICT (segment_id, space_id) DO UPDATE SET embedding = excluded.embedding"
)


class Transaction:
    """A write transaction, created by `Catalog.begin` and valid until its block ends.

    Every method raises LibraryError if the catalog cannot be written or a constraint fails.
    """

    def __init__(self, connection: Connection, location: CatalogLocation) -> None:
        self._connection = connection
        self._location = location
        self._is_postgresql = connection.dialect.name == "postgresql"
        self._needs_revision = False

    def stored_settings(self) -> str | None:
        """Return the record of the library as a whole, in JSON, locked until the end."""
        settings_text: str | None = self._connection.scalar(
            select(LibraryRow.settings).with_for_update()
        )
        return settings_text

    def set_stored_settings(self, settings_text: str) -> None:
        """Replace the record of the library as a whole, in JSON."""
        self._execute(update(LibraryRow).values(settings=settings_text))

    def add_video(
        self,
        *,
        video_path: Path,
        fingerprint: str,
        size_bytes: int,
        mtime_ns: int,
        duration: float,
        fps: float,
        width: int,
        height: int,
        codec: str,
        sampled_frames: int,
        warning: str | None = None,
        sample_fps: float,
        recorded_at: datetime | None = None,
        keyframes_only: bool = False,
        max_keyframe_gap: float | None = None,
        is_photo: bool = False,
        utc_offset_minutes: int | None = None,
        location: Location | None = None,
        camera: str | None = None,
        source_url: str | None = None,
    ) -> Video:
        """Add a video.

        Args:
            video_path: Absolute path, unique in the library.
            fingerprint: Hash of the content.
            size_bytes: Size of the file.
            mtime_ns: Modification time of the file, nanoseconds since the epoch.
            duration: Seconds.
            fps: Frame rate of the file, 0 if unknown.
            width: Displayed width in pixels.
            height: Displayed height in pixels.
            codec: Name of the video codec.
            sampled_frames: Number of frames that were sampled.
            warning: Problems found while decoding.
            sample_fps: Frames sampled per second.
            recorded_at: Recording time with a time zone, from the file's metadata.
            keyframes_only: Only key frames were sampled.
            max_keyframe_gap: Longest time between sampled key frames, in seconds.
            is_photo: The file is a still picture.
            utc_offset_minutes: UTC offset of the local time of the recording.
            location: Place of the recording.
            camera: Make and model of the camera.
            source_url: URL from which the file was downloaded.

        Returns:
            The video with its new id.

        Raises:
            LibraryError: Another video has the same path.
        """
        column_values: dict[str, Any] = {
            "fingerprint": encode_text(fingerprint),
            "size_bytes": int(size_bytes),
            "mtime_ns": int(mtime_ns),
            "duration": float(duration),
            "fps": float(fps),
            "width": int(width),
            "height": int(height),
            "codec": encode_text(codec),
            "sampled_frames": int(sampled_frames),
            "warning": None if warning is None else encode_text(warning),
            "keyframes_only": bool(keyframes_only),
            "max_keyframe_gap": None if max_keyframe_gap is None else float(max_keyframe_gap),
            "is_photo": bool(is_photo),
            "utc_offset_minutes": None if utc_offset_minutes is None else int(utc_offset_minutes),
            "camera": None if camera is None else encode_text(camera),
            "source_url": None if source_url is None else encode_text(source_url),
        }
        insert_statement = insert(VideoRow).values(
            path=encode_path(video_path),
            sample_fps=float(sample_fps),
            indexed_at=datetime.now(UTC).replace(tzinfo=None),
            recorded_at=recorded_at and recorded_at.astimezone(UTC).replace(tzinfo=None),
            latitude=None if location is None else float(location.latitude),
            longitude=None if location is None else float(location.longitude),
            **column_values,
        )
        video_id = self._insert(insert_statement)
        self._update_name(video_id)
        return Video(
            id=video_id,
            path=video_path,
            recorded_at=recorded_at,
            location=location,
            **column_values,
        )

    def add_segments(
        self, video_id: int, spans: Sequence[Span], vectors: Matrix, space: Space
    ) -> Ids:
        """Add segments with their vectors.

        In a library without an active space, `space` becomes active.

        Args:
            video_id: The video.
            spans: The N spans of the segments, in chronological order.
            vectors: float32 (N, D), normalized to unit length when stored.
            space: The space of the vectors.

        Returns:
            The ids of the segments, int64 (N,), consecutive and never used before.

        Raises:
            SpaceMismatchError: Another space is active.
            ValueError: The shape of `vectors` does not match, or a vector has no direction.
        """
        if vectors.shape != (len(spans), space.dim):
            raise ValueError(f"{len(spans)} spans but vectors of shape {vectors.shape} in {space}")
        space_id = self._adopt_space(space)
        first_id = max(self._last_segment_id() + 1, clock_microseconds())
        segment_ids = range(first_id, first_id + len(spans))
        segment_rows = [
            (segment_id, int(video_id), float(span.start), float(span.end))
            for segment_id, span in zip(segment_ids, spans, strict=True)
        ]
        vector_rows = [
            (segment_id, space_id, vector_blob)
            for segment_id, vector_blob in zip(segment_ids, pack(vectors), strict=True)
        ]
        if segment_rows:
            self._execute_many(_INSERT_SEGMENT_SQL, segment_rows)
            self._execute_many(_INSERT_VECTOR_SQL, vector_rows)
            if self._is_postgresql:
                self._execute_many(KEEP_LAST_SEGMENT_SQL, [(segment_ids[-1],)])
            self._needs_revision = True
        return np.array(segment_ids, np.int64)

    def add_vectors(self, segment_ids: Ids, vectors: Matrix, space: Space) -> None:
        """Add or replace vectors of existing segments, in any space.

        Args:
            segment_ids: int64 (N,).
            vectors: float32 (N, D), normalized to unit length when stored.
            space: The space of the vectors; added if it is new.

        Raises:
            ValueError: The shape of `vectors` does not match, or a vector has no direction.
        """
        if vectors.shape != (len(segment_ids), space.dim):
            raise ValueError(
                f"{len(segment_ids)} ids but vectors of shape {vectors.shape} in {space}"
            )
        space_id = self._space_id(space)
        vector_rows = [
            (int(segment_id), space_id, vector_blob)
            for segment_id, vector_blob in zip(segment_ids, pack(vectors), strict=True)
        ]
        if vector_rows:
            self._execute_many(_INSERT_VECTOR_SQL, vector_rows)
            self._needs_revision |= self._current_space_name() == space.name

    def add_features(
        self, video_id: int, space: Space, model: str, crc32: int | None = None
    ) -> None:
        """Record that a video has frame features in a space.

        Args:
            video_id: The video.
            space: The space.
            model: The model that produced the features.
            crc32: Checksum of their file, as `FeatureStore.save` returned it.
        """
        space_id, model = self._space_id(space), encode_text(model)
        matching_rows = (FrameFeaturesRow.video_id == int(video_id)) & (
            FrameFeaturesRow.space_id == space_id
        )
        self._execute(delete(FrameFeaturesRow).where(matching_rows))
        column_values = {
            "video_id": int(video_id),
            "space_id": space_id,
            "model": model,
            "crc32": crc32,
        }
        self._execute(insert(FrameFeaturesRow).values(column_values))

    def move_video(self, video_id: int, video_path: Path, size_bytes: int, mtime_ns: int) -> None:
        """Update the path and file attributes of a video whose file was moved.

        Raises:
            LibraryError: Another video has this path, or the video does not exist.
        """
        self._update_video(
            video_id,
            path=encode_path(video_path),
            size_bytes=int(size_bytes),
            mtime_ns=int(mtime_ns),
        )
        self._update_name(video_id)
        self.set_duplicate_file(video_path, None)

    def set_source_url(self, video_id: int, source_url: str) -> None:
        """Record the URL from which the file of a video was downloaded."""
        self._update_video(video_id, source_url=encode_text(source_url))

    def _update_name(self, video_id: int) -> None:
        """Record the words of a video's path, and of the paths of its duplicate files."""
        video_paths = select(VideoRow.path).where(VideoRow.id == int(video_id))
        duplicate_paths = select(DuplicateFileRow.path).where(
            DuplicateFileRow.video_id == int(video_id)
        )
        stored_paths = [
            *self._execute(video_paths).scalars(),
            *self._execute(duplicate_paths.order_by(DuplicateFileRow.path)).scalars(),
        ]
        self._execute(delete(VideoNameRow).where(VideoNameRow.video_id == int(video_id)))
        words = " ".join(name_words(decode_path(stored_path)) for stored_path in stored_paths)
        column_values = {"video_id": int(video_id), "words": words}
        self._execute(insert(VideoNameRow).values(column_values))
        if self._is_postgresql:  # SQLite has triggers
            with translate_errors(self._location):
                fts.index_names(self._connection, int(video_id))

    def set_file_identity(self, video_id: int, file_identity: FileIdentity) -> None:
        """Record the present identity of a video's file.

        Raises:
            LibraryError: The video does not exist.
        """
        self._update_video(video_id, **_identity_columns(file_identity))

    def set_duplicate_file(
        self, file_path: Path, file_identity: FileIdentity | None, video_id: int | None = None
    ) -> None:
        """Record the identity of a file that duplicates a video; None: it does not any more."""
        stored_path = encode_path(file_path)
        is_this_file = DuplicateFileRow.path == stored_path
        changed_ids = set(
            self._execute(select(DuplicateFileRow.video_id).where(is_this_file)).scalars()
        )
        self._execute(delete(DuplicateFileRow).where(is_this_file))
        if file_identity is not None:
            column_values = {
                "path": stored_path,
                "video_id": None if video_id is None else int(video_id),
                **_identity_columns(file_identity),
            }
            self._execute(insert(DuplicateFileRow).values(column_values))
            changed_ids.add(video_id)
        for changed_id in changed_ids - {None}:
            self._update_name(changed_id)

    def remove_videos(self, removed_ids: Iterable[int]) -> Ids:
        """Remove videos with all their data; return the ids of their segments, int64 (N,)."""
        video_ids = list(map(int, removed_ids))
        segment_ids = [self.remove_segments(video_id) for video_id in video_ids]
        for video_id in video_ids:
            self._execute(delete(VideoRow).where(VideoRow.id == video_id))
        return np.sort(np.concatenate([*segment_ids, np.empty(0, np.int64)]))

    def remove_segments(self, video_id: int) -> Ids:
        """Remove the segments of a video and their vectors; return their ids, int64 (N,)."""
        of_video = SegmentRow.video_id == int(video_id)
        id_query = select(SegmentRow.id).where(of_video).order_by(SegmentRow.id)
        removed_ids = np.array(self._execute(id_query).scalars().all(), np.int64)
        self._execute(delete(SegmentRow).where(of_video))
        self._needs_revision |= bool(len(removed_ids))
        return removed_ids

    def add_tags(self, tags: Iterable[Tag]) -> None:
        """Add tags to videos."""
        self._execute_many(annotation_rows.INSERT_TAG, annotation_rows.tag_rows(tags))

    def replace_tags(self, video_id: int, source: str, tags: Iterable[Tag]) -> None:
        """Replace all tags that one source gave a video."""
        self.remove_tags([video_id], source=source)
        self.add_tags(tags)

    def remove_tags(
        self,
        video_ids: Iterable[int],
        *,
        label: str | None = None,
        source: str | None = None,
        span: Span | None = None,
    ) -> int:
        """Remove tags of videos.

        Args:
            video_ids: The videos.
            label: Remove only tags with this label.
            source: Remove only tags of this source.
            span: Remove only tags that overlap this span, including those of whole videos.

        Returns:
            The number of removed tags.
        """
        removed_count = 0
        for video_id in video_ids:
            delete_statement = delete(TagRow).where(TagRow.video_id == int(video_id))
            if label is not None:
                delete_statement = delete_statement.where(TagRow.label == encode_text(label))
            if source is not None:
                delete_statement = delete_statement.where(TagRow.source == encode_text(source))
            if span is not None:
                delete_statement = delete_statement.where(_overlaps_span(span))
            removed_count += self._execute(delete_statement).rowcount
        return removed_count

    def replace_cues(
        self,
        video_id: int,
        source: CueSource,
        cues: Iterable[Cue],
        *,
        source_name: str,
        source_digest: str | None = None,
        language: str | None = None,
    ) -> None:
        """Replace the cues of one source in a video, and record the transcript, even if empty.

        Args:
            video_id: The video.
            source: The source of the cues.
            cues: Cues in chronological order, track by track: neighbors are searched together.
            source_name: The model, or the names of the subtitle files and streams.
            source_digest: Digest of the subtitle files, which shows later whether they changed.
            language: ISO 639 code, several separated by commas.
        """
        matching_cues = (CueRow.video_id == int(video_id)) & (CueRow.source == source)
        self._execute(delete(CueRow).where(matching_cues))
        matching_transcripts = (TranscriptRow.video_id == int(video_id)) & (
            TranscriptRow.source == source
        )
        self._execute(delete(TranscriptRow).where(matching_transcripts))
        self._execute_many(transcript_rows.INSERT_CUE, transcript_rows.cue_rows(video_id, cues))
        if self._is_postgresql:
            with translate_errors(self._location):
                fts.index_cues(self._connection, int(video_id))
        self._needs_revision = True
        column_values = {
            "video_id": int(video_id),
            "source": source,
            "source_name": encode_text(source_name),
            "source_digest": source_digest,
            "language": None if language is None else encode_text(language),
            "created_at": datetime.now(UTC).replace(tzinfo=None),
        }
        self._execute(insert(TranscriptRow).values(column_values))

    def replace_sounds(
        self, video_id: int, sound_spans: Iterable[SoundSpan], *, model_name: str
    ) -> None:
        """Replace the spans of speech, music and singing, and record the analysis, even if empty.

        Args:
            video_id: The video.
            sound_spans: The spans; those of different kinds may overlap.
            model_name: The model that found them.
        """
        self._execute_many(sound_rows.DELETE_SPANS, [(int(video_id),)])
        self._execute_many(sound_rows.INSERT_SPAN, sound_rows.span_rows(video_id, sound_spans))
        created_at = datetime.now(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
        self._execute_many(
            sound_rows.RECORD_ANALYSIS, [(int(video_id), encode_text(model_name), created_at)]
        )
        self._needs_revision = True

    def save_search(self, search_name: str, query_text: str) -> None:
        """Save a query under a name, replacing an earlier one of that name."""
        self._execute_many(
            annotation_rows.INSERT_SAVED_SEARCH,
            [annotation_rows.saved_search_row(search_name, query_text)],
        )

    def remove_saved_search(self, search_name: str) -> bool:
        """Delete a saved search; return whether it existed."""
        matching_rows = SavedSearchRow.name == encode_text(search_name)
        return bool(self._execute(delete(SavedSearchRow).where(matching_rows)).rowcount)

    def add_cue_vectors(self, cue_ids: Sequence[int], vectors: Matrix, space: Space) -> None:
        """Add the embeddings of cues in a space, float32 (N, D)."""
        space_id = self._space_id(space)
        vector_rows = [
            (int(cue_id), space_id, vector_blob)
            for cue_id, vector_blob in zip(cue_ids, pack(vectors), strict=True)
        ]
        self._execute_many(transcript_rows.INSERT_CUE_VECTOR, vector_rows)
        self._needs_revision = True

    def remove_cue_vectors(self, space: Space) -> None:
        """Remove all cue embeddings of a space."""
        matching_rows = CueVectorRow.space_id == self._space_id(space)
        self._execute(delete(CueVectorRow).where(matching_rows))
        self._needs_revision = True

    def rebuild_fts(self) -> None:
        """Rebuild the full-text indexes from the cues and names."""
        if self._is_postgresql:
            with translate_errors(self._location):
                fts.rebuild_indexes(self._connection)
            return
        for statement in transcript_rows.REBUILD_FTS:
            self._execute(text(statement))

    def add_relevance_label(
        self, query_text: str, video_id: int, span: Span, relevant: bool
    ) -> None:
        """Mark a moment as relevant or irrelevant to a query."""
        self._execute_many(
            annotation_rows.INSERT_FEEDBACK,
            [annotation_rows.feedback_row(query_text, video_id, span, relevant)],
        )

    def remove_relevance_labels(
        self, query_text: str, video_id: int | None = None, span: Span | None = None
    ) -> int:
        """Remove relevance feedback of a query.

        Args:
            query_text: The query as it was entered.
            video_id: Remove only labels in this video.
            span: Remove only labels that overlap this span.

        Returns:
            The number of removed labels.
        """
        delete_statement = delete(FeedbackRow).where(FeedbackRow.query == encode_text(query_text))
        if video_id is not None:
            delete_statement = delete_statement.where(FeedbackRow.video_id == int(video_id))
        if span is not None:
            delete_statement = delete_statement.where(
                FeedbackRow.start < span.end, FeedbackRow.end > span.start
            )
        return int(self._execute(delete_statement).rowcount)

    def detach_path(self, video_id: int) -> None:
        """Free the path of a video that is about to be replaced by a new row."""
        self._update_video(video_id, path=f"replaced {int(video_id)}")

    def move_annotations(self, video_id: int, old_video_id: int) -> None:
        """Move tags, feedback and transcripts to a new row of a video with the same content.

        Subtitles are not moved, because indexing reads them again.
        """
        bind_values = {"old": int(old_video_id), "new": int(video_id)}
        for statement in transcript_rows.MOVE_ANNOTATIONS:
            self._execute(text(statement).bindparams(**bind_values))

    def set_space(self, space: Space, pooler: str | None, model: str | None = None) -> None:
        """Make a space active and record its pooler.

        Args:
            space: The space; added if it is new.
            pooler: The pooler of its segment vectors.
            model: The model of the space, recorded unless one is already; `set_space_model`
                replaces it.

        Raises:
            SpaceMismatchError: The library has segments in another active space.
        """
        current_name = self._current_space_name()
        if (
            current_name not in (None, space.name)
            and self._execute(select(exists(SegmentRow))).scalar()
        ):
            raise self._space_mismatch_error(current_name, space)
        space_id = self._space_id(space)
        self._execute(update(LibraryRow).values(space_id=space_id))
        if current_name not in (None, space.name):  # nothing refers to the old ones
            described_space_ids = select(FrameFeaturesRow.space_id)
            is_leftover = SpaceRow.id.not_in(described_space_ids) & (SpaceRow.id != space_id)
            self._execute(delete(SpaceRow).where(is_leftover))
        model_value = func.coalesce(SpaceRow.model, model and encode_text(model))
        self._execute(_update_space(space_id).values(pooler=pooler, model=model_value))

    def set_space_model(self, space: Space, model: str) -> None:
        """Record the model of a space, replacing an earlier one."""
        self._execute(_update_space(self._space_id(space)).values(model=encode_text(model)))

    def prepare_space(self, space: Space, model: str, pooler: str) -> None:
        """Record model and pooler of a space; remove vectors that another pooler produced."""
        space_id = self._space_id(space)
        pooler_result = self._execute(select(SpaceRow.pooler).where(SpaceRow.id == space_id))
        if pooler_result.scalar() != pooler:
            self.remove_vectors(space)
        self._execute(
            _update_space(space_id).values(pooler=encode_text(pooler), model=encode_text(model))
        )

    def switch_space(self, space: Space) -> None:
        """Make a space active, and record when the previous one was retired."""
        new_space_id, current_revision = (
            self._space_id(space),
            select(LibraryRow.revision).scalar_subquery(),
        )
        old_space_id = select(LibraryRow.space_id).scalar_subquery()
        retire_statement = update(SpaceRow).where(
            SpaceRow.id == old_space_id, SpaceRow.id != new_space_id
        )
        self._execute(retire_statement.values(retired_at_revision=current_revision))
        self._execute(update(LibraryRow).values(space_id=new_space_id))
        self._needs_revision = True

    def remove_vectors(self, space: Space) -> None:
        """Remove all segment vectors of a space.

        Raises:
            LibraryError: The space is active.
        """
        if self._current_space_name() == space.name:
            raise LibraryError(
                f"{self._location}: {space.name} is in use; switch to another model first"
            )
        self._execute(delete(VectorRow).where(VectorRow.space_id == self._space_id(space)))

    def remove_features(self, space: Space) -> None:
        """Remove the records of frame features in a space."""
        self._execute(
            delete(FrameFeaturesRow).where(FrameFeaturesRow.space_id == self._space_id(space))
        )

    def remove_space(self, space: Space) -> None:
        """Remove a space with all its vectors and records.

        Raises:
            LibraryError: The space is active.
        """
        self.remove_vectors(space)
        self.remove_features(space)
        self.remove_cue_vectors(space)
        self._execute(delete(SpaceRow).where(SpaceRow.name == space.name))

    def update_revision(self) -> None:
        """Increase the revision if segments, vectors or cues changed. Called before the commit."""
        next_revision: Any = LibraryRow.revision
        if self._needs_revision:
            now = clock_microseconds()
            next_revision = case((LibraryRow.revision < now, now), else_=LibraryRow.revision + 1)
        if self._needs_revision or self._is_postgresql:  # where it also changes the change number
            self._execute(update(LibraryRow).values(revision=next_revision))

    def _adopt_space(self, space: Space) -> int:
        """Make `space` active if none is, and return its id."""
        current_name = self._current_space_name()
        if current_name is None:
            self._execute(update(LibraryRow).values(space_id=self._space_id(space)))
        elif current_name != space.name:
            raise self._space_mismatch_error(current_name, space)
        return self._space_id(space)

    def _current_space_name(self) -> str | None:
        space_query = select(SpaceRow.name).join(LibraryRow, LibraryRow.space_id == SpaceRow.id)
        space_name: str | None = self._execute(space_query).scalar()
        return space_name

    def _space_id(self, space: Space) -> int:
        """Return the id of a space, which is added if it is new."""
        space_row = self._execute(select(SpaceRow).where(SpaceRow.name == space.name)).first()
        column_values = {"name": space.name, "dim": space.dim, "supports_text": space.supports_text}
        if space_row is None:
            return self._insert(insert(SpaceRow).values(column_values))
        if space_row.dim != space.dim:
            raise self._space_mismatch_error(
                f"{space_row.name} with {space_row.dim} dimensions", space
            )
        if space_row.supports_text != space.supports_text:
            self._execute(update(SpaceRow).where(SpaceRow.id == space_row.id).values(column_values))
        return int(space_row.id)

    def _space_mismatch_error(self, stored_space: object, space: Space) -> SpaceMismatchError:
        return SpaceMismatchError(
            f"{self._location} contains vectors of {stored_space}, which cannot be compared "
            f"with vectors of {space.name} with {space.dim} dimensions. Use the model with which "
            "the library was created, or start another library with --library."
        )

    def _last_segment_id(self) -> int:
        """Return the highest segment id ever used; no other process writes in the meantime."""
        last_segment_sql = LAST_SEGMENT_SQL
        if self._is_postgresql:
            last_segment_sql = to_postgresql(LAST_SEGMENT_SQL)
        return int(self._execute(text(last_segment_sql)).scalar() or 0)

    def _update_video(self, video_id: int, **column_values: object) -> None:
        update_statement = (
            update(VideoRow).where(VideoRow.id == int(video_id)).values(**column_values)
        )
        if not self._execute(update_statement).rowcount:
            raise LibraryError(f"{self._location} has no video {video_id}")

    def _insert(self, statement: Insert) -> int:
        """Insert a row and return its id."""
        key_columns: Any = self._execute(statement).inserted_primary_key
        return int(key_columns[0])

    def _execute(self, statement: Executable) -> CursorResult[Any]:
        with translate_errors(self._location):
            return self._connection.execute(statement)

    def _execute_many(self, statement: str, parameter_rows: list[tuple[Any, ...]]) -> None:
        if self._is_postgresql:
            statement = to_postgresql(statement)
        if parameter_rows:
            with translate_errors(self._location):
                self._connection.exec_driver_sql(statement, parameter_rows)


def _update_space(space_id: int) -> Update:
    return update(SpaceRow).where(SpaceRow.id == space_id)


def _overlaps_span(span: Span) -> ColumnElement[bool]:
    """Return the SQL equivalent of `Tag.overlaps`."""
    is_overlapping = (TagRow.start < span.end) & (TagRow.end > span.start)
    return TagRow.start.is_(None) | is_overlapping | (TagRow.start == span.start)


def _identity_columns(file_identity: FileIdentity) -> dict[str, Any]:
    return {
        "size_bytes": int(file_identity.size_bytes),
        "mtime_ns": int(file_identity.mtime_ns),
        "ctime_ns": file_identity.ctime_ns,
        "inode": file_identity.inode,
        "content_digest": file_identity.content_digest,
    }


def clock_microseconds() -> int:
    """Return microseconds since the epoch.

    New segment ids and revisions start here. This keeps them unique even after the catalog was
    restored from a backup, while a saved index still refers to ids given after the backup.
    """
    return time.time_ns() // 1000
