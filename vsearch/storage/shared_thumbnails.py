"""Thumbnails and previews in a store, so that several servers render each only once."""

from __future__ import annotations

import logging
import time
import zlib
from typing import TYPE_CHECKING

from vsearch.errors import LibraryError, MissingExtraError
from vsearch.storage.content_names import THUMBNAILS_PREFIX, content_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.storage.object_store import ObjectStore

log = logging.getLogger(__name__)
_CHECKSUM_BYTES = 4
PAUSE_SECONDS = 60.0  # without requests after a failure: rendering is faster than waiting


class SharedThumbnails:
    """Images by content and name. A store that cannot be used never fails: images are rendered."""

    def __init__(self, objects: ObjectStore, find_digest: Callable[[int], str | None]) -> None:
        """Use a store.

        Args:
            objects: The store; it should not repeat requests.
            find_digest: Returns the digest of a video's file; None if it is not known.
        """
        self._objects, self._find_digest = objects, find_digest
        self._paused_until = 0.0  # monotonic seconds

    def load(self, video_id: int, image_name: str) -> bytes | None:
        """Return an image; None if it is not stored.

        Args:
            video_id: The video.
            image_name: Name of the image among those of this video.
        """
        object_name = self._object_name(video_id, image_name)
        if object_name is None:
            return None
        try:
            stored = self._objects.read(object_name)
        except FileNotFoundError:
            return None
        except (LibraryError, MissingExtraError) as error:
            self._pause(error)
            return None
        image_bytes, checksum = stored[:-_CHECKSUM_BYTES], stored[-_CHECKSUM_BYTES:]
        return image_bytes if image_bytes and checksum == _checksum(image_bytes) else None

    def save(self, video_id: int, image_name: str, image_bytes: bytes) -> None:
        """Store an image, if that is possible."""
        object_name = self._object_name(video_id, image_name)
        if object_name is None:
            return
        try:
            self._objects.write(object_name, image_bytes + _checksum(image_bytes))
        except (LibraryError, MissingExtraError) as error:
            self._pause(error)

    def _object_name(self, video_id: int, image_name: str) -> str | None:
        if time.monotonic() < self._paused_until:
            return None
        try:
            content_digest = self._find_digest(video_id)
        except LibraryError:  # the video was removed meanwhile
            return None
        if content_digest is None:
            return None
        return f"{content_folder(THUMBNAILS_PREFIX, content_digest)}/{image_name}"

    def _pause(self, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        log.warning("%s", error)


def _checksum(image_bytes: bytes) -> bytes:
    """Return the end of a stored file, which viewers of images ignore."""
    return zlib.crc32(image_bytes).to_bytes(_CHECKSUM_BYTES, "little")
