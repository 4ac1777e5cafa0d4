"""Which videos a glob means: `*.mp4`, `holiday/*`, `/films/holiday/*.mp4`."""

from __future__ import annotations

import fnmatch
import os
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def matcher(globs: Sequence[str]) -> Callable[[Path], bool]:
    """Tells whether any glob fits a whole path or its end, from a folder or file name on.

    Upper and lower case are the same. A name that itself holds `[` or `*` fits as it is written.
    """
    patterns = [_pattern(glob) for glob in globs]

    def matches(path: Path) -> bool:
        name = _plain(str(path))
        return any(pattern.fullmatch(name) for pattern in patterns)

    return matches


def _pattern(glob: str) -> re.Pattern[str]:
    plain = _plain(glob)
    return re.compile(rf"(?:.*/)?(?:{re.escape(plain)}|{fnmatch.translate(plain)})", re.DOTALL)


def _plain(text: str) -> str:
    """Slashes, one case, and one spelling of accented letters: macOS takes them apart."""
    slashed = text.replace("\\", "/") if os.sep == "\\" else text
    return unicodedata.normalize("NFC", slashed).casefold()
