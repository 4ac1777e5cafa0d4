"""`vsearch list`, `info`, `remove` and `rebuild`: inspect and maintain a library."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import library_options
from vsearch.cli.render import (
    escape_unprintable,
    format_bytes,
    format_count,
    format_duration,
    format_path,
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


@click.command("list")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def list_command(options: CommonOptions, paths: tuple[str, ...], as_json: bool) -> None:
    """List the videos of the library.

    PATH is a file, folder or glob; without any, all videos are listed.
    """
    with options.open_library() as library:
        videos = library.videos(paths)
    if as_json:
        print_json({"videos": [_video_to_dict(video) for video in videos]})
    elif videos:
        _print_videos(videos)
    elif not paths:
        click.echo("No videos.", err=True)
    if paths and not videos:
        click.echo("No video matches; see `vsearch list`.", err=True)
        sys.exit(1)


def _print_videos(videos: Sequence[Video]) -> None:
    table_rows = [("duration", "size", "frames", "video")]
    table_rows += [
        (
            format_duration(video.duration),
            f"{video.width}×{video.height}",
            str(video.sampled_frames),
            format_path(video.path),
        )
        for video in videos
    ]
    print_table(table_rows, alignments="rrr", shrink_column=3)
    for video in videos:
        if warning := video.full_warning:
            click.echo(f"warning  {format_path(video.path)}: {escape_unprintable(warning)}")


def _video_to_dict(video: Video) -> dict[str, object]:
    """Return the entry of a video in `list --json`."""
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
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def info(options: CommonOptions, as_json: bool) -> None:
    """Print the size, contents and models of the library."""
    with options.open_library() as library:
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
        "library": str(library_info.path),
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
        "transcript_counts": [
            {"source": source, "video_count": video_count}
            for source, video_count in library_info.transcript_counts
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
        ("library", escape_unprintable(str(library_info.path))),
        ("model", _format_models(settings.model, library_info)),
        ("text model", escape_unprintable(settings.text_model)),
        ("adapter", _format_adapter(adapter_status) if adapter_status else ""),
        ("videos", f"{library_info.video_count}, {duration_text} in total"),
        ("segments", f"{library_info.segment_count}, pooled by {library_info.pooler or '–'}"),
        ("frames", f"{library_info.frame_count}, {settings.fps:g} per second"),
        ("transcripts", _format_transcripts(library_info.transcript_counts)),
        ("on disk", format_bytes(library_info.size_bytes)),
    ]
    print_table([(f"{row_name:<12}{value}",) for row_name, value in info_rows if value])


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
@library_options
@click.pass_obj
def remove(options: CommonOptions, paths: tuple[str, ...], missing: bool) -> None:
    """Remove videos from the library.

    PATH is a file, folder or glob. The video files themselves are not deleted.
    """
    if bool(paths) == missing:
        raise click.UsageError("name paths or globs, or use --missing alone")
    with options.open_library() as library:
        removed_videos = library.remove_missing() if missing else library.remove(paths)
    for video in removed_videos:
        click.echo(f"removed    {format_path(video.path)}", err=True)
    click.echo(f"{format_count(len(removed_videos), 'video')} removed")
    if not removed_videos and not missing:
        click.echo("No video matches; see `vsearch list`.", err=True)
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
