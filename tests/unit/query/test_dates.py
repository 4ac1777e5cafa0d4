"""Dates of filters, relative to the time of the search."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.support.video_factory import BLUE, ColorScene, make_video
from vsearch.errors import QueryError
from vsearch.query.dates import RelativeDate, parse_date, resolve_date
from vsearch.query.parser import parse_query

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.processes import CommandRunner

NOW = datetime(2026, 11, 30, 13, 45)  # noqa: DTZ001 - a Monday, local


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone cannot be set here")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", (2026, 11, 30)),
        ("Yesterday", (2026, 11, 29)),
        ("monday", (2026, 11, 30)),
        ("tuesday", (2026, 11, 24)),
        ("sunday", (2026, 11, 29)),
        ("this-week", (2026, 11, 30)),
        ("last week", (2026, 11, 23)),
        ("this_month", (2026, 11, 1)),
        ("last-month", (2026, 10, 1)),
        ("this-year", (2026, 1, 1)),
        ("last-year", (2025, 1, 1)),
        ("0d", (2026, 11, 30)),
        ("7d", (2026, 11, 23)),
        ("2w", (2026, 11, 16)),
        ("1mo", (2026, 10, 30)),
        ("9mo", (2026, 2, 28)),
        ("1y", (2025, 11, 30)),
    ],
)
def test_periods_start_in_the_local_time_zone(text: str, expected: tuple[int, int, int]) -> None:
    relative = parse_date(text)
    assert isinstance(relative, RelativeDate)
    assert relative.resolve(NOW.astimezone(UTC)) == datetime(*expected).astimezone(UTC)


def test_hours_are_counted_to_the_minute() -> None:
    relative = parse_date("12h")
    assert isinstance(relative, RelativeDate)
    assert relative.resolve(NOW.astimezone(UTC)) == (NOW - timedelta(hours=12)).astimezone(UTC)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "7", "7m", "last", "week", "99999y", "-1d", "7 d"]
)
def test_other_words_are_refused(text: str) -> None:
    with pytest.raises(QueryError, match="is not a date: write 2024"):
        parse_date(text)


def test_a_query_stays_relative_and_the_narrower_bound_holds() -> None:
    query = parse_query('dog after:7d -before:"last year"')
    assert str(query) == "dog after:7d -before:last-year"
    assert parse_query(str(query)) == query
    narrow = parse_query("dog after:1y after:yesterday after:2001").filters
    assert narrow.recorded_after == RelativeDate("yesterday")
    assert resolve_date(datetime(2001, 1, 1, tzinfo=UTC)) == datetime(2001, 1, 1, tzinfo=UTC)


@pytest.mark.usefixtures("fake_model")
def test_videos_of_the_last_days_are_found(run_vsearch: CommandRunner, tmp_path: Path) -> None:
    for name, days in (("new.mp4", 1), ("old.mp4", 30)):
        make_video(tmp_path / name, [ColorScene(BLUE, 2 + days)])
        recorded_at = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(tmp_path / name, (recorded_at, recorded_at))
    run_vsearch("index", "new.mp4", "old.mp4")
    run_vsearch("save", "recent", "blue", "after:7d")
    assert "blue after:7d" in run_vsearch("saved").stdout
    output = run_vsearch("search", "@recent").stdout
    assert "new.mp4" in output
    assert "old.mp4" not in output
