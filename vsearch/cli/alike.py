"""`vsearch similar` and `vsearch duplicates`."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import (
    length,
    moments,
    period,
    plural,
    print_json,
    short,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from vsearch.analysis.duplicates import Shared
    from vsearch.cli.options import Options

TOLD = {"exact": "same file", "near": "same video", "part": "a part"}


@click.command()
@click.argument("video", metavar="VIDEO[@START-END]")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--same-video", is_flag=True, help="Also other moments of that video.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--sheet", type=SheetPath(), metavar="FILE", help="Also write thumbnails to this HTML page."
)
@shared
@click.pass_obj
def similar(
    options: Options, video: str, k: int, same_video: bool, as_json: bool, sheet: Path | None
) -> None:
    """More like a video, or like a part of it, without itself.

    What is in the library is not decoded; any other file is.

    \b
    vsearch similar match.mp4@1:02-1:10
    """
    from vsearch.search.query import parse_clip  # deferred: --help needs no numpy
    from vsearch.wire import moment_json

    began = time.perf_counter()
    term = parse_clip(video)
    with options.open() as library:
        found = library.similar(term.value, term.span, k=k, same_video=same_video)
        took, space = time.perf_counter() - began, library.space
        if sheet is not None:
            from vsearch.cli.sheet import Section, write_sheet

            write_sheet(sheet, library, [Section(f"like {video}", found)])
    if as_json:
        print_json(
            {
                "query": f"clip:{term.value}",
                "space": space.name if space else None,
                "took_ms": round(took * 1000, 1),
                "results": [moment_json(rank, moment) for rank, moment in enumerate(found, 1)],
            }
        )
    elif found:
        moments(found)
    else:
        click.echo("Nothing else is in the library.", err=True)
    if sheet is not None:
        click.echo(f"Thumbnails: {sheet}", err=True)


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def duplicates(options: Options, paths: tuple[str, ...], as_json: bool) -> None:
    """Videos that are in the library twice, wholly or in part.

    Re-encoded, smaller or cropped copies, and parts of one video inside another. PATH narrows it to
    what those videos, folders or globs share with any other; files there that are not in the
    library are told if it has the same file.
    """
    with options.open() as library:
        found = _collected(library.duplicates(paths))
    if as_json:
        print_json({"duplicates": [_json(one) for one in found]})
    elif found:
        _show(found)
    else:
        click.echo("No video is there twice, wholly or in part.", err=True)


def _collected(results: Iterator[Shared]) -> list[Shared]:
    """All of them, counted on stderr, which is silent where that is no terminal."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        results, label="Comparing, found", show_pos=True, file=sys.stderr, hidden=hidden
    ) as bar:
        return list(bar)


def _show(found: Sequence[Shared]) -> None:
    """A row for each two stretches, those of one group of videos together."""
    rows = [("group", "shared", "here", "video", "there", "video")]
    groups = _groups(found)
    for number, group in enumerate(groups, 1):
        for index, one in enumerate(group):
            rows.append(
                (
                    "" if index else str(number),
                    TOLD[one.kind],
                    period(one.span),
                    short(one.one),
                    period(one.other_span),
                    short(one.other) + ("" if one.seen else "  (by stored frames alone)"),
                )
            )
    table(rows, right="r")
    lasting = sum(one.span.duration for one in found)
    click.echo(f"{plural(len(groups), 'group')}, {length(lasting)} shared", err=True)


def _groups(found: Sequence[Shared]) -> list[list[Shared]]:
    """What hangs together, in the order of its first one."""
    groups: list[tuple[set[Path], list[Shared]]] = []
    for one in found:
        joined = [group for group in groups if group[0] & {one.one, one.other}]
        paths = {one.one, one.other}.union(*(group[0] for group in joined))
        members = [member for group in joined for member in group[1]]
        place = groups.index(joined[0]) if joined else len(groups)
        groups = [group for group in groups if group not in joined]
        groups.insert(place, (paths, [*members, one]))
    return [members for _, members in groups]


def _json(one: Shared) -> dict[str, Any]:
    """One pair of `duplicates --json`; times in seconds."""
    return {
        "kind": one.kind,
        "likeness": round(one.likeness, 6),
        "seen": one.seen,
        "videos": [
            {"video": str(path), "start": round(span.start, 3), "end": round(span.end, 3)}
            for path, span in ((one.one, one.span), (one.other, one.other_span))
        ],
    }
