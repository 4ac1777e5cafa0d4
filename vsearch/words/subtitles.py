"""Subtitles that lie beside a video: what is said or shown as text, and when.

SubRip, WebVTT and (Advanced) SubStation Alpha. They come from anywhere, so a file is read within
bounds, in time that grows with its length only, and a cue that makes no sense is passed over. That
is why there is no library here: pysubs2 1.8 gives a whole .ass up for one bad time, makes a cue of
a karaoke line with two times in it, and takes WebVTT's notes and cue names for words.
"""

from __future__ import annotations

import html
import os
import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.errors import TooLargeError, UnreadableError
from vsearch.types import Cue, Span
from vsearch.words.charset import decoded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
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


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A subtitle file and the video that it belongs to by its name."""

    video: Path
    path: Path
    language: str | None  # as its name says: `en` of film.en.srt; None where it says nothing

    def of(self, stems: Collection[Path]) -> bool:
        """Whether no other of these videos, named without suffixes, has more of its name."""
        bare = self.path.with_suffix("")
        while bare not in stems and bare.suffix:
            bare = bare.with_suffix("")
        return bare == self.video.with_suffix("")


def beside(videos: Iterable[Path]) -> list[Sidecar]:
    """The subtitle files of these videos: film.srt or film.en.srt beside film.mp4, by name.

    A file belongs to the one with the longest name. A folder that cannot be listed has none.
    """
    known, folders = set(videos), Folders()
    stems = {video.with_suffix("") for video in known}
    found = [each for video in known for each in folders.beside(video) if each.of(stems)]
    return sorted(found, key=lambda each: str(each.path))


class Folders:
    """What subtitle files folders hold, each folder listed once."""

    def __init__(self) -> None:
        self._listed: dict[Path, dict[str, list[Sidecar]]] = {}  # by the name of the video

    def beside(self, video: Path) -> list[Sidecar]:
        """The subtitle files whose name begins like that of a video, sorted by name."""
        folder = video.parent
        if folder not in self._listed:
            self._listed[folder] = _listed(folder)
        found = self._listed[folder].get(video.stem, [])
        return [replace(each, video=video) for each in found]


def _listed(folder: Path) -> dict[str, list[Sidecar]]:
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a name is enough, and there may be thousands
    except OSError:
        return {}
    found: dict[str, list[Sidecar]] = {}
    for name in sorted(names):
        bare, suffix = os.path.splitext(name)  # noqa: PTH122
        if suffix.lower() not in SUFFIXES:
            continue
        tags: list[str] = []
        for _ in range(4):
            languages = [tag for tag in tags if tag.lower() not in ("sdh", "forced", "default")]
            language = languages[0].lower() if languages else None
            found.setdefault(bare, []).append(Sidecar(folder / bare, folder / name, language))
            bare, dot, tag = bare.rpartition(".")
            tags.insert(0, tag)
            if not dot or not _TAG.fullmatch(tag):
                break
    return found


def read(path: Path, language: str | None = None) -> list[Cue]:
    """The cues of a file as they follow each other. Raises UnreadableError and TooLargeError.

    The `language` tells how letters were written where they are no UTF-8.
    """
    lines = decoded(_content(path), language).replace("\0", "").splitlines()
    is_substation = any(line.strip().lower() == "[events]" for line in lines)
    return cues(_substation(lines) if is_substation else _timed(lines))


def cues(found: Iterable[tuple[Span, Sequence[str]]]) -> list[Cue]:
    """Cues from lines and their times: in order, without markup, and nothing said twice."""
    told: list[Cue] = []
    before: set[str] = set()
    for span, texts in sorted(found, key=lambda each: each[0]):
        shown = (text for text in texts if not _DRAWING.search(text))
        said = [text for text in map(_plain, shown) if text]
        # captions that roll up say the line before again
        fresh = [text for text in said if text not in before]
        if fresh:
            told.append(Cue(span, " ".join(fresh)[:LONGEST]))
        before = set(said) or before
    return told[:CUES]


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
    return unicodedata.normalize("NFC", " ".join(html.unescape(bare).split()))
