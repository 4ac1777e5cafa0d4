"""What goes into a video that is written: pictures as H.264, sound as AAC."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from av.audio.frame import AudioFrame
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter

from vsearch.errors import SettingsError
from vsearch.media.sound import RATE

if TYPE_CHECKING:
    from av.container import OutputContainer

    from vsearch.media.sound import Samples, Sound
    from vsearch.types import Images

CLOCK = 90_000  # ticks a second: fine enough for any frame rate
MOST = 60  # frames a second
_CLOSEST = Fraction(1, MOST + 4)  # seconds between frames at least; times may be rounded
_QUALITY = "20"  # x264's rate factor: no loss that a person sees
_BIT_RATE = 160_000  # of sound, bits a second
_BLOCK = 1024  # samples that AAC takes at once


class Pictures:
    """The moving pictures of a file, at whatever times they are shown."""

    def __init__(self, container: OutputContainer, size: tuple[int, int], rate: Fraction) -> None:
        """`size` width and height, both even; `rate` frames a second, about. SettingsError."""
        try:
            stream = container.add_stream("libx264", rate=rate)
        except (ValueError, FFmpegError) as error:
            raise SettingsError(
                "no video can be written: this PyAV has no H.264 encoder. Install PyAV from PyPI "
                "(pip install --force-reinstall av)"
            ) from error
        context = stream.codec_context
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        context.time_base = stream.time_base = Fraction(1, CLOCK)
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        # MP4 keeps how long a frame takes to decode, which is how long it is shown if none waits
        # for a later one (bf); the last one is shown for as long as is said (the flag).
        context.flags |= Flags.frame_duration
        stream.options = {"crf": _QUALITY, "preset": "fast", "forced-idr": "1", "bf": "0"}
        self._container, self._stream = container, stream
        self._scaler = VideoReformatter()
        self._held: VideoFrame | None = None  # until it is known how long it is shown

    def add(self, image: Images, time: Fraction, *, first: bool) -> None:
        """Show an image, uint8 (H, W, 3) RGB of the file's size, from `time` seconds on.

        Times rise; an image right after another is left out, but never the `first` of a part.
        """
        ticks = round(time * CLOCK)
        if self._held is not None:
            since = ticks - int(self._held.pts or 0)
            if since < 1 or (since < _CLOSEST * CLOCK and not first):
                return
            self._encode(ticks)
        frame = self._scaler.reformat(
            VideoFrame.from_ndarray(image), format="yuv420p", dst_colorspace=Colorspace.ITU709,
            threads=1,
        )  # fmt: skip
        frame.pts, frame.time_base = ticks, Fraction(1, CLOCK)
        frame.pict_type = PictureType.I if first else PictureType.NONE
        self._held = frame

    def close(self, end: Fraction) -> None:
        """Show the last image until `end` seconds, and write what is left."""
        self._encode(round(end * CLOCK))
        self._container.mux(self._stream.encode(None))

    def _encode(self, until: int) -> None:
        if self._held is not None:
            self._held.duration = max(1, until - int(self._held.pts or 0))
            self._container.mux(self._stream.encode(self._held))


class SoundTrack:
    """The sound of a file, from its beginning on without a gap."""

    def __init__(self, container: OutputContainer) -> None:
        stream = container.add_stream("aac", rate=RATE)
        stream.codec_context.layout = "stereo"
        stream.codec_context.bit_rate = _BIT_RATE
        self._container, self._stream = container, stream
        self._left: Samples = np.zeros((2, 0), np.float32)
        self._written = 0  # samples given to the encoder

    def fill(self, end: Fraction, sound: Sound) -> None:
        """Take as much sound as there has to be until `end` seconds of the file."""
        missing = round(end * RATE) - self._written - self._left.shape[1]
        while missing > 0:
            taken = sound.take(min(missing, RATE))
            missing -= taken.shape[1]
            self._left = np.concatenate([self._left, taken], axis=1)
            while self._left.shape[1] >= _BLOCK:
                self._encode(_BLOCK)

    def close(self) -> None:
        """Write what is left."""
        if self._left.shape[1]:
            self._encode(self._left.shape[1])
        self._container.mux(self._stream.encode(None))

    def _encode(self, count: int) -> None:
        block = np.ascontiguousarray(self._left[:, :count])
        self._left = self._left[:, count:]
        frame = AudioFrame.from_ndarray(block, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._written, Fraction(1, RATE)
        self._written += count
        self._container.mux(self._stream.encode(frame))
