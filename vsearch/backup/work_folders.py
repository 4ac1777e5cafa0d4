"""Temporary folders next to a file or folder, named by process, and removal of old ones."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def work_folder(target_path: Path, suffix: str) -> Iterator[Path]:
    """Provide a new folder `.<name>.<process>.<suffix>` next to a path, deleted at the end.

    Args:
        target_path: The file or folder that will be replaced.
        suffix: Distinguishes folders of different uses.

    Yields:
        The folder, which only its owner may read.

    Raises:
        OSError: The folder cannot be created.
    """
    folder = target_path.with_name(f".{target_path.name}.{os.getpid()}.{suffix}")
    remove_folder(folder)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        remove_folder(folder)


def list_abandoned(target_path: Path, suffix: str) -> list[Path]:
    """Return the work folders of processes that have ended, sorted.

    Args:
        target_path: As of `work_folder`.
        suffix: As of `work_folder`.
    """
    name_pattern = re.compile(rf"\.{re.escape(target_path.name)}\.(\d+)\.{re.escape(suffix)}")
    entries = sorted(target_path.parent.iterdir()) if target_path.parent.is_dir() else []
    return [
        entry
        for entry in entries
        if (name_match := name_pattern.fullmatch(entry.name))
        and not _is_running(int(name_match[1]))
    ]


def remove_folder(folder: Path) -> None:
    """Delete a folder as far as possible."""
    with suppress(OSError):
        shutil.rmtree(folder)


def _is_running(process_id: int) -> bool:
    """Return whether a process exists; True if that is not known."""
    if process_id == os.getpid():
        return False  # an earlier process with the same number
    if os.name == "nt":  # where os.kill would end the process
        return True
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True
