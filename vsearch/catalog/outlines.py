"""Outlines of all videos: enough to sort and group a large library, without other columns."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from vsearch.catalog.rows import decode_path_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SELECT_OUTLINES_SQL = """
    SELECT id, path, duration, mtime_ns, recorded_at, utc_offset_minutes, is_photo FROM videos
"""
SELECT_TRANSCRIBED_SQL = """
    SELECT video_id, source FROM transcripts WHERE source <> 'subtitles' OR EXISTS (
        SELECT 1 FROM cues WHERE cues.video_id = transcripts.video_id AND cues.source = 'subtitles')
"""


class VideoOutline(NamedTuple):
    """Path, time and length of a video."""

    video_id: int
    path_text: str  # absolute
    duration: float  # seconds
    mtime_ns: int  # modification time, nanoseconds since the epoch
    # of the recording, or else of the last change; of the place of the recording, if known, or
    # else of this machine; naive
    local_time: datetime
    is_photo: bool
    # also "speech" and "ocr" in which no words were found
    transcript_sources: frozenset[str]

    @property
    def folder_text(self) -> str:
        """Absolute path of the folder."""
        return self.path_text.rpartition(os.sep)[0]

    @property
    def file_name(self) -> str:
        """Name of the file."""
        return self.path_text.rpartition(os.sep)[2]

    @property
    def lacks_speech(self) -> bool:
        """True for a video without subtitles whose speech was not transcribed."""
        return not (self.is_photo or self.transcript_sources & {"speech", "subtitles"})

    @property
    def lacks_ocr(self) -> bool:
        """True if the on-screen text was not recognized."""
        return "ocr" not in self.transcript_sources


@dataclass(frozen=True, slots=True, eq=False)
class LibraryOutline:
    """The outlines of all videos of one state of a library."""

    change_number: int  # of the state; two states have different numbers
    videos: tuple[VideoOutline, ...]  # in no order


def read_outlines(
    video_rows: Iterable[Sequence[Any]], transcript_rows: Iterable[Sequence[Any]]
) -> tuple[VideoOutline, ...]:
    """Convert rows of `SELECT_OUTLINES_SQL` and `SELECT_TRANSCRIBED_SQL`.

    Raises:
        ValueError: If a row is not valid.
    """
    sources_by_id: dict[int, frozenset[str]] = {}
    for video_id, source in transcript_rows:
        sources_by_id[video_id] = sources_by_id.get(video_id, frozenset()) | {str(source)}
    no_sources: frozenset[str] = frozenset()
    return tuple(
        VideoOutline(
            int(video_id),
            decode_path_text(stored_path),
            float(duration),
            int(mtime_ns),
            _to_local_time(recorded_text, int(mtime_ns), utc_offset_minutes),
            bool(is_photo),
            sources_by_id.get(video_id, no_sources),
        )
        for (
            video_id, stored_path, duration, mtime_ns, recorded_text, utc_offset_minutes, is_photo,
        ) in video_rows
    )  # fmt: skip


def _to_local_time(
    recorded_text: str | None, mtime_ns: int, utc_offset_minutes: int | None
) -> datetime:
    try:
        if recorded_text is None:
            utc_time = _EPOCH + timedelta(microseconds=mtime_ns // 1_000)
        else:
            utc_time = datetime.fromisoformat(recorded_text).replace(tzinfo=UTC)
        if recorded_text is not None and utc_offset_minutes is not None:
            return (utc_time + timedelta(minutes=int(utc_offset_minutes))).replace(tzinfo=None)
        return utc_time.astimezone().replace(tzinfo=None)
    except (OverflowError, OSError):  # beyond the years that the operating system knows
        return datetime(1970, 1, 1)  # noqa: DTZ001 - naive
