"""The excerpts to export, and safe names for the files that are written."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.types import Span

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction
    from pathlib import Path

    from vsearch.types import Quote

_MAX_STEM_BYTES = 120  # file systems allow 255 for a complete name


@dataclass(frozen=True, slots=True)
class SourceVideo:
    """A video that is the source of excerpts."""

    video_path: Path  # absolute
    duration: float  # seconds; 0 if unknown
    frame_rate: Fraction | None = None  # frames per second, nominal if it varies; None if unknown
    width: int = 0  # pixels as displayed; 0 if unknown
    height: int = 0
    has_audio: bool = False
    start_timecode: str | None = None  # of the first frame, if the camera recorded one
    reel_name: str | None = None  # of the tape or card, if the file has one
    audio_channels: int = 2  # if it has audio
    is_photo: bool = False

    @property
    def display_name(self) -> str:
        """File name as one line of valid UTF-8."""
        return to_one_line(self.video_path.name)


@dataclass(frozen=True, slots=True)
class ExportExcerpt:
    """A span of a video, with its search result."""

    source: SourceVideo
    span: Span
    rank: int  # among the results, from 1
    score: float | None = None
    confidence: float | None = None
    query_note: str = ""  # the query
    quote: Quote | None = None  # matching transcript text

    @property
    def label(self) -> str:
        """Rank and query on one line."""
        return to_one_line(f"#{self.rank} {self.query_note}".strip())

    @property
    def marker_text(self) -> str:
        """Rank, query and confidence on one line."""
        return self.label if self.confidence is None else f"{self.label} ({self.confidence:.0%})"


def longest_shown(excerpts: Sequence[ExportExcerpt]) -> ExportExcerpt | None:
    """Return an excerpt of the frame size with the longest total duration; None if empty."""
    seconds_by_size: defaultdict[tuple[int, int], float] = defaultdict(float)
    for excerpt in excerpts:
        seconds_by_size[excerpt.source.width, excerpt.source.height] += excerpt.span.duration
    return max(
        excerpts,
        default=None,
        key=lambda excerpt: seconds_by_size[excerpt.source.width, excerpt.source.height],
    )


def pad_span(span: Span, pad_seconds: float, duration: float) -> Span | None:
    """Extend a span on both sides, within the video.

    Args:
        span: The span.
        pad_seconds: Seconds to add before and after.
        duration: Duration of the video; 0 if unknown.

    Returns:
        The padded span, or None if it lies after the end of the video.
    """
    padded_end = span.end + pad_seconds if duration <= 0 else min(span.end + pad_seconds, duration)
    padded_start = max(0.0, span.start - pad_seconds)
    return Span(padded_start, padded_end) if padded_start < padded_end else None


def merge_overlapping(excerpts: Sequence[ExportExcerpt]) -> list[ExportExcerpt]:
    """Merge excerpts of the same video that overlap or touch.

    Args:
        excerpts: The excerpts, in any order.

    Returns:
        Excerpts sorted by rank. A merged excerpt has the rank and result of its best part.
    """
    merged_excerpts: list[ExportExcerpt] = []
    for excerpt in excerpts:
        merged_excerpt = excerpt
        while other := next((e for e in merged_excerpts if _is_touching(merged_excerpt, e)), None):
            merged_excerpts.remove(other)
            merged_span = Span(
                min(merged_excerpt.span.start, other.span.start),
                max(merged_excerpt.span.end, other.span.end),
            )
            best_excerpt = min(merged_excerpt, other, key=lambda excerpt: excerpt.rank)
            merged_excerpt = replace(best_excerpt, span=merged_span)
        merged_excerpts.append(merged_excerpt)
    return sorted(merged_excerpts, key=lambda excerpt: excerpt.rank)


def to_one_line(text: str) -> str:
    """Escape unprintable characters, so that the text is one line of valid UTF-8."""
    return "".join(
        char
        if char.isprintable()
        else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in text
    )


def _is_touching(excerpt: ExportExcerpt, other: ExportExcerpt) -> bool:
    return (
        excerpt.source.video_path == other.source.video_path
        and excerpt.span.start <= other.span.end
        and other.span.start <= excerpt.span.end
    )


def make_clip_names(excerpts: Sequence[ExportExcerpt], suffix: str = ".mp4") -> list[str]:
    """Return unique file names such as `03_beach_0.01.05-0.01.12.mp4`, or `04_lake.jpg` of a photo.

    Args:
        excerpts: The excerpts to name.
        suffix: File name suffix of videos; photos keep their own.

    Returns:
        One name per excerpt, valid on all platforms, without separators, control characters and
        leading dots or dashes.
    """
    rank_digits = len(str(max((excerpt.rank for excerpt in excerpts), default=1)))
    file_names: list[str] = []
    taken_names: set[str] = set()
    for excerpt in excerpts:
        rank_text = f"{excerpt.rank:0{max(2, rank_digits)}}"
        video_stem = to_safe_stem(excerpt.source.video_path.stem)
        clip_stem = f"{rank_text}_{video_stem}"
        if not excerpt.source.is_photo:
            clip_stem += f"_{_format_span_name(excerpt.span)}"
        unique_stem, copy_number = clip_stem, 1
        while unique_stem.casefold() in taken_names:
            copy_number += 1
            unique_stem = f"{clip_stem}_{copy_number}"
        taken_names.add(unique_stem.casefold())
        photo_suffix = _to_safe_suffix(excerpt.source.video_path.suffix)
        file_names.append(unique_stem + (photo_suffix if excerpt.source.is_photo else suffix))
    return file_names


def to_safe_stem(raw_name: str) -> str:
    """Return a name reduced to letters, digits, dots and dashes, and shortened."""
    raw_name = unicodedata.normalize("NFC", raw_name.encode("utf-8", "ignore").decode())
    raw_name = re.sub(r"[^\w.-]+", "_", raw_name).strip("._-")
    return raw_name.encode()[:_MAX_STEM_BYTES].decode("utf-8", "ignore").rstrip("._-") or "video"


def _to_safe_suffix(suffix: str) -> str:
    return suffix if re.fullmatch(r"\.\w{1,8}", suffix, re.ASCII) else ""


def _format_span_name(span: Span) -> str:
    return "-".join(
        f"{int(seconds) // 3600}.{int(seconds) // 60 % 60:02}.{int(seconds) % 60:02}"
        for seconds in (span.start, span.end)
    )
