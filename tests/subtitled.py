"""Videos with streams of subtitles, muxed by our own hands."""

from __future__ import annotations

import struct
from contextlib import closing
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from synth import GREEN, Scene, make_video

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from av.container import OutputContainer

HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name\nStyle: Default\n\n[Events]\n"
)

Lines = list[tuple[float, float, str]]  # start, end, text


def srt(lines: Lines) -> str:
    """A file of SubRip."""
    times = [tuple(f"00:00:{t:06.3f}".replace(".", ",") for t in line[:2]) for line in lines]
    return "".join(
        f"{number}\n{start} --> {end}\n{line[2]}\n\n"
        for number, ((start, end), line) in enumerate(zip(times, lines, strict=True), 1)
    )


def with_streams(
    path: Path, tracks: Sequence[tuple[str, str, Lines]], *, seconds: float = 4
) -> Path:
    """A video with streams: codec (subrip, ass, webvtt, mov_text), language, lines."""
    plain = path.with_name(f"{path.stem}.plain.mp4")
    make_video(plain, [Scene(GREEN, seconds)])
    with closing(av.open(str(plain))) as source, closing(av.open(str(path), "w")) as target:
        pictures = source.streams.video[0]
        video = target.add_stream_from_template(pictures)
        streams = [_stream(target, codec, language) for codec, language, _ in tracks]
        for (codec, _, lines), stream in zip(tracks, streams, strict=True):
            for number, line in enumerate(lines):
                target.mux(_packet(codec, number, line, stream))
        for packet in source.demux(pictures):
            if packet.dts is not None:
                packet.stream = video
                target.mux(packet)
    plain.unlink()
    return path


def _stream(target: OutputContainer, codec: str, language: str) -> Any:
    stream: Any = target.add_stream(codec)
    stream.codec_context.subtitle_header = HEADER
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.metadata["language"] = language
    return stream


def _packet(codec: str, number: int, line: tuple[float, float, str], stream: Any) -> av.Packet[Any]:
    start, end, text = line
    data = text.encode()
    if codec == "mov_text":
        data = struct.pack(">H", len(data)) + data
    elif codec == "ass":
        data = f"{number},0,Default,,0,0,0,,{text}".encode()
    packet = av.Packet(data)
    packet.time_base = Fraction(1, 1000)
    packet.pts = packet.dts = round(start * 1000)
    packet.duration = round((end - start) * 1000)
    packet.stream = stream
    return packet
