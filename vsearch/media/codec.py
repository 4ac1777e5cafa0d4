"""Small pictures as packets of H.264, one a picture: mostly what changed since the one before."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.logging
import numpy as np
from av.codec.context import CodecContext
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from vsearch.types import Images

av.logging.set_level(None)  # see media/film.py

# x264's rate factor. Of 57 short clips a picture took 9 kB; the embedded model's features had a
# cosine of 0.947 to those from decoding, and of 0.976 from pictures that were not compressed.
_QUALITY = "26"
_MAX_PIXELS = 2**19  # twice the most that one has


class Coder:
    """Pictures of one shape to packets, which may come some pictures later, never out of turn."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """`shape` is that of the pictures: height, width, 3. Raises SettingsError."""
        try:
            context = CodecContext.create("libx264", "w")
        except (ValueError, FFmpegError) as error:
            raise SettingsError(
                "frames cannot be kept: this PyAV has no H.264 encoder. Install PyAV from PyPI "
                "(pip install --force-reinstall av), or index without --keep-frames"
            ) from error
        assert isinstance(context, VideoCodecContext)  # noqa: S101 - as the codec is
        context.height, context.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
        context.pix_fmt, context.time_base = "yuv420p", Fraction(1)
        context.options = {"crf": _QUALITY, "preset": "fast", "bf": "0", "g": "250"}
        context.thread_count = 1
        self._context, self._count = context, 0

    def encode(self, image: Images) -> Iterator[bytes]:
        """Take a picture, uint8 (H, W, 3) RGB, and give the packets that are ready."""
        height, width = image.shape[:2]
        even = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(even).reformat(format="yuv420p")
        frame.pts, frame.time_base = self._count, Fraction(1)
        self._count += 1
        yield from map(bytes, self._context.encode(frame))

    def flush(self) -> Iterator[bytes]:
        """The packets that are left."""
        yield from map(bytes, self._context.encode(None))


def decoded(packets: Iterable[bytes]) -> Iterator[Images]:
    """Packets of `Coder`, of one or several, to pictures, uint8 (H, W, 3) RGB.

    Anything else raises ValueError, or gives pictures of no use.
    """
    context = CodecContext.create("h264", "r")
    assert isinstance(context, VideoCodecContext)  # noqa: S101 - as the codec is
    context.options = {"max_pixels": str(_MAX_PIXELS), "err_detect": "explode"}
    context.thread_count = 1
    for data in packets:
        yield from map(_image, context.decode(Packet(data)))
    yield from map(_image, context.decode(None))


def _image(frame: VideoFrame) -> Images:
    return frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
