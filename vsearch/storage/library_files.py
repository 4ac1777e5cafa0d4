"""The files of a library: in its own folder, or in the store that its settings name.

What only a store needs is imported when there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.storage.feature_store import FeatureStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.storage.feature_store import FeatureRecords
    from vsearch.storage.object_store import ObjectStore


def open_objects(store: str, *, retry_seconds: float | None = None) -> ObjectStore | None:
    """Return the store at an address; nothing is read and no connection is opened yet.

    Args:
        store: A folder or URL that `check_store` accepts; empty: none.
        retry_seconds: Time in which failed requests are repeated; None: as usual.
    """
    if not store:
        return None
    from vsearch.storage.object_store import open_object_store  # deferred: as above

    return open_object_store(store, retry_seconds=retry_seconds)


def open_feature_store(
    folder: Path,
    records: FeatureRecords,
    objects: ObjectStore | None,
    find_cache_folder: Callable[[], Path],
    *,
    max_cache_bytes: int,
) -> FeatureStore:
    """Return the frame features of a library; nothing is read yet.

    Args:
        folder: Folder of features in the library itself.
        records: The catalog.
        objects: The store of the library; None: that folder.
        find_cache_folder: Returns the folder for parts of a bucket's files.
        max_cache_bytes: Size of that folder; 0: nothing is kept.
    """
    if objects is None:
        return FeatureStore(folder, records.features_crc32, records.video_path)
    from vsearch.storage.bucket_features import BucketFeatureStore  # deferred: as above
    from vsearch.storage.object_cache import ObjectCache

    cache = None
    if max_cache_bytes and not objects.is_local:
        cache = ObjectCache(find_cache_folder() / "store", max_cache_bytes)
    return BucketFeatureStore(folder, records, objects, cache)
