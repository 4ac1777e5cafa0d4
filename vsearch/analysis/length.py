"""How long a summary may be: seconds, or a share of the video."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.errors import QueryError

if TYPE_CHECKING:
    from typing import Self

_TIME = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<s>\d+(?:\.\d+)?)s?)?"
)


@dataclass(frozen=True, slots=True)
class Length:
    """Seconds, or a share of a video's own length; one of the two."""

    seconds: float | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        value = self.seconds if self.share is None else self.share
        if (self.seconds is None) == (self.share is None) or value is None:
            raise ValueError("a length is seconds or a share")
        if not (math.isfinite(value) and value > 0):
            raise QueryError(f"a summary cannot be {value:g} long: give a length above 0")
        if self.share is not None and self.share > 1:
            raise QueryError(f"{100 * self.share:g}% is longer than the video itself")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`30s`, `1m30s`, `1h`, `90`, `1:30` or `10%`. Raises QueryError."""
        words = text.strip().lower().replace(" ", "")
        try:
            if words.endswith("%"):
                return cls(share=float(words[:-1]) / 100)
            if re.fullmatch(r"\d+(:\d\d){1,2}(\.\d+)?", words):
                places = reversed(words.split(":"))
                return cls(seconds=math.fsum(float(n) * 60.0**i for i, n in enumerate(places)))
            if words and (match := _TIME.fullmatch(words)):
                hours, minutes, seconds = (float(match[unit] or 0) for unit in "hms")
                return cls(seconds=3600 * hours + 60 * minutes + seconds)
        except (ValueError, OverflowError):
            pass
        raise QueryError(f"{text!r} is no length: write 30s, 1m30s, 90 or 10%")

    @classmethod
    def of(cls, length: Length | str | float) -> Length:
        """What a caller means: text as on the command line, a number of seconds, or a Length."""
        if isinstance(length, Length):
            return length
        return cls.parse(length) if isinstance(length, str) else cls(seconds=float(length))

    def within(self, duration: float) -> float:
        """Seconds for a video of that many."""
        seconds = self.seconds if self.share is None else self.share * duration
        return min(seconds or 0.0, duration)
