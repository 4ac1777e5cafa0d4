"""Frame features in a bucket, or in a folder that several libraries share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING

from vsearch.errors import DamagedLibraryError
from vsearch.storage.atomic_files import safe_file_name
from vsearch.storage.content_names import FEATURES_PREFIX, features_name
from vsearch.storage.feature_files import (
    SUFFIX,
    dump_features,
    forget_layouts,
    read_checksum,
    read_features,
    read_features_around,
)
from vsearch.storage.feature_store import FeatureStore
from vsearch.storage.stored_files import StoredFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.storage.feature_store import FeatureRecords
    from vsearch.storage.object_cache import ObjectCache
    from vsearch.storage.object_store import ObjectStore
    from vsearch.types import Features, Space, Span

CHECKING_THREADS = 8  # of `find_damaged`, which waits for the network


class BucketFeatureStore(FeatureStore):
    """Frame features in files named by their content; see `content_names`.

    The catalog decides which features a video has: their file is complete before its record is
    committed. Features that the library has in its own folder, from before it used a bucket or from
    a backup, are still read there. Files in the bucket are deleted by `vsearch doctor
    --clean-store` only: another library may use them.
    """

    def __init__(
        self,
        folder: Path,
        records: FeatureRecords,
        objects: ObjectStore,
        cache: ObjectCache | None = None,
    ) -> None:
        """Use a store; nothing is read yet.

        Args:
            folder: Folder of features in the library itself.
            records: The catalog.
            objects: The store of features.
            cache: Where parts of files are kept; None: nowhere.
        """
        super().__init__(folder, records.features_crc32, records.video_path)
        self._records, self._objects, self._cache = records, objects, cache

    def with_records(self, records: FeatureRecords) -> BucketFeatureStore:
        """Return the same store for another catalog, such as a copy."""
        return BucketFeatureStore(self.folder, records, self._objects, self._cache)

    def save_content(self, fingerprint: str, features: Features) -> int:
        """Store the features of a content, before the video is in the catalog.

        Storing them again is harmless, and replaces a damaged file.

        Args:
            fingerprint: Of the content.
            features: Frame vectors float32 (T, D), stored as float16, and times.

        Returns:
            The checksum of the file, for the catalog.

        Raises:
            StoreError: They cannot be stored.
        """
        buffer = BytesIO()
        crc32 = dump_features(buffer, features)
        name = features_name(fingerprint, features.space, crc32)
        self._objects.write(name, buffer.getvalue())
        StoredFile(self._objects, name, self._cache).forget()  # it may be damaged
        return crc32

    def save(self, video_id: int, features: Features) -> int:
        """Store features of a video of the catalog. See `FeatureStore.save`."""
        return self.save_content(self._find_fingerprint(video_id), features)

    def load(self, video_id: int, space: Space) -> Features:
        """See `FeatureStore.load`."""
        crc32 = self._records.features_crc32(video_id, space)
        if self._is_in_folder(video_id, space, crc32):
            return super().load(video_id, space)
        return self._read(video_id, space, crc32, lambda stored_file: _read(stored_file, crc32))

    def load_range(self, video_id: int, space: Space, span: Span) -> Features:
        """See `FeatureStore.load_range`; only the blocks around these rows are fetched."""
        crc32 = self._records.features_crc32(video_id, space)
        if self._is_in_folder(video_id, space, crc32):
            return super().load_range(video_id, space, span)

        def read_around(stored_file: StoredFile) -> Features:
            features, found_crc32 = read_features_around(stored_file, span)
            return _check(features, found_crc32, crc32)

        return self._read(video_id, space, crc32, read_around)

    def read_file(self, video_id: int, space: Space) -> tuple[Path, bytes]:
        """Return the path that the file has in the folder of a library, and its content."""
        crc32 = self._records.features_crc32(video_id, space)
        if self._is_in_folder(video_id, space, crc32):
            return super().read_file(video_id, space)
        buffer = BytesIO()
        dump_features(buffer, self.load(video_id, space))
        return self.folder / safe_file_name(space.name) / f"{video_id}{SUFFIX}", buffer.getvalue()

    def has_features(self, video_id: int, space: Space) -> bool:
        """Return whether the catalog has features of a video; the bucket is not asked."""
        is_recorded = self._records.features_crc32(video_id, space) is not None
        return is_recorded or super().has_features(video_id, space)

    def video_ids(self, space: Space | None = None) -> set[int]:
        """Return the ids of the videos with features; all spaces (None): in the folder only."""
        stored_ids = super().video_ids(space)
        return (
            stored_ids if space is None else stored_ids | self._records.videos_with_features(space)
        )

    def size_bytes(self, space: Space) -> int:
        """Return the total size of the features of `space`, also of other libraries there."""
        space_prefix = f"{FEATURES_PREFIX}/{safe_file_name(space.name)}"
        stored_objects = self._objects.list_objects(space_prefix)
        return super().size_bytes(space) + sum(stored.size_bytes for stored in stored_objects)

    def find_damaged(self, space: Space) -> list[int]:
        """Return the ids of the videos whose features are missing or damaged, ascending.

        All of them are read from the bucket, past the cache.
        """
        uncached = BucketFeatureStore(self.folder, self._records, self._objects)
        video_ids = sorted(self.video_ids(space))
        with ThreadPoolExecutor(CHECKING_THREADS) as executor:
            are_loadable = executor.map(
                lambda video_id: uncached._is_loadable(video_id, space), video_ids
            )
            return [
                video_id
                for video_id, is_loadable in zip(video_ids, are_loadable, strict=True)
                if not is_loadable
            ]

    def _is_in_folder(self, video_id: int, space: Space, crc32: int | None) -> bool:
        """Return whether the library's own folder has the features that the catalog records."""
        if not super().has_features(video_id, space):
            return False
        try:
            found_crc32 = read_checksum(self.feature_path(video_id, space))
        except Exception:  # damaged files raise almost anything
            return crc32 is None
        return crc32 is None or found_crc32 in (None, crc32)

    def _read(
        self,
        video_id: int,
        space: Space,
        crc32: int | None,
        read: Callable[[StoredFile], Features],
    ) -> Features:
        """Read features from the bucket; once more past the cache if they are damaged."""
        fingerprint = self._records.content_fingerprint(video_id)
        if crc32 is None or fingerprint is None:
            return super().load(video_id, space)  # explains that there are none
        name = features_name(fingerprint, space, crc32)
        stored_file = StoredFile(self._objects, name, self._cache)
        try:
            with self._damage_as_error(video_id, stored_file):
                return read(stored_file)
        except DamagedLibraryError:
            stored_file.forget()
            forget_layouts()
        with self._damage_as_error(video_id, stored_file):
            return read(StoredFile(self._objects, name, None))

    def _find_fingerprint(self, video_id: int) -> str:
        fingerprint = self._records.content_fingerprint(video_id)
        if fingerprint is None:
            raise DamagedLibraryError(f"the catalog has no video {video_id} (any more)")
        return fingerprint


def _read(stored_file: StoredFile, expected_crc32: int | None) -> Features:
    return _check(read_features(stored_file), read_checksum(stored_file), expected_crc32)


def _check(features: Features, crc32: int | None, expected_crc32: int | None) -> Features:
    """Return features; raise ValueError if their file has another checksum than its name."""
    if crc32 != expected_crc32:
        raise ValueError("these are other features")
    return features
