"""`vsearch serve`."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import shared, small_matrices

if TYPE_CHECKING:
    from vsearch.cli.options import Options


@click.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0: everywhere."
)
@click.option(
    "--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0: any."
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Ask for the token that this file holds.  [default: none on this machine alone, else one "
    "is made and told]",
)
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="What this server is also called."
)
@click.option(
    "--behind-proxy", "proxied", is_flag=True, help="Believe a proxy on this machine who asks."
)
@click.option("--open", "browse", is_flag=True, help="Open the page in a browser.")
@shared
@click.pass_obj
def serve(
    options: Options,
    folders: tuple[str, ...],
    host: str,
    port: int,
    token_file: Path | None,
    names: tuple[str, ...],
    proxied: bool,
    browse: bool,
) -> None:
    """Search from a page in the browser, and by a REST API.

    Videos in the FOLDERs named may be indexed from the page; without any it only searches.
    Whoever else uses this machine may ask, too, unless there is a token.

    \b
    vsearch serve ~/Movies
    vsearch serve --host 0.0.0.0 --token-file token.txt
    """
    small_matrices()
    from vsearch.web.access import read_token  # deferred: --help needs no server
    from vsearch.web.serving import Wish, serve

    token = read_token(token_file) if token_file else None
    roots = [_folder(name) for name in folders]
    journal = logging.getLogger("vsearch.web.access")
    journal.setLevel(logging.INFO)
    with options.open(create=True) as library:

        def tell(address: str, made: str | None) -> None:
            page = f"{address}#token={made}" if made else address
            click.echo(f"Serving {library.path} at {page}", err=True)
            click.echo("Ctrl-C stops it.", err=True)
            if browse:
                click.launch(address)  # without the token: others may see how a browser is called

        serve(library, Wish(host, port, token, names, roots, proxied), tell)


def _folder(name: str) -> Path:
    path = Path(os.path.abspath(os.path.expanduser(name)))  # noqa: PTH100, PTH111 - never raises
    if not path.is_dir():
        raise click.BadParameter(f"{name}: is no folder", param_hint="FOLDER")
    return path
