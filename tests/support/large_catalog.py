"""A catalog with tens of thousands of videos, whose files do not exist."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from vsearch.catalog.catalog import Catalog

if TYPE_CHECKING:
    from pathlib import Path

FIRST_DAY = datetime(2005, 1, 1)  # noqa: DTZ001 - UTC, as stored
_INSERT_SQL = """
    INSERT INTO videos (
        path, fingerprint, size_bytes, mtime_ns, duration, fps, width, height, codec,
        sampled_frames, sample_fps, indexed_at, recorded_at
    ) VALUES (?, ?, 1, 1, 12.5, 25, ?, ?, 'h264', 1, 1, '2024-01-01 00:00:00', ?)
"""


def fill_large_catalog(library_path: Path, video_count: int, *, folder_count: int = 40) -> None:
    """Create a library of `video_count` videos, recorded three hours apart from 2005 on.

    Args:
        library_path: Folder of the library, which must not exist.
        video_count: Number of videos; the name of each ends in its number, from 0.
        folder_count: Number of folders that they are in.
    """
    library_path.mkdir()
    Catalog.open(library_path / "catalog.sqlite3", create=True).close()
    video_rows = (
        (
            f"/archive/box {number % folder_count}/VID_{number}.mp4",
            f"f{number}",
            *((1080, 1920) if number % 3 == 0 else (1920, 1080)),
            str(FIRST_DAY + timedelta(hours=3 * number)),
        )
        for number in range(video_count)
    )
    with closing(sqlite3.connect(library_path / "catalog.sqlite3")) as connection, connection:
        connection.executemany(_INSERT_SQL, video_rows)
