"""The nouns of vsearch: frozen dataclasses over numpy and the standard library.

Times are seconds as float64, spans half-open. Vectors are float32 of unit length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch import notation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

Vector: TypeAlias = npt.NDArray[np.float32]  # (D,) unit length
Matrix: TypeAlias = npt.NDArray[np.float32]  # (N, D) rows of unit length
Times: TypeAlias = npt.NDArray[np.float64]  # (N,) seconds
Ids: TypeAlias = npt.NDArray[np.int64]  # (N,)
Images: TypeAlias = npt.NDArray[np.uint8]  # (N, H, W, 3) RGB
Grays: TypeAlias = npt.NDArray[np.uint8]  # (N, H, W) from black, 0, to white, 255


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of time in seconds, half-open: start <= t < end."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ValueError(f"a span needs finite times, not {self.start}–{self.end}")
        if not 0 <= self.start <= self.end:
            raise ValueError(f"a span needs 0 <= start <= end, not {self.start}–{self.end}")

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start

    def iou(self, other: Span) -> float:
        """Overlap divided by union, in [0, 1]."""
        shared = max(0.0, min(self.end, other.end) - max(self.start, other.start))
        union = self.duration + other.duration - shared
        return shared / union if union > 0 else float(self == other)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Consecutive frames of one video and when each is shown."""

    images: Images  # uint8 (N, H, W, 3) RGB
    times: Times  # float64 (N,) seconds from the start of the video

    def __post_init__(self) -> None:
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or self.images.shape[3] != 3:
            raise ValueError(f"images must be uint8 (N, H, W, 3), not {self.images.shape}")
        if self.times.shape != self.images.shape[:1]:
            raise ValueError(f"{len(self.images)} images but times of shape {self.times.shape}")

    def __len__(self) -> int:
        return len(self.times)


@dataclass(frozen=True, slots=True)
class Space:
    """The identity of an embedding space; vectors of two spaces are never compared."""

    name: str  # model and digest of its weights, e.g. "clip-vit-b-16-3d9f8087"
    dim: int
    speaks_text: bool

    def __post_init__(self) -> None:
        if not self.name or self.dim < 1:
            raise ValueError(f"not a space: {self.name!r} with {self.dim} dimensions")


@dataclass(frozen=True, slots=True)
class Features:
    """Frame features of one video, as stored on disk."""

    space: Space
    matrix: Matrix  # float32 (T, D), rows of unit length
    times: Times  # float64 (T,) seconds

    def __post_init__(self) -> None:
        if self.matrix.shape != (len(self.times), self.space.dim):
            raise ValueError(
                f"features of shape {self.matrix.shape} for {len(self.times)} times in {self.space}"
            )

    def within(self, span: Span) -> Features:
        """The frames inside `span`, or the one nearest to its middle when it holds none."""
        inside = (self.times >= span.start) & (self.times < span.end)
        if not inside.any() and len(self.times):
            middle = (span.start + span.end) / 2
            inside[np.abs(self.times - middle).argmin()] = True
        return Features(self.space, self.matrix[inside], self.times[inside])


@dataclass(frozen=True, slots=True)
class Video:
    """A video in the catalogue."""

    id: int
    path: Path  # absolute
    fingerprint: str  # of the content: the same file elsewhere has the same one
    size: int  # bytes
    modified: int  # nanoseconds since the epoch, as the file system tells
    duration: float  # seconds
    fps: float  # of the file itself, 0 where unknown
    width: int  # pixels as shown: after rotation and pixel aspect
    height: int
    codec: str
    frames: int  # sampled
    note: str | None = None  # what was wrong with it, if anything
    model: str | None = None  # that made its features; None where it was not noted
    recorded: datetime | None = None  # UTC, as the file itself says
    keyframes: bool = False  # nothing else was looked at; see the note


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a video that has one vector."""

    id: int
    video_id: int
    span: Span


@dataclass(frozen=True, slots=True)
class Tag:
    """What a video, or a span of it, was said to show."""

    video_id: int
    label: str
    probability: float
    span: Span | None  # None: the whole video
    source: str  # who said so
    model: str | None  # the space it was seen in
    made_at: datetime  # UTC

    def __post_init__(self) -> None:
        if not self.label or not 0 <= self.probability <= 1:
            raise ValueError(f"no tag: {self.label!r} with probability {self.probability}")

    def touches(self, span: Span) -> bool:
        """Whether a part of its video has it; what the whole video has, every part has."""
        if self.span is None or self.span.start == span.start:
            return True
        return self.span.start < span.end and span.start < self.span.end


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """What a video was found to show."""

    video: Video
    labels: tuple[str, ...]  # K; "none of these" is the last one where nothing may fit
    whole: Vector  # float32 (K,) probabilities of the video
    segments: tuple[Segment, ...]
    probabilities: Matrix  # float32 (S, K), of each segment
    tags: tuple[Tag, ...]
    error: str | None = None  # why it could not be judged


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a library holds."""

    videos: int
    segments: int
    seconds: float  # of video
    frames: int  # sampled


