"""Subtitles that lie beside a video: what is said or shown as text, and when.

SubRip, WebVTT and (Advanced) SubStation Alpha. They come from anywhere, so a file is read within
bounds, in time that grows with its length only, and a cue that makes no sense is passed over. That
is why there is no library here: pysubs2 1.8 gives a whole .ass up for one bad time, makes a cue of
a karaoke line with two times in it, and takes WebVTT's notes and cue names for words.
"""

from __future__ import annotations

import codecs
import html
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import TooLargeError, UnreadableError
from vsearch.types import Cue, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

SUFFIXES = (".srt", ".vtt", ".ass", ".ssa")
LIMIT = 8 * 1024 * 1024  # bytes of a file; a film's have some 100 kB, with fonts in them a few MB
CUES = 50_000  # of a file
LONGEST = 1_000  # characters of a cue

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s|$)")
_STAMP = re.compile(rf"\s*{_TIME}\s*")
_MARKUP = re.compile(r"<[^<>]*>|\{[^{}]*\}")
_DRAWING = re.compile(r"\{[^{}]*\\p[1-9]")
# `en`, `pt-BR`, and what such a file is for
_TAG = re.compile(r"(?P<language>[a-z]{2,3})(?:[-_][a-z0-9]{2,8})*|sdh|forced|default", re.I)
_BOMS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A subtitle file and the video that it belongs to by its name."""

    video: Path
    path: Path
    language: str | None  # as its name says: `en` of film.en.srt; None where it says nothing


def beside(videos: Iterable[Path]) -> list[Sidecar]:
    """The subtitle files of these videos: film.srt or film.en.srt beside film.mp4, by name.

    A folder that cannot be listed has none.
    """
    stems: dict[Path, dict[str, Path]] = {}  # by folder
    for video in videos:
        stems.setdefault(video.parent, {})[video.stem] = video
    found = [each for folder, known in stems.items() for each in _in_folder(folder, known)]
    return sorted(found, key=lambda each: str(each.path))


def _in_folder(folder: Path, known: dict[str, Path]) -> Iterator[Sidecar]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a name is enough, and there may be thousands
    except OSError:
        return
    for name in names:
        bare, suffix = os.path.splitext(name)  # noqa: PTH122
        if suffix.lower() not in SUFFIXES:
            continue
        tags: list[str] = []
        while bare not in known and len(tags) < 3 and "." in bare:
            bare, _, tag = bare.rpartition(".")
            tags.insert(0, tag)
        if bare in known and all(_TAG.fullmatch(tag) for tag in tags):
            languages = [tag for tag in tags if tag.lower() not in ("sdh", "forced", "default")]
            language = languages[0].lower() if languages else None
            yield Sidecar(known[bare], folder / name, language)


def read(path: Path) -> list[Cue]:
    """The cues of a file as they follow each other. Raises UnreadableError and TooLargeError."""
    lines = _decoded(_content(path)).replace("\0", "").splitlines()
    is_substation = any(line.strip().lower() == "[events]" for line in lines)
    found = _substation(lines) if is_substation else _timed(lines)
    cues: list[Cue] = []
    before: set[str] = set()
    for span, texts in sorted(found, key=lambda each: each[0]):
        said = [text for text in map(_plain, texts) if text]
        # captions that roll up say the line before again
        fresh = [text for text in said if text not in before]
        if fresh:
            cues.append(Cue(span, " ".join(fresh)[:LONGEST]))
        before = set(said) or before
    return cues[:CUES]


def _content(path: Path) -> bytes:
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise OSError("there is no such file")
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read ({error.strerror or error})") from error
    if len(content) > LIMIT:
        raise TooLargeError(f"{path}: more than {LIMIT} bytes; this is no subtitle file")
    return content


def _decoded(content: bytes) -> str:
    """Text by its mark, else UTF-8, else what Windows wrote in the West."""
    for mark, encoding in _BOMS.items():
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _timed(lines: Sequence[str]) -> Iterator[tuple[Span, list[str]]]:
    """SubRip and WebVTT: a line of times, and text below it."""
    timings = [(i, match) for i, line in enumerate(lines) if (match := _TIMING.match(line))]
    begins = [i for i, _ in timings]
    web = bool(lines) and lines[0].startswith("WEBVTT")
    for (begin, match), end in zip(timings, [*begins[1:], None], strict=False):
        texts = list(lines[begin + 1 : end])
        if web:  # up to an empty line: what follows are notes and the next cue's name
            blank = next((i for i, text in enumerate(texts) if not text.strip()), None)
            texts = texts[:blank]
        elif end is not None and texts and texts[-1].strip().isdecimal():
            texts.pop()  # the number of the next cue
        span = _span(_seconds(match.groups()[:4]), _seconds(match.groups()[4:]))
        if span is not None:
            yield span, texts


def _substation(lines: Sequence[str]) -> Iterator[tuple[Span, list[str]]]:
    """[Events], where Format: names the fields of each Dialogue:."""
    names = ["layer", "start", "end", "style", "name", "l", "r", "v", "effect", "text"]
    inside = False
    for line in lines:
        key, _, rest = line.strip().partition(":")
        if key.startswith("["):
            inside = key.lower() == "[events]"
        elif inside and key.lower() == "format":
            names = [name.strip().lower() for name in rest.split(",")]
        elif inside and key.lower() == "dialogue":
            fields = dict(zip(names, rest.split(",", len(names) - 1), strict=False))
            span = _span(_stamp(fields.get("start", "")), _stamp(fields.get("end", "")))
            text = fields.get("text", "")
            if span is not None and not _DRAWING.search(text):
                yield span, re.split(r"\\[Nn]", text.replace("\\h", " "))


def _stamp(text: str) -> float | None:
    match = _STAMP.fullmatch(text)
    return _seconds(match.groups()) if match else None


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (part or "0" for part in parts)
    return 3600 * int(hours) + 60 * int(minutes) + int(seconds) + float(f"0.{fraction}")


def _span(start: float | None, end: float | None) -> Span | None:
    """None for what is no stretch of time."""
    if start is None or end is None or not start < end:
        return None
    return Span(start, end)


def _plain(text: str) -> str:
    """One line without markup."""
    bare = _MARKUP.sub("", text)[: 4 * LONGEST]  # unescape fails at numbers of 4,300 digits
    return " ".join(html.unescape(bare).split())
