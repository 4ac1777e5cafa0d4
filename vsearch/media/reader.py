"""Read a video: demux packets, decode frames, and time their display.

Times are `Fraction` seconds, so that rounding never shifts a frame; 0 is what a player shows as
0:00. A reader continues after damage and reports it as a warning.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from itertools import islice, pairwise
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import av
from av.codec.context import Flags, ThreadType
from av.error import FFmpegError

from vsearch.buckets.bucket_path import BucketPath
from vsearch.errors import MediaError, NoPictureError
from vsearch.media.bitstream import Bitstream
from vsearch.media.container import (
    MAX_FRAME_RATE,
    READ_TIMEOUT_SECONDS,
    check_frame_size,
    compute_max_pixels,
    get_bits_per_pixel,
    get_time_origin,
    has_data_stream,
    has_no_timestamps,
    has_only_dts,
    measure_frame_rate,
    open_file,
    open_with_hwaccel,
    raise_transfer_error,
    select_video_stream,
    to_fraction,
)
from vsearch.media.gpmf import TELEMETRY_HANDLER, add_telemetry
from vsearch.media.recording import UNKNOWN_RECORDING, Recording, read_recording
from vsearch.media.selective_decoding import SelectiveDecoder, SelectiveDecodingFailed
from vsearch.media.timestamps import (
    MAX_STEP_SECONDS,
    TIME_RESOLUTION,
    BestEffortTimestamps,
    TimestampConverter,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vsearch.media.sample_times import SampleTimes

_AVFMT_TS_DISCONT = 0x200  # a format whose timestamps may restart
_ORDERED_FORMATS = {  # whose packets come in decoding order, with reliable timestamps
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "mpegts",
    "mpeg",
    "flv",
}
_PROBE_POSITION_COUNT = 100  # positions in a file at which timestamps are compared
_MAX_DURATION_SECONDS = 30 * 24 * 3600.0  # a longer claimed duration is ignored
_MAX_BAD_PACKETS = 2000  # damaged packets before the first frame
_MAX_PACKETS_IN_DECODER = 32  # with up to 16 threads, and frames to reorder
_MAX_TRUSTED_RATE = 480  # frames per second that headers may claim without a check
_MAX_RATE_ERROR = Fraction(3, 100)  # of a rate measured at the beginning of a file
_DEFAULT_FRAME_RATE = Fraction(25)  # of files without one


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """A decoded frame and its display time."""

    video_frame: VideoFrame
    pixel_aspect: Fraction  # width of a pixel divided by its height
    start_time: Fraction  # seconds, rising from frame to frame
    duration: Fraction  # seconds, as claimed by the file
    end_time: Fraction | None = None  # when the next frame replaces it; None: when that appears


@dataclass(frozen=True, slots=True)
class HeaderMetadata:
    """Metadata in a file's headers."""

    duration: float  # seconds; 0 where unknown
    fps: float  # 0 where unknown
    codec: str
    timecode: str | None = None  # of the first frame, as written by the camera
    recording: Recording = UNKNOWN_RECORDING
    has_subtitle_streams: bool = False
    reel_name: str | None = None  # of the tape or card, as written by the camera
    photo_size: tuple[int, int] | None = None  # width and height of a photo, upright; else None


@dataclass(frozen=True, slots=True)
class _DecodePlan:
    """A plan to decode only some of the frames."""

    sample_times: SampleTimes
    keyframes_only: bool


