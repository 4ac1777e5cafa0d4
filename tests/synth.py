"""Small videos for tests, made by our own encoder: one-coloured scenes, a square that moves."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

RED, GREEN, BLUE = (200, 30, 30), (30, 180, 40), (30, 40, 200)
YELLOW, WHITE, BLACK = (220, 210, 40), (255, 255, 255), (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Scene:
    """A stretch of one background colour."""

    colour: tuple[int, int, int]
    seconds: float
    speed: float = 1.0  # of the square, in picture widths a second; 0 stands still


def make_video(
    path: Path,
    scenes: Sequence[Scene] = (Scene(RED, 1.0), Scene(GREEN, 1.0)),
    *,
    fps: int = 10,
    size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    times: Sequence[float] | None = None,
    gop: int = 12,
) -> Path:
    """Write a video of `size` (width, height); the suffix of `path` chooses the container.

    `rotation` is how far the player has to turn it counter-clockwise, in degrees. With `times`
    (seconds, rising, one for each frame) the frame rate varies.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        base = Fraction(1, fps if times is None else 1000)
        stream.codec_context.time_base = base
        stream.gop_size = gop
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "qp": "18"}
        if rotation:
            stream.set_display_rotation(rotation)
        for index, image in enumerate(frames(scenes, fps=fps, size=size)):
            if times is not None and index == len(times):
                break
            frame = av.VideoFrame.from_ndarray(image)
            seconds = times[index] if times is not None else index / fps
            frame.pts, frame.time_base = round(seconds / base), base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def frames(
    scenes: Sequence[Scene], *, fps: int = 10, size: tuple[int, int] = (64, 48)
) -> Iterator[npt.NDArray[np.uint8]]:
    """The pictures themselves: uint8 (H, W, 3); the top left quarter is darker."""
    width, height = size
    side = max(1, height // 4)
    for scene in scenes:
        for index in range(max(1, round(scene.seconds * fps))):
            image = np.full((height, width, 3), scene.colour, np.uint8)
            image[: height // 2, : width // 2] //= 3
            way = index / fps * scene.speed % 2  # there and back
            left = int(min(way, 2 - way) * (width - side))
            image[-side:, left : left + side] = 255 - np.array(scene.colour, np.uint8)
            yield image
