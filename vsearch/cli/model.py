"""`vsearch model`: which models a library has, and how to change the one that answers."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import shared
from vsearch.cli.render import plural, print_json, printable, short, size, table
from vsearch.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import Options
    from vsearch.library import Library
    from vsearch.types import Ingested, KnownSpace, Switch

LOG = "model.log"


@click.group(invoke_without_command=True)
@shared
@click.pass_context
def model(context: click.Context) -> None:
    """See and change the model that a library answers by.

    \b
    vsearch model use openclip:ViT-L-14/openai
    vsearch model back
    """
    if context.invoked_subcommand is None:
        context.invoke(status)


@model.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def status(options: Options, as_json: bool = False) -> None:
    """Say which models the library knows, how much is in the space of each, and its size."""
    with options.open() as library:
        spaces, videos = library.spaces(), library.info().videos
        writer = library.writer()
    if as_json:
        known = [_space_json(space) for space in spaces]
        print_json({"spaces": known, "videos": videos, "writer": writer})
        return
    if not spaces:
        click.echo("Nothing is indexed yet.", err=True)
    else:
        rows: list[Sequence[str]] = [("", "model", "space", "videos", "on disk", "")]
        rows += [_row(space, videos) for space in spaces]
        table(rows, right="lllrr")
    if writer is not None:
        click.echo(f"Being written by {printable(writer)}")


def _row(known: KnownSpace, videos: int) -> Sequence[str]:
    lacks = f"lacks {plural(videos - known.videos, 'video')}"
    state = "answers" if known.in_use else lacks if known.videos < videos else "ready"
    return (
        "*" if known.in_use else "",
        printable(known.model or "?"),
        printable(known.space.name),
        f"{known.videos} of {videos}",
        size(known.size),
        state,
    )


def _space_json(known: KnownSpace) -> dict[str, object]:
    return {
        "model": known.model,
        "space": known.space.name,
        "dim": known.space.dim,
        "pooler": known.pooler,
        "in_use": known.in_use,
        "videos": known.videos,
        "bytes": known.size,
    }


_skip = click.option(
    "--skip-missing", is_flag=True, help="Change even if some videos cannot be seen any more."
)
_background = click.option("--background", is_flag=True, help="Return at once and go on unseen.")


@model.command()
@click.argument("name")
@_skip
@_background
@shared
@click.pass_obj
def use(options: Options, name: str, skip_missing: bool, background: bool) -> None:
    """Bring every video into the space of the model NAME, then answer by it.

    Frames that were kept are used, else the videos are decoded again. Until all is done the
    library answers as before. May be stopped and run again.
    """
    _change(options, name, skip_missing, background)


@model.command()
@_skip
@_background
@shared
@click.pass_obj
def back(options: Options, skip_missing: bool, background: bool) -> None:
    """Answer by the model before; only what was indexed since is embedded."""
    _change(options, None, skip_missing, background)


@model.command()
@click.argument("name", metavar="NAME|SPACE")
@shared
@click.pass_obj
def drop(options: Options, name: str) -> None:
    """Delete the vectors, features and index of a model that is not in use."""
    with options.open() as library:
        known = library.drop_model(name)
    click.echo(f"{printable(known.space.name)} dropped, {size(known.size)} on disk are free")


def _change(options: Options, name: str | None, skip_missing: bool, background: bool) -> None:
    """The model named before the command is the one that there is; it stays so until the end."""
    options = replace(options, model=None)
    if background:
        _detach(options, name, skip_missing)
        return
    with options.open() as library:
        switch = _run(library, name, skip_missing)
        _tell(library, switch)
    if not switch.done:
        sys.exit(1)


def _run(library: Library, name: str | None, skip_missing: bool) -> Switch:
    from vsearch.cli.progress import ProgressLine  # deferred: brings rich

    try:
        with ProgressLine() as line:

            def each(one: Ingested) -> None:
                line.finished(one)
                if one.error is not None:
                    line.say(f"failed     {printable(one.error)}")

            return library.use_model(
                name, skip_missing=skip_missing, progress=line.update, each=each
            )
    except KeyboardInterrupt:
        click.echo(
            "Stopped. What was embedded is kept; run the same command again to go on. Until then "
            "the library answers as before.",
            err=True,
        )
        sys.exit(130)


def _tell(library: Library, switch: Switch) -> None:
    failed = plural(len(switch.failed), "video")
    if not switch.done:
        click.echo(
            f"{failed} failed, so the library answers as before. Mend or forget what failed and "
            "run the command again, or add --skip-missing to do without.",
            err=True,
        )
        return
    if switch.failed:
        click.echo(
            f"{failed} will not be found by the new model; `vsearch doctor` names what has no "
            "vectors, `vsearch index` puts it in once it can be read.",
            err=True,
        )
    if switch.embedded:
        click.echo(f"{plural(switch.embedded, 'video')} embedded")
    if switch.before == switch.space:
        _tell_same_space(library, switch)
    click.echo(f"The library answers by {printable(switch.model)} ({switch.space.name}).")
    named = os.environ.get("VSEARCH_MODEL")
    if named and named != switch.model:
        click.echo(f"VSEARCH_MODEL is {printable(named)} and beats it: unset it.", err=True)


def _tell_same_space(library: Library, switch: Switch) -> None:
    """Two models of one space: what is there stays, what comes is made by the other."""
    others = sum(count for maker, count in library.info().models if maker != switch.model)
    if others:
        click.echo(
            f"Nothing has to be embedded anew: the space is the same. "
            f"{plural(others, 'video')} still with the features of another model; "
            "`vsearch index --again` makes them by this one."
        )


def _detach(options: Options, name: str | None, skip_missing: bool) -> None:
    """Start the same command as a process of its own, which outlives this one."""
    with options.open() as library:
        if writer := library.writer():
            raise LockedError(f"{library.path} is being written by {writer}: wait, or stop it")
        folder = library.path.absolute()
    words = ["--library", str(folder), "model", *(["back"] if name is None else ["use", name])]
    words += ["--skip-missing"] if skip_missing else []
    words += ["--device", options.device] if options.device else []
    with (folder / LOG).open("ab") as log:
        started = subprocess.Popen(  # noqa: S603 - this program, no shell
            [sys.executable, "-P", "-m", "vsearch", *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
        )
    click.echo(f"Started as process {started.pid}; it tells its log {short(Path(folder, LOG))}.")
    click.echo("`vsearch model status` shows how far it is.")
