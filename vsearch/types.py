"""Data types of vsearch: frozen dataclasses of NumPy arrays and standard types.

Times are seconds as float, spans are half-open, vectors are float32 of unit length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import singledispatch
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

PathInput: TypeAlias = "str | os.PathLike[str]"
Vector: TypeAlias = npt.NDArray[np.float32]  # (D,) unit length
Matrix: TypeAlias = npt.NDArray[np.float32]  # (N, D) rows of unit length
Times: TypeAlias = npt.NDArray[np.float64]  # (N,) seconds
Ids: TypeAlias = npt.NDArray[np.int64]  # (N,)
Images: TypeAlias = npt.NDArray[np.uint8]  # (N, H, W, 3) RGB
# "offline": the drive or the whole folder that was indexed is gone
FileStatus: TypeAlias = Literal["available", "missing", "offline"]
Spans: TypeAlias = npt.NDArray[np.float64]  # (N, 2) seconds: start and end
GrayImages: TypeAlias = npt.NDArray[np.uint8]  # (N, H, W), 0 black to 255 white


@singledispatch
def render_html(value: object) -> str | None:  # noqa: ARG001 - the argument selects the function
    """Return HTML for notebooks; None for types that `search/notebook_html.py` does not draw."""
    return None


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A time range in seconds, half-open: start <= t < end.

    Raises:
        ValueError: Unless both times are finite and 0 <= start <= end.
    """

    start: float  # seconds
    end: float  # seconds

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ValueError(f"times of a span must be finite, not {self.start}–{self.end}")
        if not 0 <= self.start <= self.end:
            raise ValueError(f"a span requires 0 <= start <= end, not {self.start}–{self.end}")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start

    def overlaps(self, other: Span, max_gap: float = 0.0) -> bool:
        """Return True if the spans share some time, or are less than `max_gap` seconds apart.

        Spans that merely touch do not overlap.
        """
        return self.start < other.end + max_gap and other.start < self.end + max_gap

    def iou(self, other: Span) -> float:
        """Return the intersection over union (IoU) with another span, in [0, 1]."""
        intersection = max(0.0, min(self.end, other.end) - max(self.start, other.start))
        union = self.duration + other.duration - intersection
        return intersection / union if union > 0 else float(self == other)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Consecutive frames of one video with their presentation times."""

    images: Images  # uint8 (N, H, W, 3) RGB
    frame_times: Times  # float64 (N,) seconds from the start of the video

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise ValueError(f"images must be uint8 (N, H, W, 3), not {self.images.shape}")
        if self.frame_times.shape != self.images.shape[:1]:
            raise ValueError(
                f"{len(self.images)} images but times of shape {self.frame_times.shape}"
            )

    def __len__(self) -> int:
        return len(self.frame_times)


@dataclass(frozen=True, slots=True)
class Space:
    """The identity of an embedding space. Vectors of different spaces are never compared."""

    name: str  # model and weights digest, e.g. "clip-vit-b-16-3d9f8087"
    dim: int  # dimensions of a vector
    supports_text: bool  # the model also encodes text

    def __post_init__(self) -> None:
        if not self.name or self.dim < 1:
            raise ValueError(f"invalid space: {self.name!r} with {self.dim} dimensions")


@dataclass(frozen=True, slots=True)
class Features:
    """Frame features of one video, as stored on disk."""

    space: Space
    frame_vectors: Matrix  # float32 (T, D), rows of unit length
    frame_times: Times  # float64 (T,) seconds

    def __post_init__(self) -> None:
        if self.frame_vectors.shape != (len(self.frame_times), self.space.dim):
            raise ValueError(
                f"features of shape {self.frame_vectors.shape} for {len(self.frame_times)} times "
                f"in {self.space}"
            )

    def within(self, span: Span) -> Features:
        """Return the features of the frames in a span.

        Args:
            span: Time range in seconds.

        Returns:
            Features of at least one frame (unless there are none at all): if no frame lies in
            `span`, the frame closest to its center.
        """
        is_inside = (self.frame_times >= span.start) & (self.frame_times < span.end)
        if not is_inside.any() and len(self.frame_times):
            center_time = (span.start + span.end) / 2
            is_inside[np.abs(self.frame_times - center_time).argmin()] = True
        return Features(self.space, self.frame_vectors[is_inside], self.frame_times[is_inside])


@dataclass(frozen=True, slots=True)
class Location:
    """A position on Earth in degrees (WGS 84).

    Raises:
        ValueError: Unless -90 <= latitude <= 90 and -180 <= longitude <= 180.
    """

    latitude: float  # north positive
    longitude: float  # east positive

    def __post_init__(self) -> None:
        if not (-90 <= self.latitude <= 90 and -180 <= self.longitude <= 180):
            raise ValueError(f"{self.latitude}, {self.longitude} is not a latitude and a longitude")


@dataclass(frozen=True, slots=True)
class Video:
    """An indexed video."""

    id: int
    path: Path  # absolute
    fingerprint: str  # of the content; copies of a file share it
    size_bytes: int
    mtime_ns: int  # modification time, nanoseconds since the epoch
    duration: float  # seconds
    fps: float  # frames per second of the file; 0 if unknown
    width: int  # display size in pixels, after rotation and pixel aspect ratio
    height: int
    codec: str
    sampled_frames: int
    warning: str | None = None  # problem found while decoding
    model: str | None = None  # model that computed the features; None if not recorded
    recorded_at: datetime | None = None  # UTC, from the metadata of the file
    keyframes_only: bool = False
    max_keyframe_gap: float | None = None  # seconds; None unless `keyframes_only`
    is_photo: bool = False  # a still picture: a video of one frame
    utc_offset_minutes: int | None = None  # of the local time of the recording; None if not known
    location: Location | None = None  # of the recording, from the metadata of the file
    camera: str | None = None  # make and model, from the metadata of the file
    source_url: str | None = None  # from which the file was downloaded
    other_paths: tuple[Path, ...] = ()  # of files with the same content; absolute, sorted
    file_status: FileStatus | None = field(default=None, compare=False)  # None if not checked

    def __repr__(self) -> str:
        return f"Video({self.id}, {str(self.path)!r}, {self.duration:.2f} s)"

    def _repr_html_(self) -> str | None:
        return render_html(self)

    @property
    def full_warning(self) -> str | None:
        """The warning, preceded by the key-frame gap if only key frames were sampled."""
        if self.max_keyframe_gap is None:
            return self.warning
        gap_text = f"key frames only, up to {self.max_keyframe_gap:.1f} s apart"
        return "; ".join(filter(None, (gap_text, self.warning)))


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """State and content of a file, by which changed, moved and duplicate files are recognized."""

    size_bytes: int
    mtime_ns: int  # modification time, nanoseconds since the epoch
    ctime_ns: int | None  # status change; None: not recorded, 0: the state is not to be trusted
    inode: str | None  # decimal; None if not recorded
    content_digest: str | None = None  # of the whole file; None if not known

    def has_state(self, present: FileIdentity) -> bool:
        """Return whether a file in another state certainly has this content."""
        is_same_size_and_time = (self.size_bytes, self.mtime_ns) == (
            present.size_bytes,
            present.mtime_ns,
        )
        return is_same_size_and_time and self.ctime_ns in (None, present.ctime_ns)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a video that is represented by one vector."""

    id: int
    video_id: int
    span: Span


