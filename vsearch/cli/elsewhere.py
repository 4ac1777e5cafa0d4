"""`--server`: the library that another process serves, in place of one on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from vsearch.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.cli.options import Options
    from vsearch.client.remote import Remote

F = TypeVar("F", bound="Callable[..., Any]")
TOKEN = "VSEARCH_TOKEN"  # noqa: S105 - the name of a variable
LONGEST = 4_096  # bytes of a file with a token


def elsewhere(command: F) -> F:
    """Give a command --server and --token-file."""
    for option in (
        click.option(
            "--token-file",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help=f"Holds the token of the server.  [default: ${TOKEN}, if there is one]",
        ),
        click.option(
            "--server",
            metavar="URL",
            envvar="VSEARCH_SERVER",
            help="Ask a running `vsearch serve`, e.g. http://127.0.0.1:8765: nothing is loaded "
            "here.  [default: $VSEARCH_SERVER, if no --library is named]",
        ),
    ):
        command = option(command)
    return command


def server_of(options: Options, server: str | None, token_file: Path | None) -> str | None:
    """The server that is meant, if one is: what a flag says goes before a variable.

    Raises UsageError for options that do not go together.
    """
    context = click.get_current_context()
    named = context.get_parameter_source("server") is not ParameterSource.ENVIRONMENT
    own = {
        "--library": options.library, "--model": options.model,
        "--text-model": options.text_model, "--device": options.device,
    }  # fmt: skip
    given = [name for name, value in own.items() if value is not None]
    if server and given and named:
        raise click.UsageError(f"{given[0]} is for a library here: leave it out with --server")
    server = None if given else server or None
    if token_file is not None and server is None:
        raise click.UsageError("--token-file is for a server: name it by --server URL")
    return server


def reached(server: str, token_file: Path | None) -> Remote:
    """The library of a server, which is asked nothing yet. Raises ServerError and SettingsError."""
    from vsearch.client.connection import Connection
    from vsearch.client.remote import Remote  # deferred: --help needs no numpy

    return Remote(Connection(server, _token(token_file)))


def _token(path: Path | None) -> str | None:
    """The token in a file, else that of the environment, if there is any."""
    if path is None:
        return os.environ.get(TOKEN) or None
    try:
        with path.open("rb") as file:
            token = file.read(LONGEST).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"{path}: no token can be read from it ({reason})") from error
    if not token:
        raise SettingsError(f"{path}: is empty, and should hold the token of the server")
    return token
