"""Decode only what the sampled frames depend on, with the same images and times as a full pass.

Packets are read up to the next keyframe, so that their timestamps determine what is displayed when,
before anything is decoded. Non-reference frames are skipped unless they are needed, and so is the
rest of a GOP after its last needed frame, unless all frames are watched. Any deviation from the
plan raises `SelectiveDecodingFailed`; the reader then decodes everything.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from vsearch.media.timestamps import MAX_STEP_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from vsearch.media.bitstream import Bitstream
    from vsearch.media.sample_times import SampleTimes
    from vsearch.media.timestamps import TimestampConverter

MAX_GOP_PACKETS = 1500
MAX_GOP_BYTES = 2**25
MAX_KEYFRAME_GAP_SECONDS = 30  # farther apart, keyframes do not represent what is between them
_MIN_FRAME_GAP_SECONDS = Fraction(1, 10_000)  # a smaller step is a broken timestamp
_MAX_END_GAP_SECONDS = 1
_VERIFIED_FRAME_COUNT = 24  # frames at the beginning that must all be output as planned


class SelectiveDecodingFailed(Exception):  # noqa: N818
    """Raised when selective or multithreaded decoding cannot be used for this stream.

    The caller decodes everything instead, one frame after the other if it is damaged.

    Args:
        warning: Message for the user; may be empty.
        is_damaged: Packets or frames are not as they should be.
    """

    def __init__(self, warning: str = "", *, is_damaged: bool = False) -> None:
        super().__init__(warning)
        self.warning, self.is_damaged = warning, is_damaged


@dataclass(frozen=True, slots=True)
class DisplayInterval:
    """Time during which a frame is displayed, in seconds."""

    start_time: Fraction
    end_time: Fraction | None  # None for the last frame


@dataclass(slots=True)
class _Gop:
    """Group of pictures: the packets from a keyframe up to the next one."""

    packets: list[Packet[VideoStream]]
    timestamps: list[int]  # of the displayed frames, ascending
    frame_times: list[Fraction]  # their times in seconds
    is_random_access: bool  # whether decoding may start here
    display_intervals: dict[int, DisplayInterval] = field(default_factory=dict)  # by timestamp
    wanted_timestamps: set[int] = field(default_factory=set)
    is_past_end: bool = False  # whether its last frame is the first one after the end

    def has_leading_frames(self) -> bool:
        """Return whether a needed frame precedes the keyframe, so may refer to the previous GOP."""
        key_pts = self.packets[0].pts
        return any(timestamp < key_pts for timestamp in self.wanted_timestamps)  # type: ignore[operator]


class SelectiveDecoder:
    """Decoder of one pass over a stream that skips packets nothing needed depends on.

    Args:
        codec_context: Decoder of the stream.
        bitstream: Parser of its packets.
        timestamp_converter: Converts timestamps to seconds.
        sample_times: Sampling clock that selects the needed frames.
        time_base: Seconds per tick of the stream.
        keyframes_only: Decode keyframes only.
    """

    def __init__(
        self,
        codec_context: VideoCodecContext,
        bitstream: Bitstream,
        timestamp_converter: TimestampConverter,
        sample_times: SampleTimes,
        *,
        time_base: Fraction,
        keyframes_only: bool,
    ) -> None:
        self._codec_context, self._bitstream = codec_context, bitstream
        self._timestamp_converter, self._sample_times = timestamp_converter, sample_times
        self._time_base, self._keyframes_only = time_base, keyframes_only
        self._verify_count = 0 if keyframes_only else _VERIFIED_FRAME_COUNT
        self._is_first_gop = True
        self._has_decoder_output = False  # whether the decoder may hold frames
        self._last_planned_pts: int | None = None
        self._last_packets = [(0, 0), (0, 0)]  # start and duration of the two latest, in ticks
        self._max_temporal_layer = 0
        self._last_output_pts = 0
        self._pending_intervals: dict[int, DisplayInterval] = {}  # of frames that may be output
        self._due_timestamps: deque[int] = deque()  # of frames that must be output, in order

    def iter_frames(
        self,
        packets: Iterable[Packet[VideoStream] | None],
        decode_packet: Callable[[Packet[VideoStream] | None], list[VideoFrame]],
    ) -> Iterator[tuple[VideoFrame, DisplayInterval]]:
        """Yield the decoded frames, among them all that are needed, with their display intervals.

        Args:
            packets: Packets of the stream in decoding order, then None.
            decode_packet: Decodes a packet, or flushes the decoder with None.

        Raises:
            SelectiveDecodingFailed: The stream does not allow it, or frames were not as planned.
        """
        for gop, next_gop in self._iter_planned_gops(packets):
            is_closed = next_gop is None or (
                next_gop.is_random_access and not next_gop.has_leading_frames()
            )
            is_closed = is_closed and not self._sample_times.watch_all
            for packet in self._iter_packets_to_decode(
                gop, next_gop, is_closed=is_closed or self._keyframes_only
            ):
                for video_frame in decode_packet(packet):
                    yield video_frame, self._take_interval(video_frame)
                if packet is None:
                    self._codec_context.flush_buffers()
                    if self._due_timestamps:
                        raise SelectiveDecodingFailed(is_damaged=True)
                    self._pending_intervals.clear()
        if self._due_timestamps:
            raise SelectiveDecodingFailed(is_damaged=True)

    def get_last_packet(self, claimed_end: Fraction | None) -> tuple[Fraction, int]:
        """Return the packet that is displayed last: its start and claimed duration.

        Args:
            claimed_end: End of the container according to its headers; None if unknown. Only one
                packet beyond it, far from the others, has a damaged timestamp.

        Returns:
            The start in the container's own seconds, and the duration in ticks.
        """
        previous_end, end = (sum(packet) * self._time_base for packet in self._last_packets)
        is_damaged = claimed_end is not None and end > claimed_end
        is_far = end - previous_end > _MAX_END_GAP_SECONDS
        start_ticks, duration_ticks = self._last_packets[0 if is_damaged and is_far else 1]
        return start_ticks * self._time_base, duration_ticks

    def _iter_packets_to_decode(
        self, gop: _Gop, next_gop: _Gop | None, *, is_closed: bool
    ) -> Iterator[Packet[VideoStream] | None]:
        """Yield the packets to decode, with `skip_frame` set for each; None flushes the decoder."""
        self._pending_intervals = {
            pts: display_interval
            for pts, display_interval in self._pending_intervals.items()
            if pts > self._last_output_pts
        }
        self._pending_intervals |= gop.display_intervals
        needed_count = self._count_needed_packets(gop, next_gop) if is_closed else len(gop.packets)
        # Packets that are certain to output a frame.
        certain_count = 1 if self._bitstream.can_skip_non_reference else needed_count
        due_timestamps = gop.wanted_timestamps | {
            packet.pts for packet in gop.packets[: min(certain_count, needed_count)]
        }
        self._due_timestamps.extend(
            timestamp for timestamp in gop.timestamps if timestamp in due_timestamps
        )
        for packet in gop.packets[:needed_count]:
            self._codec_context.skip_frame = self._choose_skip_frame(packet, gop.wanted_timestamps)
            yield packet
        self._codec_context.skip_frame = "DEFAULT"
        self._has_decoder_output = self._has_decoder_output or needed_count > 0
        is_last_packet = next_gop is None or needed_count < len(gop.packets) or self._keyframes_only
        if self._has_decoder_output and is_last_packet:
            yield None
            self._has_decoder_output = False

    def _count_needed_packets(self, gop: _Gop, next_gop: _Gop | None) -> int:
        """Return the number of packets up to the last needed frame or last parameter set in use."""
        has_parameter_sets = self._bitstream.has_parameter_sets
        is_reset = next_gop is None or has_parameter_sets(memoryview(next_gop.packets[0]))
        return 1 + max(
            (
                packet_index
                for packet_index, packet in enumerate(gop.packets)
                if packet.pts in gop.wanted_timestamps
                or (has_parameter_sets(memoryview(packet)) and not (is_reset and packet_index == 0))
            ),
            default=-1,
        )

    def _choose_skip_frame(
        self, packet: Packet[VideoStream], wanted_timestamps: set[int]
    ) -> Literal["DEFAULT", "NONREF"]:
        if packet.pts in wanted_timestamps or not self._bitstream.can_skip_non_reference:
            return "DEFAULT"
        return (
            "NONREF"
            if self._bitstream.read_temporal_layer(memoryview(packet)) >= self._max_temporal_layer
            else "DEFAULT"
        )

    def _take_interval(self, video_frame: VideoFrame) -> DisplayInterval:
        """Return the display interval of a decoded frame; check that due frames come in order."""
        timestamp = video_frame.pts
        display_interval = (
            None if timestamp is None else self._pending_intervals.pop(timestamp, None)
        )
        if (
            timestamp is None
            or display_interval is None
            or (self._due_timestamps and timestamp > self._due_timestamps[0])
        ):
            raise SelectiveDecodingFailed(is_damaged=True)
        self._last_output_pts = timestamp
        if self._due_timestamps and timestamp == self._due_timestamps[0]:
            self._due_timestamps.popleft()
        return display_interval

    def _iter_planned_gops(
        self, packets: Iterable[Packet[VideoStream] | None]
    ) -> Iterator[tuple[_Gop, _Gop | None]]:
        """Yield each GOP with the next one, once the needed frames of both are known."""
        previous_gop: _Gop | None = None
        for gop_packets in self._group_packets(packets):
            if self._sample_times.stop_event.is_set():
                return
            gop = self._build_gop(gop_packets)
            if previous_gop:
                self._plan_last_frame(previous_gop, gop.frame_times[0])
            self._plan_frames(gop)
            if previous_gop:
                yield previous_gop, gop
            previous_gop = gop
            if gop.is_past_end:
                break
        if previous_gop:
            if not previous_gop.is_past_end:
                timestamp, frame_time = previous_gop.timestamps[-1], previous_gop.frame_times[-1]
                previous_gop.display_intervals[timestamp] = DisplayInterval(frame_time, None)
                previous_gop.wanted_timestamps.add(timestamp)
            yield previous_gop, None

    def _plan_frames(self, gop: _Gop) -> None:
        """Select the needed frames of a GOP, except its last one, which depends on the next GOP."""
        if self._verify_count:
            gop.wanted_timestamps.update(gop.timestamps[: self._verify_count])
            self._verify_count = 0
        for frame_index, (start_time, end_time) in enumerate(
            pairwise([*gop.frame_times, gop.frame_times[-1]])
        ):
            timestamp = gop.timestamps[frame_index]
            if self._sample_times.is_past_end(start_time):
                del gop.timestamps[frame_index + 1 :], gop.frame_times[frame_index + 1 :]
                gop.display_intervals[timestamp] = DisplayInterval(start_time, None)
                gop.wanted_timestamps &= set(gop.timestamps)
                gop.wanted_timestamps.add(timestamp)
                gop.is_past_end = True
                return
            if frame_index + 1 < len(gop.timestamps):
                gop.display_intervals[timestamp] = DisplayInterval(start_time, end_time)
                if self._sample_times.claim_frame(start_time, end_time):
                    gop.wanted_timestamps.add(timestamp)

    def _plan_last_frame(self, gop: _Gop, end_time: Fraction) -> None:
        """Decide whether the last frame of a GOP is needed."""
        gop.display_intervals[gop.timestamps[-1]] = DisplayInterval(gop.frame_times[-1], end_time)
        if self._sample_times.claim_frame(gop.frame_times[-1], end_time):
            gop.wanted_timestamps.add(gop.timestamps[-1])

    def _build_gop(self, packets: list[Packet[VideoStream]]) -> _Gop:
        """Build a GOP from its packets; raise SelectiveDecodingFailed for irregular timestamps."""
        timestamps = self._read_timestamps(packets)
        is_random_access = self._bitstream.is_random_access(memoryview(packets[0]))
        if self._is_first_gop:
            if not is_random_access and not self._keyframes_only:
                raise SelectiveDecodingFailed
            timestamps = [timestamp for timestamp in timestamps if timestamp >= packets[0].pts]  # type: ignore[operator]
        if not timestamps:
            raise SelectiveDecodingFailed
        consecutive_timestamps = (
            timestamps if self._last_planned_pts is None else [self._last_planned_pts, *timestamps]
        )
        min_step, max_step = (
            _MIN_FRAME_GAP_SECONDS / self._time_base,
            MAX_STEP_SECONDS / self._time_base,
        )
        if not all(
            min_step < later_pts - earlier_pts < max_step
            for earlier_pts, later_pts in pairwise(consecutive_timestamps)
        ):
            raise SelectiveDecodingFailed(is_damaged=True)
        self._last_planned_pts = timestamps[-1]
        gop = _Gop(
            packets,
            timestamps,
            [self._timestamp_converter.to_seconds(timestamp) for timestamp in timestamps],
            is_random_access,
        )
        if self._is_first_gop:  # shows whether a seek went back far enough
            gop.wanted_timestamps.add(timestamps[0])
        self._is_first_gop = False
        return gop

    def _read_timestamps(self, packets: list[Packet[VideoStream]]) -> list[int]:
        """Return the timestamps of the displayed frames, ascending."""
        timestamps = []
        for packet in packets:
            if packet.pts is None or packet.is_corrupt or packet.has_sidedata("new_extradata"):
                raise SelectiveDecodingFailed(is_damaged=True)
            self._max_temporal_layer = max(
                self._max_temporal_layer, self._bitstream.read_temporal_layer(memoryview(packet))
            )
            if not packet.is_discard:
                timestamps.append(packet.pts)
        return sorted(timestamps)

    def _group_packets(
        self, packets: Iterable[Packet[VideoStream] | None]
    ) -> Iterator[list[Packet[VideoStream]]]:
        """Yield the packets of each GOP; with `keyframes_only` each keyframe by itself."""
        held_packets: list[Packet[VideoStream]] = []
        held_bytes, has_ended = 0, False
        for packet in packets:
            if has_ended or (packet and packet.has_sidedata("encryption_info")):
                raise SelectiveDecodingFailed
            if packet is None or not packet.size:
                has_ended = True
                continue
            if packet.is_keyframe and held_packets:
                if self._keyframes_only:
                    self._check_keyframe_gap(held_packets[0], packet, packet.duration or 0)
                yield held_packets
                held_packets, held_bytes = [], 0
            packet_times = (packet.pts or 0, packet.duration or 0)
            self._last_packets = sorted([*self._last_packets, packet_times])[1:]
            if held_packets and self._keyframes_only:
                self._check_keyframe_gap(held_packets[0], packet)
            else:
                held_packets.append(packet)
                held_bytes += packet.size
            if (
                not held_packets[0].is_keyframe
                or len(held_packets) > MAX_GOP_PACKETS
                or held_bytes > MAX_GOP_BYTES
            ):
                raise SelectiveDecodingFailed
        if held_packets:
            yield held_packets

    def _check_keyframe_gap(
        self, key_packet: Packet[VideoStream], packet: Packet[VideoStream], step_ticks: int = 0
    ) -> None:
        """Raise SelectiveDecodingFailed if the packet `step_ticks` before another is too late."""
        key_timestamp = key_packet.pts if key_packet.pts is not None else key_packet.dts
        packet_timestamp = packet.pts if packet.pts is not None else packet.dts
        if (
            key_timestamp is not None
            and packet_timestamp is not None
            and (packet_timestamp - step_ticks - key_timestamp) * self._time_base
            > MAX_KEYFRAME_GAP_SECONDS
        ):
            raise SelectiveDecodingFailed(
                f"its keyframes are over {MAX_KEYFRAME_GAP_SECONDS} s apart, so other frames were "
                "also decoded"
            )
