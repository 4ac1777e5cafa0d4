"""What the last search found, so that its results can be named: `like:#12`, `mark 3 up`.

A file that may be lost: nothing depends on it but those names. It lies in the library's folder, and
in this user's cache where that cannot be written.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsearch.config import cache_folder
from vsearch.errors import QueryError
from vsearch.files import write
from vsearch.types import Span
from vsearch.wire import read_quote

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.types import Moment, Quote

FILE = "last-search.json"
LIMIT = 4 * 1024 * 1024  # bytes that are read
MOST = 1_000  # results that can be named


@dataclass(frozen=True, slots=True)
class Result:
    """A moment that was found."""

    path: str  # of the video
    span: Span
    score: float
    confidence: float | None = None
    quote: Quote | None = None  # the words in the video that answer best

    @classmethod
    def of(cls, moment: Moment) -> Result:
        """What is kept of a moment."""
        quote = next(iter(moment.why.quotes), None)
        return cls(str(moment.video.path), moment.span, moment.score, moment.confidence, quote)


@dataclass(frozen=True, slots=True)
class Results:
    """What a query found, best first; results are counted from 1."""

    query: str  # as it is typed
    found: tuple[Result, ...]

    def named(self, number: int) -> Result:
        """The result with that number. Raises QueryError."""
        if not 1 <= number <= len(self.found):
            held = f"has {len(self.found)}" if self.found else "found nothing"
            raise QueryError(f"#{number}: there is no such result, the last search {held}")
        return self.found[number - 1]


def keep(library: Path, query: str, found: Sequence[Moment]) -> bool:
    """Remember what was found; False where neither the library nor the cache can be written."""
    results = [
        {
            "video": os.fsdecode(moment.video.path),
            "start": moment.span.start,
            "end": moment.span.end,
            "score": moment.score,
            "confidence": moment.confidence,
            "why": {"quotes": [_plain(quote) for quote in moment.why.quotes[:1]]},
        }
        for moment in found[:MOST]
    ]
    content = json.dumps({"query": query, "results": results}).encode("ascii")
    if _written(library / FILE, content):
        with suppress(OSError):
            _cached(library).unlink(missing_ok=True)
        return True
    return _written(_cached(library), content)


def last(library: Path) -> Results:
    """What the last search found. Raises QueryError where nothing is known of it."""
    kept = [path for path in (_cached(library), library / FILE) if path.is_file()]
    if not kept:
        raise QueryError(f"no search was made in {library} yet, so there is no result to name")
    return read(max(kept, key=lambda path: path.stat().st_mtime_ns))


def read(path: Path) -> Results:
    """What a search found, from a file as `search --json` prints it. Raises QueryError."""
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
        if len(content) > LIMIT:
            raise ValueError("too long")
        return _results(json.loads(content))
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise QueryError(
            f"{path}: holds no results of a search, as `vsearch search --json` prints them"
        ) from error


def numbers(text: str) -> list[int]:
    """The results that `#3`, `3,5` or `#1-5,8` name, each once. Raises QueryError."""
    found: dict[int, None] = {}
    for part in text.removeprefix("#").split(","):
        match = re.fullmatch(r"\s*#?([0-9]{1,4})(?:-#?([0-9]{1,4}))?\s*", part)
        if match is None:
            raise QueryError(f"{text!r} names no results: write #3, or #1-5,8")
        first = int(match[1])
        final = int(match[2] or first)
        if not 1 <= first <= final <= MOST:
            raise QueryError(f"{text!r}: results are counted from 1 to {MOST}")
        found |= dict.fromkeys(range(first, final + 1))
    return list(found)


def _cached(library: Path) -> Path:
    """Where the results are that a library cannot take."""
    folder = os.fsencode(os.path.abspath(library))  # noqa: PTH100 - links stay, `..` goes
    return cache_folder() / f"last-search-{hashlib.sha256(folder).hexdigest()[:16]}.json"


def _written(path: Path, content: bytes) -> bool:
    try:
        write(path, content)
    except OSError:
        return False
    return True


def _results(value: Any) -> Results:
    found = [
        Result(
            str(each["video"]),
            Span(float(each["start"]), float(each["end"])),
            float(each["score"]),
            None if each.get("confidence") is None else float(each["confidence"]),
            _quote(each.get("why", {}).get("quotes")),
        )
        for each in value["results"][:MOST]
    ]
    return Results(str(value["query"]), tuple(found))


def _plain(quote: Quote) -> dict[str, Any]:
    """A quote as `search --json` prints it."""
    start, end = quote.span.start, quote.span.end
    return {
        "source": quote.source, "start": start, "end": end, "text": quote.text,
        "score": quote.score,
    }  # fmt: skip


def _quote(value: Any) -> Quote | None:
    """The first of the quotes that a file holds."""
    return read_quote(value[0]) if value else None
