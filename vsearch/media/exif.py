"""Read date, place and camera of a photo from its EXIF data."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from PIL import Image
from PIL.ExifTags import GPS, IFD, Base

from vsearch.media.recording import (
    MAX_OFFSET_MINUTES,
    Recording,
    format_camera,
    infer_offset,
    is_plausible_date,
    make_location,
    parse_utc_offset,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.types import Location

_DATE_TAGS = (  # of the date, its UTC offset and its fraction of a second, in order of preference
    (Base.DateTimeOriginal, Base.OffsetTimeOriginal, Base.SubsecTimeOriginal),
    (Base.DateTimeDigitized, Base.OffsetTimeDigitized, Base.SubsecTimeDigitized),
    (Base.DateTime, Base.OffsetTime, Base.SubsecTime),
)
_DATE_RE = re.compile(r"(\d{4})[:/-](\d\d)[:/-](\d\d)[ T](\d\d):(\d\d):(\d\d)", re.ASCII)
_GPS_DATE_RE = re.compile(r"(\d{4})\D(\d\d)\D(\d\d)", re.ASCII)
_MINUTES_PER_DEGREE, _SECONDS_PER_DEGREE = 60, 3600


def read_exif(image: Image.Image) -> Image.Exif:
    """Return the EXIF data of an image; empty if it is damaged."""
    try:
        return image.getexif()
    except Exception:  # raises nearly anything on damage
        return Image.Exif()


def read_exif_recording(exif: Image.Exif) -> Recording:
    """Return date, place and camera of a photo.

    A date without a UTC offset is in local time: the offset then follows from the time of the
    satellites, or else is that of the computer's own time zone.

    Args:
        exif: EXIF data of an untrusted file.
    """
    photo_tags, gps_tags = _read_tags(exif, IFD.Exif), _read_tags(exif, IFD.GPSInfo)
    all_tags = {**_read_tags(exif), **photo_tags}
    local_time, utc_offset_minutes = _find_local_time(all_tags)
    gps_time = _read_gps_time(gps_tags)
    if local_time is None:
        recorded_at, utc_offset_minutes = gps_time, None
    else:
        if utc_offset_minutes is None and gps_time is not None:
            utc_offset_minutes = infer_offset(local_time, gps_time)
        if utc_offset_minutes is None:
            utc_offset_minutes = _get_computer_offset(local_time)
        recorded_at = local_time.replace(tzinfo=UTC) - timedelta(minutes=utc_offset_minutes)
    return Recording(
        recorded_at,
        utc_offset_minutes,
        _read_location(gps_tags),
        format_camera(_get_text(all_tags, Base.Make), _get_text(all_tags, Base.Model)),
    )


def _read_tags(exif: Image.Exif, ifd: IFD | None = None) -> dict[int, Any]:
    """Return the tags of the main directory, or of another one; none if it is damaged."""
    try:
        return dict(exif) if ifd is None else dict(exif.get_ifd(ifd))
    except Exception:  # raises nearly anything on damage
        return {}


def _get_text(tags: Mapping[int, Any], tag: int) -> str | None:
    value = tags.get(tag)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value.strip("\0 ") if isinstance(value, str) else None


def _find_local_time(tags: Mapping[int, Any]) -> tuple[datetime | None, int | None]:
    """Return the first plausible date without a time zone, and its UTC offset if there is one."""
    for date_tag, offset_tag, fraction_tag in _DATE_TAGS:
        date_match = _DATE_RE.match(_get_text(tags, date_tag) or "")
        if date_match is None:
            continue
        fraction_digits = re.match(r"\d{0,6}", _get_text(tags, fraction_tag) or "", re.ASCII)
        microseconds = int((fraction_digits[0] if fraction_digits else "").ljust(6, "0"))
        try:
            year, month, day, hour, minute, second = map(int, date_match.groups())
            local_time = datetime(year, month, day, hour, minute, second, microseconds)  # noqa: DTZ001
        except ValueError:
            continue
        if is_plausible_date(local_time.replace(tzinfo=UTC)):
            return local_time, parse_utc_offset(_get_text(tags, offset_tag) or "")
    return None, None


def _get_computer_offset(local_time: datetime) -> int:
    """Return the UTC offset of the computer's time zone at that time, in minutes."""
    try:
        utc_offset = local_time.astimezone().utcoffset() or timedelta(0)
    except (OSError, OverflowError):  # before 1970 on Windows
        return 0
    offset_minutes = round(utc_offset.total_seconds() / 60)
    return offset_minutes if abs(offset_minutes) <= MAX_OFFSET_MINUTES else 0


def _read_gps_time(gps_tags: Mapping[int, Any]) -> datetime | None:
    """Return the time of the satellites, in UTC."""
    date_match = _GPS_DATE_RE.match(_get_text(gps_tags, GPS.GPSDateStamp) or "")
    if date_match is None:
        return None
    try:
        year, month, day = map(int, date_match.groups())
        hours, minutes, seconds = (float(part) for part in gps_tags[GPS.GPSTimeStamp])
        time_of_day = timedelta(hours=hours, minutes=minutes, seconds=seconds)
        gps_time = datetime(year, month, day, tzinfo=UTC) + time_of_day
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return gps_time if is_plausible_date(gps_time) else None


def _read_location(gps_tags: Mapping[int, Any]) -> Location | None:
    latitude = _read_angle(gps_tags, GPS.GPSLatitude, GPS.GPSLatitudeRef, "S")
    longitude = _read_angle(gps_tags, GPS.GPSLongitude, GPS.GPSLongitudeRef, "W")
    return None if latitude is None or longitude is None else make_location(latitude, longitude)


def _read_angle(
    gps_tags: Mapping[int, Any], angle_tag: int, reference_tag: int, negative_reference: str
) -> float | None:
    """Return degrees from degrees, minutes and seconds."""
    try:
        degrees, minutes, seconds = (float(part) for part in gps_tags[angle_tag])
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    angle = degrees + minutes / _MINUTES_PER_DEGREE + seconds / _SECONDS_PER_DEGREE
    is_negative = (_get_text(gps_tags, reference_tag) or "").upper() == negative_reference
    return -angle if is_negative else angle
