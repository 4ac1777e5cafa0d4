"""`vsearch index`: index videos and summarize the run."""

from __future__ import annotations

import sys
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem, print_summary_line
from vsearch.cli.options import (
    SizeParam,
    audio_track_option,
    decoding_options,
    discovery_options,
    library_options,
    limit_blas_threads,
    lower_priority,
    photos_option,
    ray_option,
)
from vsearch.cli.render import (
    escape_unprintable,
    format_count,
    format_duration,
    format_path,
    print_table,
)
from vsearch.cli.transcribe import TranscriptSummary
from vsearch.media.urls import DEFAULT_MAX_DOWNLOAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import NoReturn

    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.media.discovery import SkippedEntry
    from vsearch.media.download import DownloadProgress
    from vsearch.progress import IndexResult, Progress, Timings
    from vsearch.types import Video

OUTCOME_ORDER = ("indexed", "updated", "refined", "moved", "unchanged", "duplicate", "failed")
DECODED_OUTCOMES = ("indexed", "updated")
ANALYZED_OUTCOMES = (*DECODED_OUTCOMES, "refined")
TIMING_STEPS = ("decode", "shots", "encode", "pool", "store")
MAX_LISTED_MISSING = 5  # missing videos printed by name


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--fps",
    type=float,
    help="Frames to sample per second.  [default: from the library, or 1]",
)
@click.option("--force", is_flag=True, help="Index unchanged videos again.")
@click.option(
    "--progressive",
    is_flag=True,
    help="Index key frames of all videos first, then refine every video.",
)
@discovery_options
@click.option(
    "--dry-run", is_flag=True, help="Print what would be done with each file, and do nothing."
)
@click.option("--timings", is_flag=True, help="Print the time of each processing step to stderr.")
@decoding_options
@click.option(
    "--keep-frames/--no-keep-frames",
    default=None,
    help="Cache sampled frames as small images, so that switching models decodes no video.  "
    "[default: from the library, or no]",
)
@click.option(
    "--transcribe/--no-transcribe",
    default=None,
    help="Transcribe speech of new videos; see `vsearch transcribe`.  "
    "[default: from the library, or no]",
)
@click.option(
    "--ocr/--no-ocr",
    default=None,
    help="Read on-screen text of new videos; see `vsearch ocr`.  "
    "[default: from the library, or no]",
)
@photos_option
@click.option(
    "--max-download",
    type=SizeParam(),
    metavar="SIZE",
    default="20GB",
    show_default=True,
    help="Largest file that is downloaded from a URL.",
)
@audio_track_option
@ray_option
@library_options
@click.pass_obj
def index(
    options: CommonOptions,
    /,
    paths: tuple[str, ...],
    fps: float | None,
    force: bool,
    progressive: bool,
    timings: bool,
    keep_frames: bool | None,
    transcribe: bool | None,
    ocr: bool | None,
    audio_track: str | None,
    keyframes_only: bool | None,
    workers: int | None,
    hwaccel: str | None,
    ray: str | None,
    photos: bool | None,
    max_download: int,
    dry_run: bool,
    **discovery_arguments: Any,
) -> None:
    """Index videos: files, folders, globs or URLs of http and https.

    Unchanged videos are skipped, so an interrupted run continues where it stopped.

    \b
    vsearch index ~/Movies
    vsearch index 'clips/*.mp4' --fps 2 --transcribe
    vsearch index https://example.org/talk.mp4
    """
    if progressive and keyframes_only:
        raise click.UsageError("--progressive cannot be combined with --keyframes-only")
    if dry_run:
        _print_preview(options, paths, photos, discovery_arguments)
        return
    limit_blas_threads()
    lower_priority()
    is_new = not options.library_exists()
    with options.open_library(
        create=True,
        fps=fps,
        keep_frames=keep_frames,
        photos=photos,
        transcribe=transcribe,
        ocr=ocr,
        audio_track=audio_track,
        keyframes_only=keyframes_only,
        workers=workers,
        hwaccel=hwaccel,
        ray=ray,
    ) as library:
        if is_new:
            print_note(f"New library: {escape_unprintable(library.location.absolute_name)}")

        def print_details(index_results: list[IndexResult]) -> None:
            if timings:
                print_timings(index_results)
            _report_missing(library)

        index_results = run_index(
            library,
            paths,
            force=force,
            progressive=progressive,
            on_indexed=print_details,
            max_download_bytes=max_download,
            discovery_arguments=discovery_arguments,
        )
    if not all_succeeded(index_results):
        sys.exit(1)


