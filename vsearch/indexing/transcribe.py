"""Run speech recognition and OCR over indexed videos and store the transcripts.

Each video is stored in one transaction as soon as it is done, and skipped in the next run.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from importlib import util
from typing import TYPE_CHECKING, Literal

from vsearch.errors import MissingExtraError, SettingsError
from vsearch.indexing.file_runs import ProgressTracker, build_failure_result
from vsearch.media.audio import read_mono
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler
from vsearch.progress import TranscriptOutcome, TranscriptResult
from vsearch.transcripts.ocr import SHORT_SIDE, RapidOcrEngine, track_text
from vsearch.transcripts.speech import SAMPLE_RATE, transcribe_audio
from vsearch.transcripts.whisper import WhisperRecognizer, resolve_model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from vsearch.catalog.catalog import Catalog
    from vsearch.config import Settings
    from vsearch.progress import IndexResult, Progress
    from vsearch.transcripts.ocr import OcrEngine
    from vsearch.transcripts.speech import MonoSamples, SpeechRecognizer
    from vsearch.types import Cue, CueSource, Transcript, Video

    ExtractedCues = tuple[tuple[Cue, ...], str | None]  # and their language
    # video, on_progress
    ExtractFunction = Callable[[Video, Callable[[float], None]], ExtractedCues]

_OCR_FRAMES_PER_BATCH = 4
_MAX_AUDIO_OVERRUN_SECONDS = 1.0  # by which audio may be longer than the video


@dataclass(frozen=True, slots=True)
class Extractor:
    """A loaded speech recognizer or OCR engine, as a function of a video."""

    model_name: str  # stored with the transcript
    extract: ExtractFunction


def check_extras(settings: Settings) -> None:
    """Raise MissingExtraError if `transcribe` or `ocr` is set and its package is not installed."""
    for is_enabled, package_name, extra_name in (
        (settings.transcribe, "faster_whisper", "speech"),
        (settings.ocr, "rapidocr", "ocr"),
    ):
        if is_enabled and util.find_spec(package_name) is None:
            raise MissingExtraError(
                f"the library's settings need {package_name}, which is not installed: "
                f"pip install 'vsearch[{extra_name}]'"
            )


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

    def run_stage(
        self, source: Literal["speech", "ocr"], videos: Sequence[Video], settings: Settings
    ) -> Iterator[IndexResult]:
        """Transcribe videos that have just been indexed, unless they have that transcript.

        Args:
            source: The kind of transcript.
            videos: The videos, at least one.
            settings: Settings of the library: speech model and device.

        Yields:
            The result of each video.

        Raises:
            ModelError: The model cannot be used.
        """
        # first, so that callers finish the previous stage even if this one cannot start
        progress_tracker = ProgressTracker(
            [video.size_bytes for video in videos], self._on_progress
        )
        progress_tracker.create_reporter(videos[0].path, 0)(0.0, videos[0].duration)
        transcript_results = (
            self.transcribe_speech(videos, settings.speech_model, None, device=settings.device)
            if source == "speech"
            else self.run_ocr(videos)
        )
        with closing(transcript_results):
            for transcript_result in transcript_results:
                yield transcript_result.to_index_result()

    def transcribe_speech(
        self,
        videos: Sequence[Video],
        model: str,
        language: str | None,
        *,
        device: str,
        force: bool = False,
        recognizer: SpeechRecognizer | None = None,
    ) -> Generator[TranscriptResult]:
        """Transcribe the speech of videos. See `Transcripts.transcribe`.

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
        self,
        videos: Sequence[Video],
        *,
        fps: float = 1.0,
        force: bool = False,
        ocr_engine: OcrEngine | None = None,
    ) -> Generator[TranscriptResult]:
        """Read the on-screen text of videos. See `Transcripts.ocr`.

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
                    yield TranscriptResult(video, source, TranscriptOutcome.UP_TO_DATE)
            remaining_videos = [video for video in videos if video.id not in done_video_ids]
            if not remaining_videos:
                return
            file_sizes = [video.size_bytes for video in remaining_videos]
            progress_tracker = ProgressTracker(file_sizes, self._on_progress)
            # before the model is loaded, which may take long
            first_video = remaining_videos[0]
            progress_tracker.create_reporter(first_video.path, 0)(0.0, first_video.duration)
            extractor = create_extractor()
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
        except Exception as error:
            failure = build_failure_result(video.path, error)
            return TranscriptResult(video, source, TranscriptOutcome.FAILED, error=failure.error)
        with self._catalog.begin() as transaction:
            transaction.replace_cues(
                video.id, source, cues, source_name=extractor.model_name, language=language
            )
        outcome = TranscriptOutcome.TEXT_FOUND if cues else TranscriptOutcome.NO_TEXT
        return TranscriptResult(video, source, outcome, cues, language)


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
