"""Values of filters on the properties of videos: traits, codecs, frame rates, times and days."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from vsearch.errors import QueryError
from vsearch.query.formatting import format_number

TRAITS = ("wide", "vertical", "square", "4k", "photo", "video")  # values of `is:`
FLAG_TRAITS = TRAITS[:4]  # also written without a value: `wide:`
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TRAIT_ALIASES = {
    "landscape": "wide", "horizontal": "wide", "portrait": "vertical", "tall": "vertical",
    "uhd": "4k", "picture": "photo", "photos": "photo", "pictures": "photo", "image": "photo",
    "images": "photo", "still": "photo", "videos": "video", "movie": "video", "movies": "video",
    "film": "video",
}  # fmt: skip
_CODEC_ALIASES = {
    "avc": "h264", "avc1": "h264", "x264": "h264", "h265": "hevc", "x265": "hevc", "hvc1": "hevc",
    "hev1": "hevc", "h266": "vvc", "divx": "mpeg4", "xvid": "mpeg4", "mpeg2": "mpeg2video",
    "mpeg1": "mpeg1video", "dav1d": "av1", "jpg": "jpeg", "heif": "heic", "tif": "tiff",
}  # fmt: skip
_NUMBER = r"[0-9]{1,6}(?:\.[0-9]{0,6})?"
_FRAME_RATE_RE = re.compile(rf"(>=|<=|>|<|=|)({_NUMBER})")
_FRAME_RATE_SPAN_RE = re.compile(rf"({_NUMBER})?-({_NUMBER})?")
_CLOCK_RE = re.compile(r"([0-9]{1,2})(?::([0-9]{2}))?(am|pm)?")
_MINUTES_PER_DAY = 24 * 60
_PARTS_OF_DAY = {"morning": (6, 12), "afternoon": (12, 18), "evening": (18, 22), "night": (22, 6)}
_DAY_GROUPS = {"weekend": WEEKDAYS[5:], "workday": WEEKDAYS[:5]}


@dataclass(frozen=True, slots=True)
class FrameRateRange:
    """Frame rates from a minimum to a maximum, both included; None does not restrict.

    A whole number stands for the rates that round to it, because 60 frames per second are often
    59.94.

    Attributes:
        minimum: Frames per second.
        maximum: Frames per second.
    """

    minimum: float | None
    maximum: float | None

    def __str__(self) -> str:
        """Return the value as in a query."""
        minimum, maximum = (
            None if rate is None else format_number(rate) for rate in (self.minimum, self.maximum)
        )
        if maximum is None:
            return f">={minimum}"
        if minimum is None:
            return f"<={maximum}"
        return minimum if minimum == maximum else f"{minimum}-{maximum}"

    def bounds(self) -> tuple[float, float]:
        """Return the lowest rate, included, and the highest one, excluded."""
        lowest = 0.0 if self.minimum is None else self.minimum - _tolerance(self.minimum)
        highest = math.inf if self.maximum is None else self.maximum + _tolerance(self.maximum)
        return lowest, min(highest, 1e9)


@dataclass(frozen=True, slots=True)
class ClockRange:
    """A part of the day in minutes since midnight; with midnight if it ends before it starts.

    Attributes:
        start: Included, from 0.
        end: Excluded, up to 1440.
    """

    start: int
    end: int

    def __str__(self) -> str:
        """Return the value as in a query."""
        return f"{self.start_text}-{self.end_text}"

    @property
    def start_text(self) -> str:
        """Start as `18:00`."""
        return f"{self.start // 60:02}:{self.start % 60:02}"

    @property
    def end_text(self) -> str:
        """End as `23:00`, at most `24:00`."""
        return f"{self.end // 60:02}:{self.end % 60:02}"

    @property
    def includes_midnight(self) -> bool:
        """True if the range continues on the next day."""
        return self.end < self.start


def parse_trait(trait_text: str) -> str:
    """Return a value of `is:` in its usual spelling.

    Raises:
        QueryError: There is no such value.
    """
    trait = trait_text.lower()
    trait = _TRAIT_ALIASES.get(trait, trait)
    if trait not in TRAITS:
        raise QueryError(f"is:{trait_text}: must be {', '.join(TRAITS[:-1])} or {TRAITS[-1]}")
    return trait


def parse_codec(codec_text: str) -> str:
    """Return the name of a codec as FFmpeg spells it: `hevc` for H.265."""
    codec = codec_text.strip().lower()
    compact_name = re.sub(r"[ ._-]", "", codec)
    return _CODEC_ALIASES.get(compact_name) or (compact_name if "." in codec else codec)


def parse_frame_rates(rate_text: str) -> FrameRateRange:
    """Parse `50`, `>=50`, `<30`, `50-120`, `50-` or `-30`.

    Args:
        rate_text: Frames per second.

    Returns:
        The range.

    Raises:
        QueryError: The text is not a range of frame rates.
    """
    minimum = maximum = None
    compact_text = re.sub(r"\s+|fps", "", rate_text.lower())
    if rate_match := _FRAME_RATE_RE.fullmatch(compact_text):
        comparison, rate = rate_match[1], float(rate_match[2])
        step = 1 if rate == int(rate) else 0.01
        if comparison.startswith(">"):
            minimum = rate if comparison == ">=" else round(rate + step, 6)
        elif comparison.startswith("<"):
            maximum = rate if comparison == "<=" else round(rate - step, 6)
        else:
            minimum = maximum = rate
    elif span_match := _FRAME_RATE_SPAN_RE.fullmatch(compact_text):
        minimum, maximum = (
            None if group is None else float(group) for group in span_match.groups()
        )
    is_ordered = minimum is None or maximum is None or minimum <= maximum
    if (minimum is None and maximum is None) or not is_ordered or (maximum or 1) < 0:
        raise QueryError(f"{rate_text!r} is not a frame rate: write 50, >=50 or 50-120")
    return FrameRateRange(minimum, maximum)


def parse_clock_range(range_text: str) -> ClockRange:
    """Parse a part of the day: `18:00-23:00`, `22-4`, `6pm-11pm`, `18:00-`, `-6:00` or `evening`.

    Args:
        range_text: Start and end; if the end is earlier, the range includes midnight.

    Returns:
        The part of the day.

    Raises:
        QueryError: The text is not a part of the day.
    """
    compact_text = re.sub(r"\s+", "", range_text.lower())
    if compact_text in _PARTS_OF_DAY:
        start_hour, end_hour = _PARTS_OF_DAY[compact_text]
        return ClockRange(60 * start_hour, 60 * end_hour)
    start_text, dash, end_text = compact_text.partition("-")
    start, end = _parse_clock(start_text or "0"), _parse_clock(end_text or "24")
    if not dash or compact_text == "-" or start is None or end is None or start == end:
        raise QueryError(
            f"{range_text!r} is not a part of the day: write 18:00-23:00, 22:00-04:00 or evening"
        )
    return ClockRange(start % _MINUTES_PER_DAY, end or _MINUTES_PER_DAY)


def parse_weekdays(days_text: str) -> tuple[str, ...]:
    """Parse days of the week: `sunday`, `sat-sun`, `fri-mon`, `weekend` or `workday`.

    Args:
        days_text: English names of days, of which at least three letters are given.

    Returns:
        Full names of the days, in lower case.

    Raises:
        QueryError: The text does not name days of the week.
    """
    compact_text = re.sub(r"\s+", "", days_text.lower())
    if compact_text.removesuffix("s") in _DAY_GROUPS:
        return _DAY_GROUPS[compact_text.removesuffix("s")]
    indices = [_find_weekday(day_text) for day_text in compact_text.split("-", 2)]
    if -1 in indices or len(indices) > 2:
        raise QueryError(
            f"{days_text!r} is not a day of the week: write sunday, sat-sun, weekend or workday"
        )
    day_count = (indices[-1] - indices[0]) % 7 + 1
    return tuple(WEEKDAYS[(indices[0] + offset) % 7] for offset in range(day_count))


def _tolerance(frame_rate: float) -> float:
    return 0.5 if frame_rate == int(frame_rate) else 0.005


def _parse_clock(clock_text: str) -> int | None:
    """Return minutes since midnight, at most 1440; None if the text is not a time of day."""
    clock_match = _CLOCK_RE.fullmatch(clock_text)
    if clock_match is None:
        return None
    hour, minute, half = int(clock_match[1]), int(clock_match[2] or 0), clock_match[3]
    if half:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (half == "pm")
    minutes = 60 * hour + minute
    return minutes if minute < 60 and minutes <= _MINUTES_PER_DAY else None


def _find_weekday(day_text: str) -> int:
    """Return the number of a day, Monday 0; -1 if there is no such day."""
    singular = day_text.removesuffix("s") if day_text.endswith("days") else day_text
    return next(
        (
            index
            for index, weekday in enumerate(WEEKDAYS)
            if len(singular) >= 3 and weekday.startswith(singular)
        ),
        -1,
    )
