"""`vsearch export`."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsearch.cli.asked import QueryCommand, text_of
from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import print_json, printable, short
from vsearch.errors import NoLibraryError, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.cli.options import Options
    from vsearch.export.excerpts import Excerpt
    from vsearch.exporting import Left, Written
    from vsearch.library import Library
    from vsearch.results import Result

F = TypeVar("F", bound="Callable[..., Any]")
PAGE = "html"
USUAL = 10
LONGEST_PAD = 3600  # seconds
_NUMBERS = re.compile(r"#[0-9][0-9,# -]*")


class Pad(click.ParamType[float]):
    """Seconds, none or more: `0`, `1.5s`, `1m`."""

    name = "time"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from vsearch.search.times import parse_length  # deferred: --help needs none of it

        try:
            seconds = parse_length(str(value))
        except QueryError as error:
            self.fail(str(error), param, ctx)
        if seconds > LONGEST_PAD:
            self.fail(f"{value}: {LONGEST_PAD} seconds at most", param, ctx)
        return seconds


def _target(name: str, metavar: str, said: str) -> Callable[[F], F]:
    kind = click.Path(path_type=Path)
    return click.option(f"--{name}", type=kind, metavar=metavar, help=said)


@click.command(cls=QueryCommand)
@click.argument("what", nargs=-1, required=True, metavar="QUERY|#RESULTS|FILE...")
@_target("clips", "DIR", "A film of each, in this folder.")
@_target("supercut", "FILE.mp4", "One film of all, best first.")
@_target("otio", "FILE.otio", "That film as a timeline: OpenTimelineIO (`.[edit]`).")
@_target("edl", "FILE.edl", "The same as an edit decision list, CMX 3600.")
@_target("fcpxml", "FILE.fcpxml", "The same for Final Cut Pro and DaVinci Resolve.")
@_target("csv", "FILE.csv", "A table for spreadsheets.")
@_target("m3u", "FILE.m3u", "A playlist that plays just these parts in VLC.")
@click.option("--html", type=SheetPath(), metavar="FILE.html", help="A page of moving pictures.")
@click.option("--pad", type=Pad(), default="0s", metavar="TIME", help="That much more around each.")
@click.option(
    "-k", type=click.IntRange(1, 1000), help=f"How many.  [default: {USUAL} of a query, else all]"
)
@click.option("--overwrite", is_flag=True, help="Even where there are such files already.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def export(
    options: Options,
    /,
    what: tuple[str, ...],
    html: Path | None,
    pad: float,
    k: int | None,
    overwrite: bool,
    as_json: bool,
    **named: Path | None,
) -> None:
    """Bring what was found to editors, players and people.

    Of a query, of results of the last search, or of a file that `search --json` printed.

    \b
    vsearch export a dog jumps into a pool --supercut dogs.mp4
    vsearch export '#1-5,8' --clips out --pad 1s --csv out.csv
    """
    from vsearch.cli.gallery import write_gallery  # deferred: --help needs none of it
    from vsearch.exporting import check, write

    targets = {kind: path for kind, path in named.items() if path is not None}
    if not targets and html is None:
        raise click.UsageError("say what to write: --clips DIR, --supercut out.mp4, --csv …")
    check(targets, overwrite=overwrite)
    query, found, left = _asked(options, what, k, pad)
    check(targets, found, overwrite=overwrite)
    done: list[Written] = []
    for one in write(found, targets, query, overwrite=overwrite) if found else ():
        done.append(one)
        _tell(one)
    if found and html is not None:
        write_gallery(html, found, query)
        click.echo(f"Written: {short(html.absolute())}", err=True)
    for gone in left:
        click.echo(f"#{gone.rank}: {printable(gone.error)}", err=True)
    if not found:
        click.echo("Nothing was found, so nothing is written.", err=True)
    if as_json:
        page = html if found else None
        print_json(_plain(query, found, left, done, page))
    if left or any(one.error for one in done):
        raise SystemExit(1)


def _asked(
    options: Options, what: Sequence[str], k: int | None, pad: float
) -> tuple[str, list[Excerpt], list[Left]]:
    """What was asked, and the excerpts that it means."""
    from vsearch import results

    words = text_of(what)
    if len(what) == 1 and _is_file(words):
        known = results.read(Path(words))
        chosen = list(enumerate(known.found[:k], 1))
        try:
            with options.open() as library:
                return _excerpts(library, known.query, chosen, pad)
        except NoLibraryError:
            return _excerpts(None, known.query, chosen, pad)
    with options.open() as library:
        if _NUMBERS.fullmatch(words):
            known = results.last(library.path)
            numbers = results.numbers(",".join(words.split()))
            chosen = [(number, known.named(number)) for number in numbers]
            return _excerpts(library, known.query, chosen, pad)
        return _excerpts(library, words, _searched(library, words, k or USUAL), pad)


def _is_file(words: str) -> bool:
    """Whether what was asked is a file of results. Raises QueryError where it should be one."""
    if not words.lower().endswith(".json"):
        return False
    if os.path.isfile(words):  # noqa: PTH113 - never raises, however odd the name
        return True
    if re.search(r"\s", words):
        return False
    raise QueryError(f"{words}: there is no such file; to look for the word, write '\"{words}\"'")


def _searched(library: Library, words: str, k: int) -> list[tuple[int, Result]]:
    from vsearch.exporting import ranked
    from vsearch.wire import in_library  # deferred: --help needs no numpy

    found = library.search(words, k=k)
    if found and in_library(found) is False:
        click.echo("Probably not in this library: the nearest are exported.", err=True)
    return ranked(found)


def _excerpts(
    library: Library | None, query: str, found: list[tuple[int, Result]], pad: float
) -> tuple[str, list[Excerpt], list[Left]]:
    from vsearch.exporting import excerpts

    videos = library.videos() if library else []
    durations = {video.path: video.duration for video in videos}
    return query, *excerpts(found, durations=durations, pad=pad, note=query)


def _tell(one: Written) -> None:
    if one.error is not None:
        click.echo(f"{printable(one.error)}", err=True)
        return
    how = (", copied" if one.copied else ", encoded") if one.places else ""
    click.echo(f"Written: {short(one.path.absolute())}{how}", err=True)


def _plain(
    query: str,
    found: Sequence[Excerpt],
    left: Sequence[Left],
    done: Sequence[Written],
    page: Path | None,
) -> dict[str, Any]:
    """What `--json` prints; times in seconds."""
    files: list[dict[str, Any]] = [
        {
            "kind": one.kind,
            "path": str(one.path.absolute()),
            "error": one.error,
            **(
                {"copied": one.copied, "duration": round(one.places[-1].end, 3)}
                if one.places
                else {}
            ),
        }
        for one in done
    ]
    if page is not None:
        files.append({"kind": PAGE, "path": str(page.absolute()), "error": None})
    return {
        "query": query,
        "excerpts": [
            {
                "rank": one.rank,
                "video": str(one.source.path),
                "start": round(one.span.start, 3),
                "end": round(one.span.end, 3),
                "score": None if one.score is None else round(one.score, 6),
                "confidence": one.confidence,
            }
            for one in found
        ],
        "failed": [{"rank": one.rank, "video": str(one.path), "error": one.error} for one in left],
        "files": files,
    }