@dataclass(frozen=True, slots=True)
class Tag:
    """A label of a video or of a span of it."""

    video_id: int
    label: str
    probability: float  # in [0, 1]
    span: Span | None  # None for the whole video
    source: str  # "by hand", a label set or a trained classifier
    model: str | None  # name of the embedding space that was classified
    created_at: datetime  # UTC

    def __post_init__(self) -> None:
        if not self.label or not 0 <= self.probability <= 1:
            raise ValueError(f"invalid tag: {self.label!r} with probability {self.probability}")

    def overlaps(self, span: Span) -> bool:
        """Return True if the tag applies to a part of `span`; a video tag applies everywhere."""
        if self.span is None or self.span.start == span.start:
            return True
        return self.span.overlaps(span)


@dataclass(frozen=True, slots=True, eq=False)
class ClassificationResult:
    """The classification of a video and its segments."""

    video: Video
    labels: tuple[str, ...]  # K labels; "none of these" is last, if it is an outcome
    video_probabilities: Vector  # float32 (K,)
    segments: tuple[Segment, ...]  # S segments
    segment_probabilities: Matrix  # float32 (S, K)
    tags: tuple[Tag, ...]  # outcomes at or above the threshold
    error: str | None = None  # reason why classification failed


@dataclass(frozen=True, slots=True)
class LibraryCounts:
    """Size of a library."""

    video_count: int
    segment_count: int
    duration_seconds: float  # of all videos
    frame_count: int  # sampled frames


