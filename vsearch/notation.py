"""How parts of a query are written, so that they are read as what they are.

The grammar is in `search/grammar.py`; what is written here is read there as the same.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from decimal import Decimal

WEIGHT = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+):(?=[^\s0-9])")  # not 10:30, nor `2: a`
NAME = re.compile(r"([A-Za-z]{2,}):")

_ADDRESS = ("http://", "https://")
_BLANK = re.compile(r"\s")


def number(value: float) -> str:
    """A number without exponent: `2`, `0.25`."""
    text = format(Decimal(repr(float(value))), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def quoted(text: str) -> str:
    """A phrase: `"a dog"`."""
    inside = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{inside}"'


def words(text: str) -> str:
    """Words as they are typed; with odd blanks among them they are one word, see `word`."""
    parts = text.split()
    if text != " ".join(parts):
        return word(text)
    return " ".join(part if part == "-" else word(part) for part in parts)


def word(text: str) -> str:
    """What stands where a part begins, as one word: `into\\ a\\ pool`, `\\-5`, `a\\:b`."""
    inside = value(text)
    if text.startswith(("-", "@")):
        inside = f"\\{inside}"
    elif not inside.startswith(_ADDRESS) and (WEIGHT.match(inside) or NAME.match(inside)):
        inside = inside.replace(":", "\\:", 1)
    return inside


def value(text: str) -> str:
    """What stands behind a name, as one word."""
    inside = _BLANK.sub(lambda blank: f"\\{blank[0]}", text.replace("\\", "\\\\"))
    return f"\\{inside}" if inside.startswith('"') else inside


def named(text: str) -> str:
    """A path or a label: as it is, or in quotes if that is plainer."""
    return quoted(text) if _BLANK.search(text) or '"' in text else value(text)


def date(when: datetime) -> str:
    """The day, where it begins then by the clock of this place; else the time in UTC."""
    exact = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    try:
        here = exact.astimezone()
        day = datetime.combine(here.date(), time.min)
        if day.astimezone(UTC) == exact:
            return day.date().isoformat()
    except (OverflowError, OSError):  # before or after what this system's clock knows
        pass
    return exact.isoformat().replace("+00:00", "Z")
