"""Near-duplicates of videos in a library, and of files that are not indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsearch.catalog.path_matching import videos_matching
from vsearch.content_match import FileContent
from vsearch.copies.duplicate_spans import create_exact_duplicate
from vsearch.copies.duplicates import find_duplicates
from vsearch.errors import LibraryError
from vsearch.media.discovery import find_videos

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.copies.duplicate_spans import DuplicateSpan
    from vsearch.storage.feature_store import FeatureStore


def find_library_duplicates(
    catalog: Catalog, feature_store: FeatureStore, video_paths: Sequence[str]
) -> Iterator[DuplicateSpan]:
    """Find spans that videos share with other videos of the library.

    Args:
        catalog: The catalog.
        feature_store: Stored frame features.
        video_paths: Files, folders or names of videos; none: all videos of the library.

    Yields:
        Exact duplicates of files that are not indexed, then shared spans.

    Raises:
        LibraryError: A path matches no video in the library or on disk.
    """
    queried_videos = videos_matching(catalog, video_paths) if video_paths else catalog.videos()
    known_paths = {video.path for video in queried_videos}
    file_paths = (
        [found_file.path for found_file in find_videos(video_paths) if found_file.error is None]
        if video_paths
        else []
    )
    if video_paths and not queried_videos and not file_paths:
        raise LibraryError(f"{', '.join(video_paths)}: no such video, in the library or on disk")
    for file_path in file_paths:
        if file_path not in known_paths:
            for twin_video in FileContent(file_path, catalog).find_videos():
                yield create_exact_duplicate(file_path, twin_video)
    if (space := catalog.space()) is not None:
        yield from find_duplicates(catalog, feature_store, space, queried_videos)
