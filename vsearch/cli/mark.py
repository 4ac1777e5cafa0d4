"""`vsearch mark`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsearch.cli.options import library_only
from vsearch.cli.render import clipped, period, plural, printable, short, table

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.library import Library


@click.command()
@click.argument("numbers", required=False, metavar="[RESULTS]")
@click.argument("verdict", required=False, type=click.Choice(["up", "down"]), metavar="[up|down]")
@click.option("--remove", is_flag=True, help="Take back what was said of these results.")
@click.option("--forget", is_flag=True, help="Take back all that was said of the last search.")
@library_only
@click.pass_obj
def mark(
    options: Options, numbers: str | None, verdict: str | None, remove: bool, forget: bool
) -> None:
    """Say which results of the last search are what it asks for; without any, list all marks.

    The same search, with whatever filters, learns from it.

    \b
    vsearch mark 1,3 up
    vsearch mark 2 down
    vsearch mark 2 --remove
    """
    if (numbers is None) != (verdict is None and not remove) or (verdict and remove):
        raise click.UsageError("say which results, and whether up, down or --remove: mark 1,3 up")
    if forget and numbers is not None:
        raise click.UsageError("--forget takes back all marks of the last search: it goes alone")
    with options.open() as library:
        if forget:
            _forget(library)
        elif numbers is None:
            _list(library)
        else:
            _mark(library, numbers, None if remove else verdict == "up")


def _mark(library: Library, numbers: str, up: bool | None) -> None:
    from vsearch import results

    last = results.last(library.path)
    chosen = [last.named(number) for number in results.numbers(numbers)]
    left = library.mark(last.query, chosen, up=up)
    count = sum(one.up for one in left)
    click.echo(f"{printable(last.query)}: {count} up, {len(left) - count} down", err=True)


def _forget(library: Library) -> None:
    from vsearch import results

    last = results.last(library.path)
    count = library.forget_marks(last.query)
    click.echo(f"{printable(last.query)}: {plural(count, 'mark')} forgotten", err=True)


def _list(library: Library) -> None:
    found = library.marks()
    paths = {video.id: video.path for video in library.videos()}
    if not found:
        click.echo("Nothing is marked: vsearch mark 1,3 up, after a search", err=True)
        return
    rows = [
        (printable(one.query), "up" if one.up else "down", period(one.span), short(path))
        for one in found
        if (path := paths.get(one.video_id))  # else removed meanwhile
    ]
    table([("query", "mark", "moment", "video"), *rows], shrink=0, fit=clipped)
