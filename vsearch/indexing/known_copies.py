"""Resolution of files that are copies of indexed videos and were not indexed themselves."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.content_match import FileContent
from vsearch.errors import MediaError
from vsearch.indexing.indexed_folders import make_absolute

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vsearch.catalog.catalog import Catalog


def resolve_copies(catalog: Catalog, path_patterns: Iterable[str]) -> tuple[str, ...]:
    """Replace the paths of copies by the paths of the videos that were indexed.

    `vsearch index` records the paths of duplicates; this finds those that it has not seen.

    Args:
        catalog: The catalog of the library.
        path_patterns: Paths of videos or folders, or globs.

    Returns:
        The patterns; others are unchanged.
    """
    return tuple(_resolve_copy(catalog, path_pattern) for path_pattern in path_patterns)


def _resolve_copy(catalog: Catalog, path_pattern: str) -> str:
    file_path = make_absolute(Path(path_pattern))
    if not os.path.isfile(file_path) or catalog.video_at(file_path) is not None:  # noqa: PTH113
        return path_pattern
    try:
        identical_videos = FileContent(file_path, catalog).find_videos()
    except MediaError:  # cannot be read
        return path_pattern
    return str(identical_videos[0].path) if identical_videos else path_pattern
