"""`vsearch sound`: speech, music and singing in the sound of indexed videos."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem, print_summary_line
from vsearch.cli.options import library_path_option
from vsearch.cli.render import (
    escape_unprintable,
    format_count,
    format_path,
    format_time,
    print_json,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.progress import SoundResult
    from vsearch.types import SoundSpan

_LABELS_BY_OUTCOME = {
    "sounds": "with sounds",
    "nothing": "without speech, music or singing",
    "known": "done before",
    "failed": "failed",
}


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO]...")
@click.option("--force", is_flag=True, help="Process finished videos again.")
@click.option("--list", "lists", is_flag=True, help="Print what was found before; find nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --list, print one JSON object.")
@library_path_option
@click.pass_obj
def sound(
    options: CommonOptions, paths: tuple[str, ...], force: bool, lists: bool, as_json: bool
) -> None:
    """Find speech, music and singing in indexed videos, for `has:music` in searches.

    VIDEO is a path, folder or glob; without any, all videos are processed. Needs the extra `sound`.
    Finished videos, including those without sound, are skipped, so an interrupted run continues
    where it stopped.

    \b
    vsearch sound
    vsearch sound --list wedding.mp4
    vsearch search "people dance has:music"
    """
    if as_json and not lists:
        raise click.UsageError("--json needs --list")
    if lists and force:
        raise click.UsageError("--list finds nothing: leave out --force")
    with options.open_library(ignore_invalid_settings=lists) as library:
        if lists:
            _list_sounds(library, paths, as_json)
            return
        results = _find_sounds(library, paths, force)
    if not results:
        print_problem("No video matches." if paths else "No videos.")
    has_failed = any(result.outcome == "failed" for result in results)
    if has_failed or (paths and not results):
        sys.exit(1)


def _find_sounds(library: Library, paths: Sequence[str], force: bool) -> list[SoundResult]:
    """Analyze videos with progress and messages on stderr and a summary on stdout."""
    from vsearch.cli.progress import ProgressLine  # deferred: brings rich

    results: list[SoundResult] = []
    try:
        with ProgressLine() as progress_line:
            for result in library.sounds.analyze(
                paths, force=force, on_progress=progress_line.update
            ):
                results.append(result)
                if result.outcome != "known":
                    progress_line.finish_video(result.video)
                if message := _format_result(result):
                    progress_line.print_message(message, is_failure=result.outcome == "failed")
    except KeyboardInterrupt:
        _print_counts(results)
        print_note("Stopped. Run the same command again to continue.")
        sys.exit(130)
    _print_counts(results)
    return results


def _print_counts(results: Sequence[SoundResult]) -> None:
    counts = Counter(str(result.outcome) for result in results)
    count_texts = [
        f"{counts[outcome]} {label}"
        for outcome, label in _LABELS_BY_OUTCOME.items()
        if counts[outcome]
    ]
    if count_texts:
        print_summary_line(" · ".join(count_texts))


def _format_result(result: SoundResult) -> str:
    """Return the line to print about one video; empty if there is nothing to say."""
    if result.outcome == "failed":
        return f"failed     {escape_unprintable(result.error or '')}"
    if result.outcome != "sounds":
        return ""
    return f"{format_path(result.video.path)}: {_summarize_kinds(result.sounds)}"


def _summarize_kinds(sounds: Sequence[SoundSpan]) -> str:
    """Return the seconds of each kind, "speech 1m10s, music 5s"."""
    seconds: Counter[str] = Counter()
    for sound_span in sounds:
        seconds[sound_span.kind] += sound_span.span.duration  # type: ignore[assignment]
    return ", ".join(
        f"{kind} {format_time(max(1, round(total)))}" for kind, total in seconds.most_common()
    )


def _list_sounds(library: Library, paths: Sequence[str], as_json: bool) -> None:
    videos = library.videos(paths)
    if as_json:
        entries: list[dict[str, Any]] = [
            {
                "video_id": video.id,
                "path": str(video.path),
                "analyzed": library.sounds.is_analyzed(video),
                "sounds": [
                    {
                        "kind": sound_span.kind,
                        "start": round(sound_span.span.start, 3),
                        "end": round(sound_span.span.end, 3),
                    }
                    for sound_span in library.sounds.list(video)
                ],
            }
            for video in videos
        ]
        print_json({"videos": entries})
        return
    for video in videos:
        if not library.sounds.is_analyzed(video):
            print_note(f"{format_path(video.path)}: not analyzed; run `vsearch sound`")
            continue
        sounds = library.sounds.list(video)
        if not sounds:
            click.echo(f"{format_path(video.path)}: nothing found")
        else:
            count_text = format_count(len(sounds), "span")
            click.echo(f"{format_path(video.path)}: {count_text}, {_summarize_kinds(sounds)}")
        for sound_span in sounds:
            times = f"{format_time(sound_span.span.start)}–{format_time(sound_span.span.end)}"
            click.echo(f"  {times}  {sound_span.kind}")
