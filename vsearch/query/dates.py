"""Dates of filters: absolute ones, and those relative to the time of the search."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias

from vsearch.errors import QueryError

_DAY_RE = re.compile(r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2}))?)?")
_DATETIME_RE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)?")
_AGO_RE = re.compile(r"([0-9]{1,5})(h|d|w|mo|y)")
_PERIOD_RE = re.compile(r"(this|last)-(week|month|year)")
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS_AGO = {"today": 0, "yesterday": 1}
_HELP = "write 2024, 2024-05, 2024-05-17, yesterday, 7d (seven days ago), last-week or monday"


@dataclass(frozen=True, slots=True)
class RelativeDate:
    """A date that depends on the time of the search, such as `yesterday`.

    Attributes:
        text: The date as in a query, in lower case: `last-week`.
    """

    text: str

    def resolve(self, now: datetime | None = None) -> datetime:
        """Return the start of the period in UTC.

        Args:
            now: Time to count from; None means the present.
        """
        now = (now or datetime.now(UTC)).astimezone()  # to the local time zone
        if ago_match := _AGO_RE.fullmatch(self.text):
            return _count_back(now, int(ago_match[1]), ago_match[2])
        return _start_of_day(_find_first_day(now.date(), self.text))


DateBound: TypeAlias = datetime | RelativeDate


def parse_date(date_text: str) -> DateBound:
    """Parse a date.

    Args:
        date_text: `2024`, `2024-05`, `2024-05-17`, `2024-05-17T10:30` with or without `Z`, `today`,
            `yesterday`, a weekday (the latest one), `this-week`, `last-month`, `7d`, `12h`, `2w`,
            `3mo` or `1y` (so long ago); in the local time zone unless it has one.

    Returns:
        Start of that period in UTC, or a relative date.

    Raises:
        QueryError: If the text is not a date.
    """
    try:
        if day_match := _DAY_RE.fullmatch(date_text):
            year, month, day = (int(group or 1) for group in day_match.groups())
            return _start_of_day(date(year, month, day))
        if _DATETIME_RE.fullmatch(date_text):
            return datetime.fromisoformat(date_text).astimezone(UTC)
        relative_date = RelativeDate("-".join(re.split(r"[\s_-]+", date_text.strip().lower())))
        relative_date.resolve()
    except (ValueError, OverflowError, OSError) as error:  # no such day, or out of range
        raise QueryError(f"{date_text!r} is not a date: {_HELP}") from error
    return relative_date


def resolve_date(date_bound: DateBound) -> datetime:
    """Return a date, or the date that a relative one is now, in UTC."""
    return date_bound.resolve() if isinstance(date_bound, RelativeDate) else date_bound


def _start_of_day(day: date) -> datetime:
    return datetime(day.year, day.month, day.day).astimezone(UTC)


def _count_back(now: datetime, count: int, unit: str) -> datetime:
    if unit == "h":
        return (now - timedelta(hours=count)).astimezone(UTC)
    day = now.date()
    if unit in ("d", "w"):
        return _start_of_day(day - timedelta(days=count * (7 if unit == "w" else 1)))
    return _start_of_day(_subtract_months(day, count * (12 if unit == "y" else 1)))


def _subtract_months(day: date, count: int) -> date:
    """Return the same day of an earlier month, or the last one of a shorter month."""
    year, month_index = divmod(day.year * 12 + day.month - 1 - count, 12)
    first_day = date(year, month_index + 1, 1)
    next_month = (first_day + timedelta(days=31)).replace(day=1)
    return min(first_day + timedelta(days=day.day - 1), next_month - timedelta(days=1))


def _find_first_day(today: date, date_text: str) -> date:
    """Return the first day of a period; raise ValueError if the text is none."""
    if date_text in _DAYS_AGO:
        return today - timedelta(days=_DAYS_AGO[date_text])
    if date_text in _WEEKDAYS:
        return today - timedelta(days=(today.weekday() - _WEEKDAYS.index(date_text)) % 7)
    period_match = _PERIOD_RE.fullmatch(date_text)
    if period_match is None:
        raise ValueError(date_text)
    is_last = period_match[1] == "last"
    if period_match[2] == "week":
        return today - timedelta(days=today.weekday() + 7 * is_last)
    if period_match[2] == "month":
        return _subtract_months(today.replace(day=1), int(is_last))
    return date(today.year - is_last, 1, 1)
