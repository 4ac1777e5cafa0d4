"""How browsers can be given a video: as the file it is, its packets in MP4, encoded anew, or not.

Told from headers and one packet; what a file is called does not matter. "Browsers" are those of
today, Chromium, Firefox and Safari: what all of them play.
"""

from __future__ import annotations

import stat
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from av.error import FFmpegError
from av.video.reformatter import ColorTrc

from vsearch.errors import MediaError
from vsearch.media.container import codec_of, exact, open_file, origin, video_stream

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

How: TypeAlias = Literal["direct", "remux", "transcode", "none"]

MP4, WEBM = "video/mp4", "video/webm"
_CODECS = {MP4: {"h264", "vp9", "av1"}, WEBM: {"vp8", "vp9", "av1"}}
_SOUND = {MP4: {"aac", "mp3", "opus", "flac"}, WEBM: {"opus", "vorbis"}}
_CARRIERS = {"mov", "matroska", "mpegts", "flv", "avi"}  # of packets that MP4 takes as they are
_BRANDS = {b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V ", b"dash"}
_LAYOUTS = {"yuv420p", "yuvj420p"}
_HDR = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
_LATE = 0.1  # seconds: of a file that begins later, browsers disagree what is at 0:00
_FILES = 10_000  # remembered
_HEAD = 4096  # bytes that tell what kind of MP4 or Matroska a file is


@dataclass(frozen=True, slots=True)
class Playback:
    """How a video is given to browsers, and the MIME type of what they get."""

    how: How
    mime: str


_NONE = Playback("none", "application/octet-stream")
_TRANSCODE = Playback("transcode", MP4)


def playback(path: Path) -> Playback:
    """How to give the file to browsers; "none" where it is gone or shows nothing."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return _NONE
        return _looked(path, status.st_size, status.st_mtime_ns)
    except (FFmpegError, MediaError, OSError, ValueError, IndexError, OverflowError, MemoryError):
        return _NONE


def copies(stream: VideoStream) -> bool:
    """Whether the packets of a stream, in MP4, are played by browsers."""
    return _shows(stream, MP4) and _square_alike(stream)


@lru_cache(_FILES)
def _looked(path: Path, size: int, modified: int) -> Playback:  # noqa: ARG001 - other: look again
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":  # FFmpeg reads none; see media/webp.py
        return _TRANSCODE
    with closing(open_file(path)) as container:
        stream = video_stream(path, container)
        if not _readable(container, stream):
            return _NONE
        kind = _kind(container, head)
        if kind and _plays(container, stream, kind):
            return Playback("direct", kind)
        if container.format.name.split(",")[0] in _CARRIERS and copies(stream):
            return Playback("remux", MP4)
    return _TRANSCODE


def _readable(container: InputContainer, stream: VideoStream) -> bool:
    """Whether there is a packet, and not an encrypted one."""
    try:
        packet = next(container.demux(stream), None)
    except (FFmpegError, ValueError):
        return True  # damaged: what comes after may be well
    return packet is not None and packet.size > 0 and not packet.has_sidedata("encryption_info")


def _kind(container: InputContainer, head: bytes) -> str | None:
    """The MIME type of a container that browsers open."""
    if container.format.name.startswith("mov,"):
        end = int.from_bytes(head[:4], "big")
        brands = head[8:end] if head[4:8] == b"ftyp" else b""
        known = any(brands[at : at + 4] in _BRANDS for at in range(0, len(brands), 4))
        return MP4 if known else None
    if container.format.name.startswith("matroska"):
        return WEBM if b"\x42\x82\x84webm" in head[:64] else None
    return None


def _plays(container: InputContainer, stream: VideoStream, kind: str) -> bool:
    """Whether the file itself is played, all of it, from 0:00 on as everywhere in vsearch."""
    sounds = [codec_of(one) for one in container.streams.audio]
    return (
        len(container.streams.video) == 1
        and _shows(stream, kind)
        and all(one is not None and one.codec.canonical_name in _SOUND[kind] for one in sounds)
        and abs(origin(container, stream)) <= _LATE
    )


def _shows(stream: VideoStream, kind: str) -> bool:
    codec = stream.codec_context
    return (
        codec.codec.canonical_name in _CODECS[kind]
        and codec.pix_fmt in _LAYOUTS
        and codec.color_trc not in _HDR
        and codec.width > 0
    )


def _square_alike(stream: VideoStream) -> bool:
    """Whether the container says of the shape of pixels what the packets say."""
    told, own = exact(stream.sample_aspect_ratio), exact(stream.codec_context.sample_aspect_ratio)
    return (told or 1) == (own or 1)
