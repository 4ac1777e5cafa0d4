"""The packets of a video from some instant on, as MP4 takes them: nothing is decoded."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

from av.error import FFmpegError

from vsearch.errors import MediaError
from vsearch.media.container import exact, open_file, origin, video_stream
from vsearch.media.film import ContainerFilm
from vsearch.media.playback import copies
from vsearch.media.timestamps import LEAP, TICK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_MARGINS = (0, 2, 10, 60)  # seconds to seek back, until there is a key frame in time
_BEFORE_KEY = 5_000  # packets passed over at most
_PEEKED = 64  # packets looked at before it is said that they can be copied
_LATEST = 16  # packets that are decoded before the first one is shown, at most
_PLAIN = ("mov", "matroska")  # whose times run through


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is read from a key frame on."""

    container: InputContainer
    stream: VideoStream
    base: Fraction  # seconds a tick
    begins: Fraction  # seconds in the video at which the key frame is shown
    packets: Iterator[Packet[VideoStream]]  # the key frame first; timestamps count from it

    def close(self) -> None:
        self.container.close()


def source(path: Path, start: Fraction) -> Source | None:
    """From the last key frame at or before `start` seconds; None where packets do not do."""
    try:
        container = open_file(path)
    except (FFmpegError, OSError, ValueError, OverflowError):
        return None
    found = None
    try:
        found = _found(path, container, start)
    except (FFmpegError, MediaError, OSError, ValueError, IndexError, OverflowError):
        return None
    finally:
        if found is None:
            container.close()
    return found


def _found(path: Path, container: InputContainer, start: Fraction) -> Source | None:
    stream = video_stream(path, container)
    base = exact(stream.time_base)
    if not base or not copies(stream) or not _runs_through(path, container):
        return None
    zero = origin(container, stream)
    for margin in _MARGINS:
        begin = start - margin
        if begin > 0:
            container.seek(int((begin + zero) / base), stream=stream)
        elif margin or start > 0:
            container.seek(int(zero / base), stream=stream)
        demuxed = (packet for packet in container.demux(stream) if packet.size)
        peeked = _from_key(demuxed)
        key = peeked[0].pts if peeked else None
        if key is None:
            continue
        time = key * base - zero
        if time <= start + TICK or begin <= 0:
            _check(peeked)
            packets = _counted(chain(peeked, demuxed), key, base)
            return Source(container, stream, base, max(time, Fraction(0)), packets)
    return None


def _runs_through(path: Path, container: InputContainer) -> bool:
    if container.format.name.split(",")[0] in _PLAIN:
        return True
    with closing(ContainerFilm(path)) as film:
        return film.runs_through()


def _from_key(demuxed: Iterator[Packet[VideoStream]]) -> list[Packet[VideoStream]]:
    """The first packets from a key frame on."""
    for packet in islice(demuxed, _BEFORE_KEY):
        if packet.is_keyframe and packet.pts is not None:
            return [packet, *islice(demuxed, _PEEKED)]
    return []


def _check(packets: list[Packet[VideoStream]]) -> None:
    """Raise ValueError for packets that are encrypted, without times, or out of turn."""
    _date(packets)
    last: int | None = None
    for packet in packets:
        if packet.pts is None or packet.dts is None or packet.has_sidedata("encryption_info"):
            raise ValueError("a packet without a time, or encrypted")
        if packet.is_corrupt or (last is not None and packet.dts <= last):
            raise ValueError("a packet that is damaged, or out of turn")
        last = packet.dts


def _date(packets: list[Packet[VideoStream]]) -> None:
    """Say when the first packets are decoded: Matroska does not, if others are shown before."""
    known = next((n for n, one in enumerate(packets) if one.dts is not None), len(packets))
    if not 0 < known <= _LATEST:
        return
    shown = sorted({one.pts for one in packets if one.pts is not None})
    step = min((after - before for before, after in pairwise(shown)), default=1)
    first = packets[known].dts if known < len(packets) else shown[0]
    for n, packet in enumerate(packets[:known]):
        packet.dts = (first or 0) - (known - n) * step


def _counted(
    packets: Iterator[Packet[VideoStream]], key: int, base: Fraction
) -> Iterator[Packet[VideoStream]]:
    """Packets with timestamps that count from the key frame and rise, up to a broken one."""
    last: int | None = None
    for packet in packets:
        pts, dts = packet.pts, packet.dts
        if pts is None or pts < key:  # it needs what comes before the key frame
            continue
        if dts is None:
            dts = pts if last is None else key + last + 1
        if last is not None and not -1 < (dts - key - last) * base < LEAP:
            return
        packet.dts = dts - key if last is None else max(dts - key, last + 1)
        packet.pts = max(pts - key, packet.dts)
        last = packet.dts
        yield packet
