"""Reel names for edit decision lists: the ones in the files, else made from the file names."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsearch.export.timeline import start_offset

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from vsearch.export.excerpts import SourceVideo

_REEL_CHARS = 8  # limit of CMX 3600
# Have a special meaning: auxiliary source, black, color bars.
_RESERVED_REELS = {"AX", "BL", "BLACK", "BARS"}
_DAY_SECONDS = 24 * 3600.0  # assumed for a video of unknown duration


def make_reel_names(sources: Iterable[SourceVideo]) -> dict[Path, str]:
    """Return the reel name of each video, of at most eight ASCII letters, digits, `_` and `-`.

    Videos share a reel only if their files name the same one and their timecodes do not overlap,
    so that reel and timecode always identify a frame.

    Args:
        sources: The videos.

    Returns:
        Reel name by path.
    """
    unique_sources = {source.video_path: source for source in sources}.values()
    reel_names: dict[Path, str] = {}
    taken_reels: dict[str, list[_TakenReel]] = {}  # by upper-case name
    # Names from the files take precedence.
    for source in sorted(unique_sources, key=lambda source: not _to_reel(source.reel_name)):
        reel_names[source.video_path] = _choose_name(source, taken_reels)
    return reel_names


@dataclass(frozen=True, slots=True)
class _TakenReel:
    """A video that has a reel name."""

    file_reel: str  # complete name in the file; empty if it names none
    start_seconds: float  # timecode
    end_seconds: float

    def may_share(self, other: _TakenReel) -> bool:
        return bool(self.file_reel) and (
            self.file_reel == other.file_reel
            and (self.end_seconds <= other.start_seconds or other.end_seconds <= self.start_seconds)
        )


def _choose_name(source: SourceVideo, taken_reels: dict[str, list[_TakenReel]]) -> str:
    """Return a free name for a video, and take it."""
    file_reel = _to_reel(source.reel_name)
    file_stem = re.sub("[_-]", "", _to_reel(source.video_path.stem)).upper()
    start_seconds = float(start_offset(source))
    taken_reel = _TakenReel(
        file_reel, start_seconds, start_seconds + (source.duration or _DAY_SECONDS)
    )
    reel_stem = file_reel or file_stem or "REEL"
    reel_name, copy_number = reel_stem[:_REEL_CHARS], 1
    while reel_name.upper() in _RESERVED_REELS or not all(
        map(taken_reel.may_share, taken_reels.get(reel_name.upper(), ()))
    ):
        copy_number += 1
        reel_name = f"{reel_stem[: _REEL_CHARS - len(str(copy_number))]}{copy_number}"
    taken_reels.setdefault(reel_name.upper(), []).append(taken_reel)
    return reel_name


def _to_reel(raw_name: str | None) -> str:
    """Reduce a name to ASCII letters, digits, `_` and `-`."""
    decomposed_name = unicodedata.normalize("NFKD", raw_name or "")
    return re.sub(r"[^A-Za-z0-9_-]", "", decomposed_name.encode("ascii", "ignore").decode())
