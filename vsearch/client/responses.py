"""Parsing of server responses; moments and videos are in `vsearch.search.serialization`.

The `…_from_dict` functions raise KeyError, TypeError or ValueError for invalid data.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from vsearch.query.model import SavedSearch
from vsearch.search.result import SearchResult
from vsearch.search.serialization import moment_from_dict, span_from_dict
from vsearch.types import Cue, CueSource, RelevanceLabel, Segment, Tag, Word

if TYPE_CHECKING:
    from collections.abc import Mapping

FINAL_STATES = ("done", "failed", "stopped")


@dataclass(frozen=True, slots=True)
class ServerLibrary:
    """The size of a server's library, and the server's permissions."""

    name: str
    version: str  # of vsearch on the server
    space: str | None  # None while nothing is indexed
    model: str
    supports_text: bool
    pooler: str | None
    video_count: int
    segment_count: int
    sampled_frames: int
    seconds: float  # total duration of the videos
    size_bytes: int  # on disk
    transcript_counts: tuple[tuple[str, int], ...]  # videos per source
    lock_holder: str | None  # process that is writing to the library
    can_index: bool
    can_export: bool


@dataclass(frozen=True, slots=True)
class FileFailure:
    """A file that a job could not process."""

    path: str
    error: str


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file written by an export."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Job:
    """State of an index or export job at the time of the request."""

    job_id: str
    kind: str  # "index" or "export"
    state: str  # waiting, running, done, failed or stopped
    title: str
    created_at: datetime
    progress: float  # in [0, 1]
    eta_seconds: float | None
    current_file: str | None  # name of the video being processed
    counts: Mapping[str, int]  # files per outcome
    errors: tuple[FileFailure, ...]
    error: str | None  # why the job failed
    files: tuple[JobFile, ...]

    @property
    def is_finished(self) -> bool:
        """Return True if the job is done, failed or stopped."""
        return self.state in FINAL_STATES


def library_from_dict(payload: Mapping[str, Any]) -> ServerLibrary:
    """Parse the response of `GET /library`."""
    return ServerLibrary(
        str(payload["name"]),
        str(payload["version"]),
        _to_optional_str(payload["space"]),
        str(payload["model"]),
        bool(payload["supports_text"]),
        _to_optional_str(payload.get("pooler")),
        int(payload["video_count"]),
        int(payload["segment_count"]),
        int(payload.get("sampled_frames", 0)),
        float(payload["seconds"]),
        int(payload["size"]),
        tuple(
            (str(count_payload["source"]), int(count_payload["video_count"]))
            for count_payload in payload["transcript_counts"]
        ),
        _to_optional_str(payload["lock_holder"]),
        can_index=bool(payload["permissions"]["index"]),
        can_export=bool(payload["permissions"]["export"]),
    )


def search_result_from_dict(payload: Mapping[str, Any]) -> SearchResult:
    """Parse the response of `POST /search`."""
    return SearchResult(
        tuple(map(moment_from_dict, payload["results"])),
        str(payload["query"]),
        _to_optional_str(payload["space"]),
        tuple(map(str, payload["hints"])),
        float(payload["took_ms"]),
        int(payload["feedback_count"]),
        _to_optional_str(payload.get("text_model")),
        query_adapted=bool(payload.get("query_adapted")),
        browse=bool(payload.get("browse")),  # absent in servers of older versions
        search_id=str(payload["search_id"]),
    )


def job_from_dict(payload: Mapping[str, Any]) -> Job:
    """Parse the response of `GET /jobs/{job_id}`."""
    eta_seconds = payload["eta_seconds"]
    return Job(
        str(payload["job_id"]),
        str(payload["kind"]),
        str(payload["state"]),
        str(payload["title"]),
        _parse_time(payload["created_at"]),
        float(payload["progress"]),
        None if eta_seconds is None else float(eta_seconds),
        _to_optional_str(payload["current_file"]),
        {str(outcome): int(file_count) for outcome, file_count in payload["counts"].items()},
        tuple(
            FileFailure(str(entry_payload["path"]), str(entry_payload["error"]))
            for entry_payload in payload["errors"]
        ),
        _to_optional_str(payload["error"]),
        tuple(
            JobFile(str(entry_payload["name"]), int(entry_payload["size"]))
            for entry_payload in payload["files"]
        ),
    )


def segment_from_dict(video_id: int, payload: Mapping[str, Any]) -> Segment:
    """Parse a segment."""
    return Segment(int(payload["segment_id"]), video_id, span_from_dict(payload))


def cue_from_dict(payload: Mapping[str, Any], cue_source: CueSource) -> Cue:
    """Parse a cue."""
    words = tuple(
        Word(str(word_payload["text"]), span_from_dict(word_payload))
        for word_payload in payload.get("words", ())
    )
    return Cue(span_from_dict(payload), str(payload["text"]), cue_source, words)


def cue_source_from_json(source_name: Any) -> CueSource:
    """Return a valid transcript source; raise ValueError otherwise."""
    if source_name not in get_args(CueSource):
        raise ValueError(f"unknown transcript source {source_name!r}")
    cue_source: CueSource = source_name
    return cue_source


def tag_from_dict(video_id: int, payload: Mapping[str, Any]) -> Tag:
    """Parse a tag; `created_at` defaults to the epoch if missing."""
    created_at = payload.get("created_at")
    return Tag(
        video_id,
        str(payload["label"]),
        float(payload["probability"]),
        None if payload["start"] is None else span_from_dict(payload),
        str(payload["source"]),
        _to_optional_str(payload.get("model")),
        datetime.fromtimestamp(0, UTC) if created_at is None else _parse_time(created_at),
    )


def saved_search_from_dict(payload: Mapping[str, Any]) -> SavedSearch:
    """Parse a saved search."""
    return SavedSearch(
        str(payload["name"]), str(payload["query"]), _parse_time(payload["created_at"])
    )


def relevance_label_from_dict(payload: Mapping[str, Any]) -> RelevanceLabel:
    """Parse a relevance label."""
    return RelevanceLabel(
        str(payload["query"]),
        int(payload["video_id"]),
        span_from_dict(payload),
        bool(payload["relevant"]),
        _parse_time(payload["created_at"]),
    )


def _parse_time(time_text: str) -> datetime:
    parsed_time = datetime.fromisoformat(time_text)
    return (
        parsed_time.replace(tzinfo=UTC)
        if parsed_time.tzinfo is None
        else parsed_time.astimezone(UTC)
    )


def _to_optional_str(value: Any) -> str | None:
    return None if value is None else str(value)
