"""`vsearch save` and `vsearch saved`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsearch.cli.asked import QueryCommand, text_of
from vsearch.cli.options import library_only
from vsearch.cli.render import clipped, print_json, printable, table

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.types import SavedSearch


@click.command(cls=QueryCommand)
@click.argument("name")
@click.argument("words", nargs=-1, metavar="[QUERY]...")
@click.option("--remove", is_flag=True, help="Forget the one of that name.")
@library_only
@click.pass_obj
def save(options: Options, name: str, words: tuple[str, ...], remove: bool) -> None:
    """Save a search under a name, to be asked again as @NAME; without QUERY the last one.

    \b
    vsearch save dogs a dog jumps -indoor
    vsearch search @dogs after:2024
    """
    from vsearch import results

    if remove and words:
        raise click.UsageError("--remove needs a name and no query")
    with options.open() as library:
        if remove:
            gone = library.unsave(name)
            click.echo(f"removed    @{printable(gone.name)}  {printable(gone.query)}", err=True)
            return
        asked = library.query(text_of(words) if words else results.last(library.path).query)
        kept = library.save(name, asked)
    click.echo(f"saved      @{printable(kept.name)}  {printable(kept.query)}", err=True)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_only
@click.pass_obj
def saved(options: Options, as_json: bool) -> None:
    """List the searches that were saved."""
    with options.open() as library:
        found = library.saved()
    if as_json:
        print_json({"searches": [_plain(one) for one in found]})
    elif not found:
        click.echo("No searches are saved: vsearch save NAME QUERY", err=True)
    else:
        rows = [(f"@{printable(one.name)}", printable(one.query)) for one in found]
        table([("name", "query"), *rows], shrink=1, fit=clipped)


def _plain(one: SavedSearch) -> dict[str, str]:
    made = one.made_at.isoformat(timespec="seconds")
    return {"name": one.name, "query": one.query, "made_at": made}
