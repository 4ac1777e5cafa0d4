"""Make a library whose videos move predictably, so that masked frames can be predicted.

A video is a point on one of a few circles, moving at its own speed. Frames are 0.5 s apart, and
`write_subtitles` writes subtitles that name the circle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tests.support.fakes import FakeEncoder
from vsearch import Library
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Matrix, Times

DIM, VIDEO_COUNT, FRAME_COUNT = 16, 24, 20
CIRCLE_NAMES = ("red", "green", "blue", "white")
_AXES = np.linalg.qr(np.random.default_rng(8).normal(size=(DIM, DIM)))[0]


def frame_times(frame_count: int = FRAME_COUNT) -> Times:
    """Return the times of frames in seconds."""
    return np.arange(frame_count, dtype=np.float64) * 0.5 + 0.2


def circling_vectors(video_number: int, frame_count: int = FRAME_COUNT) -> Matrix:
    """Return vectors of consecutive frames, float32 (N, DIM) of unit length."""
    circle_index = video_number % len(CIRCLE_NAMES)
    angles = video_number + 0.6 * np.arange(frame_count)
    points = np.stack([np.ones(frame_count), np.cos(angles), np.sin(angles)], axis=1)
    vectors: Matrix = (points @ _AXES[3 * circle_index :][:3] / np.sqrt(2)).astype(np.float32)
    return vectors


def make_library(
    folder: Path,
    *,
    video_count: int = VIDEO_COUNT,
    frame_count: int = FRAME_COUNT,
    with_features: bool = True,
    space: Space | None = None,
) -> Library:
    """Create a library of such videos.

    Args:
        folder: Folder to create it in.
        video_count: Number of videos.
        frame_count: Frames per video.
        with_features: Store frame features; otherwise only the catalog knows the frames.
        space: Space of the vectors; None means the fake encoder's.
    """
    new_library = Library.open(folder / "library", create=True, encoder=FakeEncoder())
    space = space or new_library.encoder.space
    with new_library._catalog.begin() as change:
        for video_number in range(video_count):
            path = folder / f"{video_number}.mp4"
            path.touch()
            added_video = change.add_video(
                video_path=path,
                fingerprint=f"{video_number:04}",
                size_bytes=1,
                mtime_ns=1,
                duration=frame_count / 2,
                fps=2.0,
                width=64,
                height=48,
                codec="h264",
                sampled_frames=frame_count,
                sample_fps=2.0,
            )
            frame_vectors = np.resize(
                circling_vectors(video_number, frame_count), (frame_count, space.dim)
            )
            change.add_segments(
                added_video.id, [Span(0, frame_count / 2)], frame_vectors[:1], space
            )
            change.set_space(space, "mean", "fake")
            if with_features:
                new_library._feature_store.save(
                    added_video.id, Features(space, frame_vectors, frame_times(frame_count))
                )
    return new_library


def write_subtitles(folder: Path, *, video_count: int = VIDEO_COUNT) -> None:
    """Write subtitles next to the videos: three cues each, which name the circle."""
    for video_number in range(video_count):
        circle_name = CIRCLE_NAMES[video_number % len(CIRCLE_NAMES)]
        cues = [
            f"{i}\n00:00:0{2 * i},000 --> 00:00:0{2 * i + 1},000\npart {i} is all {circle_name}\n"
            for i in range(3)
        ]
        (folder / f"{video_number}.srt").write_text("\n".join(cues))
