"""Availability of video files: a single file may be missing, or its whole drive or folder offline.

Files are checked in threads with a deadline, because a network drive that does not answer blocks.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import BucketPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vsearch.types import FileStatus, Video

CHECK_TIMEOUT_SECONDS = 2.0
_MAX_THREADS = 8
# errors of drives that were disconnected, or of servers that do not answer
_OFFLINE_ERRNOS = frozenset(
    getattr(errno, error_name)
    for error_name in (
        "EIO", "ENXIO", "ENODEV", "ENOMEDIUM", "ESTALE", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN",
        "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "EREMOTEIO", "ECONNREFUSED", "ECONNRESET",
    )
    if hasattr(errno, error_name)
)  # fmt: skip


def find_file_statuses(
    video_paths: Iterable[Path],
    indexed_folders: Sequence[Path] = (),
    *,
    timeout_seconds: float = CHECK_TIMEOUT_SECONDS,
) -> dict[Path, FileStatus]:
    """Check whether files exist.

    A file that does not exist is offline if an indexed folder that contained it is gone or empty,
    as the mount point of a drive is, and otherwise missing. Without an indexed folder, its own
    folder counts. A file whose drive does not answer in time is offline. In a bucket, a file is
    offline if the bucket is gone or does not answer.

    Args:
        video_paths: The files.
        indexed_folders: Folders and drives that were indexed.
        timeout_seconds: Time in which all answers are awaited.

    Returns:
        Status by path.
    """
    groups: dict[Path, list[Path]] = {}
    bucket_paths: list[BucketPath] = []
    for video_path in dict.fromkeys(video_paths):
        if isinstance(video_path, BucketPath):
            bucket_paths.append(video_path)
            continue
        folder = find_indexed_folder(video_path, indexed_folders)
        groups.setdefault(folder, []).append(video_path)
    checks = [_GroupCheck(indexed_folders) for _ in range(min(_MAX_THREADS, len(groups)))]
    for group_index, group_paths in enumerate(groups.values()):
        checks[group_index % _MAX_THREADS].video_paths += group_paths
    for check in checks:
        check.start()
    deadline = time.monotonic() + timeout_seconds
    for check in checks:
        check.wait(max(0.0, deadline - time.monotonic()))
    statuses: dict[Path, FileStatus] = {}
    for check in checks:
        statuses |= {path: check.statuses.get(path, "offline") for path in check.video_paths}
    if bucket_paths:
        from vsearch.buckets.availability import find_bucket_statuses  # deferred: rarely needed

        for bucket_path, file_status in find_bucket_statuses(bucket_paths).items():
            statuses[bucket_path] = file_status
    return statuses


def check_videos(videos: Iterable[Video], indexed_folders: Sequence[Path] = ()) -> list[Video]:
    """Check whether the files of videos exist.

    A video whose file is gone, but of which there is a duplicate, gets the path of the duplicate.

    Args:
        videos: The videos.
        indexed_folders: As of `find_file_statuses`.

    Returns:
        The videos with `file_status`.
    """
    video_list = list(videos)
    statuses = find_file_statuses((video.path for video in video_list), indexed_folders)
    duplicate_paths = [
        duplicate_path
        for video in video_list
        if statuses[video.path] != "available"
        for duplicate_path in video.other_paths
    ]
    statuses |= find_file_statuses(duplicate_paths, indexed_folders)
    return [_select_place(video, statuses) for video in video_list]


def locate_videos(videos: Iterable[Video], indexed_folders: Sequence[Path] = ()) -> list[Video]:
    """Return the videos, those whose file is gone with the path of a duplicate that exists.

    Only files of which there are duplicates are checked.

    Args:
        videos: The videos.
        indexed_folders: As of `find_file_statuses`.
    """
    video_list = list(videos)
    checked_videos = {
        video.id: replace(video, file_status=None)
        for video in check_videos(filter(_has_duplicates, video_list), indexed_folders)
    }
    return [checked_videos.get(video.id, video) for video in video_list]


def _has_duplicates(video: Video) -> bool:
    return bool(video.other_paths)


def _select_place(video: Video, statuses: Mapping[Path, FileStatus]) -> Video:
    """Return a video with its status, and with the path of its first file that exists."""
    places = (video.path, *video.other_paths)
    for place in places:
        if statuses.get(place) == "available":
            other_paths = tuple(sorted(set(places) - {place}))
            return replace(video, path=place, other_paths=other_paths, file_status="available")
    is_offline = any(statuses.get(place) == "offline" for place in places)
    return replace(video, file_status="offline" if is_offline else "missing")


class _GroupCheck:
    """Checks the files of some folders in a thread that may be abandoned."""

    def __init__(self, indexed_folders: Sequence[Path]) -> None:
        self.video_paths: list[Path] = []
        self.statuses: dict[Path, FileStatus] = {}
        self._indexed_folders = indexed_folders
        self._gone_folders: dict[Path, bool] = {}
        self._thread = threading.Thread(target=self._run, name="file status", daemon=True)

    def start(self) -> None:
        """Start checking; without a thread if none can be started."""
        try:
            self._thread.start()
        except RuntimeError:  # the limit of threads or memory is reached
            self._run()

    def wait(self, timeout_seconds: float) -> None:
        """Wait until all files are checked, or until the timeout."""
        if self._thread.ident is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        for video_path in self.video_paths:
            self.statuses[video_path] = self._check_file(video_path)

    def _check_file(self, video_path: Path) -> FileStatus:
        try:
            is_file = stat.S_ISREG(os.stat(video_path).st_mode)  # noqa: PTH116 - fastest
        except PermissionError:
            return "available"  # as far as can be known
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in _OFFLINE_ERRNOS:
                return "offline"
            is_file = False
        if is_file:
            return "available"
        containing_folders = [
            folder for folder in self._indexed_folders if video_path.is_relative_to(folder)
        ] or [video_path.parent]
        if os.path.islink(video_path):  # noqa: PTH114 - never raises
            containing_folders.append(Path(os.path.realpath(video_path)).parent)
        return "offline" if any(map(self._is_gone, containing_folders)) else "missing"

    def _is_gone(self, folder: Path) -> bool:
        if folder not in self._gone_folders:
            self._gone_folders[folder] = is_gone_or_empty(folder)
        return self._gone_folders[folder]


def is_missing(video_path: Path) -> bool:
    """Return whether a file certainly does not exist.

    Args:
        video_path: The file.

    Returns:
        False if the file exists, and also if its folder cannot be accessed.
    """
    try:
        video_path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def is_gone_or_empty(folder: Path) -> bool:
    """Return True if a folder does not exist or has no visible entries, as a mount point.

    Args:
        folder: The folder.

    Returns:
        False also if the folder must not be read.
    """
    try:
        with os.scandir(folder) as folder_entries:
            return all(entry.name.startswith(".") for entry in folder_entries)
    except PermissionError:
        return False
    except (OSError, ValueError):
        return True


def find_indexed_folder(video_path: Path, indexed_folders: Sequence[Path]) -> Path:
    """Return the innermost indexed folder that contains a file, or its own folder.

    Args:
        video_path: The file.
        indexed_folders: Folders that were indexed.
    """
    containing_folders = [folder for folder in indexed_folders if video_path.is_relative_to(folder)]
    return max(containing_folders, key=lambda folder: len(folder.parts), default=video_path.parent)
