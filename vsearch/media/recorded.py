"""When a file says that it was recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# what a phone says of the recording stands before what may be of the file that was exported
TAGS = ("com.apple.quicktime.creationdate", "creation_time")
EARLIEST = datetime(1971, 1, 1, tzinfo=UTC)  # clocks that were never set say 1904 and 1970
AHEAD = timedelta(days=1)  # that a clock may be before its time
LONGEST = 40  # letters of a date


def recorded(*metadata: Mapping[str, str]) -> datetime | None:
    """The first date that can be believed, in UTC, of a container and its streams."""
    for name in TAGS:
        for tags in metadata:
            if (when := _date(tags.get(name, ""))) is not None:
                return when
    return None


def _date(text: str) -> datetime | None:
    """A date as ISO 8601 has it; one without a zone is in UTC, as containers have it."""
    try:
        when = datetime.fromisoformat(text.strip()[:LONGEST])
        exact = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return exact if EARLIEST <= exact <= datetime.now(UTC) + AHEAD else None
