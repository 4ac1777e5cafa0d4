"""`vsearch search`: search a local library or the library of a server."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note
from vsearch.cli.options import (
    FiniteRange,
    HtmlPathParam,
    connect_remote,
    library_options,
    resolve_server,
    server_options,
)
from vsearch.cli.preview import choose_protocol, load_previews, preview_option
from vsearch.cli.query_args import QueryArgs, QueryCommand, query_from_argv, take_example
from vsearch.cli.render import (
    escape_unprintable,
    fold_weak,
    format_count,
    format_percent,
    print_browsed,
    print_json,
    print_moments,
)
from vsearch.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vsearch.cli.html.contact_sheet import ThumbnailSource
    from vsearch.cli.options import CommonOptions
    from vsearch.cli.terminal_protocol import ImageProtocol
    from vsearch.search.result import SearchResult

MAX_WEAK_RESULTS = 3  # printed without --all
ALL_RESULTS = 1_000_000  # `-k all`: more than any library has
MAX_SERVER_RESULTS = 1_000  # that a server returns


class ResultCountParam(click.ParamType[int]):
    """A number of results, or `all`."""

    name = "count"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Convert `value` to a number."""
        if str(value).lower() == "all":
            return ALL_RESULTS
        count = int(value) if str(value).isdecimal() else 0
        if not 1 <= count <= ALL_RESULTS:
            self.fail(f"{value}: write a number from 1, or all", param, ctx)
        return count


