"""Sample a video: RGB frames at a fixed rate, with exact times.

`Sampler` decodes a file once, and no more of it than needed (see `media/selective_decoding.py`).
Every decoded frame yields a luma thumbnail for the shot detector; the frames displayed at 0, 1/fps,
2/fps … seconds are scaled, rotated upright and batched. Time 0 is what a player shows as 0:00.
Times are `Fraction` seconds in this module, so that rounding never selects another frame.
"""

from __future__ import annotations

import math
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import starmap
from time import perf_counter
from typing import TYPE_CHECKING

from av.error import FFmpegError

from vsearch.buckets.bucket_path import BucketPath, format_transfer_error
from vsearch.errors import NoPictureError, TooLargeError, TransferError, UnreadableError
from vsearch.media import container
from vsearch.media.animated_webp import WebPReader
from vsearch.media.frame_batches import batch_frames
from vsearch.media.frame_cache import KEPT_SHORT_SIDE
from vsearch.media.photos import PhotoReader, detect_picture
from vsearch.media.reader import AvVideoReader, format_timestamp
from vsearch.media.recording import UNKNOWN_RECORDING, Recording
from vsearch.media.rgb import RgbConverter, get_display_size
from vsearch.media.sample_times import SampleTimes
from vsearch.media.shot_detection import LumaFeeder
from vsearch.media.urls import describe_missing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vsearch.media.reader import DecodedFrame, HeaderMetadata, VideoReader
    from vsearch.protocols import ShotDetector
    from vsearch.types import FrameBatch, Images, Span

