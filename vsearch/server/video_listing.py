"""Lists of the videos of a large library: filtered, sorted, grouped by month and by folder.

Everything is computed from the outline of the library, kept until the library changes.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import groupby
from typing import TYPE_CHECKING, Literal, TypeAlias

from vsearch.server.problems import Problem, escape_undecodable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from vsearch.catalog.outlines import LibraryOutline, VideoOutline
    from vsearch.library import Library

    VideoTest: TypeAlias = Callable[[VideoOutline], bool]

SortOrder: TypeAlias = Literal["name", "duration", "recorded", "modified"]
LackedSource: TypeAlias = Literal["speech", "ocr"]
MAX_SELECTIONS = 16  # lists kept for the next pages
SORT_KEYS: Mapping[SortOrder, Callable[[VideoOutline], Any]] = {
    "name": lambda video: (video.file_name.casefold(), video.path_text),
    "duration": lambda video: (-video.duration, video.path_text),
    "recorded": lambda video: video.local_time,  # reversed
    "modified": lambda video: (-video.mtime_ns, video.path_text),
}


@dataclass(frozen=True, slots=True)
class ListFilter:
    """The videos to list, and their order."""

    name_pattern: str = ""  # part of the path, or a glob
    folder: str = ""  # absolute path, with undecodable bytes escaped; "" for all
    lacking: LackedSource | None = None  # only videos without such a transcript
    sort: SortOrder = "name"


@dataclass(frozen=True, slots=True)
class MonthCount:
    """Number of videos recorded in a month."""

    year: int
    month: int  # from 1
    video_count: int


@dataclass(frozen=True, slots=True)
class LibraryFolder:
    """A folder that contains videos of the library, itself or in its subfolders."""

    path: str
    name: str
    video_count: int  # in the folder and its subfolders


@dataclass(frozen=True, slots=True)
class FolderContents:
    """A folder, the folders that contain it from the outermost on, and its subfolders."""

    folder: LibraryFolder
    parents: tuple[LibraryFolder, ...]
    subfolders: tuple[LibraryFolder, ...]


@dataclass(slots=True, eq=False)
class _FolderTree:
    """Folders with videos: number of videos below, and subfolders, by path."""

    counts: dict[str, int] = field(default_factory=dict)
    subfolders: dict[str, set[str]] = field(default_factory=dict)
    direct_counts: dict[str, int] = field(default_factory=dict)


class VideoListing:
    """Lists of the videos of one library. Thread-safe."""

    def __init__(self, library: Library) -> None:
        """List the videos of an open library."""
        self._library = library
        self._lock = threading.Lock()
        self._outline: LibraryOutline | None = None
        self._selections: OrderedDict[ListFilter, list[VideoOutline]] = OrderedDict()
        self._folder_tree: _FolderTree | None = None

    def select(self, list_filter: ListFilter) -> list[VideoOutline]:
        """Return the outlines of videos in order; by recording time, the newest come first."""
        with self._lock:
            outline = self._follow_library()
            selection = self._selections.get(list_filter)
            if selection is None:
                matches = _make_test(list_filter)
                selection = [video for video in outline.videos if matches(video)]
                if list_filter.sort == "recorded":
                    selection.sort(key=lambda video: video.path_text)
                selection.sort(
                    key=SORT_KEYS[list_filter.sort], reverse=list_filter.sort == "recorded"
                )
                self._selections[list_filter] = selection
            self._selections.move_to_end(list_filter)
            while len(self._selections) > MAX_SELECTIONS:
                self._selections.popitem(last=False)
        return selection

    def count_months(self, list_filter: ListFilter) -> list[MonthCount]:
        """Return the number of videos per month, the latest month first."""
        by_time = ListFilter(
            list_filter.name_pattern, list_filter.folder, list_filter.lacking, "recorded"
        )
        month_groups = groupby(
            self.select(by_time), key=lambda video: (video.local_time.year, video.local_time.month)
        )
        return [
            MonthCount(year, month, sum(1 for _ in videos))
            for (year, month), videos in month_groups
        ]

    def count_lacking(self) -> dict[LackedSource, int]:
        """Return the number of videos whose speech or on-screen text was never recognized."""
        with self._lock:
            videos = self._follow_library().videos
        return {
            "speech": sum(video.lacks_speech for video in videos),
            "ocr": sum(video.lacks_ocr for video in videos),
        }

    def list_folder(self, folder_path: str = "") -> FolderContents:
        """Return a folder of the library with its subfolders.

        Folders without videos of their own and with one subfolder are left out.

        Args:
            folder_path: As returned before; "" for the folder that contains all videos.

        Raises:
            Problem: 404 if no video of the library is in it.
        """
        with self._lock:
            self._follow_library()
            tree = self._folder_tree = self._folder_tree or self._build_tree()
        root = _descend(tree, "")
        folder_path = root if folder_path == "" else folder_path
        if folder_path not in tree.counts:
            raise Problem(404, "not-found", "no video of the library is in this folder")
        subfolders = [_descend(tree, below) for below in tree.subfolders.get(folder_path, ())]
        parents = [
            parent
            for parent in _iter_parents(folder_path)
            if parent in tree.counts and len(parent) >= len(root) and _is_shown(tree, parent)
        ]
        return FolderContents(
            _describe(tree, folder_path, ""),
            tuple(_describe(tree, parent, "") for parent in reversed(parents)),
            tuple(
                sorted(
                    (_describe(tree, below, folder_path) for below in subfolders),
                    key=lambda folder: folder.name.casefold(),
                )
            ),
        )

    def _follow_library(self) -> LibraryOutline:
        outline = self._library.outline()
        if outline is not self._outline:
            self._outline, self._folder_tree = outline, None
            self._selections.clear()
        return outline

    def _build_tree(self) -> _FolderTree:
        tree = _FolderTree()
        assert self._outline is not None  # noqa: S101 - followed before
        for video in self._outline.videos:
            folder = escape_undecodable(video.folder_text)
            tree.direct_counts[folder] = tree.direct_counts.get(folder, 0) + 1
        for folder, video_count in tree.direct_counts.items():
            tree.counts[folder] = tree.counts.get(folder, 0) + video_count
            below = folder
            for parent in _iter_parents(folder):
                tree.counts[parent] = tree.counts.get(parent, 0) + video_count
                tree.subfolders.setdefault(parent, set()).add(below)
                below = parent
        tree.counts.setdefault("", 0)
        return tree


def _make_test(list_filter: ListFilter) -> VideoTest:
    """Return a function that tells which videos a list has."""
    tests: list[VideoTest] = []
    if name_pattern := list_filter.name_pattern.casefold().strip():
        is_glob = any(wildcard in name_pattern for wildcard in "*?[")
        tests.append(
            (lambda video: fnmatchcase(video.path_text.casefold(), name_pattern))
            if is_glob
            else (lambda video: name_pattern in video.path_text.casefold())
        )
    if list_filter.folder:
        prefix = list_filter.folder.rstrip(os.sep) + os.sep
        tests.append(lambda video: escape_undecodable(video.path_text).startswith(prefix))
    if list_filter.lacking == "speech":
        tests.append(lambda video: video.lacks_speech)
    elif list_filter.lacking == "ocr":
        tests.append(lambda video: video.lacks_ocr)
    return lambda video: all(test(video) for test in tests)


# --- folders; "" contains all others


def _iter_parents(folder: str) -> Iterator[str]:
    """Yield the folders that contain a folder, from the innermost on, and "" at last."""
    while folder:
        folder = folder.rpartition(os.sep)[0]
        yield folder


def _descend(tree: _FolderTree, folder: str) -> str:
    """Return the first folder, from `folder` down, that is shown."""
    while not _is_shown(tree, folder):
        [folder] = tree.subfolders[folder]
    return folder


def _is_shown(tree: _FolderTree, folder: str) -> bool:
    """Return False for a folder with nothing but one subfolder."""
    return folder in tree.direct_counts or len(tree.subfolders.get(folder, ())) != 1


def _describe(tree: _FolderTree, folder: str, parent: str) -> LibraryFolder:
    """Describe a folder; the name of a subfolder is its path from `parent`."""
    name = folder[len(parent) :].strip(os.sep) if parent else folder.rpartition(os.sep)[2]
    return LibraryFolder(folder, name or folder or os.sep, tree.counts[folder])
