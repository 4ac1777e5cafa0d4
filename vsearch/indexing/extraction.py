"""Speech recognition and OCR of one video, as a function of it; knows no library."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vsearch.indexing.track_ranking import rank_tracks
from vsearch.media.audio import list_audio_tracks, read_mono
from vsearch.media.audio_tracks import AUTO_TRACK, select_tracks
from vsearch.media.prefetch import prefetch_batches
from vsearch.media.sampler import Sampler
from vsearch.transcripts.ocr import SHORT_SIDE, RapidOcrEngine, track_text
from vsearch.transcripts.speech import SAMPLE_RATE, transcribe_audio
from vsearch.transcripts.whisper import WhisperRecognizer, resolve_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.media.audio_tracks import AudioTrack
    from vsearch.transcripts.ocr import OcrEngine
    from vsearch.transcripts.speech import SpeechRecognizer, TranscribedSpeech
    from vsearch.types import Cue, Video

    # video, on_progress
    ExtractFunction = Callable[[Video, Callable[[float], None]], "ExtractedCues"]

_OCR_FRAMES_PER_BATCH = 4


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


@dataclass(frozen=True, slots=True)
class ModelCues:
    """The cues of a video, and the model that found them."""

    model_name: str
    extracted: ExtractedCues


class Extraction(Protocol):
    """A kind of extraction and its options; it can be sent to another machine."""

    def create_extractor(self) -> Extractor:
        """Load the model."""


@dataclass(frozen=True, slots=True)
class SpeechExtraction:
    """Speech recognition. An `Extraction`."""

    model: str  # empty: the best that is installed
    device: str
    language: str | None  # ISO 639 code; None detects it
    audio_track: str
    recognizer: SpeechRecognizer | None = None  # replaces the model

    def create_extractor(self) -> Extractor:
        """Load the model.

        Returns:
            The extractor.

        Raises:
            ModelError: The model cannot be used.
            SettingsError: The model does not support the language.
        """
        if self.recognizer is not None:
            return create_speech_extractor(self.recognizer, self.language, self.audio_track)
        whisper_model = WhisperRecognizer(resolve_model(self.model), device=self.device)
        whisper_model.check_language(self.language)
        return create_speech_extractor(whisper_model, self.language, self.audio_track)


@dataclass(frozen=True, slots=True)
class OcrExtraction:
    """Reading of on-screen text. An `Extraction`."""

    fps: float
    ocr_engine: OcrEngine | None = None  # replaces RapidOCR

    def create_extractor(self) -> Extractor:
        """Load the model.

        Returns:
            The extractor.

        Raises:
            ModelError: RapidOCR cannot be used.
        """
        return create_ocr_extractor(self.ocr_engine or RapidOcrEngine(), self.fps)


def resolve_model_name(model: str) -> str:
    """Return the name of a speech model, as it is stored with transcripts.

    Raises:
        ModelError: There is no such model.
    """
    return resolve_model(model).model_name


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
