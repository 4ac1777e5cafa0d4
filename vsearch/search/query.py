"""What a person typed, as a Query."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch.errors import QueryError
from vsearch.types import Filters, Query, Span, Term

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

LONGEST = 2_000  # characters of text
MOST = 16  # pictures and clips in one query

_CLIP = re.compile(r"(?P<path>.+)@(?P<start>[\d:.]+)-(?P<end>[\d:.]+)", re.DOTALL)


def parse(
    text: str = "",
    *,
    images: Iterable[str] = (),
    clips: Iterable[Term] = (),
    videos: Iterable[str] = (),
    tags: Iterable[str] = (),
) -> Query:
    """A query from words, picture files and clips, of videos whose path matches a glob.

    Only what has every one of the tags counts. Raises QueryError for an empty or oversized query.
    """
    words = " ".join(text.split())
    if not _is_text(words):
        raise QueryError("these words are not text as this terminal writes it (UTF-8)")
    if len(words) > LONGEST:
        raise QueryError(f"a query may have {LONGEST} characters, this one has {len(words)}")
    terms = [Term("text", words)] if words else []
    terms += [Term("image", _named(path)) for path in images]
    terms += clips
    if not terms:
        raise QueryError("nothing to search for: give some words, --image FILE or --clip FILE")
    if len(terms) > MOST:
        raise QueryError(f"a query may have {MOST} parts, this one has {len(terms)}")
    return Query(tuple(terms), filters=Filters(videos=tuple(videos), tags=tuple(tags)))


def query_of(
    text: str,
    image: str | os.PathLike[str] | None,
    clip: str | os.PathLike[str] | None,
    span: Span | tuple[float, float] | None,
    videos: Iterable[str],
    tags: Iterable[str] = (),
) -> Query:
    """The query that `Library.search`'s plain arguments mean. Raises QueryError."""
    if span is not None and clip is None:
        raise QueryError("a span is a part of a clip: name the clip, too")
    try:
        part = Span(*span) if isinstance(span, tuple) else span
    except (TypeError, ValueError) as error:
        raise QueryError(f"{span} is no part of a clip: {error}") from error
    clips = [] if clip is None else [Term("clip", _named(str(clip)), span=part)]
    images = [] if image is None else [str(image)]
    return parse(text, images=images, clips=clips, videos=videos, tags=tags)


def parse_clip(clip: str) -> Term:
    """`FILE` or `FILE@START-END`, times as seconds or h:mm:ss. Raises QueryError."""
    match = _CLIP.fullmatch(clip)
    if not match:
        if re.search(r"@[\d:.-]+$", clip) and not Path(clip).expanduser().exists():
            raise QueryError(f"{clip}: there is no such file; for a part write film.mp4@3-8")
        return Term("clip", _named(clip))
    start, end = parse_time(match["start"]), parse_time(match["end"])
    if start >= end:
        raise QueryError(f"{clip}: the clip must end after it starts")
    return Term("clip", _named(match["path"]), span=Span(start, end))


def parse_time(text: str) -> float:
    """Seconds from `12.5`, `1:02.5` or `1:00:02`. Raises QueryError."""
    parts = text.split(":")
    try:
        seconds = math.fsum(float(part) * 60.0**i for i, part in enumerate(reversed(parts)))
    except (ValueError, OverflowError):
        seconds = math.nan
    if len(parts) > 3 or not math.isfinite(seconds):
        raise QueryError(f"{text!r} is no time: write seconds or h:mm:ss")
    return seconds


def _is_text(words: str) -> bool:
    """Whether every character is one: bytes that are not UTF-8 arrive as lone surrogates."""
    try:
        words.encode()
    except UnicodeEncodeError:
        return False
    return True


def _named(path: str) -> str:
    if not path.strip() or "\0" in path:
        raise QueryError("a picture or clip needs the name of a file")
    return path
