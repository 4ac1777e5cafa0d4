"""Run speech recognition and OCR over indexed videos and store the transcripts.

Each video is stored in one transaction as soon as it is done, and skipped in the next run.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vsearch.errors import MediaError, SettingsError
from vsearch.indexing.pipeline import ProgressTracker
from vsearch.media.audio import read_mono
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler
from vsearch.transcripts.ocr import SHORT_SIDE, RapidOcrEngine, track_text
from vsearch.transcripts.speech import SAMPLE_RATE, transcribe_audio
from vsearch.transcripts.whisper import WhisperRecognizer, resolve_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from vsearch.catalog.catalog import Catalog
    from vsearch.progress import Progress
    from vsearch.transcripts.ocr import OcrEngine
    from vsearch.transcripts.speech import MonoSamples, SpeechRecognizer
    from vsearch.types import Cue, CueSource, Transcript, Video

    ExtractedCues = tuple[tuple[Cue, ...], str | None]  # and their language
    # video, on_progress
    ExtractFunction = Callable[[Video, Callable[[float], None]], ExtractedCues]

_OCR_FRAMES_PER_BATCH = 4
_MAX_AUDIO_OVERRUN_SECONDS = 1.0  # by which audio may be longer than the video


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
    outcome: TranscriptOutcome
    cues: tuple[Cue, ...] = ()  # empty if up to date
    language: str | None = None  # of speech
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Extractor:
    """A loaded speech recognizer or OCR engine, as a function of a video."""

    model_name: str  # stored with the transcript
    extract: ExtractFunction


def create_speech_extractor(recognizer: SpeechRecognizer, language: str | None) -> Extractor:
    """Return an extractor that transcribes speech.

    Args:
        recognizer: The speech recognizer.
        language: ISO 639 code; None detects it.

    Returns:
        The extractor.
    """

    def extract_speech(video: Video, on_progress: Callable[[float], None]) -> ExtractedCues:
        with closing(read_mono(video.path, SAMPLE_RATE)) as audio_blocks:
            max_seconds = video.duration + _MAX_AUDIO_OVERRUN_SECONDS
            bounded_blocks = _truncate_audio(audio_blocks, max_seconds)
            speech = transcribe_audio(bounded_blocks, recognizer, language, on_progress)
        return speech.cues, speech.language

    return Extractor(recognizer.name, extract_speech)


def create_ocr_extractor(ocr_engine: OcrEngine, fps: float) -> Extractor:
    """Return an extractor that reads on-screen text.

    Args:
        ocr_engine: The OCR engine.
        fps: Frames to read per second.

    Returns:
        The extractor.
    """

    def extract_screen_text(video: Video, on_progress: Callable[[float], None]) -> ExtractedCues:
        short_side = max(1, min(SHORT_SIDE, video.width, video.height))
        frame_sampler = Sampler(
            video.path, fps=fps, short_side=short_side, batch_size=_OCR_FRAMES_PER_BATCH
        )
        with prefetch_batches(frame_sampler) as frame_batches:
            return tuple(track_text(frame_batches, ocr_engine, video.duration, on_progress)), None

    return Extractor(ocr_engine.name, extract_screen_text)


class TranscriptExtractor:
    """Runs speech recognition and OCR over the videos of a library."""

    def __init__(
        self,
        catalog: Catalog,
        acquire_writer: Callable[[], AbstractContextManager[None]],
        on_progress: Callable[[Progress], None],
    ) -> None:
        """Configure the extractor.

        Args:
            catalog: The catalog of the library.
            acquire_writer: Context manager that takes the write lock.
            on_progress: Called with the progress of a run.
        """
        self._catalog, self._acquire_writer = catalog, acquire_writer
        self._on_progress = on_progress

    def transcribe_speech(
        self,
        videos: Sequence[Video],
        model: str,
        language: str | None,
        *,
        device: str,
        force: bool,
        recognizer: SpeechRecognizer | None,
    ) -> Iterator[TranscriptResult]:
        """Transcribe the speech of videos. See `Library.transcribe`.

        Args:
            videos: The videos.
            model: Speech model; "" accepts existing transcripts of any model.
            language: ISO 639 code; None detects it.
            device: "auto", "cpu" or "cuda".
            force: Also process videos that have a transcript.
            recognizer: Replaces the model.

        Yields:
            The result of each video.

        Raises:
            ModelError: The model cannot be used.
            SettingsError: The model does not support the language.
        """
        model_name = resolve_model(model).model_name if model and recognizer is None else None

        def is_done(transcript: Transcript) -> bool:
            has_language = not transcript.cue_count or language in (None, transcript.language)
            return not force and has_language and model_name in (None, transcript.source_name)

        def create_extractor() -> Extractor:
            if recognizer is not None:
                return create_speech_extractor(recognizer, language)
            whisper_model = WhisperRecognizer(resolve_model(model), device=device)
            whisper_model.check_language(language)
            return create_speech_extractor(whisper_model, language)

        yield from self._run_extractor(videos, "speech", create_extractor, is_done)

    def run_ocr(
        self, videos: Sequence[Video], *, fps: float, force: bool, ocr_engine: OcrEngine | None
    ) -> Iterator[TranscriptResult]:
        """Read the on-screen text of videos. See `Library.ocr`.

        Args:
            videos: The videos.
            fps: Frames to read per second.
            force: Also process videos that have an OCR transcript.
            ocr_engine: Replaces RapidOCR.

        Yields:
            The result of each video.

        Raises:
            SettingsError: `fps` is out of range.
            ModelError: RapidOCR cannot be used.
        """
        if not 0.01 <= fps <= 60:  # the same range as for indexing
            raise SettingsError(f"fps must be a number from 0.01 to 60, not {fps}")

        def create_extractor() -> Extractor:
            return create_ocr_extractor(ocr_engine or RapidOcrEngine(), fps)

        yield from self._run_extractor(videos, "ocr", create_extractor, lambda _: not force)

    def _run_extractor(
        self,
        videos: Sequence[Video],
        source: CueSource,
        create_extractor: Callable[[], Extractor],
        is_done: Callable[[Transcript], bool],
    ) -> Iterator[TranscriptResult]:
        """Yield a result per video, finished ones first; load no model if all are finished.

        Videos that were removed before the write lock was acquired are skipped.
        """
        with self._acquire_writer():
            existing_videos = self._catalog.videos_by_id([video.id for video in videos])
            videos = [video for video in videos if video.id in existing_videos]
            transcripts = self._list_transcripts(videos, source)
            done_video_ids = {item.video_id for item in transcripts if is_done(item)}
            for video in videos:
                if video.id in done_video_ids:
                    yield TranscriptResult(video, TranscriptOutcome.UP_TO_DATE)
            remaining_videos = [video for video in videos if video.id not in done_video_ids]
            if not remaining_videos:
                return
            extractor = create_extractor()
            file_sizes = [video.size_bytes for video in remaining_videos]
            progress_tracker = ProgressTracker(file_sizes, self._on_progress)
            for video_index, video in enumerate(remaining_videos):
                report_progress = progress_tracker.create_reporter(video.path, video_index)
                transcript_result = self._extract_video(video, source, extractor, report_progress)
                progress_tracker.finish_file(video_index)
                yield transcript_result

    def _list_transcripts(self, videos: Sequence[Video], source: CueSource) -> list[Transcript]:
        transcripts = self._catalog.transcripts([video.id for video in videos])
        return [transcript for transcript in transcripts if transcript.source == source]

    def _extract_video(
        self,
        video: Video,
        source: CueSource,
        extractor: Extractor,
        report_progress: Callable[[float, float], None],
    ) -> TranscriptResult:
        report_progress(0.0, video.duration)
        try:
            cues, language = extractor.extract(
                video, lambda decoded_seconds: report_progress(decoded_seconds, video.duration)
            )
        except MediaError as media_error:
            return TranscriptResult(video, TranscriptOutcome.FAILED, error=str(media_error))
        with self._catalog.begin() as transaction:
            transaction.replace_cues(
                video.id, source, cues, source_name=extractor.model_name, language=language
            )
        outcome = TranscriptOutcome.TEXT_FOUND if cues else TranscriptOutcome.NO_TEXT
        return TranscriptResult(video, outcome, cues, language)


def _truncate_audio(
    audio_blocks: Iterable[MonoSamples], max_seconds: float
) -> Iterator[MonoSamples]:
    """Yield audio up to a duration: a broken file may contain endless silence."""
    remaining_samples = round(max_seconds * SAMPLE_RATE)
    for sample_block in audio_blocks:
        yield sample_block[:remaining_samples]
        remaining_samples -= len(sample_block)
        if remaining_samples <= 0:
            return
