"""Record of the folders and drives that were indexed, to recognize a drive that is offline.

The record is a JSON file in the library. Without it, for example in a library of an older version,
the folder of each video counts.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vsearch.buckets.bucket_path import BucketPath, to_absolute, to_path
from vsearch.storage.atomic_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

INDEXED_FOLDERS_FILE = "indexed_folders.json"
MAX_FOLDERS = 1_000
_MAX_FILE_BYTES = 8_000_000


def read_indexed_folders(library_path: Path) -> list[Path]:
    """Return the recorded folders; empty if there is no valid record.

    Args:
        library_path: Folder of the library.
    """
    return _read_record(library_path)[0]


def find_record_problems(library_path: Path) -> list[str]:
    """Return what is wrong with the record, with the remedy; empty if nothing is.

    Args:
        library_path: Folder of the library.
    """
    reason = _read_record(library_path)[1]
    if reason is None:
        return []
    return [
        f"{library_path / INDEXED_FOLDERS_FILE}: {reason}, so that videos of an offline drive may "
        "count as missing; delete the file and run `vsearch index` for your folders again"
    ]


def _read_record(library_path: Path) -> tuple[list[Path], str | None]:
    """Return the valid folders in the record, and what is wrong with it."""
    try:
        with (library_path / INDEXED_FOLDERS_FILE).open("rb") as record_file:
            folder_names = json.loads(record_file.read(_MAX_FILE_BYTES))
    except FileNotFoundError:
        return [], None
    except OSError as exc:
        return [], f"cannot be read ({exc.strerror})"
    except (ValueError, RecursionError):
        return [], "is damaged"
    if not isinstance(folder_names, list):
        return [], "is damaged"
    folders = [
        to_path(name)
        for name in folder_names[:MAX_FOLDERS]
        if isinstance(name, str) and "\0" not in name and to_path(name).is_absolute()
    ]
    is_valid = len(folders) == min(len(folder_names), MAX_FOLDERS)
    return folders, None if is_valid else "has entries that are not folders"


def record_indexed_folders(
    library_path: Path, input_paths: Iterable[Path], video_paths: Iterable[Path]
) -> None:
    """Add folders to the record, as far as the library can be written.

    Args:
        library_path: Folder of the library.
        input_paths: Files, folders and globs that were indexed.
        video_paths: The videos that were found. The folder of a video that was given by name or
            glob is recorded, and so are the drives on which videos are. Buckets need no record.
    """
    given_folders = {
        path
        for path in map(make_absolute, input_paths)
        if not isinstance(path, BucketPath) and path.is_dir()
    }
    known_folders = read_indexed_folders(library_path)
    folders = set(given_folders)
    for folder in {
        video_path.parent for video_path in video_paths if not isinstance(video_path, BucketPath)
    }:
        if not any(map(folder.is_relative_to, (*given_folders, *known_folders))):
            folders.add(folder)
        folders.update(
            parent
            for parent in (folder, *folder.parents)
            if len(parent.parts) > 1 and os.path.ismount(parent)
        )
    new_folders = [*sorted(folders - set(known_folders)), *known_folders][:MAX_FOLDERS]
    if new_folders != known_folders:
        folder_names = [str(folder) for folder in new_folders]
        with suppress(OSError):
            content = json.dumps(folder_names, indent=1).encode("ascii")
            replace_file(library_path / INDEXED_FOLDERS_FILE, content)


def make_absolute(path: Path) -> Path:
    """Return an absolute path, with `~` expanded and links kept; never raises."""
    return to_absolute(os.path.expanduser(path))  # noqa: PTH111 - never raises
