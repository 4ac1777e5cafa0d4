"""`vsearch save`, `saved` and `mark`: saved searches and relevance feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vsearch.cli.messages import print_note
from vsearch.cli.options import library_path_option
from vsearch.cli.query_args import QueryCommand, query_from_argv
from vsearch.cli.render import (
    escape_unprintable,
    format_count,
    format_path,
    format_span,
    print_json,
    print_table,
    truncate_end,
)

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.query.model import SavedSearch


@click.command(cls=QueryCommand)
@click.argument("search_name", metavar="NAME")
@click.argument("query_words", nargs=-1, metavar="[QUERY]...")
@click.option("--remove", is_flag=True, help="Delete the saved search NAME.")
@library_path_option
@click.pass_obj
def save(
    options: CommonOptions, search_name: str, query_words: tuple[str, ...], remove: bool
) -> None:
    """Save a search for use as @NAME.

    Without QUERY, save the last search.

    \b
    vsearch save dogs a dog jumps -indoor
    vsearch search @dogs after:2024
    """
    from vsearch.search import last_search

    if remove and query_words:
        raise click.UsageError("--remove takes a name and no query")
    with options.open_library(ignore_invalid_settings=True) as library:
        if remove:
            _print_saved("removed", library.saved_searches.remove(search_name))
            return
        query_text = (
            query_from_argv(query_words)
            if query_words
            else last_search.load_last_search(library.cache_path).query_text
        )
        saved_search = library.saved_searches.add(search_name, library.query(query_text))
    _print_saved("saved", saved_search)


def _print_saved(action: str, saved_search: SavedSearch) -> None:
    name_text, query_text = map(escape_unprintable, (saved_search.name, saved_search.query_text))
    print_note(f"{action:<9}  @{name_text}  {query_text}")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_path_option
@click.pass_obj
def saved(options: CommonOptions, as_json: bool) -> None:
    """List saved searches."""
    with options.open_library(ignore_invalid_settings=True) as library:
        saved_searches = library.saved_searches.list()
    if as_json:
        print_json({"searches": [_saved_search_to_dict(search) for search in saved_searches]})
    elif saved_searches:
        table_rows = [
            (f"@{escape_unprintable(search.name)}", escape_unprintable(search.query_text))
            for search in saved_searches
        ]
        print_table([("name", "query"), *table_rows], shrink_column=1, truncate_cell=truncate_end)
    else:
        print_note("No saved searches. Add one with `vsearch save NAME QUERY`.")


def _saved_search_to_dict(saved_search: SavedSearch) -> dict[str, str]:
    created_at = saved_search.created_at.isoformat(timespec="seconds")
    return {"name": saved_search.name, "query": saved_search.query_text, "created_at": created_at}


@click.command()
@click.argument("result_numbers", required=False, metavar="[RESULTS]")
@click.argument("rating", required=False, type=click.Choice(["up", "down"]), metavar="[up|down]")
@click.option("--remove", is_flag=True, help="Delete the feedback for RESULTS.")
@click.option("--clear", is_flag=True, help="Delete all feedback for the last search.")
@library_path_option
@click.pass_obj
def mark(
    options: CommonOptions,
    result_numbers: str | None,
    rating: str | None,
    remove: bool,
    clear: bool,
) -> None:
    """Mark results of the last search as relevant or not.

    The same query, with any filters, is adjusted by this feedback from then on. Without RESULTS,
    list all feedback.

    \b
    vsearch mark 1,3 up
    vsearch mark 2 down
    vsearch mark 2 --remove
    """
    has_action = rating is not None or remove
    if (result_numbers is not None) != has_action or (rating and remove):
        raise click.UsageError("name results and up, down or --remove, e.g. mark 1,3 up")
    if clear and result_numbers is not None:
        raise click.UsageError("--clear takes no other argument")
    with options.open_library(ignore_invalid_settings=True) as library:
        if clear:
            _clear_marks(library)
        elif result_numbers is None:
            _list_marks(library)
        else:
            _mark_results(library, result_numbers, None if remove else rating == "up")


def _mark_results(library: Library, result_numbers: str, relevant: bool | None) -> None:
    """Store feedback for results of the last search; None deletes it."""
    from vsearch.search import last_search

    past_search = last_search.load_last_search(library.cache_path)
    chosen_results = [
        past_search.get_result(result_number)
        for result_number in last_search.parse_result_numbers(result_numbers)
    ]
    relevance_labels = library.feedback.add(
        past_search.query_text, chosen_results, relevant=relevant
    )
    up_count = sum(relevance_label.relevant for relevance_label in relevance_labels)
    down_count = len(relevance_labels) - up_count
    query_text = escape_unprintable(past_search.query_text)
    print_note(f"{query_text}: {up_count} up, {down_count} down")


def _clear_marks(library: Library) -> None:
    from vsearch.search import last_search

    past_search = last_search.load_last_search(library.cache_path)
    mark_count = library.feedback.clear(past_search.query_text)
    query_text = escape_unprintable(past_search.query_text)
    print_note(f"{query_text}: {format_count(mark_count, 'mark')} deleted")


def _list_marks(library: Library) -> None:
    relevance_labels = library.feedback.list()
    if not relevance_labels:
        print_note("No feedback. After a search, mark results: vsearch mark 1,3 up")
        return
    video_paths = {video.id: video.path for video in library.videos()}
    table_rows = [("query", "mark", "moment", "video")]
    table_rows += [
        (
            escape_unprintable(relevance_label.query_text),
            "up" if relevance_label.relevant else "down",
            format_span(relevance_label.span),
            format_path(video_path),
        )
        for relevance_label in relevance_labels
        if (video_path := video_paths.get(relevance_label.video_id))  # else removed meanwhile
    ]
    print_table(table_rows, shrink_column=0, truncate_cell=truncate_end)
