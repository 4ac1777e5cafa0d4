"""Transcript output formats: SubRip, WebVTT, plain text and JSON."""

from __future__ import annotations

import html
import json
import re
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vsearch.types import Cue

_ENTITY_RE = re.compile(r"&(?=#?\w+;)")
_UNPRINTABLE_RE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def to_srt(cues: Iterable[Cue]) -> str:
    """Format cues as SubRip. `<` is escaped as in HTML, which players understand."""
    cue_blocks = (
        f"{cue_number}\n{_format_cue_times(cue, ',')}\n{_escape_tags(cue.text)}\n"
        for cue_number, cue in zip(count(1), cues, strict=False)
    )
    return "\n".join(cue_blocks)


def to_vtt(cues: Iterable[Cue]) -> str:
    """Format cues as WebVTT."""
    cue_blocks = (
        f"{_format_cue_times(cue, '.')}\n{html.escape(_single_line(cue), quote=False)}\n"
        for cue in cues
    )
    return "\n".join(["WEBVTT\n", *cue_blocks])


def to_text(cues: Iterable[Cue]) -> str:
    """Format cues as plain text, one line per cue, without times."""
    return "".join(f"{_single_line(cue)}\n" for cue in cues)


def to_json(cues: Iterable[Cue]) -> str:
    """Format cues as a JSON list, times in seconds, with word timings where they are known."""
    return json.dumps(list(map(_cue_to_dict, cues)), ensure_ascii=False, indent=1) + "\n"


TRANSCRIPT_FORMATS: dict[str, Callable[[Iterable[Cue]], str]] = {
    ".srt": to_srt,
    ".vtt": to_vtt,
    ".txt": to_text,
    ".json": to_json,
}


def _cue_to_dict(cue: Cue) -> dict[str, object]:
    cue_dict: dict[str, object] = {
        "start": round(cue.span.start, 3),
        "end": round(cue.span.end, 3),
        "text": _single_line(cue),
        "source": cue.source,
    }
    if cue.words:
        cue_dict["words"] = [
            [round(word.span.start, 3), round(word.span.end, 3), word.text] for word in cue.words
        ]
    return cue_dict


def _format_cue_times(cue: Cue, decimal_mark: str) -> str:
    """Format start and end; at least 1 ms apart, since players skip empty cues."""
    start_ms = round(cue.span.start * 1000)
    cue_bounds = (start_ms, max(round(cue.span.end * 1000), start_ms + 1))
    return " --> ".join(_format_timestamps(cue_bounds, decimal_mark))


def _format_timestamps(milliseconds: Iterable[int], decimal_mark: str) -> Iterator[str]:
    for total_ms in milliseconds:
        seconds, thousandths = divmod(total_ms, 1000)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        yield f"{hours:02}:{minute:02}:{second:02}{decimal_mark}{thousandths:03}"


def _escape_tags(cue_text: str) -> str:
    escaped_text = _ENTITY_RE.sub("&amp;", cue_text)
    return _UNPRINTABLE_RE.sub(" ", escaped_text.replace("<", "&lt;").replace(">", "&gt;"))


def _single_line(cue: Cue) -> str:
    """Return the text on one line, without characters that cannot be encoded."""
    return _UNPRINTABLE_RE.sub(" ", cue.text)
