"""`vsearch search`."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.asked import Asked, QueryCommand, text_of
from vsearch.cli.elsewhere import elsewhere, reached, server_of
from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import moments, percent, plural, print_json, printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.cli.options import Options
    from vsearch.cli.sheet import Library as Shows
    from vsearch.library import Library
    from vsearch.types import Moment, Query


@click.command(cls=QueryCommand)
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
@click.option("--varied", is_flag=True, help="Results that differ from each other.")
@click.option("--alike", is_flag=True, help="Also results that show nearly the same.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--sheet", type=SheetPath(), metavar="FILE", help="Also write thumbnails to this HTML page."
)
@elsewhere
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
    varied: bool,
    alike: bool,
    as_json: bool,
    sheet: Path | None,
    server: str | None,
    token_file: Path | None,
) -> None:
    """Find moments by words, picture or example clip.

    Given together, they count together: "at night" and a picture of a beach. The README tells the
    whole language.

    \b
    vsearch search a dog jumps into a pool
    vsearch search '"a dog jumps" 2:"into a pool" -indoor then:<30s splash'
    vsearch search 'said:"thank you" path:holiday/* after:2024-05 longer:10s'
    vsearch search --image beach.jpg "at night"
    vsearch search --clip goal.mp4@3-8 --video 'matches/*'
    vsearch search --server http://127.0.0.1:8765 a dog jumps
    """
    # numpy is not loaded yet: for one query threads of its own cost more than they bring
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    asked = Asked(text_of(words), images, clips, videos, tags)
    wish = _Wish(k, per_video, varied, alike, sheet)
    there = server_of(options, server, token_file)
    answer = _there(there, token_file, asked, wish) if there else _here(options, asked, wish)
    if as_json:
        from vsearch.wire import in_library, moment_json  # deferred: --help needs no numpy

        print_json(
            {
                "query": str(answer.query),
                **answer.by,
                "took_ms": round(answer.took * 1000, 1),
                "in_library": in_library(answer.found),
                "results": [moment_json(rank, one) for rank, one in enumerate(answer.found, 1)],
            }
        )
    elif answer.found:
        _show(answer.found)
    elif answer.by["space"] is not None:
        click.echo(f"Nothing found{_narrowed(answer.query)}.", err=True)
    else:
        click.echo("The library is empty: index some videos first.", err=True)
    if sheet is not None:
        click.echo(f"Thumbnails: {sheet}", err=True)


@dataclass(frozen=True, slots=True)
class _Wish:
    """How many results, and which."""

    k: int
    per_video: int | None
    varied: bool
    alike: bool
    sheet: Path | None


@dataclass(frozen=True, slots=True)
class _Answer:
    """What was found, and by what."""

    query: Query
    found: Sequence[Moment]
    by: dict[str, Any]
    took: float  # seconds


def _here(options: Options, asked: Asked, wish: _Wish) -> _Answer:
    """What a library on this machine finds."""
    from vsearch import results

    began = time.perf_counter()
    with asked.opened(options) as library:
        query = asked.query(library)
        found = library.search(
            query, k=wish.k, per_video=wish.per_video, varied=wish.varied, alike=wish.alike
        )
        took = time.perf_counter() - began
        kept = results.keep(library.path, str(query), found)
        by = _by(library, query, found)
        _tell_of_names(library, query)
        _tell_of_marks(library, query)
        if not found:
            _tell_of_words(library, query)
        if not kept:
            told = "These results cannot be named later: neither library nor cache can be written."
            click.echo(told, err=True)
        if wish.sheet is not None:
            _write(wish.sheet, library, query, found)
    return _Answer(query, found, by, took)


def _there(server: str, token_file: Path | None, asked: Asked, wish: _Wish) -> _Answer:
    """What a library elsewhere finds."""
    began = time.perf_counter()
    with reached(server, token_file) as library:
        query = asked.query(library)
        answer = library.ask(
            asked.written(),
            k=wish.k,
            per_video=wish.per_video,
            varied=wish.varied,
            alike=wish.alike,
        )
        took = time.perf_counter() - began
        for hint in answer.hints if answer.space is not None else ():
            click.echo(printable(hint), err=True)
        if answer.marks:
            click.echo(f"Learnt from {plural(answer.marks, 'mark')}.", err=True)
        if wish.sheet is not None:
            _write(wish.sheet, library, query, answer.moments)
    by = _told_by(answer.space, answer.text_model, adapter=answer.adapter)
    return _Answer(query, answer.moments, by, took)


def _write(sheet: Path, library: Shows, query: Query, found: Sequence[Moment]) -> None:
    from vsearch.cli.sheet import Section, write_sheet

    write_sheet(sheet, library, [Section(str(query), found)])


def _by(library: Library, query: Query, found: Sequence[Moment]) -> dict[str, Any]:
    """The space and models that answered."""
    space, text_model = library.space, library.settings.text_model
    worded = any(term.kind == "text" for term in query.terms)
    adapter = bool(found and worded and library.adapter)
    return _told_by(space.name if space else None, text_model, adapter=adapter)


def _told_by(space: str | None, text_model: str | None, *, adapter: bool) -> dict[str, Any]:
    return {
        "space": space,
        **({"text_model": text_model} if text_model else {}),
        **({"adapter": True} if adapter else {}),
    }


def _tell_of_names(library: Library, query: Query) -> None:
    """Say which names of videos mean none."""
    for name in query.filters.videos if library.space is not None else ():
        if not library.videos([name]):
            told = f"{printable(name)}: no such video in the library; see `vsearch list`"
            click.echo(told, err=True)


def _tell_of_marks(library: Library, query: Query) -> None:
    """Say what a query learnt."""
    if not query.then and (count := len(library.marks(query))):
        told = f"Learnt from {plural(count, 'mark')}; `vsearch mark --forget` takes them back."
        click.echo(told, err=True)


def _tell_of_words(library: Library, query: Query) -> None:
    """Say what was asked of words that no video was ever looked through for."""
    terms = [*query.terms, *(term for step in query.then for term in step.terms)]
    kinds = {term.kind for term in terms} | set(query.filters.has)
    known = {source for source, _ in library.info().words}
    if kinds & {"said", "speech"} and not known & {"speech", "subtitles"}:
        click.echo("Nobody has listened to these videos yet: see `vsearch transcribe`.", err=True)
    if kinds & {"shown", "screen"} and "screen" not in known:
        click.echo("Nobody has read these videos yet: see `vsearch read`.", err=True)


def _narrowed(query: Query) -> str:
    """What a query asks of, in words."""
    tags = " and ".join(map(printable, query.filters.tags))
    videos = " or ".join(map(printable, query.filters.videos))
    return (f" tagged {tags}" if tags else "") + (f" in {videos}" if videos else "")


def _show(found: Sequence[Moment]) -> None:
    from vsearch.wire import in_library  # deferred: --help needs no numpy

    if in_library(found) is False:
        best = max(moment.confidence or 0.0 for moment in found)
        told = f"Probably not in this library (best match {percent(best)}); the nearest are:"
        click.echo(told, err=True)
    moments(found)
