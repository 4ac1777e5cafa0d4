"""Stream a video from a time on as fragmented MP4, generated while browsers play it.

Video packets are copied where browsers play them (see `media/remux.py`), from the keyframe before
that time on; otherwise they are decoded and encoded as H.264 of at most 720 lines, from exactly
that time on. Audio is always encoded. Nothing is generated before it is requested, and no more than
about a second is buffered.
"""

from __future__ import annotations

import logging
import threading
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

import av
from av.error import FFmpegError

from vsearch.errors import VSearchError
from vsearch.media.audio import AudioReader
from vsearch.media.container import get_codec_context, open_container
from vsearch.media.encoding import MAX_FRAME_RATE, AudioTrack, VideoTrack
from vsearch.media.letterbox import Letterbox
from vsearch.media.remux import open_remux_source
from vsearch.media.sampler import open_video
from vsearch.media.timestamps import TIME_RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from av.container import OutputContainer

    from vsearch.media.reader import DecodedFrame, VideoReader
    from vsearch.media.remux import RemuxSource

log = logging.getLogger(__name__)
MAX_STREAM_LINES = 720  # of transcoded video
_DEFAULT_FRAME_RATE = Fraction(25)  # for files without a frame rate
_KEYFRAME_INTERVAL_SECONDS = Fraction(2)
_MUXER_OPTIONS = {
    # delay_moov: the header follows the first packets, and so can contain the edit list
    "movflags": "frag_keyframe+delay_moov+default_base_moof",
    "frag_duration": "1000000",  # microseconds
    "flush_packets": "1",
}
_ENCODER_OPTIONS: dict[str, object] = {
    "preset": "veryfast",
    "tune": "zerolatency",
    "crf": "23",
    "bf": "0",
    "forced-idr": "1",
}
_STREAM_ERRORS = (VSearchError, FFmpegError, OSError, ValueError, OverflowError, MemoryError)


class Mp4Stream:
    """Iterator over the bytes of an MP4; close it, even if it is not exhausted.

    A chunk may be empty, which gives the caller an opportunity to stop. Damage ends the stream.

    Args:
        video_path: Path of the video, for log messages.
        chunks: Generator of the bytes.
        start_time: Seconds in the video at which the stream starts.
    """

    def __init__(
        self, video_path: Path, chunks: Generator[bytes, None, None], start_time: Fraction
    ) -> None:
        self.start_time = float(start_time)  # seconds in the video
        self._video_path, self._chunks = video_path, chunks
        self._lock = threading.Lock()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            with self._lock:
                return next(self._chunks)
        except _STREAM_ERRORS as error:
            log.info("%s: stream ended early: %s", self._video_path, error)
            raise StopIteration from error

    def close(self) -> None:
        """Close all files; may be called from any thread."""
        with self._lock:
            self._chunks.close()


def open_stream(
    video_path: Path, start_seconds: float, *, force_encoding: bool = False
) -> Mp4Stream:
    """Open a stream of a video from a time on, or from the keyframe before it.

    Args:
        video_path: Video to stream.
        start_seconds: Start in seconds.
        force_encoding: Never copy packets.

    Returns:
        The stream; the caller closes it.

    Raises:
        MediaError: The video cannot be read.
        ValueError: `start_seconds` is negative or not a number.
        OverflowError: `start_seconds` is infinite.
    """
    start_time = Fraction(start_seconds)  # raises if it is not finite
    if start_time < 0:
        raise ValueError(f"start_seconds must not be negative: {start_seconds}")
    remux_source = None if force_encoding else open_remux_source(video_path, start_time)
    chunks = (
        _stream_by_copying(video_path, remux_source)
        if remux_source
        else _stream_by_encoding(video_path, start_time)
    )
    next(chunks)  # runs up to the first yield, so that errors are raised here
    return Mp4Stream(video_path, chunks, remux_source.start_time if remux_source else start_time)


# Video


def _stream_by_copying(video_path: Path, remux_source: RemuxSource) -> Generator[bytes, None, None]:
    byte_sink = _ByteSink()
    with closing(remux_source), _open_output(byte_sink) as container:
        output_stream = container.add_stream_from_template(remux_source.video_stream, opaque=True)
        output_stream.time_base = remux_source.video_stream.time_base
        with closing(_StreamAudio(container, video_path, remux_source.start_time)) as stream_audio:
            yield b""
            end_time = Fraction(0)
            for packet in remux_source.packets:
                end_time = (packet.pts or 0) * remux_source.time_base
                for _ in stream_audio.fill_until(end_time):
                    yield byte_sink.take_bytes()
                end_time += (packet.duration or 0) * remux_source.time_base
                packet.stream = output_stream
                container.mux(packet)
                yield byte_sink.take_bytes()
            for _ in stream_audio.fill_until(end_time):
                yield byte_sink.take_bytes()
    yield byte_sink.take_bytes()


