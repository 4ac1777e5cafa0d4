"""Metadata of a recording: date, place and camera, as written by phones and cameras.

The values come from untrusted files: what is malformed, out of range or absurdly long is None.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from vsearch.types import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

# In order of preference: a phone's tag dates the recording, the second may date the export.
_DATE_TAGS = ("com.apple.quicktime.creationdate", "creation_time")
_OFFSET_TAGS = ("com.samsung.android.utc_offset",)
_LOCATION_TAGS = ("com.apple.quicktime.location.iso6709", "location", "location-eng")
_MAKE_TAGS = ("com.apple.quicktime.make", "com.android.manufacturer", "make")
_MODEL_TAGS = ("com.apple.quicktime.model", "com.android.model", "model")
# Clocks that were never set yield 1904 and 1970.
EARLIEST_RECORDING = datetime(1971, 1, 1, tzinfo=UTC)
_MAX_CLOCK_SKEW = timedelta(days=1)  # by which a camera's clock may be fast
_MAX_TAG_CHARS = 100
_LOCATION_DIGITS = 6  # of degrees: 10 cm
_MAX_DRONE_CUES = 10  # read until the receiver has a fix
MAX_OFFSET_MINUTES = 14 * 60  # of the easternmost time zone
_UTC_OFFSET_RE = re.compile(r"([+-])(\d{2}):?(\d{2})", re.ASCII)
# Latitude, longitude, and altitude and reference system, which are ignored.
_ISO6709_RE = re.compile(
    r"([+-])(\d{1,6})(\.\d*)?([+-])(\d{1,7})(\.\d*)?(?:[+-][\d.]+)?(?:CRS\w+)?/?", re.ASCII
)
# A drone's subtitles: `[latitude: 22.5] [longtitude: 113.9]`, as it spells it, or
# `GPS(113.9,22.5,19)`.
_DRONE_BRACKETS_RE = re.compile(
    r"\[latitude\s*:\s*([+-]?\d{1,3}\.\d+)\]?.{0,40}?\[?long?t?itude\s*:\s*([+-]?\d{1,3}\.\d+)",
    re.ASCII | re.IGNORECASE,
)
_DRONE_GPS_RE = re.compile(r"\bGPS\s*\(\s*([+-]?\d{1,3}\.\d+)\s*,\s*([+-]?\d{1,3}\.\d+)", re.ASCII)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Recording:
    """When, where and with what a video or photo was recorded, as far as its file records it."""

    recorded_at: datetime | None = None  # UTC
    utc_offset_minutes: int | None = None  # of the local time
    location: Location | None = None
    camera: str | None = None  # make and model


UNKNOWN_RECORDING = Recording()


def read_recording(*metadata_maps: Mapping[str, str]) -> Recording:
    """Return the metadata of a recording.

    Args:
        *metadata_maps: Metadata of the container and its streams, in order of preference, with the
            tags of QuickTime, Android or Matroska, which writes them in capitals.
    """
    tag_maps = [
        {tag_name.lower(): tag_value for tag_name, tag_value in metadata_map.items()}
        for metadata_map in metadata_maps
    ]
    dated = _first(map(_parse_date, _iter_tags(tag_maps, _DATE_TAGS)))
    recorded_at, utc_offset_minutes = dated or (None, None)
    if recorded_at is not None and utc_offset_minutes is None:
        utc_offset_minutes = _first(map(parse_utc_offset, _iter_tags(tag_maps, _OFFSET_TAGS)))
    return Recording(
        recorded_at,
        utc_offset_minutes,
        location=_first(map(parse_iso6709, _iter_tags(tag_maps, _LOCATION_TAGS))),
        camera=format_camera(
            _first(_iter_tags(tag_maps, _MAKE_TAGS)), _first(_iter_tags(tag_maps, _MODEL_TAGS))
        ),
    )


def _iter_tags(tag_maps: Iterable[Mapping[str, str]], tag_names: Iterable[str]) -> Iterator[str]:
    """Yield the values of tags that are present, in order of their names."""
    tag_values = (tag_map.get(tag_name) for tag_name in tag_names for tag_map in tag_maps)
    return (tag_value for tag_value in tag_values if tag_value)


def _first(optional_values: Iterable[_Value | None]) -> _Value | None:
    return next((value for value in optional_values if value is not None), None)


def _parse_date(date_text: str) -> tuple[datetime, int | None] | None:
    """Parse an ISO 8601 date; one without a time zone is in UTC, as containers define it.

    Returns:
        UTC, and the offset of the local time in minutes if the text contains one.
    """
    date_text = date_text.strip()[:_MAX_TAG_CHARS]
    try:
        parsed_date = datetime.fromisoformat(date_text)
        if parsed_date.tzinfo is None or date_text.upper().endswith("Z"):
            utc_date, utc_offset_minutes = parsed_date.replace(tzinfo=UTC), None
        else:
            utc_date, utc_offset_minutes = parsed_date.astimezone(UTC), _read_offset(parsed_date)
    except (ValueError, OverflowError):
        return None
    return (utc_date, utc_offset_minutes) if is_plausible_date(utc_date) else None


def is_plausible_date(recorded_at: datetime) -> bool:
    """Return whether a camera whose clock was set can have recorded at a time with a zone."""
    return EARLIEST_RECORDING <= recorded_at <= datetime.now(UTC) + _MAX_CLOCK_SKEW


def _read_offset(local_time: datetime) -> int | None:
    """Return the UTC offset of a time in minutes; None if there is no such time zone."""
    utc_offset = local_time.utcoffset() or timedelta(0)
    offset_minutes = round(utc_offset.total_seconds() / 60)
    return offset_minutes if abs(offset_minutes) <= MAX_OFFSET_MINUTES else None


def infer_offset(local_time: datetime, utc_time: datetime) -> int | None:
    """Return the UTC offset in minutes of a clock set to local time; None if it is implausible.

    Args:
        local_time: What the clock showed; its time zone is ignored.
        utc_time: UTC at about the same time.
    """
    difference = local_time.replace(tzinfo=UTC) - utc_time
    offset_minutes = 15 * round(difference.total_seconds() / (15 * 60))  # as time zones are
    return offset_minutes if abs(offset_minutes) <= MAX_OFFSET_MINUTES else None


def parse_utc_offset(offset_text: str) -> int | None:
    """Return a UTC offset such as `+02:00`, `-0330` or `Z` in minutes; None if invalid."""
    if offset_text.strip() == "Z":
        return 0
    offset_match = _UTC_OFFSET_RE.fullmatch(offset_text.strip())
    if offset_match is None:
        return None
    sign, hours, minutes = offset_match.groups()
    offset_minutes = int(sign + "1") * (60 * int(hours) + int(minutes))
    return offset_minutes if abs(offset_minutes) <= MAX_OFFSET_MINUTES else None


def parse_iso6709(location_text: str) -> Location | None:
    """Return a location such as `+48.1375+011.5755+520/` (ISO 6709, annex H); None if invalid."""
    location_match = _ISO6709_RE.fullmatch(location_text.strip()[:_MAX_TAG_CHARS])
    if location_match is None:
        return None
    latitude = _parse_angle(*location_match.groups()[:3], degree_digits=2)
    longitude = _parse_angle(*location_match.groups()[3:], degree_digits=3)
    return make_location(latitude, longitude)


def _parse_angle(sign: str, digits: str, decimals: str | None, *, degree_digits: int) -> float:
    """Return degrees from DD.D, DDMM.M or DDMMSS.S; NaN if they are none of these."""
    fraction = float(f"0{decimals or '.'}0")
    if len(digits) <= degree_digits:
        degrees = int(digits) + fraction
    elif len(digits) == degree_digits + 2:
        degrees = int(digits[:-2]) + (int(digits[-2:]) + fraction) / 60
    elif len(digits) == degree_digits + 4:
        minutes = int(digits[-4:-2]) + (int(digits[-2:]) + fraction) / 60
        degrees = int(digits[:-4]) + minutes / 60
    else:
        return math.nan
    return -degrees if sign == "-" else degrees


def find_drone_location(subtitle_texts: Iterable[str]) -> Location | None:
    """Return the first location in the subtitles that a drone wrote; None if there is none.

    Args:
        subtitle_texts: Texts of subtitles in chronological order; only the first few are read.
    """
    for subtitle_text in islice(subtitle_texts, _MAX_DRONE_CUES):
        if bracket_match := _DRONE_BRACKETS_RE.search(subtitle_text):
            location = make_location(float(bracket_match[1]), float(bracket_match[2]))
        elif gps_match := _DRONE_GPS_RE.search(subtitle_text):  # longitude first
            location = make_location(float(gps_match[2]), float(gps_match[1]))
        else:
            continue
        if location is not None:
            return location
    return None


def make_location(latitude: float, longitude: float) -> Location | None:
    """Return a location in degrees; None if it is not on Earth, or 0, 0: a receiver without fix."""
    if latitude == longitude == 0:
        return None
    try:
        return Location(round(latitude, _LOCATION_DIGITS), round(longitude, _LOCATION_DIGITS))
    except (ValueError, OverflowError):
        return None


def format_camera(make: str | None, model: str | None) -> str | None:
    """Return make and model of a camera as one name; None if both are unknown.

    A model that contains its make ("Canon EOS R5") is not preceded by it again.
    """
    make_name, model_name = (_clean_name(name) for name in (make, model))
    if make_name and model_name.casefold().startswith(make_name.split()[0].casefold()):
        make_name = ""
    return f"{make_name} {model_name}".strip() or None


def _clean_name(name: str | None) -> str:
    """Return a name on one line; empty if it is absurdly long."""
    name = (name or "").partition("\0")[0]
    if len(name) > _MAX_TAG_CHARS:
        return ""
    return " ".join("".join(char if char.isprintable() else " " for char in name).split())
