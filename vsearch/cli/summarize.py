"""`vsearch summarize`."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import clock, length, plural, print_json, printable, short, table
from vsearch.errors import NoLibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.analysis.summarise import Summary
    from vsearch.cli.options import Options
    from vsearch.library import Library
    from vsearch.media.export import Exported

PAGES, FILMS = (".html", ".htm"), (".mp4",)


class SummaryPath(SheetPath):
    """A film or a page to be written, refused before an hour of work and not after."""

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        path = Path(value)
        if path.suffix.lower() in PAGES:
            return super().convert(path, param, ctx)
        if path.suffix.lower() not in FILMS:
            self.fail(f"{path}: name a film, *.mp4, or a page, *.html", param, ctx)
        return path


@click.command()
@click.argument("video")
@click.option(
    "--length",
    "wanted",
    default="30s",
    show_default=True,
    metavar="TIME|%",
    help="At most that long: 30s, 1m30s, 90, or 10% of the video.",
)
@click.option("--query", metavar="TEXT", help="Rather what has to do with this.")
@click.option(
    "-o", "--output", type=SummaryPath(), metavar="FILE",
    help="Write it: a film with sound (.mp4) or a page with pictures (.html).",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Even where there is such a film already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def summarize(
    options: Options,
    video: str,
    wanted: str,
    query: str | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show a video in short: the excerpts that show most of what there is to see.

    VIDEO is one of the library, or any file, which is then looked at first.

    \b
    vsearch summarize match.mp4
    vsearch summarize match.mp4 --length 1m --query "a goal" -o goals.mp4
    """
    from vsearch.analysis.length import Length  # deferred: --help needs none of it
    from vsearch.media.export import check_target

    length_ = Length.parse(wanted)
    if output is not None and output.suffix.lower() in FILMS:
        check_target(output, [Path(video)], overwrite=overwrite)
    with _library(options) as library:
        if not library.videos([video]) and Path(video).is_file():
            click.echo(f"{printable(video)} is not indexed: looking at it now.", err=True)
        summary = library.summarize(video, length=length_, query=query)
    made = None if output is None else _write(output, summary, query, overwrite)
    if as_json:
        print_json(_plain(summary, query, output, made))
    else:
        _show(summary)
        if output is not None:
            how = "" if made is None else ", copied" if made.copied else ", encoded"
            click.echo(f"Written: {short(output)}{how}", err=True)


@contextmanager
def _library(options: Options) -> Iterator[Library]:
    """The library that is meant; where there is none and none was named, an empty one for now."""
    try:
        library = options.open()
    except NoLibraryError:
        if options.library is not None:
            raise
        with TemporaryDirectory(prefix="vsearch-") as folder:
            empty = replace(options, library=folder)
            with empty.open(create=True) as library:
                yield library
        return
    with library:
        yield library


def _write(output: Path, summary: Summary, query: str | None, overwrite: bool) -> Exported | None:
    """The film or the page of a summary."""
    if output.suffix.lower() in PAGES:
        from vsearch.cli.storyboard import write_storyboard  # deferred: brings a decoder

        write_storyboard(output, summary, query)
        return None
    from vsearch.media.export import Part, export

    parts = [Part(summary.path, one.span) for one in summary.excerpts]
    return export(parts, output, overwrite=overwrite)


def _show(summary: Summary) -> None:
    """Print the excerpts as a table."""
    asked = any(one.relevance is not None for one in summary.excerpts)
    rows = [("#", "from", "lasts", "stands for", "best at", *(["like query"] if asked else []))]
    for number, one in enumerate(summary.excerpts, 1):
        fits = [f"{one.relevance:.3f}"] if one.relevance is not None else []
        lasts, share = f"{one.span.duration:.1f} s", f"{100 * one.share:.0f} %"
        rows.append((str(number), clock(one.span.start), lasts, share, clock(one.peak), *fits))
    table(rows, right="rrrrrr")
    click.echo(
        f"{plural(len(summary.excerpts), 'excerpt')}, {length(summary.length)} of "
        f"{length(summary.duration)}: {short(summary.path)}"
    )


def _plain(
    summary: Summary, query: str | None, output: Path | None, made: Exported | None
) -> dict[str, Any]:
    """What `--json` prints; times in seconds."""
    return {
        "video": str(summary.path),
        "duration": round(summary.duration, 3),
        "query": query,
        "length": round(summary.length, 3),
        "coverage": round(summary.coverage, 4),
        "excerpts": [
            {
                "start": round(one.span.start, 3),
                "end": round(one.span.end, 3),
                "peak": round(one.peak, 3),
                "share": round(one.share, 4),
                "relevance": None if one.relevance is None else round(one.relevance, 6),
            }
            for one in summary.excerpts
        ],
        "output": None if output is None else str(output.absolute()),
        "copied": None if made is None else made.copied,
    }
