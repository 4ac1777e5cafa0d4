"""`vsearch transcribe` and `vsearch ocr`: speech and on-screen text of indexed videos."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import replace
from importlib import util
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import FiniteRange, device_option, library_path_option
from vsearch.cli.render import escape_unprintable, format_count, format_duration, format_path
from vsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.indexing.transcribe import TranscriptResult
    from vsearch.library import Library
    from vsearch.progress import Progress
    from vsearch.types import Video

MAX_PREVIEW_CHARS = 60  # characters of a transcript printed per video
MAX_PREVIEW_CUES = 10
_SPEECH_LABELS = {"words": "with speech", "nothing": "without speech"}
_OCR_LABELS = {"words": "with text", "nothing": "without text"}


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
@click.option("--force", is_flag=True, help="Process finished videos again.")
@device_option
@library_path_option
@click.pass_obj
def transcribe(
    options: CommonOptions,
    paths: tuple[str, ...],
    model: str | None,
    language: str | None,
    force: bool,
) -> None:
    """Transcribe the speech of indexed videos.

    VIDEO is a path, folder or glob; without any, all videos are processed. Needs the extra
    `speech`. Finished videos, including those without speech, are skipped, so an interrupted run
    continues where it stopped. With --model, videos transcribed by another model are transcribed
    again.

    \b
    vsearch transcribe
    vsearch transcribe holiday.mp4 --model small --language fr
    """
    with options.open_library() as library:
        transcript_results = _run_extractor(
            library.videos(paths),
            lambda on_progress: library.transcribe(
                paths, speech_model=model, language=language, force=force, on_progress=on_progress
            ),
            _SPEECH_LABELS,
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
@library_path_option
@click.pass_obj
def ocr(options: CommonOptions, paths: tuple[str, ...], fps: float, force: bool) -> None:
    """Read the on-screen text of indexed videos.

    VIDEO is a path, folder or glob; without any, all videos are processed. Needs the extra `ocr`.
    Finished videos, including those without text, are skipped, so an interrupted run continues
    where it stopped.

    \b
    vsearch ocr
    vsearch ocr lectures/ --fps 0.5
    """
    with options.open_library() as library:
        transcript_results = _run_extractor(
            library.videos(paths),
            lambda on_progress: library.ocr(paths, fps=fps, force=force, on_progress=on_progress),
            _OCR_LABELS,
        )
    _exit_on_failure(transcript_results, paths)


def check_extras(library: Library) -> None:
    """Check that the packages which the library's settings need are installed.

    Called before indexing, so that a missing package is reported at once.

    Args:
        library: The library to index into.

    Raises:
        MissingExtraError: A package is not installed.
    """
    settings = library.settings
    for is_enabled, package_name, extra_name in (
        (settings.transcribe, "faster_whisper", "speech"),
        (settings.ocr, "rapidocr", "ocr"),
    ):
        if is_enabled and util.find_spec(package_name) is None:
            raise MissingExtraError(
                f"the library's settings need {package_name}, which is not installed: "
                f"pip install 'vsearch[{extra_name}]'"
            )


def add_transcripts(library: Library, videos: Sequence[Video]) -> bool:
    """Transcribe speech and read on-screen text of new videos, as the library's settings say.

    Args:
        library: The library that contains the videos.
        videos: The videos just indexed.

    Returns:
        True unless a video failed.
    """
    video_paths, settings = [video.path for video in videos], library.settings
    transcript_results: list[TranscriptResult] = []
    if video_paths and settings.transcribe:
        transcript_results += _run_extractor(
            videos,
            lambda on_progress: library.transcribe(video_paths, on_progress=on_progress),
            _SPEECH_LABELS,
        )
    if video_paths and settings.ocr:
        transcript_results += _run_extractor(
            videos,
            lambda on_progress: library.ocr(video_paths, on_progress=on_progress),
            _OCR_LABELS,
        )
    return all(result.outcome != "failed" for result in transcript_results)


def _exit_on_failure(transcript_results: Sequence[TranscriptResult], paths: Sequence[str]) -> None:
    if not transcript_results:
        click.echo("No video matches." if paths else "No videos.", err=True)
    has_failed = any(result.outcome == "failed" for result in transcript_results)
    if has_failed or (paths and not transcript_results):
        sys.exit(1)


def _run_extractor(
    videos: Sequence[Video],
    run_extraction: Callable[[Callable[[Progress], None]], Iterable[TranscriptResult]],
    outcome_labels: dict[str, str],
) -> list[TranscriptResult]:
    """Run an extraction with progress and messages on stderr and a summary on stdout."""
    from vsearch.cli.progress import ProgressLine  # deferred: brings rich

    start_time = time.monotonic()
    transcript_results: list[TranscriptResult] = []
    try:
        with ProgressLine() as progress_line:
            for result in run_extraction(progress_line.update):
                # without cues, which would fill the memory in a run over many videos
                transcript_results.append(replace(result, cues=()))
                if result.outcome != "known":
                    progress_line.finish_video(result.video)
                for message in _iter_messages(result):
                    progress_line.print_message(message)
    except KeyboardInterrupt:
        _print_summary(transcript_results, outcome_labels, time.monotonic() - start_time)
        remaining_text = format_count(len(videos) - len(transcript_results), "video")
        click.echo(
            f"Stopped, {remaining_text} left. Run the same command again to continue.", err=True
        )
        sys.exit(130)
    _print_summary(transcript_results, outcome_labels, time.monotonic() - start_time)
    return transcript_results


def _iter_messages(result: TranscriptResult) -> Iterator[str]:
    """Yield the line to print about one video; none if it was finished before or has no text."""
    if result.outcome == "failed":
        yield f"failed     {escape_unprintable(result.error or '')}"
    elif result.outcome == "words":
        cue_texts = " · ".join(cue.text for cue in result.cues[:MAX_PREVIEW_CUES])
        preview_text = escape_unprintable(cue_texts)
        if len(preview_text) > MAX_PREVIEW_CHARS:
            preview_text = f"{preview_text[: MAX_PREVIEW_CHARS - 1]}…"
        language_text = f" ({escape_unprintable(result.language)})" if result.language else ""
        count_text = format_count(len(result.cues), "cue")
        yield f"{count_text:<9}  {format_path(result.video.path)}{language_text}: {preview_text}"


def _print_summary(
    transcript_results: Sequence[TranscriptResult],
    outcome_labels: dict[str, str],
    elapsed_seconds: float,
) -> None:
    outcome_counts = Counter(str(result.outcome) for result in transcript_results)
    all_labels = outcome_labels | {"known": "done before", "failed": "failed"}
    summary_text = " · ".join(
        f"{outcome_counts[outcome]} {outcome_label}"
        for outcome, outcome_label in all_labels.items()
        if outcome_counts[outcome]
    )
    video_seconds = sum(
        result.video.duration for result in transcript_results if result.outcome in outcome_labels
    )
    if video_seconds:
        realtime_factor = video_seconds / max(elapsed_seconds, 1e-3)
        summary_text += (
            f"   ({format_duration(video_seconds)} of video in {format_duration(elapsed_seconds)}, "
            f"{realtime_factor:.1f}× real time)"
        )
    if summary_text:
        click.echo(summary_text)