@click.command(cls=QueryCommand)
@click.argument("query_words", nargs=-1, metavar="[QUERY]...")
@click.option(
    "-k",
    default=10,
    show_default=True,
    type=ResultCountParam(),
    metavar="N|all",
    help="Number of results.",
)
@click.option(
    "--min-confidence",
    type=FiniteRange(0, 100),
    metavar="PERCENT",
    help="Leave out results of lower or unknown confidence.",
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
@click.option(
    "--all", "show_all", is_flag=True, help="Print all weak results, not only the best three."
)
@click.option(
    "--paths", "paths_only", is_flag=True, help="Print only the paths of the videos, best first."
)
@click.option(
    "-0", "--null", "null_separated", is_flag=True, help="End paths with a null byte (xargs -0)."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--contact-sheet",
    type=HtmlPathParam(),
    metavar="FILE",
    help="Write an HTML page with thumbnails.",
)
@preview_option
@click.option(
    "--open",
    "opened_rank",
    type=click.IntRange(1),
    metavar="N",
    help="Open result N in a player (mpv, VLC, ffplay at its time), or as the desktop does.",
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
    min_confidence: float | None,
    show_all: bool,
    paths_only: bool,
    null_separated: bool,
    as_json: bool,
    contact_sheet: Path | None,
    preview: str | None,
    opened_rank: int | None,
    server: str | None,
    token_file: Path | None,
) -> None:
    """Find moments by text, image or example clip.

    Text, images and clips are combined into one query. Filters restrict it; alone, they list
    videos, the newest first. docs/query-language.md describes the language.

    \b
    vsearch search a dog jumps into a pool
    vsearch search '"a dog jumps" 2:"into a pool" -indoor then:<30s splash'
    vsearch search 'said:"thank you" path:holiday/* after:2024-05 longer:10s'
    vsearch search beach.jpg at night
    vsearch search after:7d tag:dog
    vsearch search camera:iphone near:Munich 20km time:18:00-23:00 is:vertical
    vsearch search --clip goal.mp4@3-8 --video 'matches/*'
    vsearch search --preview a dog jumps
    vsearch search --server http://127.0.0.1:8765 a dog jumps
    vsearch search -k all --min-confidence 50 -0 a dog | xargs -0 mpv
    """
    if as_json and (paths_only or null_separated):
        raise click.UsageError("--json cannot be combined with --paths and -0")
    if preview is not None and (as_json or paths_only or null_separated):
        raise click.UsageError("--preview cannot be combined with --json, --paths and -0")
    # before numpy is imported: starting BLAS threads takes longer than one query gains by them
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if not (images or clips or videos):  # else the shell may have expanded their pattern
        query_words, images, clips = take_example(query_words)
        for example in (*images, *clips):
            print_note(f"Searching by the file {escape_unprintable(example)}.")
    query_args = QueryArgs(query_from_argv(query_words), images, clips, videos, tags)
    search_options = _SearchOptions(
        k,
        per_video if per_video is not None or k < ALL_RESULTS else k,
        diverse,
        include_duplicates,
        None if min_confidence is None else min_confidence / 100,
        contact_sheet,
        choose_protocol(preview),
        None if show_all else MAX_WEAK_RESULTS,
    )
    server_url = resolve_server(options, server, token_file)
    if server_url and k == ALL_RESULTS:
        search_options = replace(
            search_options, k=MAX_SERVER_RESULTS, per_video=per_video or MAX_SERVER_RESULTS
        )
    search_result, previews = (
        _search_remote(server_url, token_file, query_args, search_options)
        if server_url
        else _search_local(options, query_args, search_options)
    )
    if as_json:
        from vsearch.search.serialization import search_result_to_dict  # --help needs no numpy

        print_json(search_result_to_dict(search_result))
    elif paths_only or null_separated:
        _print_paths(search_result, b"\0" if null_separated else b"\n")
    else:
        _print_results(search_result, search_options, previews)
        if search_result.browse and len(search_result) == search_options.k:
            print_note(f"Only the newest {search_options.k}; for more, use -k 100 or -k all.")
    for hint in search_result.hints:
        print_note(escape_unprintable(hint))
    if search_result.feedback_count:
        print_note(
            f"Adjusted by feedback on {format_count(search_result.feedback_count, 'result')}; "
            "`vsearch mark --clear` deletes it."
        )
    if contact_sheet is not None:
        print_note(f"Thumbnails: {contact_sheet}")
    if opened_rank is not None:
        _open_result(search_result, opened_rank)


@dataclass(frozen=True, slots=True)
class _SearchOptions:
    """Number and selection of results."""

    k: int
    per_video: int | None
    diversify: bool
    include_duplicates: bool
    min_confidence: float | None  # 0 to 1
    contact_sheet: Path | None
    image_protocol: ImageProtocol | None  # of thumbnails in the terminal
    max_weak: int | None  # weak results that are printed

    @property
    def search_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `Library.search`."""
        return {
            "k": self.k,
            "per_video": self.per_video,
            "diversify": self.diversify,
            "include_duplicates": self.include_duplicates,
        }

    def filter_result(self, search_result: SearchResult) -> SearchResult:
        """Leave out moments with too little confidence."""
        if self.min_confidence is None:
            return search_result
        return search_result.with_confidence(self.min_confidence)


def _search_local(
    options: CommonOptions, query_args: QueryArgs, search_options: _SearchOptions
) -> tuple[SearchResult, dict[int, str]]:
    """Search a library on this machine and save the results for later commands.

    Returns the results, and their thumbnails as text by rank.
    """
    from vsearch.search import last_search

    with query_args.open_library(options) as library:
        query = query_args.build_query(library)
        search_result = search_options.filter_result(
            library.search(query, **search_options.search_arguments)
        )
        if not last_search.save_last_search(library.cache_path, str(query), search_result):
            print_note(last_search.NOT_SAVED_NOTE)
        _write_contact_sheet(search_options, library, search_result)
        return search_result, _load_previews(search_options, library, search_result)


def _search_remote(
    server_url: str, token_file: Path | None, query_args: QueryArgs, search_options: _SearchOptions
) -> tuple[SearchResult, dict[int, str]]:
    """Search the library of a server; see `_search_local`."""
    with connect_remote(server_url, token_file) as library:
        query = query_args.build_query(library)
        search_result = library.search(query_args.to_text(), **search_options.search_arguments)
        search_result = search_options.filter_result(replace(search_result, query=str(query)))
        _write_contact_sheet(search_options, library, search_result)
        return search_result, _load_previews(search_options, library, search_result)


def _write_contact_sheet(
    search_options: _SearchOptions, library: ThumbnailSource, search_result: SearchResult
) -> None:
    if search_options.contact_sheet is None:
        return
    from vsearch.cli.html.contact_sheet import SheetSection, write_contact_sheet

    section = SheetSection(search_result.query, search_result)
    write_contact_sheet(search_options.contact_sheet, library, [section])


def _load_previews(
    search_options: _SearchOptions, library: ThumbnailSource, search_result: SearchResult
) -> dict[int, str]:
    """Return the thumbnails of the results that are printed, as text by rank."""
    max_weak = None if search_result.browse else search_options.max_weak
    return load_previews(library, fold_weak(search_result, max_weak), search_options.image_protocol)


def _open_result(search_result: SearchResult, rank: int) -> None:
    """Open the result with a rank. Raises QueryError if there is none."""
    from vsearch.cli.player import open_result

    if rank > len(search_result):
        raise QueryError(
            f"--open {rank}: there is no such result; the search has {len(search_result)}"
        )
    moment = search_result[rank - 1]
    open_result(moment.video.path, None if moment.video.is_photo else moment.span.start)


def _print_paths(search_result: SearchResult, separator: bytes) -> None:
    """Print each video once, best first, as it is: the output is for other programs."""
    for video_path in dict.fromkeys(moment.video.path for moment in search_result):
        click.echo(os.fsencode(video_path) + separator, nl=False)


def _print_results(
    search_result: SearchResult, search_options: _SearchOptions, previews: Mapping[int, str]
) -> None:
    if not search_result:
        if search_result.space is None:
            return
        if search_options.min_confidence is not None and not search_result.browse:
            min_percent = 100 * search_options.min_confidence
            print_note(f"Nothing with a confidence of at least {min_percent:g} %.")
        else:
            print_note("Nothing found.")
        return
    if search_result.browse:
        print_browsed(search_result, previews)
        return
    if search_result.has_confident_match is False:
        best_confidence = max(moment.confidence or 0.0 for moment in search_result)
        is_named = any(moment.is_named_like_query for moment in search_result)
        match_text = f"best match {format_percent(best_confidence)}"
        print_note(
            f"No picture is a probable match ({match_text}), but a name contains the words:"
            if is_named
            else f"Probably not in this library ({match_text}); nearest results:"
        )
    hidden_count = print_moments(search_result, search_options.max_weak, previews)
    if hidden_count:
        print_note(f"{format_count(hidden_count, 'more weak result')}; show with --all")