@dataclass(frozen=True, slots=True)
class SpaceInfo:
    """An embedding space in which a library has vectors."""

    space: Space
    model: str | None  # setting `model`; None if not recorded
    pooler: str | None
    is_active: bool  # used by searches
    retired_at_revision: int | None = None  # catalog revision at which it ceased to be active
    video_count: int = 0  # videos with all of their vectors
    size_bytes: int = 0  # on disk


CueSource: TypeAlias = Literal["subtitles", "speech", "ocr"]


SoundKind: TypeAlias = Literal["speech", "music", "singing"]


@dataclass(frozen=True, slots=True)
class SoundSpan:
    """A span of the sound of a video in which there is speech, music or singing."""

    kind: SoundKind
    span: Span


@dataclass(frozen=True, slots=True)
class Word:
    """A spoken word with its time."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Cue:
    """A timed line of a transcript: a subtitle, speech or on-screen text."""

    span: Span
    text: str  # one line without markup
    source: CueSource = "subtitles"
    words: tuple[Word, ...] = ()  # of speech, if the recognizer times words


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript of a video from one source, without its cues."""

    video_id: int
    source: CueSource
    source_name: str  # model, subtitle file, or "stream 2"
    language: str | None  # ISO 639, detected or given
    cue_count: int
    created_at: datetime  # UTC
    source_digest: str | None = None  # of the subtitle files


@dataclass(frozen=True, slots=True)
class TranscriptText:
    """Cues of one transcript of a video, in chronological order."""

    video: Video
    source: CueSource
    cues: tuple[Cue, ...]


TermKind: TypeAlias = Literal["text", "image", "clip", "said", "shown"]


@dataclass(frozen=True, slots=True)
class TextReading:
    """The way in which a text model reads a text, for hints to the user."""

    language: str | None = None  # name in English, such as "Finnish"; None if not identified
    is_supported: bool = True  # the model was trained on the language
    supported_languages: tuple[str, ...] = ()  # unless `is_supported`
    replacements: tuple[tuple[str, str], ...] = ()  # (word, correction that is searched as well)
    unknown_words: tuple[str, ...] = ()  # not in the vocabulary, and without a correction


@dataclass(frozen=True, slots=True)
class RelevanceLabel:
    """A judgment of one moment as relevant or irrelevant to a query."""

    query_text: str  # without filters
    video_id: int
    span: Span
    relevant: bool
    created_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Quote:
    """A passage of a transcript that matches a query."""

    source: CueSource
    span: Span
    text: str  # excerpt around the match
    score: float  # in [0, 1], share of the query's term weights that matches


@dataclass(frozen=True, slots=True)
class ScoreShares:
    """The shares of each modality in a score; they sum to 1."""

    visual: float
    speech: float  # speech and subtitles
    ocr: float  # on-screen text


