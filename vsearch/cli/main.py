"""The `vsearch` command: lazy loading of subcommands, logging and exit codes."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import suppress
from importlib import import_module
from typing import NoReturn

import click

from vsearch import __version__
from vsearch.cli.log_options import add_log_options, configure_logging, main_log_options
from vsearch.cli.messages import log_printed, print_note, print_problem
from vsearch.cli.options import library_options
from vsearch.cli.render import escape_unprintable
from vsearch.cli.streams import finish_output, open_closed_streams
from vsearch.errors import ModelError, NoTextError, QueryError, SettingsError, VSearchError
from vsearch.memory import describe_exhaustion, is_memory_error, read_address_space_limit

log = logging.getLogger(__name__)

COMMANDS_BY_MODULE = {
    "backup": ("backup", "restore"),
    "classify": ("classify",),
    "completion": ("completion",),
    "config": ("config",),
    "demo": ("demo",),
    "doctor": ("doctor",),
    "evaluate": ("evaluate",),
    "export": ("export",),
    "index": ("index",),
    "library": ("info", "list", "rebuild", "relocate", "remove"),
    "library_group": ("library",),
    "model": ("model",),
    "models": ("models",),
    "open": ("open",),
    "saved": ("mark", "save", "saved"),
    "search": ("search",),
    "serve": ("mcp", "serve"),
    "similar": ("duplicates", "similar"),
    "sound": ("sound",),
    "summarize": ("summarize",),
    "tags": ("tags",),
    "train.align": ("train",),
    "transcribe": ("ocr", "transcribe"),
    "transcript": ("transcript",),
    "watch": ("watch",),
}
MODULE_BY_COMMAND = {
    command: module_name
    for module_name, commands in COMMANDS_BY_MODULE.items()
    for command in commands
}
FUNCTION_BY_COMMAND = {"list": "list_command", "open": "open_command"}  # not the built-ins

BLAS_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
EXIT_INTERRUPTED = 130  # as shells report SIGINT


class LazyGroup(click.Group):
    """A click group that imports a subcommand's module when the subcommand is looked up."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands, sorted."""
        return sorted({*MODULE_BY_COMMAND, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the subcommand `cmd_name`, or None if there is none."""
        if cmd_name not in MODULE_BY_COMMAND:
            command = super().get_command(ctx, cmd_name)
            return None if command is None else add_log_options(command)
        command_module = import_module(f"vsearch.cli.{MODULE_BY_COMMAND[cmd_name]}")
        function_name = FUNCTION_BY_COMMAND.get(cmd_name, cmd_name)
        command = getattr(command_module, function_name)
        return add_log_options(command)


@main_log_options
@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vsearch")
@library_options
@click.pass_context
def cli(context: click.Context) -> None:
    """Search your own videos by text, image or example clip.

    \b
    vsearch index ~/Movies
    vsearch search "a dog jumps into a pool"
    """
    configure_logging(context)


def main() -> NoReturn:
    """Run the command line and exit with the documented exit code."""
    open_closed_streams()
    for output_stream in (sys.stdout, sys.stderr):
        if isinstance(output_stream, io.TextIOWrapper):
            # the terminal's encoding may lack characters of a file name
            output_stream.reconfigure(errors="backslashreplace")
    if read_address_space_limit() is not None:
        for variable_name in BLAS_THREAD_VARIABLES:  # more threads would not fit
            os.environ.setdefault(variable_name, "1")
    sys.exit(finish_output(_run_command()))


def _run_command() -> int:
    """Run the command line and return its exit code; print errors as one line each."""
    try:
        exit_code: object = cli.main(_take_arguments(), standalone_mode=False, prog_name="vsearch")
    except SystemExit as system_exit:
        exit_code = system_exit.code
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        exit_code = error.exit_code
    except (QueryError, SettingsError) as error:
        exit_code = _print_error(error, 1 if isinstance(error, NoTextError) else 2)
    except VSearchError as error:
        exit_code = _print_error(error, 1)
    except (KeyboardInterrupt, click.Abort):
        with suppress(OSError):
            print_note("Stopped.")
        exit_code = EXIT_INTERRUPTED
    except Exception as error:
        if is_memory_error(error):
            exit_code = _print_error(ModelError(describe_exhaustion()), 1)
        elif isinstance(error, OSError):  # e.g. an output file that cannot be written
            exit_code = _report_os_error(error)
        else:
            log.exception("unexpected error")
            raise
    exit_status = exit_code if isinstance(exit_code, int) else int(exit_code is not None)
    log_printed(f"finished with exit code {exit_status}")
    return exit_status


def _take_arguments() -> list[str]:
    """Return the arguments, and remove passwords from `sys.argv`, which is logged and stored."""
    arguments = sys.argv[1:]
    if any("postgres" in argument.lower() for argument in arguments):
        from vsearch.catalog.database_url import (  # deferred: a folder needs none of it
            PASSWORD_ADVICE,
            redact_database_urls,
        )

        sys.argv[1:] = [redact_database_urls(argument) for argument in arguments]
        if sys.argv[1:] != arguments:
            print_note(
                "Warning: every user of this machine can see the password of the database in the "
                f"list of processes; {PASSWORD_ADVICE}."
            )
    return arguments


def _report_os_error(error: OSError) -> int:
    """Print an error, unless it is of stdout, which `finish_output` reports; return 1."""
    try:
        sys.stdout.flush()
    except OSError:
        return 1
    if error.filename is None:  # an unbuffered stdout, or another file that is being written
        reason = error.strerror or str(error)
        return _print_error(OSError(f"the output cannot be written ({reason})"), 1)
    return _print_error(error, 1)


def _print_error(error: Exception, exit_code: int) -> int:
    with suppress(OSError):  # stderr is full or closed
        print_problem(f"vsearch: {escape_unprintable(str(error))}")
    log.debug("%s", type(error).__name__, exc_info=error)
    return exit_code
