"""The commands that keep a library: index, list, info, remove, rebuild."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import give_way, hurried, shared, small_matrices
from vsearch.cli.render import length, plural, print_json, printable, short, size, table
from vsearch.cli.tally import Tally, messages, tell_timings
from vsearch.cli.transcribe import add_words, check_extras
from vsearch.errors import DamagedLibraryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import Options
    from vsearch.library import Library
    from vsearch.types import Ingested, Video


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--fps", type=float, help="Frames sampled a second.  [default: the library's, or 1]")
@click.option("--again", is_flag=True, help="Index even what is known and unchanged.")
@click.option(
    "--progressive", is_flag=True, help="Take key frames of all first, then fill them in."
)
@click.option("--timings", is_flag=True, help="Tell on stderr where the time went.")
@hurried
@click.option(
    "--keep-frames/--no-keep-frames",
    default=None,
    help="Keep the sampled frames, small, so that another model need not decode the videos.  "
    "[default: the library's, or not]",
)
@click.option(
    "--transcribe/--no-transcribe",
    default=None,
    help="Write down what is spoken, see `vsearch transcribe`.  [default: the library's, or not]",
)
@click.option(
    "--read/--no-read",
    "read_text",
    default=None,
    help="Read text that is shown, see `vsearch read`.  [default: the library's, or not]",
)
@shared
@click.pass_obj
def index(
    options: Options,
    paths: tuple[str, ...],
    fps: float | None,
    again: bool,
    progressive: bool,
    timings: bool,
    keep_frames: bool | None,
    transcribe: bool | None,
    read_text: bool | None,
    fast: bool | None,
    workers: int | None,
    hwaccel: str | None,
) -> None:
    """Bring videos into the library: files, folders and globs.

    What is known is passed over, so a second run is quick, and an interrupted one goes on where
    it stopped.
    """
    if progressive and fast:
        raise click.UsageError("--progressive takes key frames first and fills in: without --fast")
    small_matrices()
    give_way()
    flags = {"keep_frames": keep_frames, "transcribe": transcribe, "read_text": read_text}
    with options.open(
        create=True, fps=fps, fast=fast, workers=workers, hwaccel=hwaccel, **flags
    ) as library:
        check_extras(library)
        results = run_index(library, paths, again=again, progressive=progressive)
        if timings:
            tell_timings(results)
        _report_missing(library)
        videos = {one.video.id: one.video for one in results if one.video}
        well = add_words(library, list(videos.values()))
    if not (all_well(results) and well):
        sys.exit(1)


def all_well(results: list[Ingested]) -> bool:
    """Whether there was something to index, and nothing failed."""
    return bool(results) and all(one.outcome != "failed" for one in results)


def run_index(
    library: Library,
    paths: tuple[str, ...],
    *,
    again: bool = False,
    progressive: bool = False,
    quiet: bool = False,
) -> list[Ingested]:
    """Index with progress on stderr, tell of each failure and, unless `quiet`, sum up on stdout."""
    from vsearch.cli.progress import ProgressLine  # deferred: brings rich

    tally = Tally()
    try:
        with (
            ProgressLine() as line,
            closing(
                library.index(paths, again=again, progressive=progressive, progress=line.update)
            ) as run,
        ):
            for one in run:
                tally.count(one)
                line.finished(one)
                for message in messages(one, brief=progressive):
                    line.say(message)
    except KeyboardInterrupt:
        tally.sum_up()
        click.echo(
            "Stopped. What was indexed is kept; run the same command again to go on.", err=True
        )
        sys.exit(130)
    if not quiet:
        tally.sum_up()
    return tally.results


def _report_missing(library: Library) -> None:
    missing = library.missing()
    for video in missing[:5]:
        click.echo(f"gone       {short(video.path)}", err=True)
    if missing:
        more = f" ({len(missing) - 5} more)" if len(missing) > 5 else ""
        click.echo(
            f"{plural(len(missing), 'indexed video')} no longer there{more}; "
            "`vsearch remove --missing` forgets them.",
            err=True,
        )


@click.command("list")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def list_(options: Options, paths: tuple[str, ...], as_json: bool) -> None:
    """List the videos in the library: all, or by path, folder or glob."""
    with options.open() as library:
        videos = library.videos(paths)
    if as_json:
        print_json({"videos": [_video_json(video) for video in videos]})
    elif videos:
        rows = [("length", "size", "frames", "video")]
        for video in videos:
            shape = f"{video.width}×{video.height}"
            rows.append((length(video.duration), shape, str(video.frames), short(video.path)))
        table(rows, right="rrr", shrink=3)
        for video in videos:
            if video.note:
                click.echo(f"note  {short(video.path)}: {printable(video.note)}")
    else:
        click.echo("No videos." if not paths else "No video matches.", err=True)


def _video_json(video: Video) -> dict[str, object]:
    return {
        "path": str(video.path),
        "duration": round(video.duration, 3),
        "fps": round(video.fps, 3),
        "width": video.width,
        "height": video.height,
        "codec": video.codec,
        "size": video.size,
        "frames": video.frames,
        "fingerprint": video.fingerprint,
        "note": video.note,
        "keyframes": video.keyframes,
        "model": video.model,
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def info(options: Options, as_json: bool) -> None:
    """Say what the library holds and which model made it."""
    with options.open() as library:
        found, settings = library.info(), library.settings
        adapter = _adapter(library)
    space = found.space.name if found.space else None
    if as_json:
        print_json(
            {
                "library": str(found.path),
                "model": settings.model,
                "text_model": settings.text_model or None,
                "models": [{"model": name, "videos": count} for name, count in found.models],
                "space": space,
                "dim": found.space.dim if found.space else None,
                "speaks_text": found.space.speaks_text if found.space else None,
                "pooler": found.pooler,
                "fps": settings.fps,
                "videos": found.videos,
                "seconds": round(found.seconds, 3),
                "segments": found.segments,
                "frames": found.frames,
                "bytes": found.size,
                "words": dict(found.words),
                **({"adapter": adapter} if adapter else {}),
            }
        )
        return
    words = [(f"words     {printable(settings.text_model)}",)] if settings.text_model else []
    table(
        [
            (f"library   {printable(str(found.path))}",),
            (f"model     {_models(settings.model, space, found.models)}",),
            *words,
            *([(f"adapter   {_adapter_line(adapter)}",)] if adapter else []),
            (f"videos    {found.videos}, {length(found.seconds)} in all",),
            (f"segments  {found.segments}, pooled by {found.pooler or '–'}",),
            (f"frames    {found.frames}, {settings.fps:g} a second",),
            *([(f"said      {_said(found.words)}",)] if found.words else []),
            (f"on disk   {size(found.size)}",),
        ]
    )


def _said(words: Sequence[tuple[str, int]]) -> str:
    names = {"screen": "text on the screen"}
    shares = (f"{names.get(source, source)} of {plural(count, 'video')}" for source, count in words)
    return ", ".join(shares)


def _adapter(library: Library) -> dict[str, Any] | None:
    """What `vsearch train align` installed, and whether its space is the one that answers."""
    try:
        adapter = library.adapter_file.read()
    except DamagedLibraryError as error:
        return {"used": False, "error": str(error)}
    if adapter is None:
        return None
    space = library.space
    return {
        "used": space is not None and space.name == adapter.trained.space,
        **asdict(adapter.trained),
        "digest": adapter.digest,
    }


def _adapter_line(told: dict[str, Any]) -> str:
    if "error" in told:
        return printable(told["error"])
    gain = f"held-out MRR {100 * told['before']:.1f} → {100 * told['after']:.1f}"
    line = f"{told['rows']} rows of {plural(told['videos'], 'video')} ({told['source']}), {gain}"
    line += ", installed by force" if told["forced"] else ""
    if not told["used"]:
        line += f"; not used: it is kept for {told['space']} with the words of {told['words']}"
    return printable(line)


def _models(present: str, space: str | None, made: Sequence[tuple[str | None, int]]) -> str:
    """The model and its space; where several made the videos, how many each."""
    known = f"{printable(present)} ({space or 'nothing indexed yet'})"
    if {name for name, _ in made} <= {present, None}:
        return known
    counts = dict(made)
    shares = [f"{known} – {plural(counts.pop(present, 0), 'video')}"]
    shares += [f"{printable(name or 'not noted')} – {count}" for name, count in counts.items()]
    return "; ".join(shares)


@click.command()
@click.argument("paths", nargs=-1, metavar="PATH...")
@click.option("--missing", is_flag=True, help="Those whose files are gone.")
@shared
@click.pass_obj
def remove(options: Options, paths: tuple[str, ...], missing: bool) -> None:
    """Take videos out of the library, by path, folder or glob.

    The files themselves stay.
    """
    if bool(paths) == missing:
        raise click.UsageError("give paths or globs, or --missing alone")
    with options.open() as library:
        videos = library.forget_missing() if missing else library.remove(paths)
    for video in videos:
        click.echo(f"removed    {short(video.path)}", err=True)
    click.echo(f"{plural(len(videos), 'video')} removed")
    if not videos and not missing:
        sys.exit(1)


@click.command()
@shared
@click.pass_obj
def rebuild(options: Options) -> None:
    """Make vectors and index anew from stored frames.

    Nothing is decoded; use it after choosing another pooler, or when `doctor` says so.
    """
    with options.open() as library:
        count = library.rebuild()
        pooler = library.info().pooler
    click.echo(f"{plural(count, 'segment')} rebuilt, pooled by {pooler or '–'}")
