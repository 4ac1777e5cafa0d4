"""What a server answers besides moments, as the nouns of vsearch. See `wire.py` for those.

Each raises KeyError, TypeError or ValueError where something is not as it should be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from vsearch.types import Cue, CueSource, Mark, SavedSearch, Segment, Tag, Word
from vsearch.wire import read_moment, read_span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vsearch.types import Moment

ENDED = ("done", "failed", "stopped")


@dataclass(frozen=True, slots=True)
class Served:
    """What the library of a server holds, and what the server may do."""

    name: str
    version: str  # of vsearch there
    space: str | None  # None while nothing is indexed
    model: str
    speaks_text: bool
    pooler: str | None
    videos: int
    segments: int
    frames: int  # sampled
    seconds: float  # of video
    size: int  # bytes on disk
    words: tuple[tuple[str, int], ...]  # how many videos have words of each source
    writer: str | None  # who is writing to it
    may_index: bool
    may_export: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, and what there is to say of it."""

    id: str  # of the search, while the server remembers it
    query: str  # as the server was asked
    space: str | None  # that answered; None while nothing is indexed
    marks: int  # that the query learnt from
    hints: tuple[str, ...]
    moments: tuple[Moment, ...]  # best first
    text_model: str | None = None  # that read the words, where it is another one
    adapter: bool = False  # whether words were adapted to the library


@dataclass(frozen=True, slots=True)
class Failure:
    """A file that a job could not do."""

    path: str
    error: str


@dataclass(frozen=True, slots=True)
class Made:
    """A file that an export made."""

    name: str
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Job:
    """Indexing or exporting on a server, as it was when asked."""

    id: str
    kind: str  # index or export
    state: str  # waiting, running, done, failed or stopped
    title: str
    made_at: datetime
    share: float  # of the work that is done, in [0, 1]
    remaining: float | None  # seconds
    current: str | None  # name of the video in hand
    counts: Mapping[str, int]  # how many files had which outcome
    errors: tuple[Failure, ...]
    error: str | None  # why all of it failed
    files: tuple[Made, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in ENDED


def read_served(told: Mapping[str, Any]) -> Served:
    """What `GET /library` tells."""
    return Served(
        str(told["name"]),
        str(told["version"]),
        _text(told["space"]),
        str(told["model"]),
        bool(told["speaks_text"]),
        _text(told.get("pooler")),
        int(told["videos"]),
        int(told["segments"]),
        int(told.get("frames", 0)),
        float(told["seconds"]),
        int(told["size"]),
        tuple((str(each["source"]), int(each["videos"])) for each in told["words"]),
        _text(told["writer"]),
        may_index=bool(told["may"]["index"]),
        may_export=bool(told["may"]["export"]),
    )


def read_found(told: Mapping[str, Any]) -> Found:
    """What `POST /search` tells."""
    return Found(
        str(told["id"]),
        str(told["query"]),
        _text(told["space"]),
        int(told["marks"]),
        tuple(map(str, told["hints"])),
        tuple(map(read_moment, told["results"])),
        _text(told.get("text_model")),
        bool(told.get("adapter")),
    )


def read_job(told: Mapping[str, Any]) -> Job:
    """What `GET /jobs/{id}` tells."""
    left = told["remaining"]
    return Job(
        str(told["id"]),
        str(told["kind"]),
        str(told["state"]),
        str(told["title"]),
        _time(told["made_at"]),
        float(told["share"]),
        None if left is None else float(left),
        _text(told["current"]),
        {str(outcome): int(count) for outcome, count in told["counts"].items()},
        tuple(Failure(str(each["path"]), str(each["error"])) for each in told["errors"]),
        _text(told["error"]),
        tuple(Made(str(each["name"]), int(each["size"])) for each in told["files"]),
    )


def read_segment(video_id: int, told: Mapping[str, Any]) -> Segment:
    """A stretch of a video."""
    return Segment(int(told["id"]), video_id, read_span(told))


def read_cue(told: Mapping[str, Any], source: CueSource) -> Cue:
    """A line of a transcript."""
    words = tuple(Word(str(each["text"]), read_span(each)) for each in told.get("words", ()))
    return Cue(read_span(told), str(told["text"]), source, words)


def read_source(told: Any) -> CueSource:
    """Whence words are."""
    if told not in get_args(CueSource):
        raise ValueError("words are said or shown")
    source: CueSource = told
    return source


def read_tag(video_id: int, told: Mapping[str, Any]) -> Tag:
    """What a video shows; when it was said is the epoch where the server does not tell."""
    made = told.get("made_at")
    return Tag(
        video_id,
        str(told["label"]),
        float(told["probability"]),
        None if told["start"] is None else read_span(told),
        str(told["source"]),
        _text(told.get("model")),
        datetime.fromtimestamp(0, UTC) if made is None else _time(made),
    )


def read_saved(told: Mapping[str, Any]) -> SavedSearch:
    """A search under a name."""
    return SavedSearch(str(told["name"]), str(told["query"]), _time(told["made_at"]))


def read_mark(told: Mapping[str, Any]) -> Mark:
    """What was said of a moment."""
    return Mark(
        str(told["query"]),
        int(told["video_id"]),
        read_span(told),
        bool(told["up"]),
        _time(told["made_at"]),
    )


def _time(told: str) -> datetime:
    when = datetime.fromisoformat(told)
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)


def _text(told: Any) -> str | None:
    return None if told is None else str(told)
