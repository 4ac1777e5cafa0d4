"""Subtitles inside a video: streams of text. Pictures of text are passed over, and told."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING, Any

from av.error import FFmpegError
from av.stream import Discard

from vsearch.media.container import codec_of, exact, open_file, origin
from vsearch.media.film import clock
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.subtitles.stream import SubtitleStream

    Line = tuple[Span, list[str]]  # lines that are shown together

TRACKS = 32  # of a file
LINES = 50_000  # of a file
LONGEST = 4_000  # characters of a line, markup included
PATIENCE = 120.0  # seconds; a file that is larger than can be read until then is read in part
_TEXT = {"ass", "mov_text", "srt", "ssa", "subrip", "text", "webvtt"}
_SHOWN = 5.0  # seconds, where a file does not say for how long
_MOST = 60.0  # seconds that a line may claim to be shown; some claim to stay until the end


@dataclass(frozen=True, slots=True)
class Track:
    """One stream of text."""

    stream: int  # as FFmpeg counts
    language: str | None  # ISO 639, as the file says
    lines: list[Line]


def embedded(path: Path) -> tuple[list[Track], list[str]]:
    """The streams of text in a video, and what could not be read of them.

    A file that cannot be opened has none. No picture and no sound is decoded.
    """
    try:
        with closing(open_file(path)) as container:
            return _tracks(container)
    except (FFmpegError, OSError, ValueError) as error:
        return [], [f"its subtitle streams cannot be read ({error})"]


def _tracks(container: InputContainer) -> tuple[list[Track], list[str]]:
    streams, notes = [], []
    for stream in container.streams.subtitles[:TRACKS]:
        codec = codec_of(stream)
        if codec is not None and codec.name in _TEXT:
            streams.append(stream)
        else:
            kind = "of an unknown kind" if codec is None else f"pictures of text ({codec.name})"
            notes.append(f"subtitle stream {stream.index} is {kind} and was left out")
    if not streams:
        return [], notes
    for other in container.streams:
        if other not in streams:
            other.discard = Discard.all
    found: dict[int, list[Line]] = {stream.index: [] for stream in streams}
    notes += _fill(found, container, streams)
    languages = {stream.index: _language(stream) for stream in streams}
    return [Track(index, languages[index], lines) for index, lines in found.items() if lines], notes


def _fill(
    found: dict[int, list[Line]], container: InputContainer, streams: list[SubtitleStream]
) -> Iterator[str]:
    """Put lines where they belong; what is wrong comes out."""
    zero, until = origin(container, streams[0]), monotonic() + PATIENCE
    last, count = 0.0, 0
    try:
        for packet in container.demux(*streams):
            line = _line(packet, zero) if packet.stream.index in found else None
            if line is not None:
                found[packet.stream.index].append(line)
                last, count = line[0].start, count + 1
            if count >= LINES or monotonic() > until:
                yield f"its subtitle streams were read until {clock(last)} only: there is too much"
                return
    except (FFmpegError, ValueError, IndexError):
        yield f"its subtitle streams are damaged after {clock(last)}"


def _line(packet: Packet[Any], zero: Fraction) -> Line | None:
    if packet.pts is None or not packet.size:
        return None
    base = exact(packet.time_base) or Fraction(1, 1000)
    try:
        said = [getattr(each, "dialogue", b"") for each in packet.decode()]
    except (FFmpegError, ValueError):
        return None
    texts = [text.decode("utf-8", "replace")[:LONGEST].splitlines() for text in said]
    start = float(packet.pts * base - zero)
    shown = float((packet.duration or 0) * base) or _SHOWN
    if not any(texts) or start < 0:
        return None
    return Span(start, start + min(shown, _MOST)), [line for lines in texts for line in lines]


def _language(stream: SubtitleStream) -> str | None:
    told = (stream.language or "").strip().lower()
    known = 2 <= len(told) <= 8 and told.replace("-", "").isalnum()
    return told if known and told != "und" else None
