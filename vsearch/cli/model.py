"""`vsearch model`: show the models of a library and switch between them."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import library_options, ray_option
from vsearch.cli.render import (
    escape_unprintable,
    format_bytes,
    format_count,
    format_path,
    print_json,
    print_table,
)
from vsearch.errors import LockedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.progress import IndexResult, SwitchResult
    from vsearch.types import SpaceInfo

LOG_FILE = "model.log"


@click.group(invoke_without_command=True)
@library_options
@click.pass_context
def model(context: click.Context) -> None:
    """Show or switch the model that answers queries.

    \b
    vsearch model switch openclip:ViT-L-14/openai
    vsearch model rollback
    """
    if context.invoked_subcommand is None:
        context.invoke(status)


@model.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def status(options: CommonOptions, as_json: bool = False) -> None:
    """List the models of the library and the size of their data."""
    with options.open_library() as library:
        spaces, video_count = library.models.list(), library.info().video_count
        lock_holder = library.lock_holder()
    if as_json:
        space_entries = [_space_to_dict(space) for space in spaces]
        print_json({"spaces": space_entries, "videos": video_count, "lock_holder": lock_holder})
        return
    if spaces:
        table_rows: list[Sequence[str]] = [("", "model", "space", "videos", "on disk", "")]
        table_rows += [_build_row(space, video_count) for space in spaces]
        print_table(table_rows, alignments="lllrr")
    else:
        print_note("Nothing is indexed yet.")
    if lock_holder is not None:
        click.echo(f"Being written by {escape_unprintable(lock_holder)}")


def _build_row(space_info: SpaceInfo, video_count: int) -> Sequence[str]:
    missing_count = video_count - space_info.video_count
    if space_info.is_active:
        state_text = "active"
    elif missing_count > 0:
        state_text = f"lacks {format_count(missing_count, 'video')}"
    else:
        state_text = "ready"
    return (
        "*" if space_info.is_active else "",
        escape_unprintable(space_info.model or "?"),
        escape_unprintable(space_info.space.name),
        f"{space_info.video_count} of {video_count}",
        format_bytes(space_info.size_bytes),
        state_text,
    )


def _space_to_dict(space_info: SpaceInfo) -> dict[str, object]:
    """Return the entry of a space in `model status --json`."""
    return {
        "model": space_info.model,
        "space": space_info.space.name,
        "dim": space_info.space.dim,
        "pooler": space_info.pooler,
        "in_use": space_info.is_active,
        "videos": space_info.video_count,
        "bytes": space_info.size_bytes,
    }


_skip_missing_option = click.option(
    "--skip-missing", is_flag=True, help="Switch even if some videos cannot be embedded."
)
_background_option = click.option(
    "--background", is_flag=True, help="Return at once and continue as a background process."
)


@model.command()
@click.argument("model_name", metavar="NAME")
@_skip_missing_option
@_background_option
@ray_option
@library_options
@click.pass_obj
def switch(
    options: CommonOptions,
    model_name: str,
    skip_missing: bool,
    background: bool,
    ray: str | None,
) -> None:
    """Switch to the model NAME.

    Embeds every video with the new model, from cached frames if there are any, else by decoding.
    The current model answers queries until all videos are done. Can be stopped and run again.
    """
    _switch_model(options, model_name, skip_missing, background, ray)


@model.command()
@_skip_missing_option
@_background_option
@ray_option
@library_options
@click.pass_obj
def rollback(options: CommonOptions, skip_missing: bool, background: bool, ray: str | None) -> None:
    """Switch back to the previous model.

    Only videos that were indexed since the last switch are embedded.
    """
    _switch_model(options, None, skip_missing, background, ray)


@model.command()
@click.argument("model_name", metavar="NAME|SPACE")
@library_options
@click.pass_obj
def delete(options: CommonOptions, model_name: str) -> None:
    """Delete the data of a model that is not in use.

    Deletes its vectors, features and index.
    """
    with options.open_library() as library:
        deleted_space = library.models.delete(model_name)
    space_text = escape_unprintable(deleted_space.space.name)
    click.echo(f"{space_text} deleted, {format_bytes(deleted_space.size_bytes)} freed")


def _switch_model(
    options: CommonOptions,
    model_name: str | None,
    skip_missing: bool,
    background: bool,
    ray: str | None,
) -> None:
    """Switch to a model, or back to the previous one if `model_name` is None."""
    options = replace(options, model=None)  # --model would override the active model
    if background:
        _start_background(options, model_name, skip_missing, ray)
        return
    with options.open_library(ray=ray) as library:
        switch_result = _run_switch(library, model_name, skip_missing)
        _print_outcome(library, switch_result)
    if not switch_result.is_switched:
        sys.exit(1)


def _run_switch(library: Library, model_name: str | None, skip_missing: bool) -> SwitchResult:
    from vsearch.cli.progress import ProgressLine  # deferred: brings rich

    try:
        with ProgressLine() as progress_line:

            def on_result(index_result: IndexResult) -> None:
                progress_line.finish_file(index_result)
                if index_result.error is not None:
                    error_text = escape_unprintable(index_result.error)
                    progress_line.print_message(f"failed     {error_text}", is_failure=True)

            return library.models.switch(
                model_name,
                skip_missing=skip_missing,
                on_progress=progress_line.update,
                on_result=on_result,
            )
    except KeyboardInterrupt:
        print_note(
            "Stopped. Embedded videos are kept; run the same command again to continue. The "
            "library still answers with the previous model."
        )
        sys.exit(130)


def _print_outcome(library: Library, switch_result: SwitchResult) -> None:
    failed_text = format_count(len(switch_result.failed_results), "video")
    if not switch_result.is_switched:
        print_problem(
            f"{failed_text} failed, so the model was not switched. Repair or remove the failed "
            "videos and run the command again, or add --skip-missing."
        )
        return
    if switch_result.failed_results:
        print_problem(
            f"{failed_text} cannot be found by the new model. `vsearch doctor` lists videos "
            "without vectors; `vsearch index` adds them once they are readable."
        )
    if switch_result.embedded_count:
        click.echo(f"{format_count(switch_result.embedded_count, 'video')} embedded")
    if switch_result.previous_space == switch_result.space:
        _print_same_space(library, switch_result)
    model_text = escape_unprintable(switch_result.model)
    click.echo(f"The library answers with {model_text} ({switch_result.space.name}).")
    env_model = os.environ.get("VSEARCH_MODEL")
    if env_model and env_model != switch_result.model:
        print_note(
            f"VSEARCH_MODEL is {escape_unprintable(env_model)} and takes precedence; unset it."
        )


def _print_same_space(library: Library, switch_result: SwitchResult) -> None:
    """Print that a switch within one embedding space keeps the existing vectors."""
    other_count = sum(
        video_count
        for maker_model, video_count in library.info().model_counts
        if maker_model != switch_result.model
    )
    if other_count:
        click.echo(
            "Both models share an embedding space, so nothing was embedded again. "
            f"{format_count(other_count, 'video')} still with features of another model; "
            "`vsearch index --force` recomputes them."
        )


def _start_background(
    options: CommonOptions, model_name: str | None, skip_missing: bool, ray: str | None
) -> None:
    """Start the same command as a detached process that writes to a log file."""
    with options.open_library() as library:
        if lock_holder := library.lock_holder():
            raise LockedError(
                f"{library.location}: is being written by {lock_holder}; wait until it is done or "
                "stop it"
            )
        location = library.location
    subcommand = ["rollback"] if model_name is None else ["switch", model_name]
    command_args = ["--library", location.absolute_name, "model", *subcommand]
    command_args += ["--skip-missing"] if skip_missing else []
    command_args += ["--device", options.device] if options.device else []
    command_args += ["--ray", ray] if ray is not None else []
    log_path = location.cache_folder.absolute() / LOG_FILE
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with log_path.open("ab") as log_file:
        child_process = subprocess.Popen(  # noqa: S603 - this program, no shell
            [sys.executable, "-P", "-m", "vsearch", *command_args],
            stdin=subprocess.DEVNULL,
            stdout=log_file,
            stderr=log_file,
            env=os.environ | location.child_environment(),
            start_new_session=True,
            creationflags=getattr(subprocess, "DETACHED_PROCESS", 0),
        )
    click.echo(f"Started process {child_process.pid}; its output goes to {format_path(log_path)}.")
    click.echo("`vsearch model status` shows its progress.")
