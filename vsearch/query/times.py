"""Parsers of times, durations and spans."""

from __future__ import annotations

import math
import re

from vsearch.errors import QueryError
from vsearch.types import Span

_NUMBER_PATTERN = r"[0-9]+(?:\.[0-9]*)?|\.[0-9]+"
_DURATION_RE = re.compile(
    rf"(?:({_NUMBER_PATTERN})h)?(?:({_NUMBER_PATTERN})m(?:in)?)?(?:({_NUMBER_PATTERN})s?)?",
    re.IGNORECASE,
)
_CLOCK_RE = re.compile(rf"[0-9]+(?::[0-9]{{1,2}}){{0,2}}(?:\.[0-9]*)?|{_NUMBER_PATTERN}")
_SPAN_RE = re.compile(r"([0-9:.]+)-([0-9:.]+)")
_OPEN_SPAN_RE = re.compile(r"([0-9:.]+)-|-([0-9:.]+)")
OPEN_END_SECONDS = 1e9  # end of a range without end; no video is as long


def parse_time(time_text: str) -> float:
    """Parse a time such as `12.5`, `1:02.5` or `1:00:02`.

    Args:
        time_text: Seconds, m:ss or h:mm:ss.

    Returns:
        Seconds.

    Raises:
        QueryError: If the text is not a time.
    """
    time_parts = time_text.split(":")
    try:
        seconds = math.fsum(
            float(time_part) * 60.0**i for i, time_part in enumerate(reversed(time_parts))
        )
    except (ValueError, OverflowError):
        seconds = math.nan
    if len(time_parts) > 3 or not math.isfinite(seconds):
        raise QueryError(f"{time_text!r} is not a time: write seconds or h:mm:ss")
    return seconds


def parse_duration(duration_text: str) -> float:
    """Parse a duration such as `10s`, `1m30s`, `2h`, `90` or `1:30`.

    Args:
        duration_text: Duration.

    Returns:
        Seconds.

    Raises:
        QueryError: If the text is not a duration.
    """
    seconds = math.nan
    if duration_text and (duration_match := _DURATION_RE.fullmatch(duration_text)):
        hours, minutes, seconds_part = (float(group or 0) for group in duration_match.groups())
        seconds = math.fsum((3600 * hours, 60 * minutes, seconds_part))
    elif _CLOCK_RE.fullmatch(duration_text):
        seconds = parse_time(duration_text)
    if not math.isfinite(seconds):
        raise QueryError(f"{duration_text!r} is not a duration: write 10s, 1m30s or 1:30")
    return seconds


def parse_span(span_text: str) -> Span:
    """Parse a span `START-END`.

    Args:
        span_text: Two times, see `parse_time`.

    Returns:
        The span in seconds.

    Raises:
        QueryError: If the text is not a span or ends before it starts.
    """
    span_match = _SPAN_RE.fullmatch(span_text)
    if span_match is None:
        raise QueryError(f"{span_text!r} is not a span: write 0:10:00-0:20:00")
    start_time, end_time = parse_time(span_match[1]), parse_time(span_match[2])
    if start_time >= end_time:
        raise QueryError(f"{span_text}: a span must end after it starts")
    return Span(start_time, end_time)


def parse_time_range(range_text: str) -> Span:
    """Parse a span whose start or end may be missing: `5-10`, `5-` or `-10`.

    Args:
        range_text: One or two times, see `parse_time`.

    Returns:
        The span in seconds; `OPEN_END_SECONDS` stands for the end of the video.

    Raises:
        QueryError: If the text is not a span or ends before it starts.
    """
    range_match = _OPEN_SPAN_RE.fullmatch(range_text)
    if range_match is None:
        return parse_span(range_text)
    start_text, end_text = range_match.groups()
    if end_text is None:
        return Span(min(parse_time(start_text), OPEN_END_SECONDS), OPEN_END_SECONDS)
    return parse_span(f"0-{end_text}")
