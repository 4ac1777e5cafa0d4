"""`vsearch mcp`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import shared, small_matrices
from vsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from vsearch.cli.options import Options


@click.command()
@click.option("--http", is_flag=True, help="Listen on this machine, instead of standard input.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    type=click.Choice(["127.0.0.1", "::1", "localhost"]),
    help="Where --http listens; never for other machines.",
)
@click.option(
    "--port", default=8766, show_default=True, type=click.IntRange(0, 65535), help="0: any."
)
@click.option(
    "--allow-export",
    "exports",
    type=click.Path(exists=True, file_okay=False, writable=True, resolve_path=True, path_type=Path),
    metavar="DIR",
    help="Films may be written into this folder; nothing is overwritten.  [default: nowhere]",
)
@shared
@click.pass_obj
def mcp(options: Options, http: bool, host: str, port: int, exports: Path | None) -> None:
    """Let language models search the library: a server of the Model Context Protocol.

    A program that speaks MCP starts it and talks to it on standard input and output. It only
    reads, unless --allow-export names a folder.

    \b
    vsearch --library ~/Movies/.vsearch mcp
    vsearch mcp --http --allow-export ~/Clips
    """
    small_matrices()
    try:
        from vsearch.mcp_server.server import serve_http, serve_stdio
    except ImportError as error:
        raise MissingExtraError(
            f"an MCP server needs the package {error.name!r}, which is not installed: "
            "pip install 'vsearch[mcp]'"
        ) from error
    with options.open() as library:
        if not http:
            # what waits for input in a thread would not end otherwise
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            serve_stdio(library, exports)
            return

        def tell(address: str) -> None:
            click.echo(f"Serving {library.path} by MCP at {address}", err=True)
            click.echo("Ctrl-C stops it.", err=True)

        serve_http(library, exports, host, port, tell)
