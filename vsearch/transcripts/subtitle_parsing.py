"""Parse SubRip, WebVTT and (Advanced) SubStation Alpha, as leniently as FFmpeg and vtt.js.

Text is untrusted: it is parsed in linear time, and invalid cues are skipped. Fractions of a second
are decimal whatever their number of digits: FFmpeg reads `01,5` as 1.005 s, players as 1.5 s.
"""

from __future__ import annotations

import html
import re
import unicodedata
from itertools import takewhile
from typing import TYPE_CHECKING, TypeAlias

from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    TimedLines: TypeAlias = tuple[Span, list[str]]  # lines displayed together

MAX_CUE_CHARS = 1_000
UNTIMED_CUE_SECONDS = 2.0  # duration of a cue that ends before or when it starts
_TIME_PATTERN = (  # sign, hours, minutes, seconds, fraction
    r"(-?)(?:(\d{1,6}):[ \t]{0,2})?(\d{1,6}):[ \t]{0,2}(\d{1,2})(?:[.,:][ \t]{0,2}(\d{1,9})\d*)?"
)
_ARROW_PATTERN = r"[ \t]*([-–—‐−]{1,3}[ \t]?(?:>|&gt;)|→)[ \t]*"
_TIMING_RE = re.compile(
    rf"\s*(?:\d{{1,6}}[ \t]+)?{_TIME_PATTERN}{_ARROW_PATTERN}{_TIME_PATTERN}", re.ASCII
)
_BROKEN_TIMING_RE = re.compile(
    rf"\s*(?:{_TIME_PATTERN}{_ARROW_PATTERN}|-?\d\S{{0,20}}{_ARROW_PATTERN}{_TIME_PATTERN})",
    re.ASCII,
)
_TIMESTAMP_RE = re.compile(rf"\s*{_TIME_PATTERN}\s*", re.ASCII)
_ARROW_END_RE = re.compile(r">|→|&gt;")
_STANDARD_ARROW = "-->"
_CUE_NUMBER_RE = re.compile(r"\s*-?\d{1,9}\s*")
_WEBVTT_BLOCK_RE = re.compile(r"(?:NOTE|STYLE|REGION)(?:[ \t]|$)")  # blocks that are not cues
# `<<` is a quotation mark, and `a < b` a comparison, as in FFmpeg's htmlsubtitles.c
_TAG_RE = re.compile(
    r"<[ \t]{0,3}/?[ \t]{0,3}(?:(?:[bcisuv]|br|font|lang|rt|ruby)(?:[.\s/][^<>]*+)?|\d++:[\d:.]*+)>"
    r"|(?<!<)</?\w++(?:\s[^<>=]*+=[^<>]*+)?/?>",
    re.IGNORECASE | re.ASCII,
)
_LINE_BREAK_TAG_RE = re.compile(r"<[ \t]{0,3}br[ \t]{0,3}/?>", re.IGNORECASE)
_OVERRIDE_RE = re.compile(r"(\{\\[^{}]*\}|\{[CcFfoPSsYy]:[^{}]*\})")  # of SubStation, MicroDVD
_SUBSTATION_OVERRIDE_RE = re.compile(r"(\{[^{}]*\})")  # also comments
_DRAWING_SCALE_RE = re.compile(r"\\p(\d{1,9})")
_SUBSTATION_FIELDS = ["layer", "start", "end", "style", "name", "l", "r", "v", "effect", "text"]


def parse_subtitles(file_text: str) -> Iterator[TimedLines]:
    """Parse the text of a subtitle file.

    Args:
        file_text: The decoded text; its content decides about the format.

    Yields:
        Span and lines of each cue, in the order of the file, with markup.
    """
    # some tools write \r\r\n for one line break; U+FEFF is left where files were joined
    clean_text = file_text.replace("\0", "").replace("\ufeff", "").replace("\r\r\n", "\n")
    lines = clean_text.splitlines()
    keys = {line.partition(":")[0].strip().lower() for line in lines if line[:40].strip()}
    return _parse_substation(lines) if {"[events]", "dialogue"} <= keys else _parse_timed(lines)


def clean_lines(cue_lines: Iterable[str]) -> list[str]:
    """Return the visible lines of a cue without markup and drawings."""
    visible_text = _remove_overrides("\n".join(cue_lines), _OVERRIDE_RE)
    return [
        clean_line for line_text in visible_text.split("\n") if (clean_line := _clean(line_text))
    ]


def parse_dialogue(dialogue_text: str) -> list[str]:
    """Return the lines of a SubStation dialogue text, without override blocks and drawings."""
    visible_text = _remove_overrides(dialogue_text, _SUBSTATION_OVERRIDE_RE)
    return re.split(r"\\[Nn]", visible_text.replace("\\h", " "))


def _parse_timed(lines: Sequence[str]) -> Iterator[TimedLines]:
    """Parse SubRip or WebVTT: a line with timestamps, followed by text."""
    is_webvtt = next(filter(str.strip, lines), "").startswith("WEBVTT")
    timing_lines = list(_find_timing_lines(lines, is_webvtt=is_webvtt))
    timing_indexes = [line_index for line_index, _ in timing_lines]
    cue_number = _cue_number(lines[: timing_indexes[0]]) if timing_lines else None
    is_numbered = cue_number is not None
    for (timing_index, cue_span), end_index in zip(
        timing_lines, [*timing_indexes[1:], None], strict=False
    ):
        cue_lines = list(lines[timing_index + 1 : end_index])
        if end_index is not None:
            next_number = _trim_cue_number(cue_lines, cue_number, is_numbered=is_numbered)
            cue_number = cue_number if next_number is None else next_number
        if is_webvtt:  # notes and the next identifier follow after an empty line
            cue_lines = list(takewhile(bool, cue_lines))
        if cue_span is not None:
            yield cue_span, cue_lines


