"""How a path is kept in SQLite: as text, or as its bytes where it is no UTF-8; and other text.

A file name on disk is any bytes; SQLite's text is UTF-8. A column of type TEXT takes a blob as it
is and never holds it equal to a text, so both kinds live in one unique column.
"""

from __future__ import annotations

import os
from pathlib import Path


def stored(path: Path) -> str | bytes:
    """What to keep for a path."""
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        return os.fsencode(text)
    return text


def restored(value: str | bytes) -> Path:
    """The path that was kept."""
    return Path(os.fsdecode(value))


def storable(text: str) -> str:
    """Text as SQLite takes it: what is no UTF-8, say of a file name in a note, is spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()
