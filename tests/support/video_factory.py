"""Make small videos with our own encoder: scenes of one color with a moving square."""

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
class ColorScene:
    """A scene with one background color."""

    color: tuple[int, int, int]
    seconds: float
    speed: float = 1.0  # of the square, in image widths per second; 0 is still


def make_video(
    video_path: Path,
    scenes: Sequence[ColorScene] = (ColorScene(RED, 1.0), ColorScene(GREEN, 1.0)),
    *,
    fps: int = 10,
    frame_size: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int = 0,
    frame_times: Sequence[float] | None = None,
    gop_size: int = 12,
) -> Path:
    """Write a video of scenes.

    Args:
        video_path: File to write; its suffix determines the container.
        scenes: Scenes in order.
        fps: Frames per second.
        frame_size: Width and height in pixels.
        codec: FFmpeg's encoder.
        pix_fmt: Pixel format.
        rotation: Degrees by which players rotate the video counterclockwise.
        frame_times: Time of each frame in seconds, rising, for a variable frame rate.
        gop_size: Frames per GOP at most.

    Returns:
        `video_path`.
    """
    with av.open(str(video_path), "w") as container:
        stream = container.add_stream(codec, rate=fps)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = *frame_size, pix_fmt
        time_base = Fraction(1, fps if frame_times is None else 1000)
        stream.codec_context.time_base = time_base
        stream.gop_size = gop_size
        if codec == "libx264":
            stream.options = {"preset": "ultrafast", "qp": "18"}
        if rotation:
            stream.set_display_rotation(rotation)
        for index, image in enumerate(render_frames(scenes, fps=fps, frame_size=frame_size)):
            if frame_times is not None and index == len(frame_times):
                break
            frame = av.VideoFrame.from_ndarray(image)
            seconds = frame_times[index] if frame_times is not None else index / fps
            frame.pts, frame.time_base = round(seconds / time_base), time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return video_path


def render_frames(
    scenes: Sequence[ColorScene], *, fps: int = 10, frame_size: tuple[int, int] = (64, 48)
) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the images of scenes, uint8 (H, W, 3), with a darker top left quarter."""
    width, height = frame_size
    square_side = max(1, height // 4)
    for scene in scenes:
        for index in range(max(1, round(scene.seconds * fps))):
            image = np.full((height, width, 3), scene.color, np.uint8)
            image[: height // 2, : width // 2] //= 3
            square_travel = index / fps * scene.speed % 2  # there and back
            square_left = int(min(square_travel, 2 - square_travel) * (width - square_side))
            image[-square_side:, square_left : square_left + square_side] = 255 - np.array(
                scene.color, np.uint8
            )
            yield image


VIDEO_COLORS = {"red": RED, "green": GREEN, "blue": BLUE}


def make_colored_videos(folder: Path) -> Path:
    """Make a video of each color of `VIDEO_COLORS`, named after it, that ends in gray."""
    folder.mkdir()
    for name, color in VIDEO_COLORS.items():
        make_video(folder / f"{name}.mp4", [ColorScene(color, 3), ColorScene((90, 90, 90), 3)])
    return folder
