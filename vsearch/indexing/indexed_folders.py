"""Record of the folders and drives that were indexed, to recognize a drive that is offline.

The record is a JSON file in the library. Without it, for example in a library of an older version,
the folder of each video counts.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.storage.atomic_files import replace_file

if TYPE_CHECKING:
    from collections.abc import Iterable

INDEXED_FOLDERS_FILE = "indexed_folders.json"
MAX_FOLDERS = 1_000
_MAX_FILE_BYTES = 8_000_000


def read_indexed_folders(library_path: Path) -> list[Path]:
    """Return the recorded folders; empty if there is no valid record.

    Args:
        library_path: Folder of the library.
    """
    try:
        with (library_path / INDEXED_FOLDERS_FILE).open("rb") as record_file:
            folder_names = json.loads(record_file.read(_MAX_FILE_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(folder_names, list):
        return []
    folders = [Path(name) for name in folder_names[:MAX_FOLDERS] if isinstance(name, str)]
    return [folder for folder in folders if folder.is_absolute()]


def record_indexed_folders(
    library_path: Path, input_paths: Iterable[Path], video_paths: Iterable[Path]
) -> None:
    """Add folders to the record, as far as the library can be written.

    Args:
        library_path: Folder of the library.
        input_paths: Files, folders and globs that were indexed.
        video_paths: The videos that were found. The folder of a video that was given by name or
            glob is recorded, and so are the drives on which videos are.
    """
    given_folders = {path for path in map(_make_absolute, input_paths) if path.is_dir()}
    known_folders = read_indexed_folders(library_path)
    folders = set(given_folders)
    for folder in {video_path.parent for video_path in video_paths}:
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


def _make_absolute(path: Path) -> Path:
    return Path(os.path.abspath(os.path.expanduser(path)))  # noqa: PTH100, PTH111 - never raise
