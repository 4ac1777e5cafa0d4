"""Times, lengths of time and dates as people type them."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from vsearch.errors import QueryError
from vsearch.types import Span

_N = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_LENGTH = re.compile(rf"(?:({_N})h)?(?:({_N})m(?:in)?)?(?:({_N})s?)?", re.IGNORECASE)
_CLOCK = re.compile(rf"[0-9]+(?::[0-9]{{1,2}}){{0,2}}(?:\.[0-9]*)?|{_N}")
_SPAN = re.compile(r"([0-9:.]+)-([0-9:.]+)")
_DAY = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)?")


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


def parse_length(text: str) -> float:
    """Seconds from `10s`, `1m30s`, `2h`, `90` or `1:30`. Raises QueryError."""
    seconds = math.nan
    if text and (match := _LENGTH.fullmatch(text)):
        hours, minutes, rest = (float(group or 0) for group in match.groups())
        seconds = math.fsum((3600 * hours, 60 * minutes, rest))
    elif _CLOCK.fullmatch(text):
        seconds = parse_time(text)
    if not math.isfinite(seconds):
        raise QueryError(f"{text!r} is no length of time: write 10s, 1m30s or 1:30")
    return seconds


def parse_span(text: str) -> Span:
    """`START-END`, each as seconds or h:mm:ss. Raises QueryError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise QueryError(f"{text!r} is no part of a video: write 0:10:00-0:20:00")
    start, end = parse_time(match[1]), parse_time(match[2])
    if start >= end:
        raise QueryError(f"{text}: the part must end after it starts")
    return Span(start, end)


def parse_date(text: str) -> datetime:
    """When `2024`, `2024-05` or `2024-05-17` begins by the clock of this place, in UTC.

    Also a time of that day, `2024-05-17T10:30`, or with a zone `2024-05-17T10:30Z`. QueryError.
    """
    try:
        if match := _DAY.fullmatch(text):
            year, month, day = (int(group or 1) for group in match.groups())
            return datetime(year, month, day).astimezone(UTC)
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError, OSError):  # no such day, or none that this system knows
        pass
    raise QueryError(f"{text!r} is no date: write 2024, 2024-05 or 2024-05-17")
