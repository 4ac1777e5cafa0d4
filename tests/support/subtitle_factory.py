"""Make videos with embedded subtitle streams."""

from __future__ import annotations

import struct
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from tests.support.video_factory import GREEN, ColorScene, make_video

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.container import OutputContainer

ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\n"
)
SubtitleLines = list[tuple[float, float, str]]  # start, end, text


def format_srt(lines: SubtitleLines) -> str:
    """Return the content of a SubRip file."""
    cue_times = [tuple(f"00:00:{t:06.3f}".replace(".", ",") for t in line[:2]) for line in lines]
    return "".join(
        f"{cue_number}\n{start} --> {end}\n{line[2]}\n\n"
        for cue_number, ((start, end), line) in enumerate(zip(cue_times, lines, strict=True), 1)
    )


def make_subtitled_video(
    video_path: Path,
    subtitle_tracks: Sequence[tuple[str, str, SubtitleLines]],
    *,
    duration_seconds: float = 4,
) -> Path:
    """Write a video with subtitle tracks (codec, language, lines) and return its path.

    Codecs are subrip, ass, webvtt and mov_text.
    """
    plain_path = video_path.with_name(f"{video_path.stem}.plain.mp4")
    make_video(plain_path, [ColorScene(GREEN, duration_seconds)])
    with (
        closing(av.open(str(plain_path))) as source,
        closing(av.open(str(video_path), "w")) as target,
    ):
        source_stream = source.streams.video[0]
        video_stream = target.add_stream_from_template(source_stream)
        streams = [
            add_subtitle_stream(target, codec, language) for codec, language, _ in subtitle_tracks
        ]
        for (codec, _, subtitle_lines), stream in zip(subtitle_tracks, streams, strict=True):
            for line_number, subtitle_line in enumerate(subtitle_lines):
                target.mux(_make_packet(codec, line_number, subtitle_line, stream))
        for packet in source.demux(source_stream):
            if packet.dts is not None:
                packet.stream = video_stream
                target.mux(packet)
    plain_path.unlink()
    return video_path


def add_subtitle_stream(target: OutputContainer, codec: str, language: str) -> Any:
    """Add a subtitle stream and return it."""
    stream: Any = target.add_stream(codec)
    stream.codec_context.subtitle_header = ASS_HEADER
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.metadata["language"] = language
    return stream


def _make_packet(
    codec: str, line_number: int, subtitle_line: tuple[float, float, str], stream: Any
) -> av.Packet[Any]:
    start, end, text = subtitle_line
    packet_bytes = text.encode()
    if codec == "mov_text":
        packet_bytes = struct.pack(">H", len(packet_bytes)) + packet_bytes
    elif codec == "ass":
        packet_bytes = f"{line_number},0,Default,,0,0,0,,{text}".encode()
    packet = av.Packet(packet_bytes)
    packet.time_base = Fraction(1, 1000)
    packet.pts = packet.dts = round(start * 1000)
    packet.duration = round((end - start) * 1000)
    packet.stream = stream
    return packet
