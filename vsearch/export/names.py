"""Names of files that are written, and of reels: safe whatever the videos are called."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vsearch.export.excerpts import Excerpt
    from vsearch.types import Span

_LONGEST = 120  # bytes of a stem: disks take 255 for all of a name
_REEL = 8  # characters, as CMX 3600 has it
_TAKEN = {"AX", "BL"}  # reels with a meaning of their own: none, and black


def clip_names(excerpts: Sequence[Excerpt], suffix: str = ".mp4") -> list[str]:
    """A file name for each excerpt, all different: `03_beach_0.01.05-0.01.12.mp4`.

    They hold no separator, control character, leading dot or dash and nothing that Windows refuses.
    """
    digits = len(str(max((one.rank for one in excerpts), default=1)))
    names: list[str] = []
    taken: set[str] = set()
    for one in excerpts:
        stem = f"{one.rank:0{max(2, digits)}}_{plain(one.source.path.stem)}_{_when(one.span)}"
        name, again = stem, 1
        while name.casefold() in taken:
            again += 1
            name = f"{stem}_{again}"
        taken.add(name.casefold())
        names.append(name + suffix)
    return names


def plain(text: str) -> str:
    """Letters, digits, dots and dashes of a name, as many as fit."""
    text = unicodedata.normalize("NFC", text.encode("utf-8", "ignore").decode())
    text = re.sub(r"[^\w.-]+", "_", text).strip("._-")
    return text.encode()[:_LONGEST].decode("utf-8", "ignore").rstrip("._-") or "video"


def reels(paths: Iterable[Path]) -> dict[Path, str]:
    """A reel name for each video: eight letters and digits at most, all different."""
    named: dict[Path, str] = {}
    taken = set(_TAKEN)
    for path in dict.fromkeys(paths):
        ascii_ = unicodedata.normalize("NFKD", path.stem).encode("ascii", "ignore").decode()
        stem = re.sub(r"[^A-Z0-9]", "", ascii_.upper())[:_REEL] or "REEL"
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem[: _REEL - len(str(number))]}{number}"
        taken.add(name)
        named[path] = name
    return named


def _when(span: Span) -> str:
    return "-".join(
        f"{int(t) // 3600}.{int(t) // 60 % 60:02}.{int(t) % 60:02}" for t in (span.start, span.end)
    )