_MIN_FPS_FOR_SHOTS = 0.4  # below it, too much happens between two frames to recognize a cut


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a video, known before it is decoded."""

    duration: float  # seconds, best estimate; 0 where unknown
    fps: float  # 0 where unknown
    width: int  # pixels as shown: after rotation and pixel aspect
    height: int
    codec: str
    timecode: str | None = None  # of the first frame, as written by the camera
    recording: Recording = UNKNOWN_RECORDING
    has_subtitle_streams: bool = False  # embedded ones
    reel_name: str | None = None  # of the tape or card, as written by the camera
    is_photo: bool = False


def probe_video(video_path: Path) -> VideoInfo:
    """Read the properties of a video, decoding one frame.

    Raises:
        MediaError: The file cannot be read, or no frame of it can be decoded.
    """
    with open_video(video_path) as video_reader:
        header_metadata = video_reader.read_metadata()
        for frame in video_reader.iter_frames():
            return _build_info(header_metadata, frame)
        raise video_reader.build_decode_error()


def _build_info(header_metadata: HeaderMetadata, first_frame: DecodedFrame) -> VideoInfo:
    width, height = header_metadata.photo_size or get_display_size(
        first_frame.video_frame, first_frame.pixel_aspect
    )
    return VideoInfo(
        header_metadata.duration,
        header_metadata.fps,
        width,
        height,
        header_metadata.codec,
        header_metadata.timecode,
        header_metadata.recording,
        header_metadata.has_subtitle_streams,
        header_metadata.reel_name,
        is_photo=header_metadata.photo_size is not None,
    )


class Sampler:
    """Iterator over the frames displayed at k / `fps` seconds within a span; iterate it once.

    Yields batches of at most `batch_size` images of one shape: uint8 (N, H, W, 3) RGB, upright,
    with square pixels and a short side of `short_side` pixels. A frame is yielded once however long
    it is displayed, and the first frame of the span is always yielded. Iteration raises MediaError
    if no frame can be decoded; damage further on ends up in `warning`.

    Args:
        video_path: Video to decode.
        fps: Frames to sample per second.
        short_side: Short side of the images in pixels.
        batch_size: Images per batch at most.
        span: Part of the video in seconds; None means all of it.
        shot_detector: Receives luma thumbnails of all frames but isolated non-reference ones. Not
            used below 0.4 fps or with `keyframes_only`, where too much lies between two frames.
        on_kept_frame: Called with each frame at the size of the frame cache and its time in seconds
            (see `media/frame_cache.py`).
        keyframes_only: Sample, for each instant, the last keyframe at or before it; decode nothing
            else.
        hwaccel: Device to decode with ("cuda", "vaapi" …); "auto" takes any, "" none. What the
            device cannot decode is decoded in software.

    Raises:
        SettingsError: `hwaccel` is unknown.
        ValueError: `fps`, `short_side` or `batch_size` is not positive.
    """

    def __init__(
        self,
        video_path: Path,
        *,
        fps: float,
        short_side: int,
        batch_size: int = 16,
        span: Span | None = None,
        shot_detector: ShotDetector | None = None,
        on_kept_frame: Callable[[Images, float], None] | None = None,
        keyframes_only: bool = False,
        hwaccel: str = "",
    ) -> None:
        if not (math.isfinite(fps) and fps > 0) or short_side < 1 or batch_size < 1:
            raise ValueError("fps, short_side and batch_size must be above 0")
        container.validate_device(hwaccel)
        self._video_path = video_path
        self._short_side = short_side
        self._batch_size = batch_size
        self._span = span
        self._rgb_converter, self._kept_converter = RgbConverter(), RgbConverter()
        self._on_kept_frame = on_kept_frame
        detects_shots = fps >= _MIN_FPS_FOR_SHOTS and not keyframes_only
        self._luma_feeder = LumaFeeder(shot_detector) if shot_detector and detects_shots else None
        self._keyframes_only, self._hwaccel_device = keyframes_only, hwaccel
        self._is_sparse = fps < 1
        start_time, end_time = (span.start, span.end) if span else (0, None)
        self._sample_times = SampleTimes(
            Fraction(fps).limit_denominator(1000) or Fraction(1, 1000),
            Fraction(start_time),
            None if end_time is None else Fraction(end_time),
            watch_all=self._luma_feeder is not None,
        )
        self.info: VideoInfo | None = None  # set once the first frame is decoded
        self.warning: str | None = None  # damage, set once iterated
        self.end_time = 0.0  # seconds: end of the last decoded frame
        # Longest gap between sampled frames in seconds, with `keyframes_only` or below 1 fps.
        self.max_frame_gap = 0.0
        self.busy_seconds = 0.0  # time spent in this iterator, including shot detection
        self.shot_seconds = 0.0  # CPU time of shot detection in this thread

    def stop(self) -> None:
        """End the iteration at the next decoded frame; may be called from any thread."""
        self._sample_times.stop_event.set()

    def __iter__(self) -> Iterator[FrameBatch]:
        # starmap() holds no reference to a decoded frame once it is converted.
        timed_images = starmap(self._convert_frame, self._iter_sampled_frames())
        resumed_at = perf_counter()
        for frame_batch in batch_frames(timed_images, self._batch_size):
            self.busy_seconds += perf_counter() - resumed_at
            yield frame_batch
            resumed_at = perf_counter()
        self.busy_seconds += perf_counter() - resumed_at

    def _convert_frame(self, frame: DecodedFrame, frame_time: float) -> tuple[Images, float]:
        """Return the image of a frame, uint8 (H, W, 3), and its time in seconds."""
        try:
            if self._on_kept_frame:
                kept_image = self._kept_converter.convert_frame(
                    frame.video_frame, _choose_kept_side(frame), frame.pixel_aspect
                )
                self._on_kept_frame(kept_image, frame_time)
            rgb_image = self._rgb_converter.convert_frame(
                frame.video_frame, self._short_side, frame.pixel_aspect
            )
        except FFmpegError as error:
            raise NoPictureError(
                f"{self._video_path}: unsupported pixel format "
                f"{frame.video_frame.format.name}; re-encode it, for example as H.264"
            ) from error
        return rgb_image, frame_time

    def _iter_sampled_frames(self) -> Iterator[tuple[DecodedFrame, float]]:
        """Yield the sampled frames with their times; the first one has the start of the span."""
        start_time = Fraction(self._span.start) if self._span else Fraction(0)
        last_frame: DecodedFrame | None = None
        previous_time: float | None = None
        sample_times = self._sample_times.copy_from_start()
        with open_video(
            self._video_path, keyframes_only=self._keyframes_only, hwaccel=self._hwaccel_device
        ) as video_reader:
            for frame, end_time in self._iter_shown_frames(video_reader, start_time):
                if sample_times.stop_event.is_set():
                    return
                last_frame = frame
                if sample_times.claim_frame(frame.start_time, end_time):
                    frame_time = float(max(frame.start_time, start_time))
                    self._record_frame_gap(previous_time, frame_time)
                    previous_time = frame_time
                    yield frame, frame_time
            if last_frame is None:
                raise video_reader.build_decode_error()
            self._complete_info(video_reader.read_metadata())
            self._record_frame_gap(previous_time, self.end_time)
            self.warning = video_reader.build_warning(
                self.end_time, is_full_pass=self._span is None
            )
            if not sample_times.has_claimed_frame:
                self.warning = (
                    f"ends at {format_timestamp(self.end_time)}, before the requested span"
                )
                yield last_frame, float(last_frame.start_time)
        if self._luma_feeder:
            self._luma_feeder.flush_frames()
            self.shot_seconds = self._luma_feeder.cpu_seconds

    def _complete_info(self, header_metadata: HeaderMetadata) -> None:
        """Add the numbers that are known only at the end."""
        if self.info and not self.info.duration:
            self.info = replace(
                self.info, duration=header_metadata.duration, fps=header_metadata.fps
            )

    def _record_frame_gap(self, previous_time: float | None, current_time: float) -> None:
        """Update the longest gap without a sampled frame, where gaps matter."""
        if previous_time is not None and (self._keyframes_only or self._is_sparse):
            self.max_frame_gap = max(self.max_frame_gap, current_time - previous_time)

    def _iter_shown_frames(
        self, video_reader: VideoReader, start_time: Fraction
    ) -> Iterator[tuple[DecodedFrame, Fraction]]:
        """Yield each frame up to the end of the span, and when the next one replaces it."""
        held_frame: DecodedFrame | None = None
        for frame in video_reader.iter_frames(start_time, self._sample_times.copy_from_start()):
            self.info = self.info or _build_info(video_reader.read_metadata(), frame)
            is_repeated = held_frame is not None and held_frame.start_time == frame.start_time
            if held_frame and not is_repeated:
                end_time = held_frame.end_time
                yield held_frame, frame.start_time if end_time is None else end_time
            if self._sample_times.is_past_end(frame.start_time):
                self.end_time = float(frame.start_time)
                if held_frame is None:  # no earlier frame to show
                    self.end_time = float(frame.start_time + frame.duration)
                    yield frame, frame.start_time + frame.duration
                return
            if self._luma_feeder and frame.start_time >= start_time and not is_repeated:
                self._luma_feeder.add_frame(frame)
            held_frame = frame
            self.end_time = float(frame.start_time + frame.duration)
        if held_frame:
            yield held_frame, held_frame.start_time + held_frame.duration


def _choose_kept_side(frame: DecodedFrame) -> int:
    """Return the short side of the cached frame; small frames are not enlarged."""
    frame_short_side = min(
        frame.video_frame.width * frame.pixel_aspect, Fraction(frame.video_frame.height)
    )
    return min(KEPT_SHORT_SIDE, max(1, round(frame_short_side)))


@contextmanager
def open_video(
    video_path: Path, *, keyframes_only: bool = False, hwaccel: str = ""
) -> Iterator[VideoReader]:
    """Open a video with the reader for its format; only MediaError leaves the block.

    Args:
        video_path: Video to open.
        keyframes_only: Decode keyframes only, where they are at most 30 s apart.
        hwaccel: Device to decode with, as for `Sampler`.

    Yields:
        The open reader.

    Raises:
        UnreadableError: The file is missing, unreadable or damaged at its start.
        NoPictureError: It has no video.
        TooLargeError: Decoding needs too much memory.
    """
    try:
        with closing(_open_reader(video_path, keyframes_only, hwaccel)) as video_reader:
            yield video_reader
    except TransferError:
        raise
    except FileNotFoundError as error:
        raise UnreadableError(describe_missing(video_path)) from error
    except PermissionError as error:
        raise UnreadableError(f"{video_path}: permission denied; check its permissions") from error
    except MemoryError as error:
        raise TooLargeError(
            f"{video_path}: not enough memory to decode it; re-encode it at a smaller size"
        ) from error
    except (FFmpegError, OSError) as error:
        if isinstance(video_path, BucketPath) and not isinstance(error, FFmpegError):
            raise TransferError(format_transfer_error(video_path, error)) from error
        raise UnreadableError(_format_unreadable(video_path)) from error


def _open_reader(video_path: Path, keyframes_only: bool, hwaccel: str) -> VideoReader:
    try:
        picture_kind = detect_picture(video_path)
        if picture_kind == "photo":
            return PhotoReader(video_path)
        if picture_kind == "animated webp":
            return WebPReader(video_path)
        return AvVideoReader(video_path, keyframes_only=keyframes_only, hwaccel_device=hwaccel)
    except (ValueError, OverflowError) as error:  # null in the name, absurd header
        raise UnreadableError(_format_unreadable(video_path)) from error


def _format_unreadable(video_path: Path) -> str:
    return (
        f"{video_path}: not a readable video, or damaged at its start; re-encode or copy it again"
    )
