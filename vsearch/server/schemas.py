"""Request and response models of the REST API; times are seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from vsearch.server.problems import escape_undecodable
from vsearch.types import FileStatus  # noqa: TC001 - pydantic reads annotations

QueryText = Annotated[str, Field(max_length=2_000)]
NonNegativeSeconds = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
VideoId = Annotated[int, Field(ge=0, lt=2**63)]
# the catalog stores naive UTC times
UtcDatetime = Annotated[
    datetime,
    AfterValidator(
        lambda parsed_time: parsed_time if parsed_time.tzinfo else parsed_time.replace(tzinfo=UTC)
    ),
]
PrintableText = Annotated[str, BeforeValidator(escape_undecodable)]  # may contain a file name
UploadId = Annotated[str, Field(min_length=1, max_length=64)]
SearchId = Annotated[str, Field(min_length=1, max_length=64)]


class RequestModel(BaseModel):
    """Base of request bodies: no unknown fields."""

    model_config = ConfigDict(extra="forbid")


class ProblemDetails(BaseModel):
    """An error in the format of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


# --- videos


class VideoResponse(BaseModel):
    """A video of the library."""

    id: int
    name: PrintableText
    path: PrintableText
    fingerprint: str
    size: int
    mtime_ns: int
    duration: float
    fps: float
    width: int
    height: int
    codec: str
    sampled_frames: int
    warning: PrintableText | None
    model: str | None
    recorded_at: datetime | None
    keyframes_only: bool
    max_keyframe_gap: float | None
    file_status: FileStatus
    missing: bool = Field(description="the file is missing or offline")
    playback: Literal["direct", "remux", "transcode", "none"]


class TagResponse(BaseModel):
    """A label of a video or of a span of it."""

    label: str
    probability: float
    start: float | None
    end: float | None
    source: str
    model: str | None
    created_at: UtcDatetime


class VideoDetailsResponse(VideoResponse):
    """A video with its tags and transcript sources."""

    segment_count: int
    transcript_sources: list[str]
    tags: list[TagResponse]


class PageResponse(BaseModel):
    """Position of a page within a list."""

    total: int
    offset: int
    limit: int


class VideoListResponse(PageResponse):
    """A page of videos."""

    items: list[VideoResponse]


class SegmentResponse(BaseModel):
    """A span of a video with one embedding."""

    id: int
    start: float
    end: float


class SegmentListResponse(PageResponse):
    """A page of segments in chronological order."""

    items: list[SegmentResponse]


class WordResponse(BaseModel):
    """A spoken word with its time span."""

    text: str
    start: float
    end: float


class CueResponse(BaseModel):
    """A line of a transcript."""

    start: float
    end: float
    text: str
    words: list[WordResponse]


class TranscriptResponse(BaseModel):
    """A transcript of a video."""

    source: str
    cues: list[CueResponse]


class CurveResponse(BaseModel):
    """Similarity of each stored frame of a video to a search."""

    times: list[float]
    scores: list[float]
    baseline: float  # mean score in the library
    max_score: float


# --- searching


class TimeRange(BaseModel):
    """A time range."""

    start: float
    end: float


class QuoteResponse(TimeRange):
    """Text from a transcript that matches the query."""

    source: Literal["subtitles", "speech", "ocr"]
    text: str
    score: float


class FrameWeightResponse(BaseModel):
    """The attention weight of a frame."""

    time: float
    weight: float


class ScoreSharesResponse(BaseModel):
    """The share of each modality in the score."""

    visual: float
    speech: float
    ocr: float


class ExplanationResponse(BaseModel):
    """Evidence for a result."""

    peak: float
    peak_score: float
    segment_count: int
    is_copy: bool = False
    frame_weights: list[FrameWeightResponse] = []
    quotes: list[QuoteResponse] = []
    score_shares: ScoreSharesResponse | None = None
    steps: list[TimeRange] = []
    duplicates_hidden: int = 0


class MomentResponse(TimeRange):
    """A search result."""

    rank: int
    video: VideoResponse
    score: float
    confidence: float | None = Field(
        description="probability that the moment matches the query; null: not calibrated"
    )
    low_confidence: bool = Field(
        description="probably not a match: confidence is below 0.25; false if it is null"
    )
    explanation: ExplanationResponse
    relevant: bool | None


