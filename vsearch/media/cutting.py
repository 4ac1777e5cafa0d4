"""Cutting without encoding anew: the packets of a span, where it begins at a key frame.

A decoder can start at a key frame only, and may stop only where no later packet is needed. So a
span is cut at the nearest such places; where one is more than a frame away it cannot be cut.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING

from av.error import FFmpegError
from av.stream import Discard

from vsearch.media.container import codec_of, exact, open_file, origin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

    from vsearch.types import Span

CODECS = ("h264", "hevc", "av1", "vp9")  # that MP4 holds and players take
_FORMATS = ("mov", "matroska")  # whose packets are as MP4 has them, with times that run through
_OFF = Fraction(1, 20)  # seconds that a cut may be off: a frame, and where frames are long, this
_MOST = 100_000  # packets of one span
_AFTER = 64  # packets looked at past the end: further none is shown before it


@dataclass(frozen=True, slots=True)
class Cut:
    """The packets that show a span."""

    key: int  # timestamp of the key frame it begins with, in ticks
    count: int  # packets from there on, as they are decoded
    start: Fraction  # seconds in the source
    length: Fraction  # seconds


def cut(path: Path, span: Span) -> Cut | None:
    """Where to cut a span without encoding, within a frame; None if that cannot be."""
    try:
        with closing(open_file(path)) as container:
            stream = only_video(container)
            return _cut(container, stream, span) if stream else None
    except (FFmpegError, OSError, ValueError, IndexError, OverflowError):
        return None


def packets(
    container: InputContainer, stream: VideoStream, cut: Cut
) -> Iterator[Packet[VideoStream]]:
    """The packets of a cut."""
    container.seek(cut.key, stream=stream)
    count, begun = 0, False
    for packet in container.demux(stream):
        begun = begun or (packet.is_keyframe and packet.pts == cut.key)
        if begun and packet.pts is not None and packet.pts >= cut.key:
            yield packet
            count += 1
            if count == cut.count:
                return


def only_video(container: InputContainer) -> VideoStream | None:
    """The one video stream, if its packets fit into MP4; all others are passed over."""
    streams = container.streams.video
    if len(streams) != 1 or container.format.name.split(",")[0] not in _FORMATS:
        return None
    codec = codec_of(streams[0])
    if codec is None or codec.name not in CODECS:
        return None
    for other in container.streams:
        if other is not streams[0]:
            other.discard = Discard.all
    return streams[0]


def _cut(container: InputContainer, stream: VideoStream, span: Span) -> Cut | None:
    base, rate = exact(stream.time_base), exact(stream.average_rate)
    if not base or not rate or not 1 <= rate <= 1000:
        return None
    zero, off = origin(container, stream), min(1 / rate, _OFF)
    start, end = Fraction(span.start), Fraction(span.end)
    container.seek(int((start + off + zero) / base), stream=stream)
    seen = list(_stamps(container, stream, (end + zero) / base))
    if not seen or abs(seen[0][0] * base - zero - start) > off:
        return None
    ends = _ends([pts for pts, _ in seen], seen[-1][1])
    count = min(ends, key=lambda count: abs(ends[count] * base - zero - end))
    if abs(ends[count] * base - zero - end) > off:
        return None
    key = seen[0][0]
    return Cut(key, count, max(key * base - zero, Fraction(0)), (ends[count] - key) * base)


def _stamps(
    container: InputContainer, stream: VideoStream, end: Fraction
) -> Iterator[tuple[int, int]]:
    """Timestamp and duration, in ticks, of the packets from a key frame on; none if one lacks."""
    key: int | None = None
    last: int | None = None
    late = 0
    for count, packet in enumerate(container.demux(stream)):
        if packet.dts is None and not packet.size:  # the end of the file
            return
        if packet.pts is None or packet.dts is None or packet.has_sidedata("encryption_info"):
            raise ValueError("a packet without a time, or encrypted")
        if count > _MOST or (last is not None and packet.dts <= last):
            raise ValueError("too many packets, or out of turn")
        last = packet.dts
        if key is None:
            if not packet.is_keyframe:
                raise ValueError("does not begin with a key frame")
            key = packet.pts
        if packet.pts >= key:  # else it needs what comes before the key frame
            yield packet.pts, packet.duration or 0
        late += packet.pts >= end
        if late > _AFTER:
            return


def _ends(stamps: list[int], last: int) -> dict[int, int]:
    """After how many packets one may stop, and the timestamp at which the pictures then end.

    That is where every packet so far is shown before every one that follows. `last` is how long
    the last packet is shown.
    """
    before = list(accumulate(stamps, max))
    after = list(accumulate(reversed(stamps), min))[::-1]
    ends = {n: after[n] for n in range(1, len(stamps)) if before[n - 1] < after[n]}
    return {**ends, len(stamps): before[-1] + last}
