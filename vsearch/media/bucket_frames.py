"""Cached frames in a bucket, or in a folder that several libraries share."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vsearch.media.frame_cache import (
    DAMAGE_REMEDY,
    FrameStore,
    frames_are_intact,
    read_batches,
)
from vsearch.storage.atomic_files import damage_as_error
from vsearch.storage.content_names import FRAMES_PREFIX, content_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vsearch.storage.object_store import ObjectStore
    from vsearch.types import FileIdentity, FrameBatch, Video

PART_BYTES = 16 * 2**20  # fetched at once


class FrameRecords(Protocol):
    """Records of a catalog about videos."""

    def videos_by_id(self, video_ids: Iterable[int]) -> dict[int, Video]:
        """Return the videos with these ids, by id."""
        ...

    def videos(self) -> list[Video]:
        """Return all videos."""
        ...

    def file_identity(self, video_id: int) -> FileIdentity:
        """Return the recorded identity of a video's file."""
        ...

    def sample_fps(self, video_id: int) -> float:
        """Return the frames per second at which a video was sampled."""
        ...


def frames_name(
    content_digest: str, sample_fps: float, frame_count: int, *, keyframes_only: bool
) -> str:
    """Return the name of the frames of a content, sampled in one way.

    Args:
        content_digest: Of the video file.
        sample_fps: Frames sampled per second.
        frame_count: Number of frames.
        keyframes_only: Only key frames were sampled.
    """
    sampling = f"key-{sample_fps:g}" if keyframes_only else f"{sample_fps:g}"
    return f"{content_folder(FRAMES_PREFIX, content_digest)}/{sampling}-{frame_count}.frames"


class BucketFrameStore(FrameStore):
    """Frame cache in files named by the content of the video and its sampling.

    Frames are written to the library's own folder first; those of an older library, and of videos
    that changed while they were read, stay there.
    """

    def __init__(self, folder: Path, records: FrameRecords, objects: ObjectStore) -> None:
        """Use a store; nothing is read yet.

        Args:
            folder: Folder of frames in the library itself.
            records: The catalog.
            objects: The store.
        """
        super().__init__(folder)
        self._records, self._objects = records, objects

    def save_content(self, pending_name: str, object_name: str | None) -> None:
        """Move the frames written last under `pending_name` to the store."""
        pending_path = self.pending_path(pending_name)
        if object_name is not None and pending_path.exists():
            self._objects.write(object_name, pending_path.read_bytes())
            pending_path.unlink(missing_ok=True)

    def assign_frames(self, video_id: int, pending_name: str = "") -> None:
        """Keep frames that are not in the store under the id of their video."""
        if self.pending_path(pending_name).exists():
            super().assign_frames(video_id, pending_name)

    def iter_batches(self, video_id: int) -> Iterator[FrameBatch]:
        """See `FrameStore.iter_batches`; the file is fetched first."""
        object_name = self._find_name(video_id)
        if super().has_frames(video_id) or object_name is None:
            yield from super().iter_batches(video_id)
            return
        source = f"{self._objects.url}/{object_name}"
        with damage_as_error(source, DAMAGE_REMEDY), self._fetch(object_name) as frames_path:
            yield from read_batches(frames_path)

    def has_frames(self, video_id: int) -> bool:
        """Return whether frames of a video are cached, intact or not."""
        if super().has_frames(video_id):
            return True
        object_name = self._find_name(video_id)
        if object_name is None:
            return False
        try:
            self._objects.read(object_name, 0, 1)
        except FileNotFoundError:
            return False
        return True

    def find_damaged(self) -> list[int]:
        """Return the ids of videos whose cached frames are damaged, ascending."""
        stored_names = {stored.name for stored in self._objects.list_objects(FRAMES_PREFIX)}
        damaged_ids = super().find_damaged()
        for video in self._records.videos() if stored_names else ():
            object_name = self._find_name(video.id)
            if object_name in stored_names and not self._is_stored_intact(object_name):
                damaged_ids.append(video.id)
        return sorted(damaged_ids)

    def _is_stored_intact(self, object_name: str) -> bool:
        try:
            with self._fetch(object_name) as frames_path:
                return frames_are_intact(frames_path)
        except FileNotFoundError:  # deleted meanwhile
            return True

    def _find_name(self, video_id: int) -> str | None:
        """Return the name that frames of a video have in the store, if they can be there."""
        video = self._records.videos_by_id([video_id]).get(video_id)
        if video is None:
            return None
        content_digest = self._records.file_identity(video_id).content_digest
        if content_digest is None:
            return None
        return frames_name(
            content_digest,
            self._records.sample_fps(video_id),
            video.sampled_frames,
            keyframes_only=video.keyframes_only,
        )

    @contextmanager
    def _fetch(self, object_name: str) -> Iterator[Path]:
        """Provide a temporary copy of a file of the store, fetched in parts."""
        with tempfile.TemporaryDirectory(prefix="vsearch-") as folder:
            frames_path, is_complete = Path(folder) / "kept.frames", False
            with frames_path.open("wb") as frames_file:
                while not is_complete:
                    offset = frames_file.tell()
                    content = self._objects.read(object_name, offset, offset + PART_BYTES)
                    frames_file.write(content)
                    is_complete = len(content) < PART_BYTES
            yield frames_path