class QueryTokenResponse(BaseModel):
    """A token of a query as typed; the tokens joined by spaces are the query."""

    kind: Literal["text", "image", "clip", "said", "shown", "then", "filter", "exclude", "saved"]
    text: str
    label: str


class SearchResultsResponse(BaseModel):
    """A query and its results."""

    id: str
    query: PrintableText
    query_tokens: list[QueryTokenResponse]
    space: str | None
    text_model: str | None  # model that encoded the text, if not the default
    query_adapted: bool  # the text embedding was adapted to the library
    took_ms: float
    has_confident_match: bool | None
    feedback_count: int
    hints: list[PrintableText]
    results: list[MomentResponse]


class MomentListResponse(BaseModel):
    """Moments of one video in chronological order."""

    results: list[MomentResponse]


class ClipRef(RequestModel):
    """A clip to search with: an upload or a video of the library, optionally a span of it."""

    upload_id: UploadId | None = None
    video_id: VideoId | None = None
    start: NonNegativeSeconds | None = None
    end: NonNegativeSeconds | None = None


class SearchRequest(RequestModel):
    """A query with options."""

    q: QueryText = ""
    k: Annotated[int, Field(ge=1, le=1_000)] = 10
    per_video: Annotated[int, Field(ge=1, le=1_000)] | None = None
    diversify: bool = False
    include_duplicates: bool = False
    previous_search_id: SearchId | None = None
    images: Annotated[list[UploadId], Field(max_length=8)] = []
    clips: Annotated[list[ClipRef], Field(max_length=8)] = []


# --- the library


class TranscriptCount(BaseModel):
    """Number of videos with a transcript of a source."""

    source: str
    video_count: int


class Permissions(BaseModel):
    """Operations that this server permits."""

    index: bool
    export: bool


class LibraryResponse(BaseModel):
    """Size and settings of the library."""

    name: str
    version: str
    space: str | None
    model: str
    supports_text: bool
    video_count: int
    segment_count: int
    sampled_frames: int
    seconds: float
    size: int
    pooler: str | None
    missing_count: int  # videos whose file no longer exists
    offline_count: int  # videos whose drive or whole folder is gone
    transcript_counts: list[TranscriptCount]
    lock_holder: str | None
    permissions: Permissions


class FilterSyntax(BaseModel):
    """A filter of the query language."""

    name: str
    example: str
    description: str


class SavedSearchResponse(BaseModel):
    """A named query."""

    name: str
    query: PrintableText
    created_at: UtcDatetime


class SavedSearchListResponse(BaseModel):
    """All saved searches."""

    items: list[SavedSearchResponse]


class QuerySyntax(BaseModel):
    """Elements to suggest in queries."""

    filters: list[FilterSyntax]
    saved_searches: list[SavedSearchResponse]
    tags: list[str]
    models: list[str]


class SaveSearchRequest(RequestModel):
    """A query to save: its text, or the id of a search."""

    q: QueryText | None = None
    search_id: SearchId | None = None


class FeedbackRequest(RequestModel):
    """A relevance label for a moment; `relevant` null removes it."""

    search_id: SearchId | None = None
    q: QueryText | None = None
    video_id: VideoId
    start: NonNegativeSeconds
    end: NonNegativeSeconds
    relevant: bool | None


class FeedbackResponse(BaseModel):
    """A stored relevance label."""

    query: PrintableText
    video_id: int
    start: float
    end: float
    relevant: bool
    created_at: UtcDatetime


class FeedbackListResponse(BaseModel):
    """Relevance labels, newest first."""

    items: list[FeedbackResponse]


class FeedbackCount(BaseModel):
    """Number of relevance labels of the query."""

    feedback_count: int


class DeletedCount(BaseModel):
    """Number of deleted relevance labels."""

    deleted_count: int


class TokenRequest(RequestModel):
    """The token of the server."""

    token: Annotated[str, Field(min_length=1, max_length=512)]


class HealthResponse(BaseModel):
    """Health status and version."""

    status: Literal["ok"]
    version: str
