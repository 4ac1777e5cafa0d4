"""`vsearch search`: search a local library or the library of a server."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import (
    HtmlPathParam,
    connect_remote,
    library_options,
    resolve_server,
    server_options,
)
from vsearch.cli.query_args import QueryArgs, QueryCommand, query_from_argv
from vsearch.cli.render import (
    escape_unprintable,
    format_count,
    format_percent,
    print_json,
    print_moments,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.cli.html.contact_sheet import ThumbnailSource
    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.query.model import Query
    from vsearch.types import Moment


@click.command(cls=QueryCommand)
@click.argument("query_words", nargs=-1, metavar="[QUERY]...")
@click.option(
    "-k",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Number of results.",
)
@click.option(
    "--image", "images", multiple=True, metavar="FILE", help="Search by this image. Repeatable."
)
@click.option(
    "--clip",
    "clips",
    multiple=True,
    metavar="FILE[@START-END]",
    help="Search by this video clip; times in seconds or h:mm:ss. Repeatable.",
)
@click.option(
    "--video",
    "videos",
    multiple=True,
    metavar="PATH|GLOB",
    help="Search only these videos or folders. Repeatable.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="LABEL",
    help="Search only moments with this tag; see `vsearch tags`. Repeatable.",
)
@click.option(
    "--per-video",
    type=click.IntRange(1),
    metavar="N",
    help="Maximum number of results per video, as long as other videos match.  "
    "[default: 3, or half of -k]",
)
@click.option("--diverse", is_flag=True, help="Prefer results that differ from each other (MMR).")
@click.option(
    "--include-duplicates", is_flag=True, help="Show near-duplicates of better results, too."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--contact-sheet",
    type=HtmlPathParam(),
    metavar="FILE",
    help="Write an HTML page with thumbnails.",
)
@server_options
@library_options
@click.pass_obj
def search(
    options: CommonOptions,
    query_words: tuple[str, ...],
    k: int,
    images: tuple[str, ...],
    clips: tuple[str, ...],
    videos: tuple[str, ...],
    tags: tuple[str, ...],
    per_video: int | None,
    diverse: bool,
    include_duplicates: bool,
    as_json: bool,
    contact_sheet: Path | None,
    server: str | None,
    token_file: Path | None,
) -> None:
    """Find moments by text, image or example clip.

    Text, images and clips are combined into one query. The README describes the query language.

    \b
    vsearch search a dog jumps into a pool
    vsearch search '"a dog jumps" 2:"into a pool" -indoor then:<30s splash'
    vsearch search 'said:"thank you" path:holiday/* after:2024-05 longer:10s'
    vsearch search --image beach.jpg "at night"
    vsearch search --clip goal.mp4@3-8 --video 'matches/*'
    vsearch search --server http://127.0.0.1:8765 a dog jumps
    """
    # before numpy is imported: starting BLAS threads takes longer than one query gains by them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    query_args = QueryArgs(query_from_argv(query_words), images, clips, videos, tags)
    search_options = _SearchOptions(k, per_video, diverse, include_duplicates, contact_sheet)
    server_url = resolve_server(options, server, token_file)
    search_output = (
        _search_remote(server_url, token_file, query_args, search_options)
        if server_url
        else _search_local(options, query_args, search_options)
    )
    if as_json:
        _print_json_results(search_output)
    elif search_output.moments:
        _print_results(search_output.moments)
    elif search_output.model_info["space"] is not None:
        click.echo(f"Nothing found{_describe_filters(search_output.query)}.", err=True)
    else:
        click.echo("The library is empty: index some videos first.", err=True)
    if contact_sheet is not None:
        click.echo(f"Thumbnails: {contact_sheet}", err=True)


@dataclass(frozen=True, slots=True)
class _SearchOptions:
    """Number and selection of results."""

    k: int
    per_video: int | None
    diversify: bool
    include_duplicates: bool
    contact_sheet: Path | None


@dataclass(frozen=True, slots=True)
class _SearchOutput:
    """Results of a search, and the models that computed them."""

    query: Query
    moments: Sequence[Moment]
    model_info: dict[str, Any]
    elapsed_seconds: float


def _search_local(
    options: CommonOptions, query_args: QueryArgs, search_options: _SearchOptions
) -> _SearchOutput:
    """Search a library on this machine and save the results for later commands."""
    from vsearch.search import last_search

    start_time = time.perf_counter()
    with query_args.open_library(options) as library:
        query = query_args.build_query(library)
        moments = library.search(
            query,
            k=search_options.k,
            per_video=search_options.per_video,
            diversify=search_options.diversify,
            include_duplicates=search_options.include_duplicates,
        )
        elapsed_seconds = time.perf_counter() - start_time
        is_saved = last_search.save_last_search(library.path, str(query), moments)
        model_info = _collect_model_info(library, query, moments)
        _print_unknown_videos(library, query)
        _print_feedback_note(library, query)
        if not moments:
            _print_missing_transcripts(library, query)
        if not is_saved:
            click.echo(
                "Result numbers cannot be used by later commands: neither the library nor the "
                "cache is writable.",
                err=True,
            )
        if search_options.contact_sheet is not None:
            _write_results(search_options.contact_sheet, library, query, moments)
    return _SearchOutput(query, moments, model_info, elapsed_seconds)


def _search_remote(
    server_url: str, token_file: Path | None, query_args: QueryArgs, search_options: _SearchOptions
) -> _SearchOutput:
    """Search the library of a server."""
    start_time = time.perf_counter()
    with connect_remote(server_url, token_file) as library:
        query = query_args.build_query(library)
        response = library.search_with_details(
            query_args.to_text(),
            k=search_options.k,
            per_video=search_options.per_video,
            diversify=search_options.diversify,
            include_duplicates=search_options.include_duplicates,
        )
        elapsed_seconds = time.perf_counter() - start_time
        for hint in response.hints if response.space is not None else ():
            click.echo(escape_unprintable(hint), err=True)
        if response.feedback_count:
            feedback_text = format_count(response.feedback_count, "result")
            click.echo(f"Adjusted by feedback on {feedback_text}.", err=True)
        if search_options.contact_sheet is not None:
            _write_results(search_options.contact_sheet, library, query, response.moments)
    model_info = _build_model_info(
        response.space, response.text_model, query_adapted=response.query_adapted
    )
    return _SearchOutput(query, response.moments, model_info, elapsed_seconds)


def _write_results(
    contact_sheet: Path, library: ThumbnailSource, query: Query, moments: Sequence[Moment]
) -> None:
    from vsearch.cli.html.contact_sheet import SheetSection, write_contact_sheet

    write_contact_sheet(contact_sheet, library, [SheetSection(str(query), moments)])


def _collect_model_info(
    library: Library, query: Query, moments: Sequence[Moment]
) -> dict[str, Any]:
    space = library.space
    has_text_terms = any(term.kind == "text" for term in query.terms)
    return _build_model_info(
        space.name if space else None,
        library.settings.text_model,
        query_adapted=bool(moments and has_text_terms and library.query_adapter),
    )


def _build_model_info(
    space_name: str | None, text_model: str | None, *, query_adapted: bool
) -> dict[str, Any]:
    """Return the JSON fields that name the space and models of a search."""
    return {
        "space": space_name,
        **({"text_model": text_model} if text_model else {}),
        **({"query_adapted": True} if query_adapted else {}),
    }


def _print_unknown_videos(library: Library, query: Query) -> None:
    """Print the path patterns that match no video."""
    for path_pattern in query.filters.path_patterns if library.space is not None else ():
        if not library.videos([path_pattern]):
            pattern_text = escape_unprintable(path_pattern)
            click.echo(
                f"{pattern_text}: no such video in the library; see `vsearch list`", err=True
            )


def _print_feedback_note(library: Library, query: Query) -> None:
    """Print how many results with relevance feedback influenced the query."""
    if not query.next_steps and (feedback_count := len(library.feedback.list(query))):
        click.echo(
            f"Adjusted by feedback on {format_count(feedback_count, 'result')}; "
            "`vsearch mark --clear` deletes it.",
            err=True,
        )


def _print_missing_transcripts(library: Library, query: Query) -> None:
    """Print which command to run if a query needs transcripts that no video has."""
    query_terms = [*query.terms, *(term for step in query.next_steps for term in step.terms)]
    term_kinds = {term.kind for term in query_terms} | set(query.filters.has)
    known_sources = {source for source, _ in library.info().transcript_counts}
    if term_kinds & {"said", "speech"} and not known_sources & {"speech", "subtitles"}:
        click.echo("No transcripts yet. Run `vsearch transcribe` to search speech.", err=True)
    if term_kinds & {"shown", "ocr"} and "ocr" not in known_sources:
        click.echo("No on-screen text yet. Run `vsearch ocr` to search it.", err=True)


def _describe_filters(query: Query) -> str:
    tag_text = " and ".join(map(escape_unprintable, query.filters.tags))
    video_text = " or ".join(map(escape_unprintable, query.filters.path_patterns))
    return (f" tagged {tag_text}" if tag_text else "") + (f" in {video_text}" if video_text else "")


def _print_json_results(search_output: _SearchOutput) -> None:
    from vsearch.search.serialization import (  # deferred: --help needs no numpy
        has_confident_match,
        moment_to_dict,
    )

    print_json(
        {
            "query": str(search_output.query),
            **search_output.model_info,
            "took_ms": round(search_output.elapsed_seconds * 1000, 1),
            "has_confident_match": has_confident_match(search_output.moments),
            "results": [
                moment_to_dict(rank, moment) for rank, moment in enumerate(search_output.moments, 1)
            ],
        }
    )


def _print_results(moments: Sequence[Moment]) -> None:
    from vsearch.search.serialization import has_confident_match  # deferred: --help needs no numpy

    if has_confident_match(moments) is False:
        best_confidence = max(moment.confidence or 0.0 for moment in moments)
        click.echo(
            f"Probably not in this library (best match {format_percent(best_confidence)}); "
            "nearest results:",
            err=True,
        )
    print_moments(moments)