def _print_preview(
    options: CommonOptions,
    paths: tuple[str, ...],
    photos: bool | None,
    discovery_arguments: Mapping[str, Any],
) -> None:
    """Print what indexing would do with each file; exit with 1 if nothing can be indexed."""
    state_counts: Counter[str] = Counter()
    with options.open_library(create=None, photos=photos) as library:
        for entry in library.preview_index(paths, **discovery_arguments):
            state_counts[entry.state] += 1
            if entry.state == "failed":
                print_problem(f"failed     {escape_unprintable(entry.reason)}")
                continue
            reason_text = f"  ({escape_unprintable(entry.reason)})" if entry.reason else ""
            click.echo(f"{entry.state:10} {format_path(entry.path)}{reason_text}")
    counts_text = " · ".join(f"{count} {state}" for state, count in state_counts.items())
    print_note(f"{counts_text or 'No videos found.'}   (dry run: nothing was done)")
    if state_counts["failed"] or not state_counts.total():
        sys.exit(1)


def all_succeeded(index_results: list[IndexResult]) -> bool:
    """Return whether there was something to index and nothing failed."""
    return bool(index_results) and all(result.outcome != "failed" for result in index_results)


def run_index(
    library: Library,
    paths: tuple[str, ...],
    *,
    force: bool = False,
    progressive: bool = False,
    quiet: bool = False,
    on_indexed: Callable[[list[IndexResult]], None] = lambda _: None,
    max_download_bytes: int = DEFAULT_MAX_DOWNLOAD_BYTES,
    discovery_arguments: Mapping[str, Any] = MappingProxyType({}),
) -> list[IndexResult]:
    """Index files with a progress line and messages on stderr and a summary on stdout.

    Exits with code 130 on Ctrl-C, after printing what was done.

    Args:
        library: The library to index into.
        paths: Files, folders, globs or URLs.
        force: Index unchanged videos again.
        progressive: Index by key frames first, then refine.
        quiet: Do not print the summary of the files.
        on_indexed: Called when the files are indexed, before any transcription.
        max_download_bytes: Largest download.
        discovery_arguments: Arguments of `Library.index` on what is left out of folders.

    Returns:
        One result per file and stage; two per video that was indexed and then refined.
    """
    reporter = _RunReporter(progressive, quiet, on_indexed)
    result_stream = library.index(
        paths,
        force=force,
        progressive=progressive,
        on_progress=reporter.update,
        on_skipped=reporter.report_skipped,
        max_download_bytes=max_download_bytes,
        on_download=reporter.report_download,
        **discovery_arguments,
    )
    try:
        with closing(result_stream):
            for index_result in result_stream:
                reporter.report_result(index_result)
        reporter.finish_stage()
    except KeyboardInterrupt:
        reporter.exit_interrupted()
    finally:
        reporter.close()
    return reporter.index_results


