"""`vsearch serve` and `vsearch mcp`: web server and MCP server."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.messages import print_note
from vsearch.cli.options import library_options, limit_blas_threads
from vsearch.errors import MissingExtraError
from vsearch.memory import SERVER_NEED, expect_memory

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; 0.0.0.0 listens on all interfaces.",
)
@click.option(
    "--port",
    default=8765,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 chooses a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Require the token in this file.  [default: none on this machine alone; otherwise a "
    "token is generated and printed]",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Accept this host name in requests, too. Repeatable.",
)
@click.option(
    "--trust-proxy-headers",
    is_flag=True,
    help="Trust X-Forwarded-* headers from a reverse proxy on this machine. Any program of this "
    "machine can send them; --socket limits that to the proxy.",
)
@click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Listen on this Unix socket instead of a port, for a reverse proxy on this machine. Only "
    "its user and group can connect. Implies --trust-proxy-headers and requires a token.",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    help="Path under which a reverse proxy serves the page, such as /vs. Proxies may strip it from "
    "requests or keep it.",
)
@click.option("--open", "open_browser", is_flag=True, help="Open the web interface in a browser.")
@library_options
@click.pass_obj
def serve(
    options: CommonOptions,
    folders: tuple[str, ...],
    host: str,
    port: int,
    token_file: Path | None,
    allowed_hosts: tuple[str, ...],
    trust_proxy_headers: bool,
    socket_path: Path | None,
    root_path: str,
    open_browser: bool,
) -> None:
    """Start a web server with a search page and a REST API.

    The page may index videos in the given FOLDERs; without any, it only searches. Without a token,
    every user of this machine has access.

    \b
    vsearch serve ~/Movies
    vsearch serve --host 0.0.0.0 --token-file token.txt
    vsearch serve --socket /run/vsearch/http --allowed-host films.example --token-file token.txt
    """
    if open_browser and socket_path is not None:
        raise click.UsageError("--open needs a port; it cannot be combined with --socket")
    limit_blas_threads()
    from vsearch.server.run import ServerOptions, serve_library  # deferred: --help needs no server

    token = _read_token_file(token_file)
    folder_paths = [_resolve_folder(folder_name) for folder_name in folders]
    access_log = logging.getLogger("vsearch.server.access_log")
    access_log.setLevel(logging.INFO)
    expect_memory(SERVER_NEED)
    with options.open_library(create=True) as library:

        def print_address(server_url: str, generated_token: str | None) -> None:
            page_url = f"{server_url}#token={generated_token}" if generated_token else server_url
            if generated_token and socket_path is not None:
                page_url = f"{server_url} with the token {generated_token}"
            click.echo(f"Serving {library.location} at {page_url}", err=True)
            print_note("Press Ctrl-C to stop.")
            if open_browser:
                # without the token: other users may see the command line of a browser
                click.launch(server_url)

        serve_library(
            library,
            ServerOptions(
                host,
                port,
                token,
                allowed_hosts,
                folder_paths,
                trust_proxy_headers,
                socket_path,
                root_path=root_path,
            ),
            print_address,
        )


def _read_token_file(token_path: Path | None) -> str | None:
    if token_path is None:
        return None
    from vsearch.server.auth import read_token  # deferred: --help needs no server

    return read_token(token_path)


def _resolve_folder(folder_name: str) -> Path:
    # unlike Path.resolve and Path.expanduser, these never raise
    folder_path = Path(os.path.abspath(os.path.expanduser(folder_name)))  # noqa: PTH100, PTH111
    if not folder_path.is_dir():
        raise click.BadParameter(f"{folder_name}: is not a folder", param_hint="FOLDER")
    return folder_path


@click.command()
@click.option("--http", is_flag=True, help="Listen on an HTTP port instead of standard input.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    type=click.Choice(["127.0.0.1", "::1", "localhost"]),
    help="Address for --http; loopback only.",
)
@click.option(
    "--port",
    default=8766,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port for --http; 0 chooses a free one.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Require the token in this file with --http, as a bearer token.  [default: none, so that "
    "every user of this machine has access]",
)
@click.option(
    "--allow-export",
    "export_dir",
    type=click.Path(exists=True, file_okay=False, writable=True, resolve_path=True, path_type=Path),
    metavar="DIR",
    help="Allow writing films into this folder; existing files are never replaced.  "
    "[default: no export]",
)
@click.option(
    "--show-paths",
    "shows_paths",
    is_flag=True,
    help="Include the paths of videos in results, for assistants that open files.  [default: names "
    "only]",
)
@library_options
@click.pass_obj
def mcp(
    options: CommonOptions,
    http: bool,
    host: str,
    port: int,
    token_file: Path | None,
    export_dir: Path | None,
    shows_paths: bool,
) -> None:
    """Start an MCP server, so that language models can search.

    The server speaks the Model Context Protocol. An MCP client starts it and communicates over
    standard input and output. The server is read-only unless --allow-export names a folder.

    \b
    vsearch --library ~/Movies/.vsearch mcp
    vsearch mcp --http --allow-export ~/Clips
    """
    limit_blas_threads()
    try:
        from vsearch.mcp_server.server import HttpOptions, serve_http, serve_stdio
    except ImportError as error:
        raise MissingExtraError(
            f"the MCP server needs the package {error.name!r}, which is not installed: "
            "pip install 'vsearch[mcp]'"
        ) from error
    if token_file is not None and not http:
        raise click.UsageError("--token-file needs --http")
    token = _read_token_file(token_file)
    with options.open_library() as library:
        if not http:
            # a thread that waits for input would keep the process alive after Ctrl-C
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            serve_stdio(library, export_dir, shows_paths=shows_paths)
            return

        def print_address(server_url: str) -> None:
            click.echo(f"Serving {library.location} by MCP at {server_url}", err=True)
            print_note("Press Ctrl-C to stop.")

        http_options = HttpOptions(host, port, token, shows_paths)
        serve_http(library, export_dir, http_options, print_address)