@dataclass(frozen=True, slots=True)
class KnownSpace:
    """A space that a library has vectors in, or is getting them."""

    space: Space
    model: str | None  # as settings name it; None where it was not noted
    pooler: str | None
    in_use: bool  # it answers queries
    answered_until: int | None = None  # the catalogue's revision at which it ceased to
    videos: int = 0  # that are wholly in it
    size: int = 0  # bytes on disk


CueSource: TypeAlias = Literal["subtitles", "speech", "screen"]


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is spoken, and when."""

    text: str
    span: Span


@dataclass(frozen=True, slots=True)
class Cue:
    """What is said or shown at one time: one line, without markup."""

    span: Span
    text: str
    source: CueSource = "subtitles"
    words: tuple[Word, ...] = ()  # of speech, where their times are known


@dataclass(frozen=True, slots=True)
class Transcript:
    """That the words of one source were brought into the library for a video, and from what."""

    video_id: int
    source: CueSource
    origin: str  # the model, the name of the subtitle file, or `stream 2`
    language: str | None  # ISO 639, as it was detected or named
    cues: int
    made_at: datetime  # UTC


TermKind: TypeAlias = Literal["text", "image", "clip", "said", "shown"]


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is asked for."""

    kind: TermKind
    value: str  # the words, or the path of a picture or a clip
    weight: float = 1.0  # negative: what is not wanted
    span: Span | None = None  # of a clip
    exact: bool = False  # words in quotes: in this order, where text found in a video is searched

    def __post_init__(self) -> None:
        if not self.value.strip():
            raise ValueError("a term needs words or a path")
        if not math.isfinite(self.weight) or self.weight == 0:
            raise ValueError(f"a weight must be a number other than 0, not {self.weight}")

    def __str__(self) -> str:
        """As it is typed."""
        amount = "" if abs(self.weight) == 1 else f"{notation.number(abs(self.weight))}:"
        lead = f"-{amount}" if self.weight < 0 else amount
        if self.kind == "text" and not self.exact:
            if not lead:
                return notation.words(self.value)
            odd = self.value in ("-", "@") or self.value[0].isdecimal()  # 2:30 is a time
            return (
                f"{lead}text:{notation.value(self.value)}"
                if odd
                else lead + notation.word(self.value)
            )
        if self.kind in ("text", "said", "shown"):
            name = "" if self.kind == "text" else f"{self.kind}:"
            written = notation.quoted if self.exact else notation.value
            return f"{lead}{name}{written(self.value)}"
        if self.kind == "clip" and "@" in self.value:
            path = notation.quoted(self.value)
        else:
            path = notation.named(self.value)
        return f"{lead}{self.kind}:{path}{'' if self.span is None else f'@{_period(self.span)}'}"


@dataclass(frozen=True, slots=True)
class Step:
    """What is asked to come after what was asked before."""

    terms: tuple[Term, ...]
    within: float | None = None  # seconds between the end of that and the start of this

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("a step needs at least one term")
        if self.within is not None and not 0 < self.within < math.inf:
            raise ValueError(f"a step follows within some seconds, not {self.within}")

    def __str__(self) -> str:
        """As it is typed."""
        within = "" if self.within is None else f"<{notation.number(self.within)}s"
        return f"then:{within} {_terms(self.terms)}"


