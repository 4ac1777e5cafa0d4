"""Request and response models of the REST API; times are seconds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from vsearch.server.problems import clean_message, escape_undecodable
from vsearch.types import FileStatus, SoundKind  # noqa: TC001 - pydantic reads annotations

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
MessageText = Annotated[str, BeforeValidator(clean_message)]  # without advice for the command line
UploadId = Annotated[str, Field(min_length=1, max_length=64)]
SearchId = Annotated[str, Field(min_length=1, max_length=64)]


class RequestModel(BaseModel):
    """Base of request bodies: no unknown fields and no type coercion."""

    model_config = ConfigDict(strict=True, extra="forbid")


class ProblemDetails(BaseModel):
    """An error in the format of RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


# --- videos


class LocationResponse(BaseModel):
    """A position on Earth in degrees (WGS 84)."""

    latitude: float
    longitude: float


class VideoFields(BaseModel):
    """The fields of a video that are known without opening its file."""

    video_id: int
    name: PrintableText
    path: PrintableText
    fingerprint: str
    size: int
    mtime_ns: int
    modified_at: UtcDatetime
    duration: float
    fps: float
    width: int
    height: int
    codec: str
    sampled_frames: int
    warning: MessageText | None
    model: str | None
    recorded_at: UtcDatetime | None
    keyframes_only: bool
    max_keyframe_gap: float | None
    is_photo: bool = Field(description="a still picture: a video of one frame")
    utc_offset_minutes: int | None = Field(description="of the local time of the recording")
    location: LocationResponse | None = Field(description="of the recording")
    camera: PrintableText | None = Field(description="make and model")
    other_paths: list[PrintableText] = Field(description="of files with the same content")
    source_url: PrintableText | None = Field(description="from which the file was downloaded")
    file_status: FileStatus
    missing: bool = Field(description="the file is missing or offline")


class VideoListItem(VideoFields):
    """A video in a list of the library."""

    local_time: str = Field(
        description="when it was recorded, or else changed: ISO 8601 without a time zone, of the "
        "place of the recording if that is known, or else of the server"
    )
    lacks_speech: bool = Field(description="the speech was not transcribed; no subtitles either")
    lacks_ocr: bool = Field(description="the on-screen text was not recognized")


class VideoResponse(VideoFields):
    """A video of the library."""

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


class SoundResponse(BaseModel):
    """A span of the sound of a video in which there is speech, music or singing."""

    kind: SoundKind
    start: float
    end: float


class VideoDetailsResponse(VideoResponse):
    """A video with its tags, sounds and transcript sources."""

    segment_count: int
    transcript_sources: list[str]
    sounds: list[SoundResponse] = Field(description="empty if not analyzed")
    tags: list[TagResponse]


class PageResponse(BaseModel):
    """Position of a page within a list."""

    total: int
    offset: int
    limit: int


class VideoListResponse(PageResponse):
    """A page of videos."""

    items: list[VideoListItem]


class MonthCountResponse(BaseModel):
    """Number of videos recorded in a month."""

    year: int
    month: int
    video_count: int


class MonthListResponse(BaseModel):
    """Number of videos per month, the latest first, in the order of `/videos?sort=recorded`."""

    items: list[MonthCountResponse]
    total: int


class FolderCountResponse(BaseModel):
    """A folder with the number of videos in it and in its subfolders."""

    path: str
    name: str
    video_count: int


class LibraryFolderResponse(FolderCountResponse):
    """A folder with those that contain it, the outermost first, and its subfolders."""

    parents: list[FolderCountResponse]
    subfolders: list[FolderCountResponse]


class SegmentResponse(BaseModel):
    """A span of a video with one embedding."""

    segment_id: int
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


class NameMatchResponse(BaseModel):
    """Words of the query in the names of a video's file and folders."""

    words: list[str]
    covers_query: bool


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
    name_match: NameMatchResponse | None = None
    copy_alteration: str = ""


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

    search_id: str
    query: PrintableText
    query_tokens: list[QueryTokenResponse]
    space: str | None
    text_model: str | None  # model that encoded the text, if not the default
    query_adapted: bool  # the text embedding was adapted to the library
    took_ms: float
    has_confident_match: bool | None
    feedback_count: int
    hints: list[MessageText]
    browse: bool = Field(
        description="the query only has filters: results are sorted by date, the latest first, and "
        "have neither scores nor confidences"
    )
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
    transcribe: bool  # speech recognition is installed
    ocr: bool  # recognition of on-screen text is installed


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
    files_checked: bool  # false: missing and offline files are still being counted
    transcript_counts: list[TranscriptCount]
    lacking_speech_count: int  # videos without subtitles whose speech was not transcribed
    lacking_ocr_count: int  # videos whose on-screen text was not recognized
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
