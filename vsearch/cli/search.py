"""`vsearch search`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import in_library, moment_json, moments, percent, print_json, printable

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.cli.options import Options


@click.command()
@click.argument("words", nargs=-1, metavar="[QUERY]...")
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 1000), help="How many.")
@click.option("--image", "images", multiple=True, metavar="FILE", help="Look for such a picture.")
@click.option(
    "--clip",
    "clips",
    multiple=True,
    metavar="FILE[@START-END]",
    help="Look for such a clip; times in seconds or h:mm:ss.",
)
@click.option(
    "--video", "videos", multiple=True, metavar="PATH|GLOB", help="Only in such a video or folder."
)
@click.option(
    "--tag", "tags", multiple=True, metavar="LABEL", help="Only what is tagged so; see `tags`."
)
@click.option(
    "--per-video",
    type=click.IntRange(1),
    metavar="N",
    help="At most N moments of one video.  [default: 3, or half of k, while others fit]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--sheet", type=SheetPath(), metavar="FILE", help="Also write thumbnails to this HTML page."
)
@shared
@click.pass_obj
def search(
    options: Options,
    words: tuple[str, ...],
    k: int,
    images: tuple[str, ...],
    clips: tuple[str, ...],
    videos: tuple[str, ...],
    tags: tuple[str, ...],
    per_video: int | None,
    as_json: bool,
    sheet: Path | None,
) -> None:
    """Find moments by words, picture or example clip.

    Given together, they count together: "at night" and a picture of a beach.

    \b
    vsearch search a dog jumps into a pool
    vsearch search --image beach.jpg "at night"
    vsearch search --clip goal.mp4@3-8 --video 'matches/*'
    """
    from vsearch.search.query import parse, parse_clip  # deferred: --help needs no numpy

    began = time.perf_counter()
    query = parse(
        " ".join(words),
        images=images,
        clips=[parse_clip(clip) for clip in clips],
        videos=videos,
        tags=tags,
    )
    with options.open() as library:
        found = library.search(query, k=k, per_video=per_video)
        took = time.perf_counter() - began
        space, text_model = library.space, library.settings.text_model
        adapted = bool(found and words and library.adapter)
        if sheet is not None:
            from vsearch.cli.sheet import Section, write_sheet

            write_sheet(sheet, library, [Section(str(query), found)])
    if as_json:
        print_json(
            {
                "query": str(query),
                "space": space.name if space else None,
                **({"text_model": text_model} if text_model else {}),
                **({"adapter": True} if adapted else {}),
                "took_ms": round(took * 1000, 1),
                "in_library": in_library(found),
                "results": [moment_json(rank, moment) for rank, moment in enumerate(found, 1)],
            }
        )
    elif found:
        if in_library(found) is False:
            best = max(moment.confidence or 0.0 for moment in found)
            click.echo(
                f"Probably not in this library (best match {percent(best)}); the nearest are:",
                err=True,
            )
        moments(found)
    elif space is None:
        click.echo("The library is empty: index some videos first.", err=True)
    else:
        where = f" in {' or '.join(map(printable, videos))}" if videos else ""
        what = f" tagged {' and '.join(map(printable, tags))}" if tags else ""
        click.echo(f"Nothing found{what}{where}.", err=True)
    if sheet is not None:
        click.echo(f"Thumbnails: {sheet}", err=True)