def _find_timing_lines(
    lines: Sequence[str], *, is_webvtt: bool
) -> Iterator[tuple[int, Span | None]]:
    """Yield the index and the span of each timing line; the span is None if it is invalid."""
    is_skipped_block = False
    previous_line = ""
    for line_index, line in enumerate(lines):
        if is_webvtt and not previous_line:
            is_skipped_block = _WEBVTT_BLOCK_RE.match(line) is not None
        previous_line = line
        if is_skipped_block or not _ARROW_END_RE.search(line):
            continue
        match = _TIMING_RE.match(line)
        if match is not None and (match[6] == _STANDARD_ARROW or match[5] is not None):
            start_seconds = _to_seconds(match.groups()[:5])
            yield line_index, _make_span(start_seconds, _to_seconds(match.groups()[6:]))
        elif _BROKEN_TIMING_RE.match(line) and _STANDARD_ARROW in line:
            yield line_index, None


def _cue_number(lines: Sequence[str]) -> int | None:
    """Return the number in the last line that is not blank, if it is one."""
    last_line = next((line for line in reversed(lines) if line.strip()), "")
    return int(last_line) if _CUE_NUMBER_RE.fullmatch(last_line) else None


def _trim_cue_number(
    cue_lines: list[str], previous_number: int | None, *, is_numbered: bool
) -> int | None:
    """Remove and return the number of the next cue from the end of a cue's lines.

    A number may be text instead: a year, or the answer to a question.
    """
    next_number = _cue_number(cue_lines)
    if next_number is None:
        return None
    is_adjacent = bool(cue_lines[-1].strip())  # to the timing line
    has_blank_before = len(cue_lines) < 2 or not cue_lines[-2].strip()
    is_successor = previous_number is not None and next_number == previous_number + 1
    if not is_successor and not (is_adjacent and (is_numbered or has_blank_before)):
        return None
    while not cue_lines.pop().strip():
        pass
    return next_number


def _parse_substation(lines: Sequence[str]) -> Iterator[TimedLines]:
    """Parse the [Events] section, in which Format: names the fields of each Dialogue: line."""
    field_names = _SUBSTATION_FIELDS
    in_events = False
    for line in lines:
        key, _, line_rest = line.strip().partition(":")
        key = key.strip().lower()
        if key.startswith("["):
            in_events = key == "[events]"
        elif in_events and key == "format":
            named_fields = [field_name.strip().lower() for field_name in line_rest.split(",")]
            is_usable = {"start", "end"} < set(named_fields) and named_fields[-1] == "text"
            field_names = named_fields if is_usable else _SUBSTATION_FIELDS
        elif in_events and key == "dialogue":
            field_values = line_rest.split(",", len(field_names) - 1)
            fields = dict(zip(field_names, field_values, strict=False))
            cue_span = _make_span(
                _parse_timestamp(fields.get("start", "")), _parse_timestamp(fields.get("end", ""))
            )
            if cue_span is not None:
                yield cue_span, parse_dialogue(fields.get("text", ""))


def _parse_timestamp(time_text: str) -> float | None:
    match = _TIMESTAMP_RE.fullmatch(time_text)
    return _to_seconds(match.groups()) if match else None


def _to_seconds(time_parts: Sequence[str | None]) -> float:
    sign, hours, minutes, seconds, fraction = (time_part or "0" for time_part in time_parts)
    total_seconds = 3600 * int(hours) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction}")
    return -total_seconds if sign == "-" else total_seconds


def _make_span(start_seconds: float | None, end_seconds: float | None) -> Span | None:
    """Return the span from 0 s on; None if a time is missing or the cue ends before 0 s."""
    if start_seconds is None or end_seconds is None:
        return None
    if end_seconds <= start_seconds:
        end_seconds = start_seconds + UNTIMED_CUE_SECONDS
    return Span(max(0.0, start_seconds), end_seconds) if end_seconds > 0 else None


def _remove_overrides(cue_text: str, override_re: re.Pattern[str]) -> str:
    """Remove override blocks, and the drawing commands that one of them begins (`p1`)."""
    visible_parts: list[str] = []
    is_drawing = False
    for part_index, text_part in enumerate(override_re.split(cue_text)):
        if part_index % 2:  # an override block
            drawing_scales = _DRAWING_SCALE_RE.findall(text_part)
            is_drawing = int(drawing_scales[-1]) > 0 if drawing_scales else is_drawing
        elif not is_drawing:
            visible_parts.append(text_part)
    return "".join(visible_parts)


def _clean(line_text: str) -> str:
    """Return a line without tags and character references, on single spaces."""
    bare_text = _TAG_RE.sub("", _LINE_BREAK_TAG_RE.sub(" ", line_text))
    # Shortened because html.unescape fails on numbers of 4,300 digits.
    bare_text = html.unescape(bare_text[: 4 * MAX_CUE_CHARS])
    return unicodedata.normalize("NFC", " ".join(bare_text.split()))
