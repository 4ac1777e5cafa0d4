"""Run speech recognition and OCR over indexed videos and store the transcripts.

Each video is stored in one transaction as soon as it is done, and skipped in the next run.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from importlib import util
from typing import TYPE_CHECKING, Literal

from vsearch.config import check_audio_track
from vsearch.errors import MissingExtraError, SettingsError
from vsearch.indexing.file_runs import ProgressTracker, build_failure_result
from vsearch.indexing.track_ranking import rank_tracks
from vsearch.media.audio import list_audio_tracks, read_mono
from vsearch.media.audio_tracks import AUTO_TRACK, select_tracks, shorten_language
from vsearch.media.file_status import locate_videos
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler
from vsearch.progress import TranscriptOutcome, TranscriptResult
from vsearch.transcripts.ocr import SHORT_SIDE, RapidOcrEngine, track_text
from vsearch.transcripts.speech import SAMPLE_RATE, transcribe_audio
from vsearch.transcripts.whisper import WhisperRecognizer, resolve_model

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from vsearch.catalog.catalog import Catalog
    from vsearch.config import Settings
    from vsearch.media.audio_tracks import AudioTrack
    from vsearch.progress import IndexResult, Progress
    from vsearch.transcripts.ocr import OcrEngine
    from vsearch.transcripts.speech import SpeechRecognizer, TranscribedSpeech
    from vsearch.types import Cue, CueSource, Transcript, Video

    # video, on_progress
    ExtractFunction = Callable[[Video, Callable[[float], None]], "ExtractedCues"]

_OCR_FRAMES_PER_BATCH = 4
_TRACK_SEPARATOR = ", audio track "  # between model and track in the source name of a transcript


@dataclass(frozen=True, slots=True)
class ExtractedCues:
    """The cues of a video from one source."""

    cues: tuple[Cue, ...] = ()
    language: str | None = None  # of speech
    audio_track: AudioTrack | None = None  # that was transcribed, if the file has several


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


def create_speech_extractor(
    recognizer: SpeechRecognizer, language: str | None, track_selection: str = AUTO_TRACK
) -> Extractor:
    """Return an extractor that transcribes speech.

    Args:
        recognizer: The speech recognizer.
        language: ISO 639 code; None detects it.
        track_selection: Audio track: a number from 1, a language code, or "auto" for the first
            one in which somebody speaks.

    Returns:
        The extractor.
    """

    def extract_speech(video: Video, on_progress: Callable[[float], None]) -> ExtractedCues:
        all_tracks = list_audio_tracks(video.path)
        tracks = select_tracks(video.path, all_tracks, track_selection)
        has_choice = len(all_tracks) > 1 or track_selection != AUTO_TRACK
        for track in rank_tracks(video.path, tracks, video.duration, recognizer):
            speech = _transcribe_track(video, track, recognizer, language, on_progress)
            if speech.cues or len(tracks) == 1:
                return ExtractedCues(speech.cues, speech.language, track if has_choice else None)
        return ExtractedCues()

    return Extractor(recognizer.name, extract_speech)


def _transcribe_track(
    video: Video,
    track: AudioTrack,
    recognizer: SpeechRecognizer,
    language: str | None,
    on_progress: Callable[[float], None],
) -> TranscribedSpeech:
    """Transcribe one audio track."""
    audio_blocks = read_mono(
        video.path, SAMPLE_RATE, track_number=track.number, picture_end=video.duration
    )
    with closing(audio_blocks):
        return transcribe_audio(
            audio_blocks,
            recognizer,
            language,
            on_progress,
            stated_language=track.language,
        )


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
            return ExtractedCues(
                tuple(track_text(frame_batches, ocr_engine, video.duration, on_progress))
            )

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
            self.transcribe_speech(
                videos,
                settings.speech_model,
                None,
                device=settings.device,
                audio_track=settings.audio_track,
            )
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
        audio_track: str = AUTO_TRACK,
        force: bool = False,
        recognizer: SpeechRecognizer | None = None,
    ) -> Generator[TranscriptResult]:
        """Transcribe the speech of videos. See `Transcripts.transcribe`.

        Args:
            videos: The videos.
            model: Speech model; "" accepts existing transcripts of any model.
            language: ISO 639 code; None detects it.
            device: "auto", "cpu" or "cuda".
            audio_track: A number from 1, a language code, or "auto".
            force: Also process videos that have a transcript.
            recognizer: Replaces the model.

        Yields:
            The result of each video.

        Raises:
            ModelError: The model cannot be used.
            SettingsError: The model does not support the language, or `audio_track` is invalid.
        """
        check_audio_track(audio_track)
        model_name = resolve_model(model).model_name if model and recognizer is None else None

        def is_done(transcript: Transcript) -> bool:
            has_language = not transcript.cue_count or language in (None, transcript.language)
            known_model, _, known_track = transcript.source_name.partition(_TRACK_SEPARATOR)
            has_track = audio_track == AUTO_TRACK or _is_same_track(known_track, audio_track)
            has_model = model_name in (None, known_model)
            return not force and has_language and has_model and has_track

        def create_extractor() -> Extractor:
            if recognizer is not None:
                return create_speech_extractor(recognizer, language, audio_track)
            whisper_model = WhisperRecognizer(resolve_model(model), device=device)
            whisper_model.check_language(language)
            return create_speech_extractor(whisper_model, language, audio_track)

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

        Videos that were removed before the write lock was acquired are skipped, and so are photos
        unless their text is read.
        """
        with self._acquire_writer():
            existing_videos = self._catalog.videos_by_id([video.id for video in videos])
            videos = locate_videos(
                video
                for video in videos
                if video.id in existing_videos and not (source == "speech" and video.is_photo)
            )
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
            extracted = extractor.extract(
                video, lambda decoded_seconds: report_progress(decoded_seconds, video.duration)
            )
        except Exception as error:
            failure = build_failure_result(video.path, error)
            return TranscriptResult(video, source, TranscriptOutcome.FAILED, error=failure.error)
        with self._catalog.begin() as transaction:
            transaction.replace_cues(
                video.id,
                source,
                extracted.cues,
                source_name=_format_source_name(extractor.model_name, extracted.audio_track),
                language=extracted.language,
            )
        return TranscriptResult(
            video,
            source,
            TranscriptOutcome.TEXT_FOUND if extracted.cues else TranscriptOutcome.NO_TEXT,
            extracted.cues,
            extracted.language,
            audio_track=extracted.audio_track.label if extracted.audio_track else None,
        )


def _format_source_name(model_name: str, audio_track: AudioTrack | None) -> str:
    """Return the model, and the audio track if the file has several."""
    return model_name if audio_track is None else f"{model_name}, {audio_track.label}"


def _is_same_track(known_track: str, selection: str) -> bool:
    """Return whether a track in a source name, `2 (en)`, is the selected one."""
    number_text, _, language_text = known_track.partition(" ")
    if selection.isdecimal():
        return number_text == selection
    return language_text.strip("()") == shorten_language(selection)