@dataclass(frozen=True, slots=True)
class Filters:
    """Of which videos, or parts of them, something is asked; what is empty says nothing."""

    videos: tuple[str, ...] = ()  # paths, folders or globs, any of them
    tags: tuple[str, ...] = ()  # labels, each of them
    after: datetime | None = None  # recorded then or later, UTC
    before: datetime | None = None
    longer: float | None = None  # seconds that the video lasts at least
    shorter: float | None = None
    at: tuple[Span, ...] = ()  # parts of every video, in seconds, any of them
    models: tuple[str, ...] = ()  # that made the features, any of them
    has: tuple[str, ...] = ()  # speech, subtitles, screen, tags: each of them
    elsewhere: bool = False  # who asks is on another machine: no file here is looked for

    def written(self) -> list[str]:
        """Each as it is typed."""
        lists = {"path": self.videos, "tag": self.tags, "model": self.models, "has": self.has}
        dates = {"after": self.after, "before": self.before}
        lengths = {"longer": self.longer, "shorter": self.shorter}
        return [
            *(f"{name}:{notation.named(one)}" for name, them in lists.items() for one in them),
            *(f"{name}:{notation.date(one)}" for name, one in dates.items() if one is not None),
            *(
                f"{name}:{notation.number(one)}s"
                for name, one in lengths.items()
                if one is not None
            ),
            *(f"at:{_period(span)}" for span in self.at),
        ]


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and of which videos."""

    terms: tuple[Term, ...]
    then: tuple[Step, ...] = ()  # one after the other
    filters: Filters = Filters()
    without: Filters = Filters()  # what any of these says is left out

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("a query needs at least one term")

    def __str__(self) -> str:
        """As it is typed; read again, it is the same query."""
        without = (f"-{one}" for one in self.without.written())
        return " ".join(
            [_terms(self.terms), *map(str, self.then), *self.filters.written(), *without]
        )


def _terms(terms: tuple[Term, ...]) -> str:
    """Terms as they are typed, such that words of two of them are not read as one text."""
    written: list[str] = []
    open_ended = False  # the one before ends in plain words
    for term in terms:
        bare = term.kind == "text" and not term.exact and term.weight == 1
        kept_apart = bare and open_ended
        written.append(f"text:{notation.value(term.value)}" if kept_apart else str(term))
        open_ended = bare and not kept_apart
    return " ".join(written)


def _period(span: Span) -> str:
    return f"{notation.number(span.start)}-{notation.number(span.end)}"


@dataclass(frozen=True, slots=True)
class SavedSearch:
    """A query under a name."""

    name: str
    query: str  # as it is typed
    made_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Mark:
    """That a moment is what a query asks for, or is not."""

    query: str  # as it is typed, without filters
    video_id: int
    span: Span
    up: bool
    made_at: datetime  # UTC


@dataclass(frozen=True, slots=True)
class Quote:
    """Words found in a video that answer a query."""

    source: CueSource
    span: Span
    text: str  # as much of it as tells why
    score: float  # in [0, 1]: how much of what was asked it says


@dataclass(frozen=True, slots=True)
class Shares:
    """How much each kind of evidence brought to a score; together 1."""

    seen: float
    said: float
    shown: float  # as text on the screen


@dataclass(frozen=True, slots=True)
class Heeded:
    """A frame, and its share of the vector of its segment."""

    time: float  # seconds
    share: float  # in [0, 1]; those of all frames add up to 1


@dataclass(frozen=True, slots=True)
class Why:
    """What a moment was found by."""

    peak: float  # seconds: the frame that fits best
    peak_score: float  # its similarity
    segments: int  # how many neighbouring segments were joined
    copy: bool = False  # the clip that was asked for is a copy of this moment
    heeded: Sequence[Heeded] = ()  # by a trained pooler in the best segment, most first
    steps: tuple[Span, ...] = ()  # where each step of an A-then-B query is
    quotes: tuple[Quote, ...] = ()  # words in the video that answer, best first
    shares: Shares | None = None  # of pictures and words in the score; None where none had a say
    alike: int = 0  # how many further results show nearly the same and were left out


WEAK = 0.25  # of confidence; below are as many misses as there are false alarms above


@dataclass(frozen=True, slots=True)
class Moment:
    """A search result."""

    video: Video
    span: Span
    score: float  # similarity as the space measures it; comparable within one query only
    confidence: float | None  # probability that this is what was asked; None: not calibrated
    why: Why

    @property
    def weak(self) -> bool:
        """Whether it is only the nearest that there is, and probably not what was asked."""
        return self.confidence is not None and self.confidence < WEAK


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """How well the stored frames of one video fit a query."""

    times: Times  # float64 (T,) seconds
    scores: Vector  # float32 (T,), as those of moments
    usual: float  # what a segment of the library scores on average


class Outcome(StrEnum):
    """What became of one file."""

    INDEXED = "indexed"  # new
    UPDATED = "updated"  # its content had changed
    FILLED = "filled"  # known by its key frames only, and now exactly
    UNCHANGED = "unchanged"  # known already
    MOVED = "moved"  # known under another path that is gone
    DUPLICATE = "duplicate"  # the same content is in the library under another path
    EMBEDDED = "embedded"  # known, and now also in the space of another model
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time went: seconds in which somebody was busy with it, waiting left out.

    What several do at once counts for each, so the sum may be more than the clock says.
    """

    decode: float = 0.0  # containers, codecs, and scaling what is looked at
    shots: float = 0.0  # looking for cuts
    encode: float = 0.0  # pictures to vectors
    pool: float = 0.0  # vectors of frames to those of segments
    store: float = 0.0  # subtitles, catalogue, features

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            self.decode + other.decode,
            self.shots + other.shots,
            self.encode + other.encode,
            self.pool + other.pool,
            self.store + other.store,
        )

    @property
    def total(self) -> float:
        """All of it."""
        return self.decode + self.shots + self.encode + self.pool + self.store


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one file that was to be indexed; never an exception."""

    path: Path
    outcome: Outcome
    video: Video | None = None
    error: str | None = None
    seconds: float = 0.0  # of work
    shots: int = 0
    notes: tuple[str, ...] = ()  # of its subtitles: what was read anew, what could not be, and why
    timings: Timings | None = None  # None where nothing was decoded


@dataclass(frozen=True, slots=True)
class Switch:
    """What became of changing the model."""

    model: str  # as settings name it
    space: Space
    before: Space | None  # the space that answered until now; None while nothing is indexed
    done: bool  # the library answers by this model
    embedded: int  # videos that this run brought into the space
    failed: tuple[Ingested, ...]  # those that cannot be; where it is done, they were left out


KEY_FRAMES = 0.1  # of the work of two passes is the first


@dataclass(frozen=True, slots=True)
class Progress:
    """How far indexing has come."""

    path: Path  # of the video being indexed
    number: int  # of that video, from 0
    files: int
    seconds: float  # of that video done, and all of it
    duration: float
    size: int  # bytes of that file
    size_before: float  # bytes that were done besides: other files may be in hand, too
    size_after: float  # bytes that are still to be done besides
    number_of_pass: int = 1  # over all files, from 1; the first of two takes key frames only
    passes: int = 1

    @property
    def share(self) -> float:
        """How much of all bytes is done, in [0, 1]; of this file as much as of its seconds."""
        here = min(1.0, self.seconds / self.duration) if self.duration > 0 else 0.0
        total = self.size_before + self.size + self.size_after
        return self.of_all((self.size_before + here * self.size) / total if total else 0.0)

    def of_all(self, share: float) -> float:
        """What a share of this pass is of all the work."""
        if self.passes == 1:
            return share
        if self.number_of_pass == 1:
            return KEY_FRAMES * share
        return KEY_FRAMES + (1 - KEY_FRAMES) * share


@dataclass(frozen=True, slots=True)
class Info:
    """What a library holds."""

    path: Path
    space: Space | None  # None while nothing is indexed
    pooler: str | None
    videos: int
    segments: int
    seconds: float  # of video
    frames: int  # sampled
    size: int  # bytes on disk
    models: tuple[tuple[str | None, int], ...] = ()  # how many videos each made, most first
    words: tuple[tuple[CueSource, int], ...] = ()  # how many videos have words of each source
