"""Deletion of files of a store that no video of the library needs."""

from __future__ import annotations

import time
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol

from vsearch.storage.content_names import (
    FEATURES_PREFIX,
    FRAMES_PREFIX,
    THUMBNAILS_PREFIX,
    content_folder,
    features_name,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.storage.object_store import ObjectStore, StoredObject
    from vsearch.types import Space, SpaceInfo


class ContentRecords(Protocol):
    """Records of a catalog about contents."""

    def spaces(self) -> Sequence[SpaceInfo]:
        """Return the embedding spaces."""
        ...

    def feature_contents(self, space: Space) -> set[tuple[str, int]]:
        """Return fingerprint and checksum of all features in a space."""
        ...

    def content_digests(self) -> set[str]:
        """Return the digests of all videos."""
        ...


def remove_unused_files(
    objects: ObjectStore, records: ContentRecords, min_age_seconds: float
) -> list[StoredObject]:
    """Delete files that no video needs.

    A file that was written lately is kept: another process may be about to record it. Only files
    of vsearch are deleted.

    Args:
        objects: The store.
        records: The catalog of its only library.
        min_age_seconds: Age of the files to delete.

    Returns:
        The deleted files.

    Raises:
        StoreError: The store cannot be used.
    """
    prefixes = (FEATURES_PREFIX, FRAMES_PREFIX, THUMBNAILS_PREFIX)
    old_objects = [
        stored
        for prefix in prefixes
        for stored in objects.list_objects(prefix)
        if _is_older(stored, min_age_seconds)
    ]
    needed_names = {  # read after the list: what was recorded meanwhile is kept
        features_name(fingerprint, space_info.space, crc32)
        for space_info in records.spaces()
        for fingerprint, crc32 in records.feature_contents(space_info.space)
    }
    needed_folders = {
        content_folder(prefix, content_digest)
        for prefix in (FRAMES_PREFIX, THUMBNAILS_PREFIX)
        for content_digest in records.content_digests()
    }
    unused_objects = [
        stored
        for stored in old_objects
        if stored.name not in needed_names
        and str(PurePosixPath(stored.name).parent) not in needed_folders
    ]
    for stored in unused_objects:
        objects.remove(stored.name)
    return unused_objects


def _is_older(stored: StoredObject, min_age_seconds: float) -> bool:
    return stored.modified_at is not None and time.time() - stored.modified_at > min_age_seconds
