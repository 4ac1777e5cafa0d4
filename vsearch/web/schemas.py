"""What the API takes and gives, in JSON; times are seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from vsearch.web.problems import plain

Text = Annotated[str, Field(max_length=2_000)]
Seconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
Id = Annotated[int, Field(ge=0, lt=2**63)]
# a time without a zone is UTC, as the catalogue keeps it
Instant = Annotated[
    datetime, AfterValidator(lambda one: one if one.tzinfo else one.replace(tzinfo=UTC))
]
Shown = Annotated[str, BeforeValidator(plain)]  # that may name a file
UploadId = Annotated[str, Field(min_length=1, max_length=64)]
SearchId = Annotated[str, Field(min_length=1, max_length=64)]


class Given(BaseModel):
    """What a client sends: nothing but what is asked for."""

    model_config = ConfigDict(extra="forbid")


class Problem(BaseModel):
    """What went wrong, and what to do (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


# --- videos


class Video(BaseModel):
    """A video of the library."""

    id: int
    name: Shown
    path: Shown
    fingerprint: str
    size: int
    modified: int
    duration: float
    fps: float
    width: int
    height: int
    codec: str
    frames: int
    note: Shown | None
    model: str | None
    recorded: datetime | None
    keyframes: bool
    missing: bool
    playback: Literal["direct", "remux", "transcode", "none"]


class Tag(BaseModel):
    """What a video, or a part of it, was said to show."""

    label: str
    probability: float
    start: float | None
    end: float | None
    source: str
    model: str | None
    made_at: Instant


class VideoDetails(Video):
    """A video, and what is known of it."""

    segments: int
    words: list[str]
    tags: list[Tag]


class Page(BaseModel):
    """A part of a list."""

    total: int
    offset: int
    limit: int


class Videos(Page):
    """Videos of the library."""

    items: list[Video]


class Segment(BaseModel):
    """A stretch of a video that has one vector."""

    id: int
    start: float
    end: float


class Segments(Page):
    """The segments of a video, as they follow each other."""

    items: list[Segment]


class Word(BaseModel):
    """A word that is spoken, and when."""

    text: str
    start: float
    end: float


class Cue(BaseModel):
    """A line that is said or shown."""

    start: float
    end: float
    text: str
    words: list[Word]


class Transcript(BaseModel):
    """The words of a video."""

    source: str
    cues: list[Cue]


class Curve(BaseModel):
    """How well each stored frame of a video fits a search."""

    times: list[float]
    scores: list[float]
    floor: float  # what the library scores on average
    top: float


# --- searching


class Stretch(BaseModel):
    """From when to when."""

    start: float
    end: float


class Quote(Stretch):
    """Words that answer."""

    source: Literal["subtitles", "speech", "screen"]
    text: str
    score: float


class Heeded(BaseModel):
    """A frame, and how much it counted."""

    time: float
    share: float


class Shares(BaseModel):
    """What each kind of evidence brought to the score."""

    seen: float
    said: float
    shown: float


class Why(BaseModel):
    """What a moment was found by."""

    peak: float
    peak_score: float
    segments: int
    copied: bool = Field(default=False, serialization_alias="copy", validation_alias="copy")
    heeded: list[Heeded] = []
    quotes: list[Quote] = []
    shares: Shares | None = None
    steps: list[Stretch] = []
    alike: int = 0


class Moment(Stretch):
    """A result."""

    rank: int
    video: Video
    score: float
    confidence: float | None
    weak: bool
    why: Why
    mark: bool | None


class Part(BaseModel):
    """A part of a query as it was typed; all of them, blanks between, are the query."""

    kind: Literal["text", "image", "clip", "said", "shown", "then", "filter", "without", "saved"]
    text: str
    label: str


class Search(BaseModel):
    """What was asked, and what was found."""

    id: str
    query: Shown
    parts: list[Part]
    space: str | None
    text_model: str | None  # that read the words, where it is another one
    adapter: bool  # whether words were adapted to the library
    took_ms: float
    in_library: bool | None
    marks: int
    hints: list[Shown]
    results: list[Moment]


class Moments(BaseModel):
    """Moments of one video, in the order of time."""

    results: list[Moment]


class Clip(Given):
    """A clip to search with: what was uploaded, or a part of a video of the library."""

    upload: UploadId | None = None
    video: Id | None = None
    start: Seconds | None = None
    end: Seconds | None = None


class SearchWish(Given):
    """What to look for."""

    q: Text = ""
    k: Annotated[int, Field(ge=1, le=1_000)] = 10
    per_video: Annotated[int, Field(ge=1, le=1_000)] | None = None
    varied: bool = False
    alike: bool = False
    previous: SearchId | None = None
    images: Annotated[list[UploadId], Field(max_length=8)] = []
    clips: Annotated[list[Clip], Field(max_length=8)] = []


# --- the library


class Words(BaseModel):
    """How many videos have words of a source."""

    source: str
    videos: int


class May(BaseModel):
    """What this server is allowed to do."""

    index: bool
    export: bool


class Library(BaseModel):
    """What the library holds."""

    name: str
    version: str
    space: str | None
    model: str
    speaks_text: bool
    videos: int
    segments: int
    frames: int
    seconds: float
    size: int
    pooler: str | None
    words: list[Words]
    writer: str | None
    may: May


class FilterHelp(BaseModel):
    """A filter of the query language."""

    name: str
    example: str
    what: str


class Saved(BaseModel):
    """A search under a name."""

    name: str
    query: Shown
    made_at: Instant


class SavedList(BaseModel):
    """The searches that are saved."""

    items: list[Saved]


class Vocabulary(BaseModel):
    """What a query may be made of."""

    filters: list[FilterHelp]
    saved: list[Saved]
    tags: list[str]
    models: list[str]


class SaveWish(Given):
    """A query to save: its text, or the id of a search."""

    q: Text | None = None
    search: SearchId | None = None


class MarkWish(Given):
    """That a moment is what a search looks for, is not, or (null) nothing is said of it."""

    search: SearchId | None = None
    q: Text | None = None
    video_id: Id
    start: Seconds
    end: Seconds
    up: bool | None


class Mark(BaseModel):
    """What was said of a moment."""

    query: Shown
    video_id: int
    start: float
    end: float
    up: bool
    made_at: Instant


class Marks(BaseModel):
    """What was said of moments, the latest first."""

    items: list[Mark]


class Marked(BaseModel):
    """How many marks the query learns from."""

    marks: int


class Forgotten(BaseModel):
    """How many marks were taken away."""

    forgotten: int


class Token(Given):
    """The token of the server."""

    token: Annotated[str, Field(min_length=1, max_length=512)]


class Health(BaseModel):
    """That the server answers."""

    status: Literal["ok"]
    version: str
