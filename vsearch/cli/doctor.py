"""The command that examines the library: doctor."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import shared
from vsearch.cli.render import printable, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import Options
    from vsearch.doctor import Recall

TARGET = 0.99


@click.command()
@click.option(
    "--recall",
    "measures",
    is_flag=True,
    help="Measure instead how many of the ten nearest segments the index finds, and how fast.",
)
@shared
@click.pass_obj
def doctor(options: Options, measures: bool) -> None:
    """Check the library and say what is wrong; exit 1 if anything is.

    With --recall, that is an index that finds less than 99 % of what comparing all would find.
    """
    with options.open() as library:
        if measures:
            found = library.recall()
            problems = _tell(found, library.info().segments)
        else:
            problems = library.doctor()
    for problem in problems:
        click.echo(printable(problem))
    if problems:
        sys.exit(1)
    if not measures:
        click.echo("The library is sound.")


def _tell(found: Sequence[Recall], segments: int) -> list[str]:
    """Print what was measured; returns what is wrong with it."""
    if not found:
        return ["nothing is indexed, so there is nothing to find"]
    rows = [("recall@10", "index", "exact", f"asked of {segments} segments")]
    for one in found:
        took, exact = (f"{1000 * seconds:.2f} ms" for seconds in (one.seconds, one.exact))
        rows.append((f"{one.recall:.3f}", took, exact, f"{one.questions} {one.about}"))
    table(rows, right="rrr")
    if min(one.recall for one in found) >= TARGET:
        return []
    return [
        f"the index finds less than {100 * TARGET:.0f} % of what is nearest: `vsearch rebuild` "
        'builds it anew; `index = "exact"` in vsearch.toml compares everything'
    ]
