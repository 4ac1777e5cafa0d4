"""Words found in a video as a file: SubRip, WebVTT, plain text or JSON."""

from __future__ import annotations

import html
import json
import re
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from vsearch.types import Cue

_ENTITY = re.compile(r"&(?=#?\w+;)")
_UNPRINTED = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def srt(cues: Iterable[Cue]) -> str:
    """SubRip, which has numbers, and tags but no word for `<`: HTML's is what players know."""
    blocks = (
        f"{number}\n{_times(cue, ',')}\n{_escaped(cue.text)}\n"
        for number, cue in zip(count(1), cues, strict=False)
    )
    return "\n".join(blocks)


def vtt(cues: Iterable[Cue]) -> str:
    """WebVTT."""
    blocks = (f"{_times(cue, '.')}\n{html.escape(_line(cue), quote=False)}\n" for cue in cues)
    return "\n".join(["WEBVTT\n", *blocks])


def text(cues: Iterable[Cue]) -> str:
    """A line for each, without times."""
    return "".join(f"{_line(cue)}\n" for cue in cues)


def jsons(cues: Iterable[Cue]) -> str:
    """A list of objects, times in seconds; with the words of speech where their times are known."""
    return json.dumps(list(map(_object, cues)), ensure_ascii=False, indent=1) + "\n"


FORMATS: dict[str, Callable[[Iterable[Cue]], str]] = {
    ".srt": srt,
    ".vtt": vtt,
    ".txt": text,
    ".json": jsons,
}


def _object(cue: Cue) -> dict[str, object]:
    told: dict[str, object] = {
        "start": round(cue.span.start, 3),
        "end": round(cue.span.end, 3),
        "text": _line(cue),
        "source": cue.source,
    }
    if cue.words:
        told["words"] = [
            [round(word.span.start, 3), round(word.span.end, 3), word.text] for word in cue.words
        ]
    return told


def _times(cue: Cue, point: str) -> str:
    """From when to when; what lasts no time is not shown, so a cue lasts a thousandth at least."""
    start = round(cue.span.start * 1000)
    ends = (start, max(round(cue.span.end * 1000), start + 1))
    return " --> ".join(_stamps(ends, point))


def _stamps(milliseconds: Iterable[int], point: str) -> Iterator[str]:
    for each in milliseconds:
        seconds, thousandths = divmod(each, 1000)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        yield f"{hours:02}:{minute:02}:{second:02}{point}{thousandths:03}"


def _escaped(line: str) -> str:
    bare = _ENTITY.sub("&amp;", line)
    return _UNPRINTED.sub(" ", bare.replace("<", "&lt;").replace(">", "&gt;"))


def _line(cue: Cue) -> str:
    """One line that any encoder takes."""
    return _UNPRINTED.sub(" ", cue.text)
