"""Uncompressed videos of several megabytes, and twins that differ only where nothing is sampled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FRAMES = 400
OLD_TIME_NS = 1_600_000_000_000_000_000
_HEADER = b"YUV4MPEG2 W64 H64 F10:1 C420jpeg\n"
_FRAME_BYTES = 64 * 64 * 3 // 2
_RED = bytes([76]) * 4096 + bytes([85]) * 1024 + bytes([255]) * 1024
_OTHER = bytes([200]) * 4096 + bytes([60]) * 2048
# frames between the first sampled blocks of such a file
UNSAMPLED_FRAMES = range(14, 22)


def write_video(
    video_path: Path, other_frames: Iterable[int] = (), mtime_ns: int = OLD_TIME_NS
) -> Path:
    """Write a red video of 40 s, some frames of which are of another color, in place."""
    frames = [_RED] * FRAMES
    for frame_index in other_frames:
        frames[frame_index] = _OTHER
    content = _HEADER + b"".join(b"FRAME\n" + frame for frame in frames)
    with video_path.open("r+b" if video_path.exists() else "wb") as file:
        file.write(content)
        file.truncate()
    os.utime(video_path, ns=(mtime_ns, mtime_ns))
    return video_path