def _stream_by_encoding(video_path: Path, start_time: Fraction) -> Generator[bytes, None, None]:
    byte_sink = _ByteSink()
    with open_video(video_path) as video_reader:
        shown_frames = _iter_shown_frames(video_reader, start_time)
        first_shown = next(shown_frame for shown_frame in shown_frames if shown_frame)
        letterbox, last_keyframe_time = _create_letterbox(first_shown[0]), Fraction(0)
        with _open_output(byte_sink) as container:
            video_track = _LiveVideoTrack(
                container, (letterbox.width, letterbox.height), _choose_frame_rate(video_reader)
            )
            with closing(_StreamAudio(container, video_path, start_time)) as stream_audio:
                yield b""
                for frame, start_offset, end_offset in filter(
                    None, chain([first_shown], shown_frames)
                ):
                    is_keyframe = (
                        not start_offset
                        or start_offset - last_keyframe_time >= _KEYFRAME_INTERVAL_SECONDS
                    )
                    last_keyframe_time = start_offset if is_keyframe else last_keyframe_time
                    video_track.add_image(
                        letterbox.convert_frame(frame), start_offset, is_first=is_keyframe
                    )
                    for _ in stream_audio.fill_until(end_offset):
                        yield byte_sink.take_bytes()
                    yield byte_sink.take_bytes()
                video_track.finish_track(end_offset)
    yield byte_sink.take_bytes()


def _iter_shown_frames(
    video_reader: VideoReader, start_time: Fraction
) -> Iterator[tuple[DecodedFrame, Fraction, Fraction] | None]:
    """Yield frames with display intervals in seconds from the start; None for earlier frames."""
    held_frame: DecodedFrame | None = None
    start_offset = Fraction(0)
    for frame in video_reader.iter_frames(start_time):
        if held_frame is not None and frame.start_time > start_time + TIME_RESOLUTION:
            yield held_frame, start_offset, frame.start_time - start_time
            start_offset = frame.start_time - start_time
        else:
            yield None
        held_frame = frame
    if held_frame is None:
        raise video_reader.build_decode_error()
    yield (
        held_frame,
        start_offset,
        max(
            held_frame.start_time + held_frame.duration - start_time,
            start_offset + 1 / _DEFAULT_FRAME_RATE,
        ),
    )


def _create_letterbox(video_frame: DecodedFrame) -> Letterbox:
    """Create the canvas for a frame, with at most `MAX_STREAM_LINES` lines."""
    full_letterbox = Letterbox.for_frame(video_frame)
    short_side = min(full_letterbox.width, full_letterbox.height)
    if short_side <= MAX_STREAM_LINES:
        return full_letterbox
    width, height = (
        side_length * MAX_STREAM_LINES // short_side // 2 * 2
        for side_length in (full_letterbox.width, full_letterbox.height)
    )
    return Letterbox(width, height)


def _choose_frame_rate(video_reader: VideoReader) -> Fraction:
    frame_rate = Fraction(video_reader.read_metadata().fps).limit_denominator(1001)
    return min(max(frame_rate or _DEFAULT_FRAME_RATE, Fraction(1)), Fraction(MAX_FRAME_RATE))


class _LiveVideoTrack(VideoTrack):
    """Video track encoded at playback speed."""

    def __init__(
        self, container: OutputContainer, frame_size: tuple[int, int], frame_rate: Fraction
    ) -> None:
        super().__init__(container, frame_size, frame_rate)
        self._video_stream.options = _ENCODER_OPTIONS


# Audio and output


class _StreamAudio:
    """Audio track of the stream, if the video has audio."""

    def __init__(self, container: OutputContainer, video_path: Path, start_time: Fraction) -> None:
        self._audio_track = AudioTrack(container) if _has_audio(video_path) else None
        self._audio_reader = AudioReader(video_path, start_time)
        self._filled_until = Fraction(0)

    def fill_until(self, end_time: Fraction) -> Iterator[None]:
        """Write audio up to `end_time` (seconds), one second per step."""
        while self._audio_track and self._filled_until < end_time:
            self._filled_until = min(self._filled_until + 1, end_time)
            self._audio_track.fill_until(self._filled_until, self._audio_reader)
            yield

    def close(self) -> None:
        self._audio_reader.close()
        if self._audio_track:
            self._audio_track.finish_track()


def _has_audio(video_path: Path) -> bool:
    try:
        with open_container(video_path) as container:
            codec_contexts = map(get_codec_context, container.streams.audio)
            return any(
                getattr(codec_context, "sample_rate", 0) > 0 for codec_context in codec_contexts
            )
    except (FFmpegError, OSError, ValueError, OverflowError):
        return False


class _ByteSink:
    """Writable file for PyAV whose content is taken out in chunks."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, chunk: bytes) -> int:
        self._chunks.append(bytes(chunk))
        return len(chunk)

    def take_bytes(self) -> bytes:
        written_bytes, self._chunks = b"".join(self._chunks), []
        return written_bytes


@contextmanager
def _open_output(byte_sink: _ByteSink) -> Iterator[OutputContainer]:
    container = av.open(byte_sink, "w", format="mp4", options=_MUXER_OPTIONS)
    try:
        yield container
    finally:
        with suppress(*_STREAM_ERRORS):  # the remaining bytes are not needed
            container.close()
