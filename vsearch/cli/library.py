"""`vsearch list`, `info`, `remove` and `rebuild`: inspect and maintain a library."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import library_options, library_path_option
from vsearch.cli.render import (
    escape_unprintable,
    format_bytes,
    format_count,
    format_duration,
    format_path,
    format_video,
    print_json,
    print_table,
)
from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.config import Settings
    from vsearch.encoders.query_adapter import QueryAdapter
    from vsearch.library import Library
    from vsearch.types import LibraryInfo, Video

MAX_LISTED_VIDEOS = 10  # missing videos printed before asking


@click.command("list")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def list_command(options: CommonOptions, paths: tuple[str, ...], as_json: bool) -> None:
    """List the videos of the library.

    PATH is a file, folder or glob; without any, all videos are listed.
    """
    with options.open_library(ignore_invalid_settings=True) as library:
        videos = library.check_files(library.videos(paths))
    if as_json:
        print_json({"videos": [_video_to_dict(video) for video in videos]})
    elif videos:
        _print_videos(videos)
    elif not paths:
        print_note("No videos.")
    if paths and not videos:
        print_problem("No video matches; see `vsearch list`.")
        sys.exit(1)


def _print_videos(videos: Sequence[Video]) -> None:
    table_rows = [("duration", "size", "frames", "video")]
    table_rows += [
        (
            "photo" if video.is_photo else format_duration(video.duration),
            f"{video.width}×{video.height}",
            str(video.sampled_frames),
            format_video(video),
        )
        for video in videos
    ]
    print_table(table_rows, alignments="rrr", shrink_column=3)
    for video in videos:
        for other_path in video.other_paths:
            click.echo(f"also at  {format_path(other_path)}: {format_path(video.path)}")
        if source_url := video.source_url:
            click.echo(f"from     {escape_unprintable(source_url)}: {format_path(video.path)}")
        if warning := video.full_warning:
            click.echo(f"warning  {format_path(video.path)}: {escape_unprintable(warning)}")


def _video_to_dict(video: Video) -> dict[str, object]:
    """Return the entry of a video in `list --json`."""
    from vsearch.search.serialization import (  # deferred, as the library
        places_to_dict,
        recording_to_dict,
    )

    return {
        "path": str(video.path),
        "duration": round(video.duration, 3),
        "fps": round(video.fps, 3),
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
        "size": video.size_bytes,
        "frames": video.sampled_frames,
        "fingerprint": video.fingerprint,
        "warning": video.warning,
        "keyframes_only": video.keyframes_only,
        "max_keyframe_gap": video.max_keyframe_gap,
        "model": video.model,
        "recorded_at": None if video.recorded_at is None else video.recorded_at.isoformat(),
        **recording_to_dict(video),
        **places_to_dict(video),
        "file_status": video.file_status,
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def info(options: CommonOptions, as_json: bool) -> None:
    """Print the size, contents and models of the library."""
    with options.open_library(ignore_invalid_settings=True) as library:
        library_info, settings = library.info(), library.settings
        adapter_status = _read_adapter(library)
    if as_json:
        print_json(_info_to_dict(library_info, settings, adapter_status))
    else:
        _print_info(library_info, settings, adapter_status)


@dataclass(frozen=True, slots=True)
class _AdapterStatus:
    """The query adapter that is installed, or why it cannot be read."""

    adapter: QueryAdapter | None
    is_used: bool  # it belongs to the active space
    error: str | None = None


def _read_adapter(library: Library) -> _AdapterStatus | None:
    """Read the query adapter that `vsearch train align` installed, if any."""
    try:
        adapter = library.models.adapter_file.read_adapter()
    except DamagedLibraryError as error:
        return _AdapterStatus(None, False, str(error))
    if adapter is None:
        return None
    space = library.space
    return _AdapterStatus(adapter, space is not None and space.name == adapter.training_info.space)


def _info_to_dict(
    library_info: LibraryInfo, settings: Settings, adapter_status: _AdapterStatus | None
) -> dict[str, Any]:
    """Return the JSON object of `info --json`."""
    space = library_info.space
    return {
        "library": library_info.location,
        "model": settings.model,
        "text_model": settings.text_model or None,
        "models": [
            {"model": model_name, "videos": video_count}
            for model_name, video_count in library_info.model_counts
        ],
        "space": space.name if space else None,
        "dim": space.dim if space else None,
        "supports_text": space.supports_text if space else None,
        "pooler": library_info.pooler,
        "fps": settings.fps,
        "videos": library_info.video_count,
        "seconds": round(library_info.duration_seconds, 3),
        "segments": library_info.segment_count,
        "frames": library_info.frame_count,
        "bytes": library_info.size_bytes,
        "missing_count": library_info.missing_count,
        "offline_count": library_info.offline_count,
        "transcript_counts": [
            {"source": source, "video_count": video_count}
            for source, video_count in library_info.transcript_counts
        ],
        "sound_counts": [
            {"kind": kind, "video_count": video_count}
            for kind, video_count in library_info.sound_counts
        ],
        **({"adapter": _adapter_to_dict(adapter_status)} if adapter_status else {}),
    }


def _adapter_to_dict(adapter_status: _AdapterStatus) -> dict[str, Any]:
    if adapter_status.adapter is None:
        return {"used": False, "error": adapter_status.error}
    return {
        "used": adapter_status.is_used,
        **asdict(adapter_status.adapter.training_info),
        "digest": adapter_status.adapter.digest,
    }


def _print_info(
    library_info: LibraryInfo, settings: Settings, adapter_status: _AdapterStatus | None
) -> None:
    duration_text = format_duration(library_info.duration_seconds)
    info_rows = [
        ("library", escape_unprintable(library_info.location)),
        ("model", _format_models(settings.model, library_info)),
        ("text model", escape_unprintable(settings.text_model)),
        ("adapter", _format_adapter(adapter_status) if adapter_status else ""),
        ("videos", f"{library_info.video_count}, {duration_text} in total"),
        ("files", _format_gone_files(library_info)),
        ("segments", f"{library_info.segment_count}, pooled by {library_info.pooler or '–'}"),
        ("frames", f"{library_info.frame_count}, {settings.fps:g} per second"),
        ("transcripts", _format_transcripts(library_info.transcript_counts)),
        ("sounds", _format_transcripts(library_info.sound_counts)),
        ("on disk", format_bytes(library_info.size_bytes)),
    ]
    print_table([(f"{row_name:<12}{value}",) for row_name, value in info_rows if value])


def _format_gone_files(library_info: LibraryInfo) -> str:
    counts = {"missing": library_info.missing_count, "offline": library_info.offline_count}
    count_texts = [f"{count} {file_status}" for file_status, count in counts.items() if count]
    return f"{', '.join(count_texts)}; see `vsearch doctor`" if count_texts else ""


def _format_transcripts(transcript_counts: Sequence[tuple[str, int]]) -> str:
    source_names = {"ocr": "on-screen text"}
    return ", ".join(
        f"{source_names.get(source, source)} of {format_count(video_count, 'video')}"
        for source, video_count in transcript_counts
    )


def _format_adapter(adapter_status: _AdapterStatus) -> str:
    if adapter_status.adapter is None:
        return escape_unprintable(adapter_status.error or "")
    training_info = adapter_status.adapter.training_info
    mrr_text = f"{100 * training_info.before:.1f} → {100 * training_info.after:.1f}"
    adapter_text = (
        f"{training_info.rows} rows of {format_count(training_info.videos, 'video')} "
        f"({training_info.source}), held-out MRR {mrr_text}"
    )
    if training_info.forced:
        adapter_text += ", installed with --force"
    if not adapter_status.is_used:
        adapter_text += (
            f"; not used: it belongs to space {training_info.space} with text model "
            f"{training_info.words}"
        )
    return escape_unprintable(adapter_text)


def _format_models(active_model: str, library_info: LibraryInfo) -> str:
    """Return the active model and its space; if videos have other models, the counts of each."""
    space_name = library_info.space.name if library_info.space else "nothing indexed yet"
    active_text = f"{escape_unprintable(active_model)} ({space_name})"
    if {model_name for model_name, _ in library_info.model_counts} <= {active_model, None}:
        return active_text
    other_counts = dict(library_info.model_counts)
    model_texts = [f"{active_text} – {format_count(other_counts.pop(active_model, 0), 'video')}"]
    model_texts += [
        f"{escape_unprintable(model_name or 'unknown')} – {video_count}"
        for model_name, video_count in other_counts.items()
    ]
    return "; ".join(model_texts)


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--missing", is_flag=True, help="Remove videos whose files no longer exist.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before removing missing videos.")
@library_options
@click.pass_obj
def remove(options: CommonOptions, paths: tuple[str, ...], missing: bool, yes: bool) -> None:
    """Remove videos from the library.

    PATH is a file, folder or glob. The video files themselves are not deleted, except downloads.
    A video that has other files with the same content is kept under their paths.

    --missing asks first, and keeps the videos of a drive or folder that is offline; name its PATH
    to remove them, too.
    """
    if not paths and not missing:
        raise click.UsageError("name paths or globs, or use --missing")
    with options.open_library(ignore_invalid_settings=True) as library:
        if missing:
            missing_videos = library.missing_videos(paths)
            if missing_videos and not yes:
                _confirm_removal(missing_videos)
            removed_videos = library.remove_missing(paths)
            offline_count = 0 if paths else library.info().offline_count
        else:
            removed_videos = library.remove(paths)
    for video in removed_videos:
        kept_text = f" (kept: {format_path(video.other_paths[0])})" if video.other_paths else ""
        print_note(f"removed    {format_path(video.path)}{kept_text}")
    kept_count = sum(bool(video.other_paths) for video in removed_videos)
    removed_count = len(removed_videos) - kept_count
    count_texts = [format_count(removed_count, "video")] if removed_count or not kept_count else []
    count_texts += [format_count(kept_count, "duplicate file")] if kept_count else []
    click.echo(f"{' and '.join(count_texts)} removed")
    if missing and offline_count:
        print_note(
            f"{format_count(offline_count, 'video')} kept, because the drive or folder is offline; "
            "to remove them, too, name it: `vsearch remove --missing PATH`."
        )
    if not removed_videos and not missing:
        print_problem("No video matches; see `vsearch list`.")
        sys.exit(1)


@click.command()
@click.argument("old_folder", metavar="OLD")
@click.argument("new_folder", metavar="NEW")
@click.option("--dry-run", is_flag=True, help="Print what would be changed, and change nothing.")
@library_path_option
@click.pass_obj
def relocate(options: CommonOptions, old_folder: str, new_folder: str, dry_run: bool) -> None:
    """Change the paths of videos that were moved from OLD to NEW.

    OLD is a folder or file as the library knows it, for example a drive that had another letter;
    NEW is where it is now. Tags, marks and transcripts stay.

    \b
    vsearch relocate /media/old-disk/Movies ~/Movies
    """
    with options.open_library(ignore_invalid_settings=True) as library:
        results = library.relocate(old_folder, new_folder, dry_run=dry_run)
    for result in results:
        if result.outcome != "moved":
            print_problem(f"{result.outcome:<10} {format_path(result.new_path)}")
        elif dry_run:
            click.echo(
                f"would move {format_path(result.video.path)} → {format_path(result.new_path)}"
            )
    moved_count = sum(result.outcome == "moved" for result in results)
    click.echo(
        f"{moved_count} of {format_count(len(results), 'video')} "
        f"{'would be relocated' if dry_run else 'relocated'}"
    )
    if moved_count < len(results):
        print_problem("The others keep their old paths: their files are not there, or differ.")
        sys.exit(1)


def _confirm_removal(missing_videos: Sequence[Video]) -> None:
    """List missing videos and ask whether to remove them; exit unless the answer is yes."""
    for video in missing_videos[:MAX_LISTED_VIDEOS]:
        click.echo(f"{video.file_status or 'missing':<9}  {format_path(video.path)}", err=True)
    if len(missing_videos) > MAX_LISTED_VIDEOS:
        click.echo(f"… and {len(missing_videos) - MAX_LISTED_VIDEOS} more", err=True)
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"this would remove {format_count(len(missing_videos), 'video')} with all tags, marks "
            "and transcripts; add --yes to do so. If the files were moved, run "
            "`vsearch relocate OLD NEW` or `vsearch index NEWPLACE` instead, which keep them"
        )
    count_text = format_count(len(missing_videos), "video")
    if not click.confirm(
        f"Remove {count_text} with all tags, marks and transcripts? (If the files were moved, "
        "`vsearch index NEWPLACE` keeps them.)",
        err=True,
    ):
        click.echo("Nothing was removed.", err=True)
        sys.exit(1)


@click.command()
@library_options
@click.pass_obj
def rebuild(options: CommonOptions) -> None:
    """Rebuild vectors and index from stored frame features.

    Decodes no video. Run it after changing the pooler, or if `vsearch doctor` says so.
    """
    with options.open_library() as library:
        segment_count = library.rebuild()
        pooler_name = library.info().pooler
    click.echo(f"{format_count(segment_count, 'segment')} rebuilt, pooled by {pooler_name or '–'}")
