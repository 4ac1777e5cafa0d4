"""Tiny pictures of how bright a frame is where: all that the shot detector sees of it."""

from __future__ import annotations

import re
from time import thread_time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from vsearch.media.film import Frame
    from vsearch.protocols import ShotDetector
    from vsearch.types import Grays

HEIGHT, WIDTH = 36, 64
_AT_ONCE = 64  # pictures handed over together
_GRID = 4  # pixels of the frame, each way, whose mean is a pixel of the tiny picture
_LEAST = (HEIGHT * _GRID, WIDTH * _GRID)
_LARGE = 500  # lines from which on swscale, which reads every pixel, takes longer
# Formats whose first plane is the luma, one value a pixel, and how many bits one has.
_FORMATS = re.compile(r"(?:yuvj?4\d\dp|yuva4\d\dp|nv(?:12|16|21|24)|gray)(9|1[0246])?(?:le)?")


class TinyPictures:
    """Hands tiny pictures of the frames that are decoded to the detector, some at a time."""

    def __init__(self, detector: ShotDetector) -> None:
        self.seconds = 0.0  # of CPU time that all of it took
        self._detector = detector
        self._scaler = VideoReformatter()
        self._pictures = np.empty((_AT_ONCE, HEIGHT, WIDTH), np.uint8)
        self._times = np.empty(_AT_ONCE)  # (N,) seconds
        self._count = 0

    def take(self, frame: Frame) -> None:
        """Add one frame."""
        began = thread_time()
        self._pictures[self._count] = tiny(frame.picture, self._scaler)
        self._times[self._count] = float(frame.time)
        self._count += 1
        if self._count == _AT_ONCE:
            self._hand_over()
        self.seconds += thread_time() - began

    def flush(self) -> None:
        """Hand over what there is."""
        began = thread_time()
        self._hand_over()
        self.seconds += thread_time() - began

    def _hand_over(self) -> None:
        if self._count:
            pictures, times = self._pictures[: self._count], self._times[: self._count]
            self._detector.see(pictures.copy(), times.copy())
        self._count = 0


def tiny(picture: VideoFrame, scaler: VideoReformatter) -> Grays:
    """uint8 (36, 64), of the whole range from black to white, as the frame lies in the file."""
    plane = _luma(picture)
    if plane is None:
        gray = scaler.reformat(
            picture, WIDTH, HEIGHT, "gray", interpolation=Interpolation.AREA, threads=1
        )
        return _stretched(gray.to_ndarray().astype(np.float32), full=_is_full(gray))
    means = _means(plane)
    depth = _bits(picture) - 8
    return _stretched(means / np.float32(1 << depth), full=_is_full(picture))


def _luma(picture: VideoFrame) -> npt.NDArray[np.uint8 | np.uint16] | None:
    """The luma plane (H, W) itself, not a copy; None where there is none or swscale is as fast."""
    small = picture.height < _LARGE or picture.width < _LARGE
    if small or not _FORMATS.fullmatch(picture.format.name):
        return None
    plane = picture.planes[0]
    kind = np.dtype(np.uint8 if _bits(picture) == 8 else "<u2")
    size = kind.itemsize
    if plane.line_size < picture.width * size:  # upside down
        return None
    lines: npt.NDArray[Any] = np.frombuffer(memoryview(plane), kind)[
        : picture.height * (plane.line_size // size)
    ]
    whole: npt.NDArray[np.uint8 | np.uint16] = lines.reshape(picture.height, -1)
    return whole[:, : picture.width]


def _means(plane: npt.NDArray[np.uint8 | np.uint16]) -> npt.NDArray[np.float32]:
    """The means of a few pixels for each of the tiny picture: float32 (36, 64).

    Pixels are taken at even steps; less than one step a pixel of the tiny picture is left at edges.
    """
    down, across = (size // least for size, least in zip(plane.shape, _LEAST, strict=True))
    top, left = (
        (size - least) // 2
        for size, least in zip(
            plane.shape, ((_LEAST[0] - 1) * down, (_LEAST[1] - 1) * across), strict=True
        )
    )
    points = plane[top::down][: _LEAST[0], left::across][:, : _LEAST[1]]
    wide = points.astype(np.uint32).reshape(HEIGHT, _GRID, WIDTH, _GRID)
    across_sum = wide[..., 0] + wide[..., 1] + wide[..., 2] + wide[..., 3]
    means: npt.NDArray[np.float32] = across_sum.sum(axis=1) * np.float32(1 / _GRID**2)
    return means


def _stretched(luma: npt.NDArray[np.float32], *, full: bool) -> Grays:
    """Where black is 16 and white 235, as in most video, to 0 and 255."""
    levels = luma if full else (luma - 16) * np.float32(255 / 219)
    rounded: Grays = np.clip(levels + 0.5, 0, 255).astype(np.uint8)
    return rounded


def _bits(picture: VideoFrame) -> int:
    found = _FORMATS.fullmatch(picture.format.name)
    return int(found[1] or 8) if found else 8


def _is_full(picture: VideoFrame) -> bool:
    named = picture.format.name.startswith(("yuvj", "gray"))
    return named or picture.color_range == ColorRange.JPEG