@dataclass(frozen=True, slots=True)
class FrameWeight:
    """The attention weight of a frame in the vector of its segment."""

    frame_time: float  # seconds
    weight: float  # in [0, 1]; the weights of a segment sum to 1


@dataclass(frozen=True, slots=True)
class NameMatch:
    """Words of a query that the names of a video's file and folders contain."""

    words: tuple[str, ...]  # in the order of the query
    covers_query: bool  # no word is missing, except those that most names contain


@dataclass(frozen=True, slots=True)
class Explanation:
    """The evidence for a moment."""

    peak_time: float  # seconds, time of the best matching frame
    peak_score: float  # similarity of that frame
    segment_count: int  # neighboring segments joined into the moment
    is_copy: bool = False  # the query clip is a copy of this moment
    frame_weights: Sequence[FrameWeight] = ()  # best segment, descending; trained pooler only
    step_spans: tuple[Span, ...] = ()  # of each step of a sequence query (A then B)
    quotes: tuple[Quote, ...] = ()  # matching transcript passages, best first
    score_shares: ScoreShares | None = None  # None if only one modality was searched
    duplicates_hidden: int = 0  # near-duplicate results omitted in favor of this one
    name_match: NameMatch | None = None  # words of the query in the names of file and folders
    copy_alteration: str = ""  # of the query clip, if it is an altered copy: mirrored, 1.5× faster


WEAK_CONFIDENCE = 0.25  # where misses below equal false alarms above, on validation queries


def round_confidence(confidence: float, digits: int) -> float:
    """Round a confidence for output; a low one is never rounded up to the threshold."""
    rounded = round(confidence, digits)
    is_raised = confidence < WEAK_CONFIDENCE <= rounded
    return round(rounded - 10**-digits, digits) if is_raised else rounded


@dataclass(frozen=True, slots=True)
class Moment:
    """A search result."""

    video: Video
    span: Span
    score: float  # similarity; comparable within one query only
    confidence: float | None  # probability of being relevant; None if not calibrated
    explanation: Explanation

    @property
    def is_named_like_query(self) -> bool:
        """True if the names of file and folders contain all words of the query."""
        name_match = self.explanation.name_match
        return name_match is not None and name_match.covers_query

    def __repr__(self) -> str:
        confidence_text = "" if self.confidence is None else f", {100 * self.confidence:.0f} %"
        return (
            f"Moment({self.video.path.name!r}, {self.span.start:.2f}-{self.span.end:.2f} s, "
            f"score {self.score:.3f}{confidence_text})"
        )

    def _repr_html_(self) -> str | None:
        return render_html(self)

    @property
    def has_low_confidence(self) -> bool:
        """True if the moment is merely the closest match and probably not relevant."""
        return self.confidence is not None and self.confidence < WEAK_CONFIDENCE


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Similarity of a video's stored frames to a query over time."""

    frame_times: Times  # float64 (T,) seconds
    scores: Vector  # float32 (T,), on the scale of `Moment.score`
    baseline: float  # mean score of a segment of the library


@dataclass(frozen=True, slots=True)
class LibraryInfo:
    """Contents of a library."""

    path: Path
    space: Space | None  # None while nothing is indexed
    pooler: str | None
    video_count: int
    segment_count: int
    duration_seconds: float  # of all videos
    frame_count: int  # sampled frames
    size_bytes: int  # on disk
    model_counts: tuple[tuple[str | None, int], ...] = ()  # (model, videos), most frequent first
    transcript_counts: tuple[tuple[CueSource, int], ...] = ()  # (source, videos)
    sound_counts: tuple[tuple[SoundKind, int], ...] = ()  # (kind, videos)
    missing_count: int = 0  # videos whose file no longer exists
    offline_count: int = 0  # videos whose drive or whole folder is gone
    location: str = ""  # `path`, or the URL of the database
