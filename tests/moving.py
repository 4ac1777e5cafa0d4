"""A library whose videos move as a rule has it, so that hidden frames can be told from the others.

A video is a point on one of a few circles that runs round at its own pace. Its frames are 0.5 s
apart, and `said` writes subtitles that tell which circle it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fakes import FakeEncoder
from vsearch import Library
from vsearch.types import Features, Space, Span

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Matrix, Times

DIM, COUNT, FRAMES = 16, 24, 20
CIRCLES = ("red", "green", "blue", "white")
_AXES = np.linalg.qr(np.random.default_rng(8).normal(size=(DIM, DIM)))[0]


def times(frames: int = FRAMES) -> Times:
    return np.arange(frames, dtype=np.float64) * 0.5 + 0.2


def moving(number: int, frames: int = FRAMES) -> Matrix:
    """Float32 (frames, DIM) of unit length."""
    circle = number % len(CIRCLES)
    angles = number + 0.6 * np.arange(frames)
    points = np.stack([np.ones(frames), np.cos(angles), np.sin(angles)], axis=1)
    found: Matrix = (points @ _AXES[3 * circle :][:3] / np.sqrt(2)).astype(np.float32)
    return found


def library(
    folder: Path,
    *,
    count: int = COUNT,
    frames: int = FRAMES,
    features: bool = True,
    space: Space | None = None,
) -> Library:
    """A library of `count` videos; without `features` the catalogue alone knows of frames."""
    made = Library.open(folder / "library", encoder=FakeEncoder())
    space = space or made.encoder.space
    with made._catalog.begin() as change:
        for number in range(count):
            path = folder / f"{number}.mp4"
            path.touch()
            found = change.add_video(
                path=path,
                fingerprint=f"{number:04}",
                size=1,
                modified=1,
                duration=frames / 2,
                fps=2.0,
                width=64,
                height=48,
                codec="h264",
                frames=frames,
                sampled_at=2.0,
            )
            rows = np.resize(moving(number, frames), (frames, space.dim))
            change.add_segments(found.id, [Span(0, frames / 2)], rows[:1], space)
            change.set_space(space, "mean", "fake")
            if features:
                made._features.save(found.id, Features(space, rows, times(frames)))
    return made


def said(folder: Path, *, count: int = COUNT) -> None:
    """Subtitles beside the videos: three cues each, which name the circle."""
    for number in range(count):
        name = CIRCLES[number % len(CIRCLES)]
        cues = [f"{i}\n00:00:0{2 * i},000 --> 00:00:0{2 * i + 1},000\npart {i} is all {name}\n"
                for i in range(3)]  # fmt: skip
        (folder / f"{number}.srt").write_text("\n".join(cues))
