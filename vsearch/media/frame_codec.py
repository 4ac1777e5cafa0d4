"""Encode sampled frames as small H.264 packets, and decode them again, for the frame cache."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

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

av.logging.set_level(None)  # see media/container.py
# x264's rate factor. On 57 short clips a frame took 9 kB; the embedded model's features had a
# cosine similarity of 0.947 to those from decoding, and of 0.976 from uncompressed images.
_X264_CRF = "26"
_MAX_DECODED_PIXELS = 2**19  # twice the largest cached frame


class FrameEncoder:
    """H.264 encoder for images of one shape. Packets keep the order but may lag by some images.

    Args:
        image_shape: Height, width, 3.

    Raises:
        SettingsError: PyAV was built without an H.264 encoder.
    """

    def __init__(self, image_shape: tuple[int, ...]) -> None:
        try:
            codec_context = CodecContext.create("libx264", "w")
        except (ValueError, FFmpegError) as error:
            raise SettingsError(
                "frames cannot be cached: this PyAV has no H.264 encoder. Install PyAV from PyPI "
                "(pip install --force-reinstall av), or index without --keep-frames"
            ) from error
        assert isinstance(codec_context, VideoCodecContext)  # noqa: S101 - as the codec is
        codec_context.height, codec_context.width = (
            image_shape[0] + image_shape[0] % 2,
            image_shape[1] + image_shape[1] % 2,
        )
        codec_context.pix_fmt, codec_context.time_base = "yuv420p", Fraction(1)
        codec_context.options = {"crf": _X264_CRF, "preset": "fast", "bf": "0", "g": "250"}
        codec_context.thread_count = 1
        self._codec_context, self._image_count = codec_context, 0

    def encode_image(self, image: Images) -> Iterator[bytes]:
        """Encode an image, uint8 (H, W, 3) RGB, and yield the packets that are ready."""
        height, width = image.shape[:2]
        padded_image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        video_frame = VideoFrame.from_ndarray(padded_image).reformat(format="yuv420p")
        video_frame.pts, video_frame.time_base = self._image_count, Fraction(1)
        self._image_count += 1
        yield from map(bytes, self._codec_context.encode(video_frame))

    def flush_packets(self) -> Iterator[bytes]:
        """Yield the remaining packets."""
        yield from map(bytes, self._codec_context.encode(None))


def decode_packets(packets: Iterable[bytes]) -> Iterator[Images]:
    """Decode packets of one or several `FrameEncoder`.

    Args:
        packets: Packets in order. Other data raises ValueError or yields arbitrary images.

    Yields:
        uint8 (H, W, 3) RGB.
    """
    codec_context = CodecContext.create("h264", "r")
    assert isinstance(codec_context, VideoCodecContext)  # noqa: S101 - as the codec is
    codec_context.options = {"max_pixels": str(_MAX_DECODED_PIXELS), "err_detect": "explode"}
    codec_context.thread_count = 1
    for packet_bytes in packets:
        yield from map(_convert_to_rgb, codec_context.decode(Packet(packet_bytes)))
    yield from map(_convert_to_rgb, codec_context.decode(None))


def _convert_to_rgb(video_frame: VideoFrame) -> Images:
    return video_frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
