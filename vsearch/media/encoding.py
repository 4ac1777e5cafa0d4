"""Encode video tracks (H.264) and audio tracks (AAC) of output files."""

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
from vsearch.media.audio import AUDIO_SAMPLE_RATE

if TYPE_CHECKING:
    from av.container import OutputContainer

    from vsearch.media.audio import AudioReader, AudioSamples
    from vsearch.types import Images

TICKS_PER_SECOND = 90_000  # fine enough for any frame rate
MAX_FRAME_RATE = 60
_MIN_FRAME_GAP_SECONDS = Fraction(1, MAX_FRAME_RATE + 4)  # with tolerance for rounded times
_X264_CRF = "20"  # x264's rate factor: visually lossless
_AUDIO_BIT_RATE = 160_000  # bits per second
_AAC_FRAME_SAMPLES = 1024


class VideoTrack:
    """Video track of an output file, with variable frame times.

    Args:
        container: Open output file.
        frame_size: Width and height in pixels, both even.
        frame_rate: Approximate frames per second.

    Raises:
        SettingsError: PyAV was built without an H.264 encoder.
    """

    def __init__(
        self, container: OutputContainer, frame_size: tuple[int, int], frame_rate: Fraction
    ) -> None:
        try:
            video_stream = container.add_stream("libx264", rate=frame_rate)
        except (ValueError, FFmpegError) as error:
            raise SettingsError(
                "cannot write video: this PyAV has no H.264 encoder. Install PyAV from PyPI "
                "(pip install --force-reinstall av)"
            ) from error
        codec_context = video_stream.codec_context
        video_stream.width, video_stream.height, video_stream.pix_fmt = *frame_size, "yuv420p"
        codec_context.time_base = video_stream.time_base = Fraction(1, TICKS_PER_SECOND)
        codec_context.color_range, codec_context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        codec_context.color_primaries, codec_context.color_trc = (
            ColorPrimaries.BT709,
            ColorTrc.BT709,
        )
        # MP4 stores decoding durations, which equal display durations only without B-frames (bf);
        # the flag passes on the duration of the last frame.
        codec_context.flags |= Flags.frame_duration
        video_stream.options = {"crf": _X264_CRF, "preset": "fast", "forced-idr": "1", "bf": "0"}
        self._container, self._video_stream = container, video_stream
        self._frame_scaler = VideoReformatter()
        self._held_frame: VideoFrame | None = None  # until its duration is known

    def add_image(self, image: Images, start_time: Fraction, *, is_first: bool) -> None:
        """Display an image from a time on; an image too close to the previous one is dropped.

        Args:
            image: uint8 (H, W, 3) RGB of the file's size.
            start_time: Seconds, rising.
            is_first: Start a new part with a keyframe; never drop the image.
        """
        start_ticks = round(start_time * TICKS_PER_SECOND)
        if self._held_frame is not None:
            held_ticks = start_ticks - int(self._held_frame.pts or 0)
            if held_ticks < 1 or (
                held_ticks < _MIN_FRAME_GAP_SECONDS * TICKS_PER_SECOND and not is_first
            ):
                return
            self._encode_held_frame(start_ticks)
        video_frame = self._frame_scaler.reformat(
            VideoFrame.from_ndarray(image), format="yuv420p", dst_colorspace=Colorspace.ITU709,
            threads=1,
        )  # fmt: skip
        video_frame.pts, video_frame.time_base = start_ticks, Fraction(1, TICKS_PER_SECOND)
        video_frame.pict_type = PictureType.I if is_first else PictureType.NONE
        self._held_frame = video_frame

    def finish_track(self, end_time: Fraction) -> None:
        """Display the last image until `end_time` (seconds), and flush the encoder."""
        self._encode_held_frame(round(end_time * TICKS_PER_SECOND))
        self._container.mux(self._video_stream.encode(None))

    def _encode_held_frame(self, end_ticks: int) -> None:
        if self._held_frame is not None:
            self._held_frame.duration = max(1, end_ticks - int(self._held_frame.pts or 0))
            self._container.mux(self._video_stream.encode(self._held_frame))


class AudioTrack:
    """Audio track of an output file, gapless from its beginning.

    Args:
        container: Open output file.
    """

    def __init__(self, container: OutputContainer) -> None:
        audio_stream = container.add_stream("aac", rate=AUDIO_SAMPLE_RATE)
        audio_stream.codec_context.layout = "stereo"
        audio_stream.codec_context.bit_rate = _AUDIO_BIT_RATE
        self._container, self._audio_stream = container, audio_stream
        self._leftover_samples: AudioSamples = np.zeros((2, 0), np.float32)
        self._written_samples = 0  # passed to the encoder

    def fill_until(self, end_time: Fraction, audio_reader: AudioReader) -> None:
        """Encode samples from a reader until the track lasts `end_time`.

        Args:
            end_time: Seconds in the output file.
            audio_reader: Source of the samples.
        """
        missing_samples = (
            round(end_time * AUDIO_SAMPLE_RATE)
            - self._written_samples
            - self._leftover_samples.shape[1]
        )
        while missing_samples > 0:
            read_block = audio_reader.read_samples(min(missing_samples, AUDIO_SAMPLE_RATE))
            missing_samples -= read_block.shape[1]
            self._leftover_samples = np.concatenate([self._leftover_samples, read_block], axis=1)
            while self._leftover_samples.shape[1] >= _AAC_FRAME_SAMPLES:
                self._encode_samples(_AAC_FRAME_SAMPLES)

    def finish_track(self) -> None:
        """Encode the remaining samples and flush the encoder."""
        if self._leftover_samples.shape[1]:
            self._encode_samples(self._leftover_samples.shape[1])
        self._container.mux(self._audio_stream.encode(None))

    def _encode_samples(self, sample_count: int) -> None:
        sample_block = np.ascontiguousarray(self._leftover_samples[:, :sample_count])
        self._leftover_samples = self._leftover_samples[:, sample_count:]
        audio_frame = AudioFrame.from_ndarray(sample_block, format="fltp", layout="stereo")
        audio_frame.sample_rate, audio_frame.pts, audio_frame.time_base = (
            AUDIO_SAMPLE_RATE,
            self._written_samples,
            Fraction(1, AUDIO_SAMPLE_RATE),
        )
        self._written_samples += sample_count
        self._container.mux(self._audio_stream.encode(audio_frame))
