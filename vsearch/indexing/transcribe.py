"""Run speech recognition and OCR over indexed videos and store the transcripts.

Each video is stored in one transaction as soon as it is done, and skipped in the next run.
"""

from __future__ import annotations

from contextlib import closing
from importlib import util
from typing import TYPE_CHECKING, Literal

from vsearch.config import check_audio_track
from vsearch.errors import MissingExtraError, SettingsError
from vsearch.indexing.extraction import (
    ModelCues,
    OcrExtraction,
    SpeechExtraction,
    resolve_model_name,
)
from vsearch.indexing.file_runs import ProgressTracker, build_failure_result, get_file_size
from vsearch.indexing.node_jobs import ExtractionJob
from vsearch.indexing.ray_workers import ClusterTask, run_on_cluster
from vsearch.media.audio_tracks import AUTO_TRACK, shorten_language
from vsearch.media.file_status import locate_videos
from vsearch.progress import TranscriptOutcome, TranscriptResult

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from contextlib import AbstractContextManager

    from vsearch.catalog.catalog import Catalog
    from vsearch.cluster.options import ClusterOptions
    from vsearch.config import Settings
    from vsearch.indexing.extraction import Extraction, Extractor
    from vsearch.media.audio_tracks import AudioTrack
    from vsearch.progress import IndexResult, Progress
    from vsearch.transcripts.ocr import OcrEngine
    from vsearch.transcripts.speech import SpeechRecognizer
    from vsearch.types import CueSource, Transcript, Video

_TRACK_SEPARATOR = ", audio track "  # between model and track in the source name of a transcript


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


class TranscriptExtractor:
    """Runs speech recognition and OCR over the videos of a library."""

    def __init__(
        self,
        catalog: Catalog,
        acquire_writer: Callable[[], AbstractContextManager[None]],
        on_progress: Callable[[Progress], None],
        cluster: ClusterOptions | None = None,
    ) -> None:
        """Configure the extractor.

        Args:
            catalog: The catalog of the library.
            acquire_writer: Context manager that takes the write lock.
            on_progress: Called with the progress of a run.
            cluster: Work on this Ray cluster.
        """
        self._catalog, self._acquire_writer = catalog, acquire_writer
        self._on_progress, self._cluster = on_progress, cluster

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
        model_name = resolve_model_name(model) if model and recognizer is None else None

        def is_done(transcript: Transcript) -> bool:
            has_language = not transcript.cue_count or language in (None, transcript.language)
            known_model, _, known_track = transcript.source_name.partition(_TRACK_SEPARATOR)
            has_track = audio_track == AUTO_TRACK or _is_same_track(known_track, audio_track)
            has_model = model_name in (None, known_model)
            return not force and has_language and has_model and has_track

        extraction = SpeechExtraction(model, device, language, audio_track, recognizer)
        yield from self._run_extraction(videos, "speech", extraction, is_done)

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

        extraction = OcrExtraction(fps, ocr_engine)
        yield from self._run_extraction(videos, "ocr", extraction, lambda _: not force)

    def _run_extraction(
        self,
        videos: Sequence[Video],
        source: CueSource,
        extraction: Extraction,
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
            outcomes = (
                _extract_here(extraction, remaining_videos, progress_tracker)
                if self._cluster is None
                else _extract_on_cluster(
                    self._cluster, extraction, remaining_videos, progress_tracker
                )
            )
            with closing(outcomes):
                for video_index, cues_or_error in outcomes:
                    progress_tracker.finish_file(video_index)
                    yield self._save_cues(remaining_videos[video_index], source, cues_or_error)

    def _list_transcripts(self, videos: Sequence[Video], source: CueSource) -> list[Transcript]:
        transcripts = self._catalog.transcripts([video.id for video in videos])
        return [transcript for transcript in transcripts if transcript.source == source]

    def _save_cues(
        self, video: Video, source: CueSource, outcome: ModelCues | Exception
    ) -> TranscriptResult:
        if isinstance(outcome, Exception):
            failure = build_failure_result(video.path, outcome)
            return TranscriptResult(video, source, TranscriptOutcome.FAILED, error=failure.error)
        extracted = outcome.extracted
        with self._catalog.begin() as transaction:
            transaction.replace_cues(
                video.id,
                source,
                extracted.cues,
                source_name=_format_source_name(outcome.model_name, extracted.audio_track),
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


def _extract_here(
    extraction: Extraction, videos: Sequence[Video], progress_tracker: ProgressTracker
) -> Generator[tuple[int, ModelCues | Exception]]:
    """Yield the index of each video with its cues or its error."""
    extractor = extraction.create_extractor()
    for video_index, video in enumerate(videos):
        report_progress = progress_tracker.create_reporter(video.path, video_index)
        yield video_index, _extract_video(extractor, video, report_progress)


def _extract_video(
    extractor: Extractor, video: Video, report_progress: Callable[[float, float], None]
) -> ModelCues | Exception:
    report_progress(0.0, video.duration)
    try:
        extracted_cues = extractor.extract(
            video, lambda decoded_seconds: report_progress(decoded_seconds, video.duration)
        )
    except Exception as error:
        return error
    return ModelCues(extractor.model_name, extracted_cues)


def _extract_on_cluster(
    cluster: ClusterOptions,
    extraction: Extraction,
    videos: Sequence[Video],
    progress_tracker: ProgressTracker,
) -> Generator[tuple[int, ModelCues | Exception]]:
    """Yield the index of each video with its cues or its error, in order of completion."""
    tasks = {
        video_index: ClusterTask(video.path, (video, get_file_size(video.path)))
        for video_index, video in enumerate(videos)
    }
    yield from run_on_cluster(cluster, ExtractionJob(extraction), tasks, progress_tracker)


def _format_source_name(model_name: str, audio_track: AudioTrack | None) -> str:
    """Return the model, and the audio track if the file has several."""
    return model_name if audio_track is None else f"{model_name}, {audio_track.label}"


def _is_same_track(known_track: str, selection: str) -> bool:
    """Return whether a track in a source name, `2 (en)`, is the selected one."""
    number_text, _, language_text = known_track.partition(" ")
    if selection.isdecimal():
        return number_text == selection
    return language_text.strip("()") == shorten_language(selection)
