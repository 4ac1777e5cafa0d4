"""Find the packets of a span that can be copied without re-encoding.

A decoder can only start at a keyframe, and only stop where no later packet is needed. A span is cut
at the nearest such positions; if one is more than a frame away, the span cannot be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

from av.error import FFmpegError
from av.stream import Discard

from vsearch.media.container import get_codec_context, get_time_origin, open_container, to_fraction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from vsearch.types import Span

COPYABLE_CODECS = ("h264", "hevc", "av1", "vp9")  # supported by MP4 and by players
_CUTTABLE_FORMATS = ("mov", "matroska")  # packets as in MP4, with continuous timestamps
_CUT_TOLERANCE_SECONDS = Fraction(1, 20)  # or one frame, if that is shorter
_MAX_CUT_PACKETS = 100_000  # per span
_LOOKAHEAD_PACKETS = 64  # packets after the end that may still be displayed before it


@dataclass(frozen=True, slots=True)
class PacketRange:
    """The packets of a span that can be copied."""

    key_pts: int  # presentation timestamp of the first keyframe, in ticks of the stream
    packet_count: int  # packets from there on, in decoding order
    start_time: Fraction  # seconds in the source
    duration: Fraction  # seconds


def find_packet_range(video_path: Path, span: Span) -> PacketRange | None:
    """Find where to cut a span without re-encoding.

    Args:
        video_path: The video file.
        span: The span in seconds.

    Returns:
        The packets, accurate to a frame, or None if the span cannot be copied.
    """
    try:
        with open_container(video_path) as container:
            video_stream = select_copyable_stream(container)
            return _find_packet_range(container, video_stream, span) if video_stream else None
    except (FFmpegError, OSError, ValueError, IndexError, OverflowError):
        return None


def iter_range_packets(
    container: InputContainer, video_stream: VideoStream, packet_range: PacketRange
) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a range in decoding order.

    Args:
        container: The source file.
        video_stream: The stream from `select_copyable_stream`.
        packet_range: The range from `find_packet_range`.

    Yields:
        Packets, from the keyframe on.
    """
    container.seek(packet_range.key_pts, stream=video_stream)
    packet_count, has_started = 0, False
    for packet in container.demux(video_stream):
        has_started = has_started or (packet.is_keyframe and packet.pts == packet_range.key_pts)
        if has_started and packet.pts is not None and packet.pts >= packet_range.key_pts:
            yield packet
            packet_count += 1
            if packet_count == packet_range.packet_count:
                return


def select_copyable_stream(container: InputContainer) -> VideoStream | None:
    """Return the only video stream if MP4 supports its packets, and discard all other streams.

    Args:
        container: The source file.

    Returns:
        The stream, or None if it cannot be copied.
    """
    video_streams = container.streams.video
    if len(video_streams) != 1 or container.format.name.split(",")[0] not in _CUTTABLE_FORMATS:
        return None
    codec_context = get_codec_context(video_streams[0])
    if codec_context is None or codec_context.name not in COPYABLE_CODECS:
        return None
    for other_stream in container.streams:
        if other_stream is not video_streams[0]:
            other_stream.discard = Discard.all
    return video_streams[0]


def _find_packet_range(
    container: InputContainer, video_stream: VideoStream, span: Span
) -> PacketRange | None:
    time_base = to_fraction(video_stream.time_base)
    frame_rate = to_fraction(video_stream.average_rate)
    if not time_base or not frame_rate or not 1 <= frame_rate <= 1000:
        return None
    time_origin = get_time_origin(container, video_stream)
    tolerance = min(1 / frame_rate, _CUT_TOLERANCE_SECONDS)
    start_time, end_time = Fraction(span.start), Fraction(span.end)
    container.seek(int((start_time + tolerance + time_origin) / time_base), stream=video_stream)
    packet_timestamps = list(
        _iter_packet_timestamps(container, video_stream, (end_time + time_origin) / time_base)
    )
    if (
        not packet_timestamps
        or abs(packet_timestamps[0][0] * time_base - time_origin - start_time) > tolerance
    ):
        return None
    clean_ends = _find_clean_ends([pts for pts, _ in packet_timestamps], packet_timestamps[-1][1])
    end_errors = {
        packet_count: abs(end_pts * time_base - time_origin - end_time)
        for packet_count, end_pts in clean_ends.items()
    }
    packet_count = min(end_errors, key=end_errors.__getitem__)
    if end_errors[packet_count] > tolerance:
        return None
    key_pts = packet_timestamps[0][0]
    return PacketRange(
        key_pts,
        packet_count,
        max(key_pts * time_base - time_origin, Fraction(0)),
        (clean_ends[packet_count] - key_pts) * time_base,
    )


def _iter_packet_timestamps(
    container: InputContainer, video_stream: VideoStream, end_pts: Fraction
) -> Iterator[tuple[int, int]]:
    """Yield pts and duration in ticks of the packets from a keyframe on; ValueError if unusable."""
    key_pts: int | None = None
    last_dts: int | None = None
    late_packets = 0
    for packet_index, packet in enumerate(container.demux(video_stream)):
        if packet.dts is None and not packet.size:  # the end of the file
            return
        if packet.pts is None or packet.dts is None or packet.has_sidedata("encryption_info"):
            raise ValueError("a packet has no timestamp or is encrypted")
        if packet_index > _MAX_CUT_PACKETS or (last_dts is not None and packet.dts <= last_dts):
            raise ValueError("too many packets, or packets out of order")
        last_dts = packet.dts
        if key_pts is None:
            if not packet.is_keyframe:
                raise ValueError("the span does not start with a keyframe")
            key_pts = packet.pts
        if packet.pts >= key_pts:  # leading packets depend on earlier ones
            yield packet.pts, packet.duration or 0
        late_packets += packet.pts >= end_pts
        if late_packets > _LOOKAHEAD_PACKETS:
            return


def _find_clean_ends(presentation_timestamps: list[int], last_duration: int) -> dict[int, int]:
    """Map each possible packet count to the timestamp at which the display then ends.

    A cut is possible where every packet so far is displayed before every later one. `last_duration`
    is the display time of the last packet.
    """
    max_earlier_pts = list(accumulate(presentation_timestamps, max))
    min_later_pts = list(accumulate(reversed(presentation_timestamps), min))[::-1]
    clean_ends = {
        packet_count: min_later_pts[packet_count]
        for packet_count in range(1, len(presentation_timestamps))
        if max_earlier_pts[packet_count - 1] < min_later_pts[packet_count]
    }
    return {**clean_ends, len(presentation_timestamps): max_earlier_pts[-1] + last_duration}
