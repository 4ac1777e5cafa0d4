"""The library that the pictures of the page show: narrow, wide and foreign videos."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.support.server import index_videos
from tests.support.video_factory import BLUE, GREEN, RED, YELLOW, ColorScene, make_video

if TYPE_CHECKING:
    from pathlib import Path

TEAL, VIOLET, SAND = (20, 150, 160), (110, 60, 190), (225, 190, 130)
LONG_NAME = "The long way home along the coast with the whole family and two dogs, part 2 of 3.mp4"
SUBTITLES = "1\n00:00:00,500 --> 00:00:03,000\nthe blue boat leaves the harbor\n"
Scenes = tuple[ColorScene, ...]
VIDEOS: tuple[tuple[str, tuple[int, int], Scenes, tuple[int, int, int]], ...] = (
    ("Coast/harbor.mp4", (320, 180), (ColorScene(BLUE, 4), ColorScene(SAND, 3)), (2024, 5, 17)),
    ("Coast/IMG_2031.mp4", (144, 256), (ColorScene(BLUE, 4),), (2024, 5, 16)),
    ("Coast/panorama.mp4", (480, 120), (ColorScene(BLUE, 3),), (2024, 5, 2)),
    (f"Coast/{LONG_NAME}", (240, 180), (ColorScene(BLUE, 3), ColorScene(RED, 3)), (2023, 12, 24)),
    ("Family/البحر الأزرق.mp4", (320, 180), (ColorScene(BLUE, 3),), (2023, 12, 20)),
    ("Family/garden.mp4", (320, 180), (ColorScene(GREEN, 4), ColorScene(YELLOW, 3)), (2023, 8, 1)),
    ("Family/dance.mp4", (144, 256), (ColorScene(RED, 3), ColorScene(VIOLET, 3)), (2022, 2, 3)),
    ("clip 7.mkv", (320, 180), (ColorScene(TEAL, 4),), (2022, 2, 2)),
)


def make_page_library(folder: Path) -> Path:
    """Index the videos and return the path of the library.

    Args:
        folder: An empty folder; the videos are in its subfolder `videos`.
    """
    for name, frame_size, scenes, date in VIDEOS:
        video_path = folder / "videos" / name
        video_path.parent.mkdir(parents=True, exist_ok=True)
        make_video(video_path, scenes, frame_size=frame_size)
        changed_at = datetime(*date, 12, tzinfo=UTC).timestamp()
        os.utime(video_path, (changed_at, changed_at))
    (folder / "videos" / "Coast" / "harbor.srt").write_text(SUBTITLES)
    index_videos(folder / "library", folder / "videos")
    return folder / "library"