class _RunReporter:
    """Prints progress, messages and a summary of each stage of an indexing run."""

    def __init__(
        self, progressive: bool, quiet: bool, on_indexed: Callable[[list[IndexResult]], None]
    ) -> None:
        self.index_results: list[IndexResult] = []  # transcripts without cues
        self._progressive, self._quiet, self._on_indexed = progressive, quiet, on_indexed
        self._summary = IndexSummary()
        self._named_urls: set[str] = set()
        self._transcript_summary: TranscriptSummary | None = None  # of the current stage
        self._exit_stack = ExitStack()
        self._start_progress_line()

    def update(self, progress: Progress) -> None:
        """Redraw the progress line."""
        self._enter_stage(progress.stage)
        self._progress_line.update(progress)

    def report_download(self, progress: DownloadProgress) -> None:
        """Redraw the progress line; name each URL once."""
        if progress.url not in self._named_urls:
            self._named_urls.add(progress.url)
            self._progress_line.print_message(f"download   {escape_unprintable(progress.url)}")
        self._progress_line.update_download(progress)

    def report_skipped(self, skipped_entry: SkippedEntry) -> None:
        """Count what is left out other than by the defaults."""
        self._summary.skipped_count += not skipped_entry.is_default

    def report_result(self, index_result: IndexResult) -> None:
        """Count the result of a file and print its messages."""
        transcript = index_result.transcript
        if transcript is None:
            self.index_results.append(index_result)
            self._summary.add_result(index_result)
            self._progress_line.finish_file(index_result)
            for message in iter_messages(index_result, brief=self._progressive):
                self._progress_line.print_message(
                    message, is_failure=index_result.outcome == "failed"
                )
            return
        summary = self._enter_stage(transcript.source)
        assert summary is not None  # noqa: S101 - only the first stage has none
        summary.report_result(transcript, self._progress_line)
        self.index_results.append(replace(index_result, transcript=replace(transcript, cues=())))

    def _enter_stage(self, stage: str) -> TranscriptSummary | None:
        """Finish the previous stage if `stage` is a new one."""
        current_stage = self._transcript_summary.source if self._transcript_summary else "index"
        if stage != current_stage:
            self.finish_stage()
            self._start_progress_line()
            self._transcript_summary = TranscriptSummary(stage)
        return self._transcript_summary

    def _start_progress_line(self) -> None:
        from vsearch.cli.progress import ProgressLine  # deferred: brings rich

        self._progress_line = self._exit_stack.enter_context(ProgressLine())

    def finish_stage(self) -> None:
        """Remove the progress line and print the summary of the stage."""
        self.close()
        if self._transcript_summary is not None:
            self._transcript_summary.print_summary()
            return
        if not self._quiet:
            self._summary.print_summary()
        self._on_indexed(self.index_results)

    def exit_interrupted(self) -> NoReturn:
        """Print what is done, and exit after Ctrl-C."""
        self.close()
        if self._transcript_summary is not None:
            video_ids = {result.video.id for result in self._summary.index_results if result.video}
            self._transcript_summary.exit_interrupted(len(video_ids))
        self._summary.print_summary()
        print_note("Stopped. Indexed videos are kept; run the same command again to continue.")
        sys.exit(130)

    def close(self) -> None:
        """Remove the progress line."""
        self._exit_stack.close()


def _report_missing(library: Library) -> None:
    """Print the videos that are missing, and the number of those that are offline."""
    checked_videos = library.check_files(library.videos())
    missing_videos = [video for video in checked_videos if video.file_status == "missing"]
    for video in missing_videos[:MAX_LISTED_MISSING]:
        print_note(f"missing    {format_path(video.path)}")
    if missing_videos:
        more_count = len(missing_videos) - MAX_LISTED_MISSING
        more_text = f" ({more_count} more)" if more_count > 0 else ""
        print_note(
            f"{format_count(len(missing_videos), 'indexed video')} missing{more_text}: if they "
            "were moved, run `vsearch relocate OLD NEW` or `vsearch index NEWPLACE`, which keep "
            "tags, marks and transcripts; if they were deleted, run `vsearch remove --missing`."
        )
    offline_count = sum(video.file_status == "offline" for video in checked_videos)
    if offline_count:
        print_note(
            f"{format_count(offline_count, 'indexed video')} offline, because the drive or folder "
            "is gone; see `vsearch doctor`."
        )


@dataclass(slots=True)
class IndexSummary:
    """Counts of the files of an indexing run."""

    index_results: list[IndexResult] = field(default_factory=list)
    skipped_count: int = 0  # excluded files and folders, and links that are not followed
    _start_time: float = field(default_factory=time.monotonic)
    _keyframes_done_at: float | None = None  # when the first pass finished its last new video

    def add_result(self, index_result: IndexResult) -> None:
        """Count the result of a file; a file may have one per pass."""
        if (
            index_result.outcome in DECODED_OUTCOMES
            and index_result.video is not None
            and index_result.video.keyframes_only
        ):
            self._keyframes_done_at = time.monotonic()
        self.index_results.append(index_result)

    def print_summary(self) -> None:
        """Print the counts on stdout, and on stderr what was left out or needs refining."""
        if self.skipped_count:
            print_note(
                f"{format_count(self.skipped_count, 'path')} left out; --dry-run lists them."
            )
        if not self.index_results:
            print_problem("No videos found.")
            return
        outcome_counts = Counter(self._collect_outcomes().values())
        summary_text = " · ".join(
            f"{outcome_counts[outcome]} {outcome}"
            for outcome in OUTCOME_ORDER
            if outcome_counts[outcome]
        )
        videos = self._collect_videos()
        video_seconds = sum(video.duration for video in videos)
        if video_seconds:
            elapsed_seconds = time.monotonic() - self._start_time
            realtime_factor = video_seconds / max(elapsed_seconds, 1e-3)
            summary_text += (
                f"   ({format_duration(video_seconds)} of video in "
                f"{format_duration(elapsed_seconds)}, {realtime_factor:.1f}× real time"
                f"{self._format_first_pass()})"
            )
        print_summary_line(summary_text)
        keyframe_videos = [video for video in videos if video.keyframes_only]
        if keyframe_videos:
            print_note(
                f"{len(keyframe_videos)} by key frames only"
                f"{_format_keyframe_gap(keyframe_videos)}; run `vsearch index` to refine them, "
                "`vsearch list` for details."
            )

    def _collect_videos(self) -> list[Video]:
        """List the analyzed videos, each in its latest state."""
        videos_by_path = {
            result.video.path: result.video
            for result in self.index_results
            if result.video and result.outcome in ANALYZED_OUTCOMES
        }
        return list(videos_by_path.values())

    def _collect_outcomes(self) -> dict[Path, str]:
        """Map each file to its final outcome; refining a video of this run counts as indexing."""
        final_outcomes: dict[Path, str] = {}
        for index_result in self.index_results:
            previous_outcome = final_outcomes.get(index_result.path)
            if index_result.outcome != "refined" or previous_outcome not in ANALYZED_OUTCOMES:
                final_outcomes[index_result.path] = str(index_result.outcome)
        return final_outcomes

    def _format_first_pass(self) -> str:
        has_refined = any(result.outcome == "refined" for result in self.index_results)
        if self._keyframes_done_at is None or not has_refined:
            return ""
        return (
            f"; by key frames after {format_duration(self._keyframes_done_at - self._start_time)}"
        )


