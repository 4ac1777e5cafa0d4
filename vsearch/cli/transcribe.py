"""`vsearch transcribe` and `vsearch ocr`: speech and on-screen text of indexed videos."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import click

from vsearch.cli.messages import print_note, print_problem, print_summary_line
from vsearch.cli.options import (
    FiniteRange,
    audio_track_option,
    device_option,
    library_path_option,
    ray_option,
)
from vsearch.cli.render import escape_unprintable, format_count, format_duration, format_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import NoReturn

    from vsearch.cli.options import CommonOptions
    from vsearch.cli.progress import ProgressLine
    from vsearch.progress import Progress, TranscriptResult
    from vsearch.types import Video

MAX_PREVIEW_CHARS = 60  # characters of a transcript printed per video
MAX_PREVIEW_CUES = 10
_LABELS_BY_SOURCE = {
    "speech": {"words": "with speech", "nothing": "without speech"},
    "ocr": {"words": "with text", "nothing": "without text"},
}


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO]...")
@click.option(
    "--model",
    metavar="NAME",
    help="Whisper model: a size (tiny, base, small, …; downloaded once), a CTranslate2 model "
    "folder, or package:NAME for a model in an installed package.  [default: the library's "
    "speech_model, else the best installed model, else base]",
)
@click.option(
    "--language",
    metavar="CODE",
    help="Language of the speech, e.g. en or de.  [default: detected per video]",
)
@audio_track_option
@click.option("--force", is_flag=True, help="Process finished videos again.")
@ray_option
@device_option
@library_path_option
@click.pass_obj
def transcribe(
    options: CommonOptions,
    paths: tuple[str, ...],
    model: str | None,
    language: str | None,
    audio_track: str | None,
    force: bool,
    ray: str | None,
) -> None:
    """Transcribe the speech of indexed videos.

    VIDEO is a path, folder or glob; without any, all videos are processed. Needs the extra
    `speech`. Finished videos, including those without speech, are skipped, so an interrupted run
    continues where it stopped. With --model, videos transcribed by another model are transcribed
    again.

    \b
    vsearch transcribe
    vsearch transcribe holiday.mp4 --model small --language fr
    vsearch transcribe film.mkv --audio-track 2
    """
    with options.open_library(ray=ray) as library:
        transcript_results = _run_extractor(
            library.videos(paths),
            lambda on_progress: library.transcripts.transcribe(
                paths,
                speech_model=model,
                language=language,
                audio_track=audio_track,
                force=force,
                on_progress=on_progress,
            ),
            "speech",
        )
    _exit_on_failure(transcript_results, paths)


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO]...")
@click.option(
    "--fps",
    type=FiniteRange(0.01, 60),
    default=1.0,
    show_default=True,
    help="Frames to examine per second; unchanged frames are skipped.",
)
@click.option("--force", is_flag=True, help="Process finished videos again.")
@ray_option
@library_path_option
@click.pass_obj
def ocr(
    options: CommonOptions, paths: tuple[str, ...], fps: float, force: bool, ray: str | None
) -> None:
    """Read the on-screen text of indexed videos.

    VIDEO is a path, folder or glob; without any, all videos are processed. Needs the extra `ocr`.
    Finished videos, including those without text, are skipped, so an interrupted run continues
    where it stopped.

    \b
    vsearch ocr
    vsearch ocr lectures/ --fps 0.5
    """
    with options.open_library(ray=ray) as library:
        transcript_results = _run_extractor(
            library.videos(paths),
            lambda on_progress: library.transcripts.ocr(
                paths, fps=fps, force=force, on_progress=on_progress
            ),
            "ocr",
        )
    _exit_on_failure(transcript_results, paths)


def _exit_on_failure(transcript_results: Sequence[TranscriptResult], paths: Sequence[str]) -> None:
    if not transcript_results:
        print_problem("No video matches." if paths else "No videos.")
    has_failed = any(result.outcome == "failed" for result in transcript_results)
    if has_failed or (paths and not transcript_results):
        sys.exit(1)


def _run_extractor(
    videos: Sequence[Video],
    run_extraction: Callable[[Callable[[Progress], None]], Iterable[TranscriptResult]],
    source: str,
) -> list[TranscriptResult]:
    """Run an extraction with progress and messages on stderr and a summary on stdout."""
    from vsearch.cli.progress import ProgressLine  # deferred: brings rich

    summary = TranscriptSummary(source)
    try:
        with ProgressLine() as progress_line:
            for result in run_extraction(progress_line.update):
                summary.report_result(result, progress_line)
    except KeyboardInterrupt:
        summary.exit_interrupted(len(videos))
    summary.print_summary()
    return summary.transcript_results


@dataclass(slots=True)
class TranscriptSummary:
    """Counts of the videos of a transcription or OCR run."""

    source: str  # "speech" or "ocr"
    transcript_results: list[TranscriptResult] = field(default_factory=list)  # without cues
    _start_time: float = field(default_factory=time.monotonic)

    def report_result(self, result: TranscriptResult, progress_line: ProgressLine) -> None:
        """Count the result of a video and print a line about it, if it has text or failed."""
        # without cues, which would fill the memory in a run over many videos
        self.transcript_results.append(replace(result, cues=()))
        if result.outcome != "known":
            progress_line.finish_video(result.video)
        for message in _iter_messages(result):
            progress_line.print_message(message, is_failure=result.outcome == "failed")

    def exit_interrupted(self, video_count: int) -> NoReturn:
        """Print what is done, and how many of the videos are left, and exit after Ctrl-C."""
        self.print_summary()
        remaining_text = format_count(video_count - len(self.transcript_results), "video")
        print_note(f"Stopped, {remaining_text} left. Run the same command again to continue.")
        sys.exit(130)

    def print_summary(self) -> None:
        """Print the counts on stdout."""
        outcome_labels = _LABELS_BY_SOURCE[self.source]
        outcome_counts = Counter(str(result.outcome) for result in self.transcript_results)
        all_labels = outcome_labels | {"known": "done before", "failed": "failed"}
        summary_text = " · ".join(
            f"{outcome_counts[outcome]} {outcome_label}"
            for outcome, outcome_label in all_labels.items()
            if outcome_counts[outcome]
        )
        video_seconds = sum(
            result.video.duration
            for result in self.transcript_results
            if result.outcome in outcome_labels
        )
        if video_seconds:
            elapsed_seconds = time.monotonic() - self._start_time
            realtime_factor = video_seconds / max(elapsed_seconds, 1e-3)
            summary_text += (
                f"   ({format_duration(video_seconds)} of video in "
                f"{format_duration(elapsed_seconds)}, {realtime_factor:.1f}× real time)"
            )
        if summary_text:
            print_summary_line(summary_text)


def _iter_messages(result: TranscriptResult) -> Iterator[str]:
    """Yield the line to print about one video; none if it was finished before or has no text."""
    if result.outcome == "failed":
        yield f"failed     {escape_unprintable(result.error or '')}"
    elif result.outcome == "words":
        cue_texts = " · ".join(cue.text for cue in result.cues[:MAX_PREVIEW_CUES])
        preview_text = escape_unprintable(cue_texts)
        if len(preview_text) > MAX_PREVIEW_CHARS:
            preview_text = f"{preview_text[: MAX_PREVIEW_CHARS - 1]}…"
        details = ", ".join(
            escape_unprintable(detail) for detail in (result.language, result.audio_track) if detail
        )
        language_text = f" ({details})" if details else ""
        count_text = format_count(len(result.cues), "cue")
        yield f"{count_text:<9}  {format_path(result.video.path)}{language_text}: {preview_text}"
