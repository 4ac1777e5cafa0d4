"""Read a video's packets from a keyframe on, timed for remuxing to MP4 without decoding."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from av.error import FFmpegError

from vsearch.errors import MediaError
from vsearch.media.container import (
    get_time_origin,
    has_unknown_display_order,
    open_file,
    select_video_stream,
    to_fraction,
)
from vsearch.media.playback import is_stream_copyable
from vsearch.media.reader import AvVideoReader
from vsearch.media.timestamps import MAX_STEP_SECONDS, TIME_RESOLUTION

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_SEEK_MARGINS_SECONDS = (0, 2, 10, 60)  # tried in turn, until a keyframe precedes the start
_MAX_SKIPPED_PACKETS = 5_000  # before a keyframe
_PROBED_PACKETS = 64  # validated before remuxing starts
_MAX_REORDERED_PACKETS = 16  # decoded before the first one is displayed
_MONOTONIC_FORMATS = ("mov", "matroska")  # whose timestamps do not restart


@dataclass(frozen=True, slots=True)
class RemuxSource:
    """Open file that is read from a keyframe on."""

    container: InputContainer
    video_stream: VideoStream
    time_base: Fraction  # seconds per tick
    start_time: Fraction  # display time of the keyframe in seconds
    packets: Iterator[Packet[VideoStream]]  # keyframe first; timestamps are relative to it

    def close(self) -> None:
        """Close the file."""
        self.container.close()


def open_remux_source(video_path: Path, start_time: Fraction) -> RemuxSource | None:
    """Open a video for remuxing, from the last keyframe at or before a time.

    Args:
        video_path: Video to read.
        start_time: Seconds.

    Returns:
        The source; None if its packets cannot be remuxed.
    """
    try:
        container = open_file(video_path)
    except (FFmpegError, OSError, ValueError, OverflowError):
        return None
    remux_source = None
    try:
        remux_source = _seek_to_keyframe(video_path, container, start_time)
    except (FFmpegError, MediaError, OSError, ValueError, IndexError, OverflowError):
        return None
    finally:
        if remux_source is None:
            container.close()
    return remux_source


def _seek_to_keyframe(
    video_path: Path, container: InputContainer, start_time: Fraction
) -> RemuxSource | None:
    video_stream = select_video_stream(video_path, container)
    time_base = to_fraction(video_stream.time_base)
    if (
        not time_base
        or not is_stream_copyable(video_stream)
        or has_unknown_display_order(container, video_stream)
        or not _has_monotonic_timestamps(video_path, container)
    ):
        return None
    time_origin = get_time_origin(container, video_stream)
    for margin in _SEEK_MARGINS_SECONDS:
        seek_time = start_time - margin
        if seek_time > 0:
            container.seek(int((seek_time + time_origin) / time_base), stream=video_stream)
        elif margin or start_time > 0:
            container.seek(int(time_origin / time_base), stream=video_stream)
        demuxed_packets = (packet for packet in container.demux(video_stream) if packet.size)
        probed_packets = _read_from_keyframe(demuxed_packets)
        key_pts = probed_packets[0].pts if probed_packets else None
        if key_pts is None:
            continue
        keyframe_time = key_pts * time_base - time_origin
        if keyframe_time <= start_time + TIME_RESOLUTION or seek_time <= 0:
            _validate_packets(probed_packets)
            packets = _rebase_timestamps(chain(probed_packets, demuxed_packets), key_pts, time_base)
            return RemuxSource(
                container, video_stream, time_base, max(keyframe_time, Fraction(0)), packets
            )
    return None


def _has_monotonic_timestamps(video_path: Path, container: InputContainer) -> bool:
    if container.format.name.split(",")[0] in _MONOTONIC_FORMATS:
        return True
    with closing(AvVideoReader(video_path)) as video_reader:
        return video_reader.has_monotonic_timestamps()


def _read_from_keyframe(
    demuxed_packets: Iterator[Packet[VideoStream]],
) -> list[Packet[VideoStream]]:
    """Return the first packets from a keyframe on."""
    for packet in islice(demuxed_packets, _MAX_SKIPPED_PACKETS):
        if packet.is_keyframe and packet.pts is not None:
            return [packet, *islice(demuxed_packets, _PROBED_PACKETS)]
    return []


def _validate_packets(packets: list[Packet[VideoStream]]) -> None:
    """Raise ValueError for packets that are encrypted, damaged, untimed or out of order."""
    _fill_decode_timestamps(packets)
    last_dts: int | None = None
    for packet in packets:
        if packet.pts is None or packet.dts is None or packet.has_sidedata("encryption_info"):
            raise ValueError("packet without timestamp, or encrypted")
        if packet.is_corrupt or (last_dts is not None and packet.dts <= last_dts):
            raise ValueError("packet damaged or out of order")
        last_dts = packet.dts


def _fill_decode_timestamps(packets: list[Packet[VideoStream]]) -> None:
    """Set missing decoding timestamps of the first packets, which Matroska lacks on reordering."""
    known_index = next(
        (
            packet_index
            for packet_index, probed_packet in enumerate(packets)
            if probed_packet.dts is not None
        ),
        len(packets),
    )
    if not 0 < known_index <= _MAX_REORDERED_PACKETS:
        return
    shown_timestamps = sorted(
        {probed_packet.pts for probed_packet in packets if probed_packet.pts is not None}
    )
    frame_step = min(
        (later_pts - earlier_pts for earlier_pts, later_pts in pairwise(shown_timestamps)),
        default=1,
    )
    first_dts = packets[known_index].dts if known_index < len(packets) else shown_timestamps[0]
    for packet_index, packet in enumerate(packets[:known_index]):
        packet.dts = (first_dts or 0) - (known_index - packet_index) * frame_step


def _rebase_timestamps(
    packets: Iterator[Packet[VideoStream]], key_pts: int, time_base: Fraction
) -> Iterator[Packet[VideoStream]]:
    """Yield packets with rising timestamps relative to the keyframe, up to a broken one."""
    last_dts: int | None = None
    for packet in packets:
        pts, dts = packet.pts, packet.dts
        if pts is None or pts < key_pts:  # a leading frame, which refers to earlier ones
            continue
        if dts is None:
            dts = pts if last_dts is None else key_pts + last_dts + 1
        if (
            last_dts is not None
            and not -1 < (dts - key_pts - last_dts) * time_base < MAX_STEP_SECONDS
        ):
            return
        packet.dts = dts - key_pts if last_dts is None else max(dts - key_pts, last_dts + 1)
        packet.pts = max(pts - key_pts, packet.dts)
        last_dts = packet.dts
        yield packet
