"""Short films in many formats, made from drawn frames, and seeded ways to damage them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Images

COLORS = {"red": (200, 30, 40), "blue": (30, 60, 200), "green": (40, 180, 60)}
FPS = 25


@dataclass(frozen=True, slots=True)
class MediaFormat:
    """A container and a codec to write."""

    suffix: str
    codec: str
    pixel_format: str = "yuv420p"
    frame_size: tuple[int, int] = (176, 144)  # width, height
    options: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """Suffix and codec, for a file name."""
        return f"{self.suffix}-{self.codec}"


_B_FRAMES = (("bf", "2"), ("g", "12"))
FORMATS = (
    MediaFormat("mp4", "libx264", options=_B_FRAMES),
    MediaFormat("mkv", "libx264", options=_B_FRAMES),
    MediaFormat("mov", "libx264", options=(("bf", "0"),)),
    MediaFormat("ts", "libx264", options=_B_FRAMES),
    MediaFormat("avi", "libx264", options=_B_FRAMES),
    MediaFormat("mp4", "libx265", options=(("x265-params", "log-level=none"),)),
    MediaFormat("mp4", "libsvtav1"),
    MediaFormat("webm", "libvpx"),
    MediaFormat("webm", "libvpx-vp9"),
    MediaFormat("avi", "mpeg4", options=(("bf", "2"),)),
    MediaFormat("flv", "flv"),
    MediaFormat("mpg", "mpeg1video"),
    MediaFormat("m2ts", "mpeg2video"),
    MediaFormat("mxf", "mpeg2video", options=(("g", "12"),)),
    MediaFormat("wmv", "wmv2"),
    MediaFormat("3gp", "h263"),
    MediaFormat("mov", "mjpeg", "yuvj420p"),
    MediaFormat("mov", "prores_ks", "yuv422p10le"),
    MediaFormat("mkv", "ffv1"),
    MediaFormat("avi", "huffyuv", "yuv422p"),
    MediaFormat("nut", "ffv1"),
    MediaFormat("gif", "gif", "rgb8"),
    MediaFormat("y4m", "wrapped_avframe"),
)


def make_film(
    path: Path,
    media_format: MediaFormat,
    colors: list[tuple[int, int, int]],
    scene_seconds: float = 1.5,
) -> Path:
    """Write a film with one scene per color, with shapes that move.

    Args:
        path: File to write.
        media_format: Container and codec.
        colors: RGB of the background of each scene.
        scene_seconds: Duration of each scene.

    Returns:
        The path.
    """
    with keep_scheduling(), av.open(str(path), "w") as container:
        stream: Any = container.add_stream(media_format.codec, rate=FPS)  # a VideoStream
        stream.width, stream.height = media_format.frame_size
        stream.pix_fmt = media_format.pixel_format
        stream.options = dict(media_format.options)
        stream.time_base = Fraction(1, FPS)
        for color in colors:
            for image in draw_scene(color, media_format.frame_size, round(scene_seconds * FPS)):
                for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                    container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


@contextmanager
def keep_scheduling() -> Iterator[None]:
    """Restore the scheduling of this thread, which the processes that it starts inherit.

    SVT-AV1 makes its caller a real-time thread where it may, as for root; such processes leave no
    time to any other.
    """
    if not hasattr(os, "sched_setscheduler"):  # not Linux
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def draw_scene(color: tuple[int, int, int], frame_size: tuple[int, int], frames: int) -> Images:
    """Draw a disc that moves over a background: uint8 (N, H, W, 3)."""
    width, height = frame_size
    y, x = np.mgrid[:height, :width]
    images = np.empty((frames, height, width, 3), np.uint8)
    for frame_index, image in enumerate(images):
        image[:] = color
        image[(x + 2 * frame_index) % 40 < 4] = (230, 230, 210)
        center = width * (0.2 + 0.6 * frame_index / frames), height / 2
        image[(x - center[0]) ** 2 + (y - center[1]) ** 2 < (height / 5) ** 2] = 255 - np.array(
            color, np.uint8
        )
    return images


Mutation = Callable[[bytearray, random.Random], None]


def flip_bits(content: bytearray, rng: random.Random) -> None:
    """Flip up to 20 bits."""
    for _ in range(rng.randint(1, 20)):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def zero_range(content: bytearray, rng: random.Random) -> None:
    """Overwrite a range with zeros, as a failed download does."""
    start = rng.randrange(len(content))
    length = min(rng.choice((16, 256, 1000, len(content) // 4 + 1)), len(content) - start)
    content[start : start + length] = bytes(length)


def randomize_range(content: bytearray, rng: random.Random) -> None:
    """Overwrite a range with random bytes."""
    start = rng.randrange(len(content))
    length = min(rng.choice((4, 64, 1000)), len(content) - start)
    content[start : start + length] = rng.randbytes(length)


def truncate(content: bytearray, rng: random.Random) -> None:
    """Cut off the end."""
    del content[rng.randrange(len(content)) :]


def cut_out(content: bytearray, rng: random.Random) -> None:
    """Delete a range."""
    start = rng.randrange(len(content))
    del content[start : start + rng.choice((1, 188, 1000))]


def repeat_range(content: bytearray, rng: random.Random) -> None:
    """Insert a range a second time."""
    start = rng.randrange(len(content))
    content[start:start] = content[start : start + rng.choice((188, 1000, 4000))]


def swap_ranges(content: bytearray, rng: random.Random) -> None:
    """Exchange two ranges of equal length."""
    length = rng.choice((8, 188, 1000))
    first, second = (rng.randrange(max(1, len(content) - length)) for _ in range(2))
    one, other = content[first : first + length], content[second : second + length]
    if abs(first - second) >= length:
        content[first : first + length], content[second : second + length] = other, one


def append_garbage(content: bytearray, rng: random.Random) -> None:
    """Append random bytes."""
    content += rng.randbytes(rng.choice((1, 1000, 100_000)))


MUTATIONS: tuple[Mutation, ...] = (
    flip_bits, zero_range, randomize_range, truncate, cut_out, repeat_range, swap_ranges,
    append_garbage,
)  # fmt: skip
