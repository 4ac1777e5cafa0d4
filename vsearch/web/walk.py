"""What lies below folders that the owner named, and nothing that a link leads out of them to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.media.discovery import is_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def within(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a path, its links followed, is in one of the roots, which are resolved."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, or no path at all
        return False
    return any(real.is_relative_to(root) for root in roots)


def entries(folder: Path, roots: Sequence[Path]) -> Iterator[os.DirEntry[str]]:
    """What is in a folder but hidden things and what leads out of the roots. Raises OSError."""
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.startswith("."):
                continue
            if _leads(entry) and not within(Path(entry.path), roots):
                continue
            yield entry


def videos(folders: Sequence[Path], roots: Sequence[Path]) -> Iterator[Path]:
    """Files in and below the folders that look like videos, and folders that cannot be read.

    Sorted by name, links last, and every folder once; the latter are for whoever indexes to tell.
    """
    entered: set[tuple[int, int]] = set()
    pending = [folder for folder in reversed(folders) if within(folder, roots)]
    while pending:
        here = pending.pop()
        try:
            status = here.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            found = sorted(entries(here, roots), key=lambda one: (one.is_symlink(), one.name))
        except OSError:
            yield here
            continue
        pending += [Path(one.path) for one in reversed(found) if is_folder(one)]
        yield from (Path(one.path) for one in found if is_film(one))


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder; what cannot be told is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_film(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file that looks like a video."""
    try:
        return entry.is_file() and is_video(Path(entry.path))
    except OSError:
        return False


def _leads(entry: os.DirEntry[str]) -> bool:
    """Whether an entry may lead elsewhere: links, and folders, which junctions look like."""
    return entry.is_symlink() or (os.name == "nt" and is_folder(entry))
