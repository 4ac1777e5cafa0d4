"""Quoting and formatting of query elements; the inverse of the parser.

Text formatted here is parsed back to the same value (see `query/grammar.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, time
from decimal import Decimal

WEIGHT_RE = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+):(?=[^\s0-9])")  # neither 10:30 nor `2: a`
FIELD_RE = re.compile(r"([A-Za-z]{2,}|4[Kk]):")
_URL_PREFIXES = ("http://", "https://")
_BLANK_RE = re.compile(r"\s")


def format_number(number_value: float) -> str:
    """Format a number without exponent: `2`, `0.25`.

    Args:
        number_value: A finite number.

    Returns:
        The shortest decimal text that parses to the same float.
    """
    number_text = format(Decimal(repr(float(number_value))), "f")
    return number_text.rstrip("0").rstrip(".") if "." in number_text else number_text


def quote_phrase(phrase_text: str) -> str:
    r"""Quote a phrase: `"a dog"`.

    Args:
        phrase_text: Text of the phrase.

    Returns:
        The phrase in quotes, with `"` and `\` escaped.
    """
    escaped_text = phrase_text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped_text}"'


def quote_words(words_text: str) -> str:
    """Format plain words.

    Args:
        words_text: Words of a text term.

    Returns:
        The words, escaped one by one; a single escaped word if they contain other white space
        than single blanks.
    """
    word_parts = words_text.split()
    if words_text != " ".join(word_parts):
        return quote_word(words_text)
    return " ".join(
        single_word if single_word == "-" else quote_word(single_word) for single_word in word_parts
    )


def quote_word(word_text: str) -> str:
    r"""Escape text that begins a query element: `into\ a\ pool`, `\-5`, `a\:b`.

    Args:
        word_text: Text that is to be read literally.

    Returns:
        A single word.
    """
    escaped_text = escape_value(word_text)
    if word_text.startswith(("-", "@")):
        escaped_text = f"\\{escaped_text}"
    elif not escaped_text.startswith(_URL_PREFIXES) and (
        WEIGHT_RE.match(escaped_text) or FIELD_RE.match(escaped_text)
    ):
        escaped_text = escaped_text.replace(":", "\\:", 1)
    return escaped_text


def escape_value(value_text: str) -> str:
    """Escape text that follows a field name.

    Args:
        value_text: Value of the field.

    Returns:
        A single word.
    """
    escaped_text = _BLANK_RE.sub(
        lambda blank_match: f"\\{blank_match[0]}", value_text.replace("\\", "\\\\")
    )
    return f"\\{escaped_text}" if escaped_text.startswith('"') else escaped_text


def quote_name(name_text: str) -> str:
    """Format a path or label.

    Args:
        name_text: Path or label.

    Returns:
        The name in quotes if it contains blanks or quotes, otherwise escaped.
    """
    return (
        quote_phrase(name_text)
        if _BLANK_RE.search(name_text) or '"' in name_text
        else escape_value(name_text)
    )


def format_date(date_time: datetime) -> str:
    """Format a date of a filter.

    Args:
        date_time: A time; UTC if it has no time zone.

    Returns:
        The day if the time is midnight in the local time zone, otherwise the time in UTC.
    """
    utc_time = (
        date_time.replace(tzinfo=UTC) if date_time.tzinfo is None else date_time.astimezone(UTC)
    )
    try:
        local_time = utc_time.astimezone()
        day_start = datetime.combine(local_time.date(), time.min)
        if day_start.astimezone(UTC) == utc_time:
            return day_start.date().isoformat()
    except (OverflowError, OSError):  # outside the range of the system clock
        pass
    return utc_time.isoformat().replace("+00:00", "Z")
