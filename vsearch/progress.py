"""Results and progress of indexing, transcription and model switches."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vsearch.types import Cue, CueSource, SoundSpan, Space, Video

Stage: TypeAlias = Literal["index", "speech", "ocr"]  # of an indexing run, in this order

KEYFRAME_PASS_SHARE = 0.1  # share of the key-frame pass in the work of two passes


class Outcome(StrEnum):
    """The outcome of indexing one file."""

    INDEXED = "indexed"  # new
    UPDATED = "updated"  # the content had changed
    REFINED = "refined"  # all frames were sampled after only key frames had been
    UNCHANGED = "unchanged"  # already indexed
    MOVED = "moved"  # already indexed under a path that no longer exists
    DUPLICATE = "duplicate"  # the same content is indexed under another path
    EMBEDDED = "embedded"  # already indexed, now also with another model
    TRANSCRIBED = "transcribed"  # speech or on-screen text, see `IndexResult.transcript`
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Timings:
    """Busy seconds of each stage, without waiting.

    Stages overlap in several threads, so the sum may exceed the elapsed time.
    """

    decode: float = 0.0  # demuxing, decoding and scaling
    shots: float = 0.0  # shot detection
    encode: float = 0.0  # images to frame vectors
    pool: float = 0.0  # frame vectors to segment vectors
    store: float = 0.0  # subtitles, catalog and feature files

    def __add__(self, other: Timings) -> Timings:
        return Timings(
            self.decode + other.decode,
            self.shots + other.shots,
            self.encode + other.encode,
            self.pool + other.pool,
            self.store + other.store,
        )

    @property
    def total_seconds(self) -> float:
        """Sum of all stages."""
        return self.decode + self.shots + self.encode + self.pool + self.store


class TranscriptOutcome(StrEnum):
    """The outcome of speech recognition or OCR for one video."""

    TEXT_FOUND = "words"
    NO_TEXT = "nothing"  # no speech, or no text on screen
    UP_TO_DATE = "known"  # the transcript already exists
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class TranscriptResult:
    """The transcript of a video from one source, or an error message."""

    video: Video
    source: CueSource  # "speech" or "ocr"
    outcome: TranscriptOutcome
    cues: tuple[Cue, ...] = ()  # empty if up to date
    language: str | None = None  # of speech
    error: str | None = None
    audio_track: str | None = None  # that was transcribed, if the file has several

    def to_index_result(self) -> IndexResult:
        """Return the same result as one of an indexing run."""
        if self.outcome is TranscriptOutcome.FAILED:
            outcome = Outcome.FAILED
        elif self.outcome is TranscriptOutcome.UP_TO_DATE:
            outcome = Outcome.UNCHANGED
        else:
            outcome = Outcome.TRANSCRIBED
        return IndexResult(self.video.path, outcome, self.video, self.error, transcript=self)


class SoundOutcome(StrEnum):
    """The outcome of the analysis of the sound of one video."""

    SOUND_FOUND = "sounds"
    NO_SOUND = "nothing"  # no speech, music or singing, or no audio at all
    UP_TO_DATE = "known"  # analyzed before
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SoundResult:
    """The speech, music and singing in the sound of a video, or an error message."""

    video: Video
    outcome: SoundOutcome
    sounds: tuple[SoundSpan, ...] = ()  # empty if up to date
    error: str | None = None


@dataclass(frozen=True, slots=True)
class IndexResult:
    """The result of one stage for one file; a failure is a result, not an exception."""

    path: Path
    outcome: Outcome
    video: Video | None = None
    error: str | None = None
    elapsed_seconds: float = 0.0  # of work
    shot_count: int = 0
    subtitle_notes: tuple[str, ...] = ()  # subtitles read again or not readable, with the reason
    timings: Timings | None = None  # None if nothing was decoded
    transcript: TranscriptResult | None = None  # in the stages of speech and on-screen text


@dataclass(frozen=True, slots=True)
class SwitchResult:
    """The result of a model switch."""

    model: str  # setting `model`
    space: Space
    previous_space: Space | None  # None if nothing was indexed
    is_switched: bool  # the model is now active
    embedded_count: int  # videos embedded by this run
    failed_results: tuple[IndexResult, ...]  # videos without vectors; skipped if switched


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run over files."""

    path: Path  # current video
    file_index: int  # of the current video, from 0
    file_count: int
    processed_seconds: float  # of the current video
    duration: float  # seconds, of the current video
    size_bytes: int  # of the current video
    bytes_before: float  # done in other files, including those processed in parallel
    bytes_after: float  # remaining in other files
    pass_number: int = 1  # from 1; the first of two passes samples key frames only
    pass_count: int = 1
    stage: Stage = "index"
    stage_index: int = 0
    stage_count: int = 1

    @property
    def completed_share(self) -> float:
        """Completed share of the whole run, in [0, 1].

        It is proportional to bytes, within a file to its time; all stages count the same.
        """
        file_share = min(1.0, self.processed_seconds / self.duration) if self.duration > 0 else 0.0
        total_bytes = self.bytes_before + self.size_bytes + self.bytes_after
        stage_share = self.to_stage_share(
            (self.bytes_before + file_share * self.size_bytes) / total_bytes if total_bytes else 0.0
        )
        return (self.stage_index + stage_share) / self.stage_count

    @property
    def is_last_stage(self) -> bool:
        """True if no stage follows."""
        return self.stage_index == self.stage_count - 1

    def to_stage_share(self, pass_share: float) -> float:
        """Convert a share of the current pass to a share of all passes of the stage.

        Args:
            pass_share: Completed share of this pass, in [0, 1].

        Returns:
            Completed share of the stage, in [0, 1].
        """
        if self.pass_count == 1:
            return pass_share
        if self.pass_number == 1:
            return KEYFRAME_PASS_SHARE * pass_share
        return KEYFRAME_PASS_SHARE + (1 - KEYFRAME_PASS_SHARE) * pass_share


def create_stage_reporters(
    on_progress: Callable[[Progress], None], stages: Sequence[Stage]
) -> dict[Stage, Callable[[Progress], None]]:
    """Return a progress callback for each stage of a run.

    Args:
        on_progress: Called with the progress of any stage.
        stages: Stages of the run, in order.

    Returns:
        Callbacks that add the stage to the progress, by stage.
    """

    def create_reporter(stage_index: int, stage: Stage) -> Callable[[Progress], None]:
        return lambda progress: on_progress(
            replace(progress, stage=stage, stage_index=stage_index, stage_count=len(stages))
        )

    return {stage: create_reporter(index, stage) for index, stage in enumerate(stages)}