def iter_messages(index_result: IndexResult, *, brief: bool = False) -> Iterator[str]:
    """Yield the lines to print about one file; usually none.

    Args:
        index_result: Result of the file.
        brief: Omit warnings of a video that is indexed by key frames only and is about to be
            refined.
    """
    video = index_result.video
    if index_result.outcome == "failed":
        yield f"failed     {escape_unprintable(index_result.error or '')}"
    elif index_result.outcome == "duplicate" and video is not None:
        original_text = format_path(video.path)
        yield f"duplicate  {format_path(index_result.path)} is the same as {original_text}"
    elif index_result.outcome in ("moved", "updated"):
        yield f"{index_result.outcome:<9}  {format_path(index_result.path)}"
    is_analyzed = index_result.outcome in ANALYZED_OUTCOMES
    if video and video.warning and is_analyzed and not (brief and video.keyframes_only):
        yield f"warning    {format_path(index_result.path)}: {escape_unprintable(video.warning)}"
    for subtitle_note in index_result.subtitle_notes:
        yield f"subtitles  {escape_unprintable(subtitle_note)}"


def _format_keyframe_gap(videos: Sequence[Video]) -> str:
    """Return the largest distance between key frames of some videos."""
    keyframe_gaps = [video.max_keyframe_gap for video in videos if video.max_keyframe_gap]
    return f", up to {max(keyframe_gaps):.1f} s apart" if keyframe_gaps else ""


def print_timings(index_results: Sequence[IndexResult]) -> None:
    """Print on stderr the seconds of each processing step per video, both passes added up."""
    from vsearch.progress import Timings  # deferred: --help needs no numpy

    timings_by_path: dict[Path, Timings] = {}
    for result in index_results:
        if result.timings is not None:
            previous_timings = timings_by_path.get(result.path, Timings())
            timings_by_path[result.path] = previous_timings + result.timings
    if not timings_by_path:
        print_note("No video was processed, so there are no timings.")
        return
    total_timings = sum(timings_by_path.values(), Timings())
    table_rows: list[tuple[str, ...]] = [(*TIMING_STEPS, "seconds", "video")]
    table_rows += [
        (*_format_seconds(timings), format_path(video_path))
        for video_path, timings in timings_by_path.items()
    ]
    table_rows.append((*_format_seconds(total_timings), "total"))
    table_rows.append((*_format_shares(total_timings), "", "share"))
    print_table(
        table_rows,
        alignments="r" * (len(TIMING_STEPS) + 1),
        shrink_column=len(TIMING_STEPS) + 1,
        to_stderr=True,
    )


def _format_seconds(timings: Timings) -> tuple[str, ...]:
    step_seconds = [getattr(timings, step) for step in TIMING_STEPS]
    return tuple(f"{seconds:.2f}" for seconds in (*step_seconds, timings.total_seconds))


def _format_shares(timings: Timings) -> tuple[str, ...]:
    total_seconds = timings.total_seconds or 1
    return tuple(f"{100 * getattr(timings, step) / total_seconds:.0f} %" for step in TIMING_STEPS)