class VideoReader(Protocol):
    """Open video file."""

    def read_metadata(self) -> HeaderMetadata:
        """Return the plausible part of the headers.

        Numbers that no header contains may be 0 until the first pass over the frames is done.
        """
        ...

    def iter_frames(
        self, start_time: Fraction = ..., sample_times: SampleTimes | None = ...
    ) -> Iterator[DecodedFrame]:
        """Yield frames in presentation order, from `start_time` (seconds) or a little earlier."""
        ...

    def build_decode_error(self) -> MediaError:
        """Return the error to raise when no frame could be decoded."""
        ...

    def build_warning(self, end_time: float, *, is_full_pass: bool) -> str | None:
        """Describe damage met while decoding up to `end_time` (seconds); None if there was none."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class AvVideoReader:
    """Video file decoded by FFmpeg. A `VideoReader`.

    Args:
        video_path: Video to open.
        keyframes_only: Decode keyframes only, where they are marked and at most 30 s apart.
        hwaccel_device: Device to decode with; "" decodes in software.

    Raises:
        NoPictureError: The file has no video stream that can be decoded.
        TooLargeError: Its frames are too large.
    """

    def __init__(
        self, video_path: Path, *, keyframes_only: bool = False, hwaccel_device: str = ""
    ) -> None:
        self._video_path = video_path
        self._keyframes_only = keyframes_only
        self._hwaccel_device = hwaccel_device
        self._is_damaged = False  # decode one frame after the other
        self._damage_count = 0  # damaged packets and frames
        self._first_damage_time: Fraction | None = None
        self._current_time = Fraction(0)
        self._has_frames = False
        self._is_encrypted = False
        self._fallback_warning: str | None = None
        self._repeated_until = Fraction(0)  # seconds: end of the last repetition of a frame
        self._last_packet_ticks = 0  # claimed duration
        self._measured_rate: Fraction | None = None  # frames per second; 0 where unknown
        self._open_container()

    def _open_container(self) -> None:
        self._container: InputContainer = open_with_hwaccel(
            self._hwaccel_device, self._video_path, open_file
        )
        try:
            self._video_stream = select_video_stream(self._video_path, self._container)
        except BaseException:
            self._container.close()
            raise
        codec_context = self._video_stream.codec_context
        if self._is_damaged:
            codec_context.thread_type = ThreadType.SLICE
        # Behind a damaged HEVC keyframe, frames are gray. Without this flag, they have no times.
        self._has_gray_frames = codec_context.codec.canonical_name == "hevc"
        if self._has_gray_frames:
            codec_context.flags |= Flags.output_corrupt

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def read_metadata(self) -> HeaderMetadata:
        """Return the plausible part of the headers."""
        codec_name = self._video_stream.codec_context.codec.canonical_name
        return HeaderMetadata(
            self._estimate_duration(),
            float(self._frame_rate() or 0),
            codec_name,
            self._find_tag("timecode"),
            self._recording,
            bool(self._container.streams.subtitles),
            self._find_tag("reel_name"),
        )

    @cached_property
    def _recording(self) -> Recording:
        recording = read_recording(self._container.metadata, self._video_stream.metadata)
        if has_data_stream(self._container, TELEMETRY_HANDLER):
            return add_telemetry(recording, self._video_path)
        return recording

    def build_decode_error(self) -> MediaError:
        """Return the error to raise when no frame could be decoded."""
        if self._is_encrypted:
            return NoPictureError(f"{self._video_path}: is encrypted; decrypt it first")
        codec_context = self._video_stream.codec_context
        size_hint = (
            ""
            if codec_context.width
            else f", or its frames exceed {compute_max_pixels(1) // 10**6} million pixels"
        )
        return NoPictureError(
            f"{self._video_path}: no frame of its {codec_context.name} video stream can be "
            f"decoded; it is truncated or damaged{size_hint}. Copy it again"
        )

    def build_warning(self, end_time: float, *, is_full_pass: bool) -> str | None:
        """Describe damage met while decoding, for the user.

        Args:
            end_time: Seconds up to which frames were decoded.
            is_full_pass: Frames were decoded from the start of the file on, to its end.

        Returns:
            One line without the path; None if there was no damage.
        """
        if self._is_encrypted:
            return (
                f"encrypted from {format_timestamp(end_time)} on; only the part before it is used"
            )
        claimed_duration = self._estimate_duration()
        # Some durations include the time before the origin.
        reached_time = end_time + max(0.0, float(self._time_origin()))
        if (
            is_full_pass
            and reached_time < claimed_duration - max(2.0, claimed_duration / 10)
            and self._has_own_duration()
        ):
            return (
                f"damaged after {format_timestamp(end_time)}; its headers claim a duration of "
                f"{format_timestamp(claimed_duration)}"
            )
        if self._damage_count and self._first_damage_time is not None:
            damage_description = (
                "a part" if self._damage_count == 1 else f"{self._damage_count} parts"
            )
            return (
                f"{damage_description} could not be decoded, first at "
                f"{format_timestamp(float(self._first_damage_time))}"
            )
        return self._fallback_warning

    def iter_frames(
        self, start_time: Fraction = Fraction(0), sample_times: SampleTimes | None = None
    ) -> Iterator[DecodedFrame]:
        """Yield frames in presentation order, from the last one at or before a time, or earlier.

        Args:
            start_time: Seconds.
            sample_times: Frames needed. These are among the frames yielded; others may be left out.
                A frame may be yielded twice in a row, if the first attempt could not determine what
                follows it.
        """
        last_time: Fraction | None = None
        for decode_plan in (*self._list_decode_plans(sample_times), None):
            try:
                for frame in self._seek_and_decode(start_time, decode_plan):
                    if last_time is None or frame.start_time >= last_time:
                        yield frame
                        last_time = frame.start_time
                return
            except SelectiveDecodingFailed as failure:
                if sample_times and sample_times.stop_event.is_set():
                    return  # the missing frames are no longer needed
                self._restart_reading(failure, last_time)
        for frame in self._seek_and_decode(start_time, None):
            if last_time is None or frame.start_time >= last_time:
                yield frame

    def _list_decode_plans(self, sample_times: SampleTimes | None) -> list[_DecodePlan]:
        """Return the ways to leave frames out, in the order in which to try them."""
        if sample_times is None or self._video_stream.codec_context.is_hwaccel:
            return []
        return [_DecodePlan(sample_times, True)] * self._keyframes_only + [
            _DecodePlan(sample_times, False)
        ]

    def _restart_reading(
        self, failure: SelectiveDecodingFailed, last_time: Fraction | None
    ) -> None:
        """Reopen the file after a plan failed, as if nothing had been read."""
        if failure.warning:
            self._fallback_warning = (
                f"{failure.warning} after {format_timestamp(float(last_time or 0))}"
            )
        self._damage_count, self._first_damage_time, self._is_encrypted = 0, None, False
        self._is_damaged = self._is_damaged or failure.is_damaged
        self._container.close()
        self._open_container()

    def _seek_and_decode(
        self, start_time: Fraction, decode_plan: _DecodePlan | None
    ) -> Iterator[DecodedFrame]:
        if start_time > 0 and self._video_stream.start_time is not None:
            for margin in (0, 2, 10, 60) if self.has_monotonic_timestamps() else ():
                if start_time <= margin:
                    break
                frames = self._decode_from(start_time - margin, decode_plan)
                first_frame = next(frames, None)
                if first_frame and first_frame.start_time <= start_time:
                    yield first_frame
                    yield from frames
                    return
            self._container.close()  # seeking does not work in this file: decode from its beginning
            self._open_container()
        yield from self._decode_frames(decode_plan, is_after_seek=False)

    def has_monotonic_timestamps(self) -> bool:
        """Return whether timestamps rise from the beginning of the file to its end.

        Only then does seeking find what a full pass shows at that time. In most containers they do.
        Where the format allows timestamps to restart, as in joined recordings, they are compared at
        a hundred positions spread evenly over the file, without decoding: a later position must not
        have an earlier time, nor one over an hour later. A restart is missed where time falls back
        by less than passes between two positions, about 1% of the duration.
        """
        if not self._container.format.flags & _AVFMT_TS_DISCONT:
            return True
        size_bytes = self._video_path.stat().st_size
        probe_times = [
            self._read_time_at(position_index * size_bytes // _PROBE_POSITION_COUNT)
            for position_index in range(_PROBE_POSITION_COUNT)
        ]
        return all(
            earlier_time is not None
            and later_time is not None
            and 0 <= later_time - earlier_time < MAX_STEP_SECONDS
            for earlier_time, later_time in pairwise(probe_times)
        )

    def _read_time_at(self, byte_position: int) -> Fraction | None:
        """Return the first timestamp after a byte position, in the container's own seconds."""
        try:
            self._container.seek(byte_position, unsupported_byte_offset=True)
            decode_timestamps = (
                packet.dts for packet in islice(self._container.demux(self._video_stream), 200)
            )
            decode_timestamp = next(
                (
                    decode_timestamp
                    for decode_timestamp in decode_timestamps
                    if decode_timestamp is not None
                ),
                None,
            )
        except (FFmpegError, ValueError, IndexError):
            return None
        return None if decode_timestamp is None else decode_timestamp * self._time_base

    def _decode_from(
        self, start_time: Fraction, decode_plan: _DecodePlan | None
    ) -> Iterator[DecodedFrame]:
        seek_time = min(start_time, Fraction(_MAX_DURATION_SECONDS)) + self._time_origin()
        try:
            self._container.seek(int(seek_time / self._time_base), stream=self._video_stream)
        except (FFmpegError, OverflowError):
            return
        yield from self._decode_frames(decode_plan, is_after_seek=True)

    def _decode_frames(
        self, decode_plan: _DecodePlan | None, *, is_after_seek: bool
    ) -> Iterator[DecodedFrame]:
        timestamp_converter = TimestampConverter(
            self._time_base,
            self._time_origin(),
            self._frame_step,
            is_after_seek=is_after_seek,
            may_restart=bool(self._container.format.flags & _AVFMT_TS_DISCONT),
            end_time=self._container_end if has_only_dts(self._container) else None,
        )
        if decode_plan:
            yield from self._decode_selectively(
                decode_plan, timestamp_converter, is_after_seek=is_after_seek
            )
            return
        last_frame: DecodedFrame | None = None
        for video_frame, timestamp, next_timestamp in self._iter_timestamped_frames():
            self._current_time = timestamp_converter.to_seconds(timestamp, next_timestamp)
            frame_duration = self._frame_duration(video_frame.duration, self._current_time)
            if video_frame.is_corrupt and self._has_gray_frames:
                if last_frame:  # else decoding started between keyframes
                    self._record_damage()
                    self._repeat_until(self._current_time + frame_duration)
                continue
            if video_frame.is_corrupt:
                self._record_damage()
            last_frame = DecodedFrame(
                video_frame, self._pixel_aspect(), self._current_time, frame_duration
            )
            yield last_frame
        if last_frame and self._repeated_until > last_frame.start_time + last_frame.duration:
            yield replace(last_frame, duration=self._repeated_until - last_frame.start_time)

    def _iter_timestamped_frames(self) -> Iterator[tuple[VideoFrame, int | None, int | None]]:
        """Yield each frame with its timestamp and the one of the frame after it, in ticks."""
        best_effort_timestamps = BestEffortTimestamps(
            has_pts=not has_only_dts(self._container), end_ticks=self._find_end_ticks()
        )
        held_frame: VideoFrame | None = None
        held_timestamp: int | None = None
        damage_counts = deque([self._damage_count], maxlen=_MAX_PACKETS_IN_DECODER)
        for packet in self._iter_packets():
            if packet and packet.has_sidedata("encryption_info"):
                self._is_encrypted = True
            if self._is_encrypted or (
                self._damage_count > _MAX_BAD_PACKETS and not self._has_frames
            ):
                break
            for video_frame in self._decode_packet(packet):
                self._has_frames = True
                timestamp = best_effort_timestamps.choose(video_frame.pts, video_frame.dts)
                if held_frame:
                    yield held_frame, held_timestamp, timestamp
                held_frame, held_timestamp = video_frame, timestamp
            damage_counts.append(self._damage_count)
        if held_frame:
            yield held_frame, held_timestamp, None
        if self._damage_count > damage_counts[0] and self._decodes_frames_at_once():
            # At the end, PyAV does not return the frames after a damaged one.
            raise SelectiveDecodingFailed(is_damaged=True)

    def _decodes_frames_at_once(self) -> bool:
        codec_context = self._video_stream.codec_context
        is_threaded = bool(codec_context.thread_type & ThreadType.FRAME)
        return is_threaded and codec_context.thread_count > 1 and not codec_context.is_hwaccel

    def _frame_duration(self, duration_ticks: int | None, start_time: Fraction) -> Fraction:
        """Return how long a frame claims to be displayed.

        Only a frame that starts there may last beyond the end of the container, for a usual time.
        """
        frame_step = self._frame_step
        frame_duration = (duration_ticks or 0) * self._time_base
        if not 0 < frame_duration < MAX_STEP_SECONDS:
            frame_duration = frame_step
        elif has_only_dts(self._container):  # a tick, which may be shorter than a frame
            frame_duration = max(frame_duration, frame_step)
        container_end = self._container_end
        if container_end is None or start_time + frame_duration <= container_end:
            return frame_duration
        shown_seconds = container_end - start_time
        is_rounded = frame_duration - shown_seconds <= TIME_RESOLUTION
        if shown_seconds > TIME_RESOLUTION and (is_rounded or not has_only_dts(self._container)):
            return shown_seconds
        # The container ends where the last frame starts, or earlier if frames are reordered: then
        # FFmpeg's durations are those between packets, except for the last packet.
        usual_duration = max(frame_step, shown_seconds)
        if has_only_dts(self._container) or self._last_packet_ticks <= 0:
            return min(frame_duration, usual_duration)
        return min(frame_duration, usual_duration, self._last_packet_ticks * self._time_base)

    @cached_property
    def _container_end(self) -> Fraction | None:
        """Return the time in seconds at which the container claims to end; None if unknown."""
        duration = Fraction(self._container.duration or 0, av.time_base)
        return duration if 0 < duration < _MAX_DURATION_SECONDS else None

    def _find_end_ticks(self) -> int | None:
        """Return the timestamp at which the container claims to end; None if unknown."""
        if self._container_end is None:
            return None
        return round((self._container_end + self._time_origin()) / self._time_base)

    @cached_property
    def _frame_step(self) -> Fraction:
        """Return the usual seconds from frame to frame."""
        return 1 / (self._frame_rate() or _DEFAULT_FRAME_RATE)

    def _decode_selectively(
        self,
        decode_plan: _DecodePlan,
        timestamp_converter: TimestampConverter,
        *,
        is_after_seek: bool,
    ) -> Iterator[DecodedFrame]:
        """Decode only what the needed frames depend on; raise SelectiveDecodingFailed."""
        codec_context = self._video_stream.codec_context
        if self._container.format.name not in _ORDERED_FORMATS:
            raise SelectiveDecodingFailed
        try:
            bitstream = Bitstream(codec_context.codec.canonical_name, codec_context.extradata)
        except KeyError as error:
            raise SelectiveDecodingFailed from error
        selective_decoder = SelectiveDecoder(
            codec_context,
            bitstream,
            timestamp_converter,
            decode_plan.sample_times.copy_from_start(),
            time_base=self._time_base,
            keyframes_only=decode_plan.keyframes_only,
        )
        skips_unread = decode_plan.keyframes_only and not is_after_seek and self._can_skip_unread()
        packets = self._iter_key_packets() if skips_unread else self._iter_packets()
        for video_frame, display_interval in selective_decoder.iter_frames(
            self._iter_intact_packets(packets), self._decode_intact_packet
        ):
            self._current_time, self._has_frames = display_interval.start_time, True
            frame_duration = self._frame_duration(video_frame.duration, display_interval.start_time)
            if decode_plan.keyframes_only and display_interval.end_time is None:
                # The frames after the last keyframe are not decoded but belong to it.
                container_end = self._container_end
                claimed_end = None if container_end is None else container_end + self._time_origin()
                last_start, last_ticks = selective_decoder.get_last_packet(claimed_end)
                last_start -= self._time_origin()
                end_time = last_start + self._frame_duration(last_ticks, last_start)
                frame_duration = max(frame_duration, end_time - display_interval.start_time)
            yield DecodedFrame(
                video_frame,
                self._pixel_aspect(),
                display_interval.start_time,
                frame_duration,
                display_interval.end_time,
            )

    def _can_skip_unread(self) -> bool:
        """Return whether keyframes can be read from a bucket without what lies between them."""
        is_in_bucket = isinstance(self._video_path, BucketPath)
        return is_in_bucket and self._container.format.name.startswith("mov,")

    def _iter_key_packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Yield the keyframes in the container's index, all packets after the last one, then None.

        FFmpeg's `discard` would not do: it reads past frames of less than 32 KB.
        """
        key_timestamps = [
            index_entry.timestamp
            for index_entry in self._video_stream.index_entries
            if index_entry.is_keyframe
        ]
        for key_timestamp in key_timestamps[:-1]:
            yield next(self._iter_packets_from(key_timestamp))
        yield from self._iter_packets_from(key_timestamps[-1] if key_timestamps else None)

    def _iter_packets_from(
        self, decode_timestamp: int | None
    ) -> Iterator[Packet[VideoStream] | None]:
        """Yield the packets from a keyframe on; None: from the beginning."""
        if decode_timestamp is not None:
            try:
                self._container.seek(decode_timestamp, stream=self._video_stream)
            except FFmpegError as error:
                raise SelectiveDecodingFailed from error
        yield from self._iter_packets()

    def _iter_intact_packets(
        self, packets: Iterator[Packet[VideoStream] | None]
    ) -> Iterator[Packet[VideoStream] | None]:
        """Yield packets until the first damage; then raise SelectiveDecodingFailed."""
        for packet in packets:
            if self._damage_count:
                raise SelectiveDecodingFailed(is_damaged=True)
            yield packet

    def _decode_intact_packet(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        """Decode a packet, or flush with None; raise SelectiveDecodingFailed on damage."""
        video_frames = self._decode_packet(packet)
        if self._damage_count or any(video_frame.is_corrupt for video_frame in video_frames):
            raise SelectiveDecodingFailed(is_damaged=True)
        return video_frames

    def _iter_packets(self) -> Iterator[Packet[VideoStream] | None]:
        """Yield packets, then None; retry failed reads within bounds."""
        failed_seconds = 0.0  # spent in failed reads
        for _ in range(100):
            read_started = monotonic()
            try:
                for packet in self._container.demux(self._video_stream):
                    if packet.size or packet.pts is None:
                        if packet.size:
                            self._last_packet_ticks = packet.duration or 0
                        yield packet
                    else:  # FFmpeg's decoders reject a packet that only repeats a frame
                        self._record_repetition(packet)
                    read_started = monotonic()
            except (FFmpegError, ValueError) as error:
                raise_transfer_error(self._container, error)
                self._record_damage()
            except IndexError:  # PyAV fails at the end if streams were added on the way
                raise_transfer_error(self._container)
                return
            else:
                raise_transfer_error(self._container)
                return
            failed_seconds += monotonic() - read_started
            if failed_seconds >= READ_TIMEOUT_SECONDS:
                break
        yield None

    def _record_repetition(self, packet: Packet[VideoStream]) -> None:
        end_ticks = (packet.pts or 0) + (packet.duration or 0)
        end_time = end_ticks * self._time_base - self._time_origin()
        self._repeat_until(min(end_time, self._container_end or end_time))

    def _repeat_until(self, end_time: Fraction) -> None:
        """Display the last frame up to a time in seconds."""
        self._repeated_until = max(self._repeated_until, end_time)

    def _decode_packet(self, packet: Packet[VideoStream] | None) -> list[VideoFrame]:
        try:
            video_frames = self._video_stream.codec_context.decode(packet)
        except (FFmpegError, ValueError):
            self._record_damage()
            return []
        for video_frame in video_frames:
            check_frame_size(
                self._video_path,
                video_frame.width,
                video_frame.height,
                bits_per_pixel=get_bits_per_pixel(video_frame),
            )
        return [
            video_frame for video_frame in video_frames if video_frame.width and video_frame.height
        ]

    def _record_damage(self) -> None:
        self._damage_count += 1
        if self._first_damage_time is None:
            self._first_damage_time = self._current_time

    @cached_property
    def _time_base(self) -> Fraction:
        return to_fraction(self._video_stream.time_base) or Fraction(1, av.time_base)

    def _time_origin(self) -> Fraction:
        return get_time_origin(self._container, self._video_stream)

    def _pixel_aspect(self) -> Fraction:
        pixel_aspect = to_fraction(self._video_stream.sample_aspect_ratio)
        return (
            pixel_aspect if pixel_aspect and Fraction(1, 10) <= pixel_aspect <= 10 else Fraction(1)
        )

    def _frame_rate(self) -> Fraction | None:
        """Return the frames per second; None if unknown."""
        rates = [self._video_stream.average_rate, self._video_stream.guessed_rate]
        if has_no_timestamps(self._container):
            rates.reverse()  # the codec's own rate first
        claimed_rates = [rate for rate in map(to_fraction, rates) if rate and rate > 0]
        if claimed_rates and has_only_dts(self._container):
            claimed_rates = [min(claimed_rates)]  # AVI counts packets without a frame
        if claimed_rates and claimed_rates[0] > _MAX_TRUSTED_RATE:  # or ticks, as Matroska's 1000
            if self._measured_rate is None:
                self._measured_rate = measure_frame_rate(
                    self._video_path, uses_dts=has_only_dts(self._container)
                )
            measured_rate = self._measured_rate
            tolerance = measured_rate * _MAX_RATE_ERROR
            claimed_rates = [
                *(rate for rate in claimed_rates if abs(rate - measured_rate) <= tolerance),
                measured_rate,
                *(rate for rate in claimed_rates if rate <= _MAX_TRUSTED_RATE),
            ]
        return next((rate for rate in claimed_rates if 0 < rate <= MAX_FRAME_RATE), None)

    def _has_own_duration(self) -> bool:
        """Return whether the claimed duration is that of the video, not of the audio."""
        return self._video_stream.duration is not None or len(self._container.streams) == 1

    def _find_tag(self, tag_name: str) -> str | None:
        metadata_holders = (self._video_stream, *self._container.streams, self._container)
        return next(
            (
                tag_value
                for metadata_holder in metadata_holders
                if (tag_value := metadata_holder.metadata.get(tag_name))
            ),
            None,
        )

    def _estimate_duration(self) -> float:
        stream_duration = (self._video_stream.duration or 0) * self._time_base
        container_duration = Fraction(self._container.duration or 0, av.time_base)
        counted_duration = (self._video_stream.frames or 0) * self._frame_step
        return next(
            (
                float(duration)
                for duration in (stream_duration, container_duration, counted_duration)
                if 0 < duration < _MAX_DURATION_SECONDS
            ),
            0.0,
        )


def format_timestamp(seconds: float) -> str:
    """Format seconds as m:ss or h:mm:ss."""
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
