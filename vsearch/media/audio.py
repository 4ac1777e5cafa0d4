"""Read the audio of a video as a gapless stream of samples at one rate, stereo or mono.

Parts that cannot be decoded become silence, so that audio stays in sync with the video.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from typing import TYPE_CHECKING, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from av.audio.resampler import AudioResampler
from av.error import FFmpegError
from av.stream import Discard, Disposition

from vsearch.errors import MediaError, TransferError
from vsearch.media.audio_tracks import (
    MAX_AUDIO_TRACKS,
    SECONDARY_TITLE_RE,
    AudioTrack,
    parse_stated_language,
)
from vsearch.media.container import get_codec_context, get_time_origin, open_container, to_fraction
from vsearch.media.reader import AvVideoReader
from vsearch.media.sampler import open_video
from vsearch.media.timestamps import TimestampConverter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

AudioSamples: TypeAlias = npt.NDArray[np.float32]  # (2, N) left and right, in [-1, 1]
MonoSamples: TypeAlias = npt.NDArray[np.float32]  # (N,) in [-1, 1]
AUDIO_SAMPLE_RATE = 48_000  # samples per second
_DRIFT_DIVISOR = 20  # timestamps may be off by 1/20 s, which is inaudible, before audio is moved
MAX_SILENCE_SECONDS = 60  # of gaps in the sound after the last picture
_END_SAMPLE_RATE = 8000  # samples per second: enough to find the end
_MAX_AUDIO_SECONDS = 24 * 3600  # that are read of one file
_PREROLL_SECONDS = Fraction(1)  # decoded before the start, since codecs need a run-up
_SECONDARY = (
    Disposition.comment
    | Disposition.visual_impaired
    | Disposition.karaoke
    | Disposition.lyrics
    | Disposition.clean_effects
    | Disposition.dependent
)  # dispositions of commentaries, of descriptions for blind people, and of music
_PLAUSIBLE_RATES = range(1_000, 1_000_000)  # samples per second


class AudioReader:
    """Stereo audio of a video from a time on, read piece by piece.

    Args:
        video_path: Video to decode.
        start_time: Seconds.
    """

    def __init__(self, video_path: Path, start_time: Fraction) -> None:
        self._sample_blocks = _iter_blocks(video_path, start_time)
        self._leftover_samples: AudioSamples = np.zeros((2, 0), np.float32)

    def read_samples(self, sample_count: int) -> AudioSamples:
        """Return the next samples, float32 (2, `sample_count`); silence after the end."""
        sample_blocks, missing_count = (
            [self._leftover_samples],
            sample_count - self._leftover_samples.shape[1],
        )
        while missing_count > 0:
            sample_block = next(self._sample_blocks, None)
            if sample_block is None:
                sample_block = np.zeros((2, missing_count), np.float32)
            sample_blocks.append(sample_block)
            missing_count -= sample_block.shape[1]
        joined_samples = np.concatenate(sample_blocks, axis=1)
        self._leftover_samples = joined_samples[:, sample_count:]
        return joined_samples[:, :sample_count]

    def close(self) -> None:
        """Close the file."""
        self._sample_blocks.close()


def read_mono(
    video_path: Path,
    sample_rate: int,
    *,
    track_number: int | None = None,
    start_time: float = 0.0,
    picture_end: float = math.inf,
) -> Generator[MonoSamples, None, None]:
    """Read the audio of one track as mono, in blocks of one second at most.

    Sound may go on after the last picture. A broken timestamp there would yield hours of silence,
    so reading stops after `MAX_SILENCE_SECONDS` of gaps, and in any case after a day.

    Args:
        video_path: Video to decode.
        sample_rate: Samples per second.
        track_number: Audio track, from 1; None: the first one that can be decoded.
        start_time: Seconds.
        picture_end: End of the last picture in seconds.

    Yields:
        float32 (N,), in [-1, 1]; nothing if there is no audio.

    Raises:
        MediaError: The file cannot be opened.
    """
    with open_video(video_path):
        pass
    output_format = _SampleFormat("mono", sample_rate, track_number, picture_end)
    remaining_samples = _MAX_AUDIO_SECONDS * sample_rate
    for sample_block in _iter_blocks(video_path, Fraction(start_time), output_format):
        for chunk_start in range(0, sample_block.shape[1], sample_rate):
            if remaining_samples <= 0:
                return
            samples = sample_block[0, chunk_start : chunk_start + sample_rate]
            remaining_samples -= len(samples)
            yield samples


def find_sound_end(video_path: Path, picture_end: float, max_end: float) -> float:
    """Return the end of the sound of any track, if that is after the last picture.

    Args:
        video_path: The file.
        picture_end: End of the last picture in seconds.
        max_end: Seconds at which to stop, as a later end makes no difference.

    Returns:
        Seconds: at least `picture_end`, and at most `max_end` and a second.

    Raises:
        MediaError: The file cannot be opened.
    """
    sound_end = picture_end
    for track in list_audio_tracks(video_path):
        sample_count = 0
        audio_blocks = read_mono(
            video_path,
            _END_SAMPLE_RATE,
            track_number=track.number,
            start_time=picture_end,
            picture_end=picture_end,
        )
        with closing(audio_blocks):
            for samples in audio_blocks:
                sample_count += len(samples)
                sound_end = max(sound_end, picture_end + sample_count / _END_SAMPLE_RATE)
                if sound_end >= max_end:
                    return sound_end
    return sound_end


def list_audio_tracks(video_path: Path) -> list[AudioTrack]:
    """Return the audio tracks of a file that can be decoded, at most `MAX_AUDIO_TRACKS`.

    Args:
        video_path: The file.

    Returns:
        The tracks in the order of the file.

    Raises:
        MediaError: The file cannot be opened.
    """
    with open_video(video_path):
        pass
    try:
        with open_container(video_path) as container:
            return [
                _describe_track(number, audio_stream)
                for number, audio_stream in enumerate(container.streams.audio, 1)
                if get_codec_context(audio_stream)
            ][:MAX_AUDIO_TRACKS]
    except (FFmpegError, OSError, ValueError):
        return []


def _describe_track(number: int, audio_stream: AudioStream) -> AudioTrack:
    metadata, disposition = audio_stream.metadata, audio_stream.disposition
    title = metadata.get("title") or metadata.get("handler_name") or ""
    return AudioTrack(
        number,
        parse_stated_language(metadata.get("language")),
        bool(disposition & Disposition.default),
        bool(disposition & _SECONDARY) or SECONDARY_TITLE_RE.search(title) is not None,
    )


def has_audio_stream(video_path: Path) -> bool:
    """Return whether a file has audio that can be decoded."""
    with closing(_iter_blocks(video_path, Fraction(0))) as sample_blocks:
        return next(sample_blocks, None) is not None


def count_audio_channels(video_path: Path) -> int:
    """Return the number of audio channels that the headers of a file claim; 0 if unknown."""
    try:
        with open_container(video_path) as container:
            return next((stream.codec_context.channels for stream in container.streams.audio), 0)
    except (FFmpegError, OSError, ValueError, AttributeError):
        return 0


@dataclass(frozen=True, slots=True)
class _SampleFormat:
    """Format of the output samples, and the track that they are taken from."""

    layout: str
    sample_rate: int
    track_number: int | None = None  # from 1; None: the first one that can be decoded
    picture_end: float = math.inf  # seconds, after which the length of gaps is limited


_STEREO_FORMAT = _SampleFormat("stereo", AUDIO_SAMPLE_RATE)


def _iter_blocks(
    video_path: Path, start_time: Fraction, output_format: _SampleFormat = _STEREO_FORMAT
) -> Generator[AudioSamples, None, None]:
    """Yield consecutive samples from `start_time` on, float32 (channels, N) each."""
    max_drift = output_format.sample_rate // _DRIFT_DIVISOR
    end_time = output_format.picture_end
    emitted_samples = late_gap_samples = 0
    try:
        for audio_frame, frame_time in _iter_resampled_frames(
            video_path, start_time, output_format
        ):
            frame_samples = np.ascontiguousarray(audio_frame.to_ndarray(), np.float32)
            due_samples = round((frame_time - start_time) * output_format.sample_rate)
            while due_samples > emitted_samples + max_drift:  # fill a gap with silence
                silent_samples = min(due_samples - emitted_samples, output_format.sample_rate)
                yield np.zeros((len(frame_samples), silent_samples), np.float32)
                emitted_samples += silent_samples
                if start_time + Fraction(emitted_samples, output_format.sample_rate) > end_time:
                    late_gap_samples += silent_samples
                    if late_gap_samples > MAX_SILENCE_SECONDS * output_format.sample_rate:
                        return
            if due_samples < emitted_samples - max_drift or (
                due_samples < 0 and not emitted_samples
            ):
                frame_samples = frame_samples[:, emitted_samples - due_samples :]
            if frame_samples.shape[1]:
                yield frame_samples
            emitted_samples += frame_samples.shape[1]
    except TransferError:  # else a part would count as the whole
        raise
    except (FFmpegError, MediaError, OSError, ValueError, OverflowError):
        return


def _iter_resampled_frames(
    video_path: Path, start_time: Fraction, output_format: _SampleFormat
) -> Iterator[tuple[AudioFrame, Fraction]]:
    """Yield frames in the output format, each with its start time in seconds."""
    should_seek = start_time > _PREROLL_SECONDS and _has_monotonic_timestamps(video_path)
    with open_container(video_path) as container:
        audio_stream = _select_stream(container, output_format.track_number)
        if audio_stream is None:
            return
        for other_stream in container.streams:
            if other_stream is not audio_stream:
                other_stream.discard = Discard.all
        time_base = to_fraction(audio_stream.time_base) or Fraction(1, av.time_base)
        time_origin = get_time_origin(container, audio_stream)
        if should_seek:
            container.seek(
                int((start_time - _PREROLL_SECONDS + time_origin) / time_base), stream=audio_stream
            )
        timestamp_converter = TimestampConverter(
            time_base, time_origin, Fraction(1, 50), is_after_seek=should_seek
        )
        resampler = _FrameResampler(output_format)
        audio_frames = _decode_audio(container, audio_stream)
        for audio_frame, next_frame in pairwise(chain(audio_frames, (None,))):
            if audio_frame is None:
                return
            next_pts = None if next_frame is None else next_frame.pts
            frame_time = timestamp_converter.to_seconds(audio_frame.pts, next_pts)
            for resampled_frame in resampler.resample_frame(audio_frame):
                yield resampled_frame, frame_time
                frame_time += Fraction(resampled_frame.samples, output_format.sample_rate)


def _select_stream(container: InputContainer, track_number: int | None) -> AudioStream | None:
    """Return an audio stream that can be decoded: the given one, or else the first."""
    return next(
        (
            audio_stream
            for number, audio_stream in enumerate(container.streams.audio, 1)
            if get_codec_context(audio_stream) and track_number in (None, number)
        ),
        None,
    )


def _has_monotonic_timestamps(video_path: Path) -> bool:
    with closing(AvVideoReader(video_path)) as video_reader:
        return video_reader.has_monotonic_timestamps()


class _FrameResampler:
    """Resampler whose input format may change from frame to frame."""

    def __init__(self, output_format: _SampleFormat) -> None:
        self._output_format = output_format
        self._input_format: tuple[str, str, int] | None = None
        self._resampler = self._create_resampler()

    def resample_frame(self, audio_frame: AudioFrame) -> list[AudioFrame]:
        """Convert a frame to the output format; return none where that fails."""
        if audio_frame.sample_rate not in _PLAUSIBLE_RATES:
            return []
        input_format = audio_frame.format.name, audio_frame.layout.name, audio_frame.sample_rate
        if input_format != self._input_format:  # a resampler accepts one format only
            self._input_format, self._resampler = input_format, self._create_resampler()
        audio_frame.pts = None  # the caller keeps the times
        try:
            return self._resampler.resample(audio_frame)
        except (FFmpegError, ValueError):
            return []

    def _create_resampler(self) -> AudioResampler:
        return AudioResampler("fltp", self._output_format.layout, self._output_format.sample_rate)


def _decode_audio(container: InputContainer, audio_stream: AudioStream) -> Iterator[AudioFrame]:
    for packet in _iter_audio_packets(container, audio_stream):
        if packet.has_sidedata("encryption_info"):
            return
        try:
            yield from audio_stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):
            continue  # becomes a gap


def _iter_audio_packets(
    container: InputContainer, audio_stream: AudioStream
) -> Iterator[Packet[AudioStream]]:
    """Yield packets; retry failed reads within bounds."""
    for _ in range(100):
        try:
            yield from container.demux(audio_stream)
        except (FFmpegError, ValueError):
            continue
        except IndexError:  # as in media/reader.py
            return
        return
