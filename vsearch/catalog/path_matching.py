"""Selection of videos by path, folder or glob."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from glob import has_magic
from typing import TYPE_CHECKING, Protocol

from vsearch.buckets.bucket_path import to_absolute
from vsearch.query.arguments import check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from vsearch.types import PathInput, Video


class VideoLookup(Protocol):
    """The videos of a catalog, as far as path matching needs them."""

    def video_places(self) -> list[tuple[int, Path]]:
        """Return the id of a video and a path, for the paths of all files of all videos."""

    def videos(self) -> list[Video]:
        """Return all videos, sorted by path."""

    def videos_by_id(self, video_ids: Iterable[int]) -> dict[int, Video]:
        """Return the videos with these ids."""


def videos_matching(catalog: VideoLookup, path_patterns: Iterable[str]) -> list[Video]:
    """Return the videos that match any pattern, sorted by path.

    A pattern is the path of a video or of a folder that contains videos. A pattern with `*`, `?`
    or `[`, or one that does not exist on disk, is a glob over all paths in the library. A video
    with several files of the same content is found by any of their paths.

    Args:
        catalog: The catalog to search.
        path_patterns: Paths, absolute or relative to the working directory, or globs.
    """
    matching_videos = catalog.videos_by_id(ids_matching(catalog, path_patterns)).values()
    return sorted(matching_videos, key=lambda video: str(video.path))


def select_videos(catalog: VideoLookup, paths: Sequence[PathInput]) -> list[Video]:
    """Return the videos that match any of the paths, or all videos if there are no paths.

    Args:
        catalog: The catalog to search.
        paths: Patterns as for `videos_matching`.
    """
    names = check_names(paths, "paths")
    return videos_matching(catalog, names) if names else catalog.videos()


def ids_matching(
    catalog: VideoLookup,
    path_patterns: Iterable[str],
    *,
    check_disk: bool = True,
    match_folders: bool = False,
) -> set[int]:
    """Return the ids of the videos that match any pattern.

    Args:
        catalog: The catalog to search.
        path_patterns: Patterns as for `videos_matching`.
        check_disk: Expand `~`, and do not treat existing files as globs. False for patterns from
            other machines.
        match_folders: A pattern that matches nothing else is the name of any folder.
    """
    places = catalog.video_places()
    ids_by_path = {place_path: video_id for video_id, place_path in places}
    return {
        video_id
        for path_pattern in path_patterns
        for video_id, _ in (
            _resolve_pattern(places, ids_by_path, path_pattern, check_disk)
            or (_match_folder(places, path_pattern) if match_folders else ())
        )
    }


def places_matching(
    catalog: VideoLookup, path_patterns: Iterable[str], *, check_disk: bool = True
) -> set[tuple[int, Path]]:
    """Return the id of a video and a path, for each path of a file that matches any pattern.

    Args:
        catalog: The catalog to search.
        path_patterns: Patterns as for `videos_matching`.
        check_disk: As of `ids_matching`.
    """
    places = catalog.video_places()
    ids_by_path = {place_path: video_id for video_id, place_path in places}
    return {
        place
        for path_pattern in path_patterns
        for place in _resolve_pattern(places, ids_by_path, path_pattern, check_disk)
    }


def find_unmatched(catalog: VideoLookup, path_patterns: Iterable[str]) -> list[str]:
    """Return the patterns that match no video and no folder.

    Args:
        catalog: The catalog to search.
        path_patterns: Patterns as for `videos_matching`.
    """
    places = catalog.video_places()
    ids_by_path = {place_path: video_id for video_id, place_path in places}
    return [
        path_pattern
        for path_pattern in path_patterns
        if not _resolve_pattern(places, ids_by_path, path_pattern, check_disk=True)
        and not _match_folder(places, path_pattern)
    ]


def _resolve_pattern(
    places: Sequence[tuple[int, Path]],
    ids_by_path: Mapping[Path, int],
    path_pattern: str,
    check_disk: bool,
) -> list[tuple[int, Path]]:
    expanded_name = os.path.expanduser(path_pattern) if check_disk else path_pattern  # noqa: PTH111 - never raises
    absolute_path = to_absolute(expanded_name)
    if (exact_id := ids_by_path.get(absolute_path)) is not None:
        return [(exact_id, absolute_path)]
    is_below = _compile_folder(absolute_path)
    places_below = [place for place in places if is_below(place[1])]
    is_on_disk = check_disk and not has_magic(path_pattern) and os.path.exists(absolute_path)  # noqa: PTH110 - nor does it
    if places_below or is_on_disk:
        return places_below
    matches_glob = compile_matcher([path_pattern])
    return [place for place in places if matches_glob(place[1])]


def _match_folder(places: Sequence[tuple[int, Path]], folder_name: str) -> list[tuple[int, Path]]:
    """Return the places in folders whose path ends in a name."""
    matches_glob = compile_matcher([f"{folder_name.rstrip('/')}/*"])
    return [place for place in places if matches_glob(place[1])]


def _compile_folder(folder_path: Path) -> Callable[[Path], bool]:
    """Return a function that checks whether a path is in a folder, or is the folder."""
    if os.name == "nt":
        return lambda video_path: video_path.is_relative_to(folder_path)
    folder_text = str(folder_path)
    folder_prefix = f"{folder_text.rstrip(os.sep)}{os.sep}"  # ten times as fast as is_relative_to
    return lambda video_path: (
        (path_text := str(video_path)).startswith(folder_prefix) or path_text == folder_text
    )


def compile_matcher(globs: Sequence[str]) -> Callable[[Path], bool]:
    """Return a function that checks whether a path matches any glob.

    A glob matches a whole path or its last components, ignoring case, e.g. `*.mp4`, `holiday/*` or
    `/films/holiday/*.mp4`. A name that contains `[` or `*` also matches literally.

    Args:
        globs: Patterns as in `fnmatch`; `*` also matches slashes.
    """
    patterns = [_compile_glob(glob) for glob in globs]

    def matches_path(video_path: Path) -> bool:
        path_text = _normalize_text(str(video_path))
        return any(pattern.fullmatch(path_text) for pattern in patterns)

    return matches_path


def _compile_glob(glob: str) -> re.Pattern[str]:
    normalized_glob = _normalize_text(glob)
    return re.compile(
        rf"(?:.*/)?(?:{re.escape(normalized_glob)}|{fnmatch.translate(normalized_glob)})", re.DOTALL
    )


def _normalize_text(path_text: str) -> str:
    """Normalize separators, case, and accented letters, which macOS stores decomposed."""
    slashed_text = path_text.replace("\\", "/") if os.sep == "\\" else path_text
    return unicodedata.normalize("NFC", slashed_text).casefold()
