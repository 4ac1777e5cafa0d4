"""Determine how browsers can play a video: as the file itself, remuxed to MP4, or transcoded.

The decision depends on headers and one packet, not on the file's name. A format counts as playable
if current Chromium, Firefox and Safari all play it.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

from av.error import FFmpegError
from av.video.reformatter import ColorTrc

from vsearch.errors import MediaError
from vsearch.media.container import (
    get_codec_context,
    get_time_origin,
    has_unknown_display_order,
    open_container,
    select_video_stream,
    to_fraction,
)
from vsearch.media.photos import detect_picture

if TYPE_CHECKING:
    from pathlib import Path

    from av.container import InputContainer
    from av.video.stream import VideoStream

PlaybackMethod: TypeAlias = Literal["direct", "remux", "transcode", "none"]
MP4_MIME, WEBM_MIME = "video/mp4", "video/webm"
_VIDEO_CODECS = {MP4_MIME: {"h264", "vp9", "av1"}, WEBM_MIME: {"vp8", "vp9", "av1"}}
_AUDIO_CODECS = {MP4_MIME: {"aac", "mp3", "opus", "flac"}, WEBM_MIME: {"opus", "vorbis"}}
_REMUXABLE_FORMATS = {"mov", "matroska", "mpegts", "flv", "avi"}  # whose packets MP4 can hold
_MP4_BRANDS = {
    b"isom",
    b"iso2",
    b"iso4",
    b"iso5",
    b"iso6",
    b"mp41",
    b"mp42",
    b"avc1",
    b"M4V ",
    b"dash",
}
_PHOTO_MIMES = {  # that all browsers show, by the first bytes
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"RIFF": "image/webp",
    b"BM": "image/bmp",
}
_PIXEL_FORMATS = {"yuv420p", "yuvj420p"}
_HDR_TRANSFERS = {ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67}
_MAX_START_OFFSET_SECONDS = 0.1  # for larger ones, browsers disagree on what 0:00 is
_PLAYBACK_CACHE_SIZE = 10_000
_PROBE_BYTES = 4096  # contain the MP4 brands or the Matroska document type


@dataclass(frozen=True, slots=True)
class Playback:
    """Playback method of a video, and the MIME type that browsers receive."""

    method: PlaybackMethod
    mime_type: str


_NOT_PLAYABLE = Playback("none", "application/octet-stream")
_NEEDS_TRANSCODING = Playback("transcode", MP4_MIME)


def determine_playback(video_path: Path) -> Playback:
    """Determine how to serve a file to browsers.

    Returns:
        The method, "none" if the file is missing or has no playable video; cached per file state.
    """
    try:
        stat_result = video_path.stat()
        if not stat.S_ISREG(stat_result.st_mode):
            return _NOT_PLAYABLE
        return _probe_playback(video_path, stat_result.st_size, stat_result.st_mtime_ns)
    except (FFmpegError, MediaError, OSError, ValueError, IndexError, OverflowError, MemoryError):
        return _NOT_PLAYABLE


def is_stream_copyable(video_stream: VideoStream) -> bool:
    """Return whether browsers play the packets of a stream when remuxed to MP4."""
    return _is_video_playable(video_stream, MP4_MIME) and _has_consistent_pixel_aspect(video_stream)


@lru_cache(_PLAYBACK_CACHE_SIZE)
def _probe_playback(video_path: Path, size_bytes: int, mtime_ns: int) -> Playback:  # noqa: ARG001 - cache keys
    with video_path.open("rb") as video_file:
        header_bytes = video_file.read(_PROBE_BYTES)
    picture_kind = detect_picture(video_path)
    if picture_kind == "photo":
        return _find_photo_playback(header_bytes)
    if picture_kind == "animated webp":
        return _NEEDS_TRANSCODING
    with open_container(video_path) as container:
        video_stream = select_video_stream(video_path, container)
        if not _has_readable_packet(container, video_stream):
            return _NOT_PLAYABLE
        mime_type = _detect_mime_type(container, header_bytes)
        if mime_type and _is_directly_playable(container, video_stream, mime_type):
            return Playback("direct", mime_type)
        if (
            container.format.name.split(",")[0] in _REMUXABLE_FORMATS
            and is_stream_copyable(video_stream)
            and not has_unknown_display_order(container, video_stream)
        ):
            return Playback("remux", MP4_MIME)
    return _NEEDS_TRANSCODING


def _find_photo_playback(header_bytes: bytes) -> Playback:
    """Return whether browsers show a photo; thumbnails show the others."""
    if header_bytes[4:8] == b"ftyp":
        return Playback("direct", "image/avif") if header_bytes[8:12] == b"avif" else _NOT_PLAYABLE
    for magic_bytes, mime_type in _PHOTO_MIMES.items():
        if header_bytes.startswith(magic_bytes):
            return Playback("direct", mime_type)
    return _NOT_PLAYABLE


def _has_readable_packet(container: InputContainer, video_stream: VideoStream) -> bool:
    """Return whether there is a packet that is not encrypted."""
    try:
        packet = next(container.demux(video_stream), None)
    except (FFmpegError, ValueError):
        return True  # damaged; later packets may be intact
    return packet is not None and packet.size > 0 and not packet.has_sidedata("encryption_info")


def _detect_mime_type(container: InputContainer, header_bytes: bytes) -> str | None:
    """Return the MIME type of a container that browsers open, else None."""
    if container.format.name.startswith("mov,"):
        box_end = int.from_bytes(header_bytes[:4], "big")
        brand_bytes = header_bytes[8:box_end] if header_bytes[4:8] == b"ftyp" else b""
        has_known_brand = any(
            brand_bytes[brand_offset : brand_offset + 4] in _MP4_BRANDS
            for brand_offset in range(0, len(brand_bytes), 4)
        )
        return MP4_MIME if has_known_brand else None
    if container.format.name.startswith("matroska"):
        return WEBM_MIME if b"\x42\x82\x84webm" in header_bytes[:64] else None
    return None


def _is_directly_playable(
    container: InputContainer, video_stream: VideoStream, mime_type: str
) -> bool:
    """Return whether browsers play the file itself, in full and from the same 0:00."""
    audio_codecs = [get_codec_context(audio_codec) for audio_codec in container.streams.audio]
    return (
        len(container.streams.video) == 1
        and _is_video_playable(video_stream, mime_type)
        and all(
            audio_codec is not None and audio_codec.codec.canonical_name in _AUDIO_CODECS[mime_type]
            for audio_codec in audio_codecs
        )
        and abs(get_time_origin(container, video_stream)) <= _MAX_START_OFFSET_SECONDS
    )


def _is_video_playable(video_stream: VideoStream, mime_type: str) -> bool:
    codec_context = video_stream.codec_context
    return (
        codec_context.codec.canonical_name in _VIDEO_CODECS[mime_type]
        and codec_context.pix_fmt in _PIXEL_FORMATS
        and codec_context.color_trc not in _HDR_TRANSFERS
        and codec_context.width > 0
    )


def _has_consistent_pixel_aspect(video_stream: VideoStream) -> bool:
    """Return whether container and packets agree on the pixel aspect."""
    container_aspect, codec_aspect = (
        to_fraction(video_stream.sample_aspect_ratio),
        to_fraction(video_stream.codec_context.sample_aspect_ratio),
    )
    return (container_aspect or 1) == (codec_aspect or 1)
