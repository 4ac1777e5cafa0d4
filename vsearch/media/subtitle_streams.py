"""Read embedded subtitle streams of text; bitmap subtitles are skipped with a warning."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from time import monotonic
from typing import TYPE_CHECKING, Any

from av.error import FFmpegError
from av.stream import Discard

from vsearch.media.container import get_codec_context, get_time_origin, open_container, to_fraction
from vsearch.media.reader import format_timestamp
from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from av.container import InputContainer
    from av.packet import Packet
    from av.subtitles.stream import SubtitleStream

    SubtitleLine = tuple[Span, list[str]]  # lines displayed together

MAX_SUBTITLE_STREAMS = 32  # per file
MAX_SUBTITLE_LINES = 50_000  # per file
MAX_LINE_CHARS = 4_000  # markup included
SUBTITLE_TIMEOUT_SECONDS = 120.0  # the rest of a file is not read
_COMMENTED_CODECS = {"ass", "ssa"}  # in which text in braces is never shown
_COMMENT_RE = re.compile(r"\{(?!\\)[^{}]*\}")
_TEXT_CODECS = {"ass", "mov_text", "srt", "ssa", "subrip", "text", "webvtt"}
_DEFAULT_CUE_SECONDS = 5.0  # for lines without a duration
_MAX_CUE_SECONDS = 60.0  # some lines claim to last until the end


@dataclass(frozen=True, slots=True)
class TextSubtitleStream:
    """A text subtitle stream."""

    stream_index: int  # FFmpeg's index
    language: str | None  # ISO 639 code in the file's metadata
    subtitle_lines: list[SubtitleLine]


def read_subtitle_streams(video_path: Path) -> tuple[list[TextSubtitleStream], list[str]]:
    """Read the text subtitle streams of a video, without decoding video or audio.

    Args:
        video_path: Video to read; one that cannot be opened has no streams.

    Returns:
        The streams that contain lines, and warnings about what could not be read.
    """
    try:
        with open_container(video_path) as container:
            return _read_streams(container)
    except (FFmpegError, OSError, ValueError) as error:
        return [], [f"its subtitle streams cannot be read ({error})"]


def _read_streams(container: InputContainer) -> tuple[list[TextSubtitleStream], list[str]]:
    text_streams, warnings = [], []
    for subtitle_stream in container.streams.subtitles[:MAX_SUBTITLE_STREAMS]:
        codec_context = get_codec_context(subtitle_stream)
        if codec_context is not None and codec_context.name in _TEXT_CODECS:
            text_streams.append(subtitle_stream)
        else:
            stream_description = (
                "in an unknown format"
                if codec_context is None
                else f"not text ({codec_context.name})"
            )
            warnings.append(
                f"subtitle stream {subtitle_stream.index} is {stream_description} and was skipped"
            )
    if not text_streams:
        return [], warnings
    for other_stream in container.streams:
        if other_stream not in text_streams:
            other_stream.discard = Discard.all
    lines_by_stream: dict[int, list[SubtitleLine]] = {
        subtitle_stream.index: [] for subtitle_stream in text_streams
    }
    warnings += _read_lines(lines_by_stream, container, text_streams)
    languages = {
        subtitle_stream.index: _parse_language(subtitle_stream) for subtitle_stream in text_streams
    }
    return [
        TextSubtitleStream(stream_index, languages[stream_index], subtitle_lines)
        for stream_index, subtitle_lines in lines_by_stream.items()
        if subtitle_lines
    ], warnings


def _read_lines(
    lines_by_stream: dict[int, list[SubtitleLine]],
    container: InputContainer,
    text_streams: list[SubtitleStream],
) -> Iterator[str]:
    """Append lines to their streams, and yield warnings."""
    time_origin, deadline = (
        get_time_origin(container, text_streams[0]),
        monotonic() + SUBTITLE_TIMEOUT_SECONDS,
    )
    last_time, line_count = 0.0, 0
    try:
        for packet in container.demux(*text_streams):
            subtitle_line = (
                _decode_line(packet, time_origin)
                if packet.stream.index in lines_by_stream
                else None
            )
            if subtitle_line is not None:
                lines_by_stream[packet.stream.index].append(subtitle_line)
                last_time, line_count = subtitle_line[0].start, line_count + 1
            if line_count >= MAX_SUBTITLE_LINES or monotonic() > deadline:
                yield (
                    f"its subtitle streams were read only up to {format_timestamp(last_time)}: "
                    "they are too long"
                )
                return
    except (FFmpegError, ValueError, IndexError):
        yield f"its subtitle streams are damaged after {format_timestamp(last_time)}"


def _decode_line(packet: Packet[Any], time_origin: Fraction) -> SubtitleLine | None:
    if packet.pts is None or not packet.size:
        return None
    time_base = to_fraction(packet.time_base) or Fraction(1, 1000)
    try:
        events = [getattr(subtitle, "ass", b"") for subtitle in packet.decode()]
    except (FFmpegError, ValueError):
        return None
    codec_context = get_codec_context(packet.stream)
    has_comments = codec_context is not None and codec_context.name in _COMMENTED_CODECS
    text_lines = [line for event in events for line in _parse_event(event, has_comments)]
    start_time = float(packet.pts * time_base - time_origin)
    cue_seconds = float((packet.duration or 0) * time_base)
    if cue_seconds <= 0:
        cue_seconds = _DEFAULT_CUE_SECONDS
    end_time = start_time + min(cue_seconds, _MAX_CUE_SECONDS)
    if not any(text_lines) or end_time <= 0:
        return None
    return Span(max(0.0, start_time), end_time), text_lines


def _parse_event(event: bytes, has_comments: bool) -> list[str]:
    """Return the lines of a SubStation event, into which FFmpeg converts cues of all formats."""
    event_text = event.decode("utf-8", "replace")
    dialogue_text = event_text.split(",", 8)[-1][:MAX_LINE_CHARS]
    if has_comments:
        dialogue_text = _COMMENT_RE.sub("", dialogue_text)
    return re.split(r"\\[Nn]|\r?\n", dialogue_text.replace("\\h", " "))


def _parse_language(subtitle_stream: SubtitleStream) -> str | None:
    language_code = (subtitle_stream.language or "").strip().lower()
    is_valid = 2 <= len(language_code) <= 8 and language_code.replace("-", "").isalnum()
    return language_code if is_valid and language_code != "und" else None
