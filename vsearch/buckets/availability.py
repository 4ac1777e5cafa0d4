"""Availability of files in buckets: a file may be missing, or its whole bucket offline."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import iter_entries
from vsearch.buckets.filesystems import read_info
from vsearch.errors import VSearchError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from vsearch.buckets.bucket_path import BucketPath
    from vsearch.types import FileStatus

STATUS_SECONDS = 5.0  # for one answer; a bucket that does not answer is offline
_MIN_LISTED_FILES = 200  # of one folder, which is then listed rather than asked for each file
_THREADS = 16


def find_bucket_statuses(paths: Iterable[BucketPath]) -> dict[BucketPath, FileStatus]:
    """Check whether files in buckets exist.

    A bucket that is gone or does not answer is offline, with all its files.

    Args:
        paths: The files.

    Returns:
        Status by path.
    """
    folders: dict[BucketPath, list[BucketPath]] = defaultdict(list)
    for path in paths:
        folders[path.parent].append(path)
    offline_buckets: set[str] = set()
    check = partial(_check_paths, offline_buckets)
    groups: list[Sequence[BucketPath]] = []
    for folder_paths in folders.values():
        is_listed = len(folder_paths) >= _MIN_LISTED_FILES
        groups += [folder_paths] if is_listed else [[path] for path in folder_paths]
    if len(groups) == 1:
        return check(groups[0])
    statuses: dict[BucketPath, FileStatus] = {}
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="bucket status") as executor:
        for group_statuses in executor.map(check, groups):
            statuses |= group_statuses
    return statuses


def _check_paths(
    offline_buckets: set[str], paths: Sequence[BucketPath]
) -> dict[BucketPath, FileStatus]:
    """Check files of one folder; a bucket in `offline_buckets` is not asked again."""
    bucket = f"{paths[0].scheme}://{paths[0].bucket_name}"
    try:
        if bucket in offline_buckets:
            return dict.fromkeys(paths, "offline")
        if len(paths) == 1:
            read_info(paths[0].address, seconds=STATUS_SECONDS)
            return {paths[0]: "available"}
        wanted_paths = {path.name: path for path in paths}
        statuses: dict[BucketPath, FileStatus] = dict.fromkeys(paths, "missing")
        for entry in iter_entries(paths[0].parent):
            if entry.is_file() and entry.name in wanted_paths:
                statuses[wanted_paths[entry.name]] = "available"
    except PermissionError:
        return dict.fromkeys(paths, "available")  # as far as can be known
    except FileNotFoundError:
        return dict.fromkeys(paths, "missing")
    except (OSError, VSearchError):
        offline_buckets.add(bucket)
        return dict.fromkeys(paths, "offline")
    return statuses
