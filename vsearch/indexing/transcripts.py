"""The transcripts of a library: reading them, and creating them from speech and screen text."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vsearch.catalog.path_matching import select_videos, videos_matching
from vsearch.cluster.options import resolve_cluster
from vsearch.errors import LibraryError
from vsearch.indexing.known_copies import resolve_copies
from vsearch.query.arguments import check_list, check_number, check_path, check_text
from vsearch.types import TranscriptText, Video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.indexing.transcribe import TranscriptExtractor
    from vsearch.progress import Progress, TranscriptResult
    from vsearch.transcripts.ocr import OcrEngine
    from vsearch.transcripts.speech import SpeechRecognizer
    from vsearch.types import CueSource, PathInput, Transcript

    # because the method `list` hides the type in annotations of its class
    TranscriptList: TypeAlias = list[Transcript]

SOURCE_PRIORITY: tuple[CueSource, ...] = ("subtitles", "speech", "ocr")


class Transcripts:
    """Transcripts of one library (`Library.transcripts`), one per video and source.

    Subtitles are read by `Library.index`; `transcribe` and `ocr` create the others. Both work
    while their iterator is iterated, and skip videos that have such a transcript already.
    """

    def __init__(
        self,
        catalog: Catalog,
        active_model: ActiveModel,
        acquire_writer: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """Use `Library.transcripts`.

        Args:
            catalog: Catalog of the library.
            active_model: Provides the settings.
            acquire_writer: Context manager that takes the write lock.
        """
        self._catalog, self._active_model = catalog, active_model
        self._acquire_writer = acquire_writer

    def list(self, video: PathInput | Video) -> TranscriptList:
        """Return the transcripts of a video, without their cues.

        Args:
            video: A video or its path; see `Library.videos`.

        Returns:
            One transcript per source; it has no cues if nothing was found.

        Raises:
            LibraryError: If there is no such video.
        """
        return self._catalog.transcripts([require_video(self._catalog, video).id])

    def get(self, video: PathInput | Video, source: CueSource | None = None) -> TranscriptText:
        """Return a transcript of a video.

        Args:
            video: A video or its path; see `Library.videos`.
            source: "subtitles", "speech" or "ocr"; by default the first of these that exists.

        Returns:
            The video, the source and the cues in chronological order.

        Raises:
            LibraryError: If there is no such video or transcript.
        """
        found_video = require_video(self._catalog, video)
        all_cues = self._catalog.cues_of_video(found_video.id)
        if source is not None and check_text(source, "source") not in SOURCE_PRIORITY:
            raise LibraryError(f"source must be subtitles, speech or ocr, not {source!r:.60}")
        for candidate_source in SOURCE_PRIORITY if source is None else (source,):
            source_cues = tuple(cue for cue in all_cues if cue.source == candidate_source)
            if source_cues:
                return TranscriptText(found_video, candidate_source, source_cues)
        raise LibraryError(self._explain_missing(found_video, source))

    def transcribe(
        self,
        paths: Sequence[PathInput | Video] = (),
        *,
        speech_model: str | None = None,
        language: str | None = None,
        audio_track: str | int | None = None,
        force: bool = False,
        recognizer: SpeechRecognizer | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[TranscriptResult]:
        """Transcribe the speech of videos, yielding the result of each video as it is stored.

        Args:
            paths: Paths of videos or folders, or globs; see `Library.videos`; or videos. Empty
                means all videos.
            speech_model: Whisper size, folder or `package:NAME`; by default the setting
                `speech_model` or the best installed model.
            language: ISO 639 code; by default it is detected.
            audio_track: Number from 1, language code, or "auto" for the first track in which
                somebody speaks; by default the setting `audio_track`.
            force: Transcribe again. Otherwise videos already transcribed by `speech_model` are
                skipped, or by any model if none is given.
            recognizer: Use this speech recognizer instead of a Whisper model.
            on_progress: Called with the progress of the run.

        Returns:
            An iterator of results, one per video.

        Raises:
            LockedError: If another process is writing.
            ModelError: If the model cannot be loaded.
            SettingsError: If the model does not know the language, or `audio_track` is invalid.
        """
        settings = self._active_model.settings
        return self._create_extractor(on_progress).transcribe_speech(
            select_given_videos(self._catalog, paths),
            settings.speech_model if speech_model is None else speech_model,
            language,
            device=settings.device,
            audio_track=settings.audio_track if audio_track is None else str(audio_track),
            force=force,
            recognizer=recognizer,
        )

    def ocr(
        self,
        paths: Sequence[PathInput | Video] = (),
        *,
        fps: float = 1.0,
        force: bool = False,
        ocr_engine: OcrEngine | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[TranscriptResult]:
        """Recognize the on-screen text of videos (OCR), yielding the result of each video.

        Args:
            paths: Paths of videos or folders, or globs; see `Library.videos`; or videos. Empty
                means all videos.
            fps: Frames to read per second.
            force: Read videos again that have been read.
            ocr_engine: Use this engine instead of RapidOCR.
            on_progress: Called with the progress of the run.

        Returns:
            An iterator of results, one per video, as each is stored.

        Raises:
            LockedError: If another process is writing.
            ModelError: If no OCR engine is installed.
        """
        videos = select_given_videos(self._catalog, paths)
        fps = check_number(fps, "fps")
        extractor = self._create_extractor(on_progress)
        return extractor.run_ocr(videos, fps=fps, force=force, ocr_engine=ocr_engine)

    def _create_extractor(self, on_progress: Callable[[Progress], None]) -> TranscriptExtractor:
        from vsearch.indexing.transcribe import TranscriptExtractor  # deferred: imports a decoder

        return TranscriptExtractor(
            self._catalog,
            self._acquire_writer,
            on_progress,
            resolve_cluster(self._active_model.settings),
        )

    def _explain_missing(self, video: Video, source: CueSource | None) -> str:
        """Return an error message that suggests how to get the transcript."""
        tried_sources = {transcript.source for transcript in self.list(video)}
        missing_kind = "transcript" if source is None else f"transcript from {source}"
        source_remedies: dict[CueSource, str] = {
            "subtitles": "put a subtitle file next to it and run `vsearch index`",
            "speech": "run `vsearch transcribe` to transcribe speech",
            "ocr": "run `vsearch ocr` to extract on-screen text",
        }
        open_remedies = [
            source_remedies[candidate_source]
            for candidate_source in (SOURCE_PRIORITY if source is None else (source,))
            if candidate_source not in tried_sources or candidate_source == "subtitles"
        ]
        advice_text = ", or ".join(open_remedies) or "it was processed, and nothing was found"
        return f"{video.path} has no {missing_kind}: {advice_text}"


def require_video(catalog: Catalog, video: PathInput | Video) -> Video:
    """Return the only video that matches; raise LibraryError otherwise."""
    if isinstance(video, Video):
        return video
    matching_videos = videos_matching(
        catalog, resolve_copies(catalog, [check_path(video, "video")])
    )
    if len(matching_videos) != 1:
        match_summary = (
            f"matches {len(matching_videos)} videos"
            if matching_videos
            else "no such video in the library"
        )
        raise LibraryError(f"{video}: {match_summary}; use a path from `vsearch list`")
    return matching_videos[0]


def select_given_videos(catalog: Catalog, paths: Sequence[PathInput | Video]) -> list[Video]:
    """Return the given videos, or those that match the paths; without any, all videos."""
    elements = [paths] if isinstance(paths, str | os.PathLike) else check_list(paths, "paths")
    videos = [element for element in elements if isinstance(element, Video)]
    if len(videos) == len(elements) > 0:
        return videos
    return select_videos(catalog, elements)
