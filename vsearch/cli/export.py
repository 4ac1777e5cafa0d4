"""`vsearch export`: write results as clips, films, timelines, tables and pages."""

from __future__ import annotations

import os.path
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import HtmlPathParam, library_options
from vsearch.cli.query_args import QueryCommand, query_from_argv
from vsearch.cli.render import escape_unprintable, format_count, format_path, print_json
from vsearch.errors import NoLibraryError, QueryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.export.excerpts import ExportExcerpt
    from vsearch.export.exporter import ExportResult, SkippedResult
    from vsearch.export.timeline import TimelineRate
    from vsearch.library import Library
    from vsearch.query.model import ResultRef

F = TypeVar("F", bound="Callable[..., Any]")
HTML_KIND = "html"
RESULTS_SUFFIX = ".json"
DEFAULT_K = 10
MAX_PAD_SECONDS = 3600
_RESULT_NUMBERS_RE = re.compile(r"#[0-9][0-9,# -]*")


class DurationParam(click.ParamType[float]):
    """A duration of zero or more seconds: `0`, `1.5s`, `1m`."""

    name = "time"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Convert `value` to seconds."""
        from vsearch.query.times import parse_duration  # deferred: --help needs none of it

        try:
            seconds = parse_duration(str(value))
        except QueryError as error:
            self.fail(str(error), param, ctx)
        if seconds > MAX_PAD_SECONDS:
            self.fail(f"{value}: the maximum is {MAX_PAD_SECONDS} seconds", param, ctx)
        return seconds


class RateParam(click.ParamType["TimelineRate"]):
    """A frame rate of timelines: `25`, `29.97df`."""

    name = "rate"

    def convert(
        self,
        value: str | TimelineRate,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> TimelineRate:
        """Convert `value` to a rate."""
        from vsearch.export.timeline import RATE_NAMES  # deferred: --help needs none of it

        if not isinstance(value, str):
            return value
        if (rate := RATE_NAMES.get(value.lower())) is None:
            self.fail(f"{value}: choose from {', '.join(RATE_NAMES)}", param, ctx)
        return rate


def _target_option(target_name: str, metavar: str, help_text: str) -> Callable[[F], F]:
    path_type = click.Path(path_type=Path)
    return click.option(f"--{target_name}", type=path_type, metavar=metavar, help=help_text)


@click.command(cls=QueryCommand)
@click.argument("selection", nargs=-1, required=True, metavar="QUERY|#RESULTS|FILE...")
@_target_option("clips", "DIR", "Write one film per result into this folder.")
@_target_option("supercut", "FILE.mp4", "Write one film of all results, best first.")
@_target_option("otio", "FILE.otio", "Write an OpenTimelineIO timeline (needs the extra `edit`).")
@_target_option("edl", "FILE.edl", "Write an edit decision list (CMX 3600).")
@_target_option("fcpxml", "FILE.fcpxml", "Write a timeline for Final Cut Pro or DaVinci Resolve.")
@_target_option("fcp7", "FILE.xml", "Write a timeline for Premiere Pro (Final Cut Pro 7 XML).")
@_target_option("csv", "FILE.csv", "Write a table for spreadsheets.")
@_target_option("m3u", "FILE.m3u", "Write a VLC playlist that plays only the results.")
@click.option(
    "--html",
    type=HtmlPathParam(),
    metavar="FILE.html",
    help="Write an HTML page with animated previews.",
)
@click.option(
    "--pad",
    type=DurationParam(),
    default="0s",
    show_default=True,
    metavar="TIME",
    help="Extend each result by this time at both ends.",
)
@click.option(
    "-k",
    type=click.IntRange(1, 1000),
    metavar="N",
    help=f"Number of results.  [default: {DEFAULT_K} for a query, else all]",
)
@click.option(
    "--rate",
    type=RateParam(),
    metavar="FPS",
    help="Frame rate of timelines: 25, 29.97, 29.97df (drop-frame) ….  [default: most frequent]",
)
@click.option("--overwrite", is_flag=True, help="Replace existing files.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def export(
    options: CommonOptions,
    /,
    selection: tuple[str, ...],
    html: Path | None,
    pad: float,
    k: int | None,
    rate: TimelineRate | None,
    overwrite: bool,
    as_json: bool,
    **target_paths: Path | None,
) -> None:
    """Export results as clips, films, timelines, tables or pages.

    Exports the results of a query, numbered results of the last search, or a file written by
    `vsearch search --json`. Result numbers then refer to what was exported by a query.

    \b
    vsearch export a dog jumps into a pool --supercut dogs.mp4
    vsearch export '#1-5,8' --clips out --pad 1s --csv out.csv
    """
    from vsearch.cli.html.gallery import write_gallery  # deferred: --help needs none of it
    from vsearch.export.exporter import check_targets, write_exports

    targets = {kind: path for kind, path in target_paths.items() if path is not None}
    if not targets and html is None:
        raise click.UsageError("name an output, e.g. --clips DIR, --supercut out.mp4 or --csv …")
    check_targets(targets, overwrite=overwrite)
    query_text, excerpts, skipped_results, library_paths = _resolve_selection(
        options, selection, k, pad
    )
    check_targets(targets, excerpts, overwrite=overwrite, library_paths=library_paths)
    export_results: list[ExportResult] = []
    if excerpts:
        for export_result in write_exports(
            excerpts, targets, query_text, rate=rate, overwrite=overwrite
        ):
            export_results.append(export_result)
            _print_export_result(export_result)
        if html is not None:
            write_gallery(html, excerpts, query_text)
            print_note(f"Written: {format_path(html.absolute())}")
    for skipped_result in skipped_results:
        print_problem(f"#{skipped_result.rank}: {escape_unprintable(skipped_result.reason)}")
    if not excerpts:
        print_problem("No results, so nothing was written.")
    if as_json:
        html_page = html if excerpts else None
        print_json(
            _export_to_dict(query_text, excerpts, skipped_results, export_results, html_page)
        )
    if skipped_results or any(export_result.error for export_result in export_results):
        raise SystemExit(1)


def _resolve_selection(
    options: CommonOptions, selection: Sequence[str], k: int | None, pad_seconds: float
) -> tuple[str, list[ExportExcerpt], list[SkippedResult], list[Path]]:
    """Return query text, excerpts, results that cannot be exported, and all videos."""
    from vsearch.search import last_search

    selection_text = query_from_argv(
        selection, allow_file=selection[0].lower().endswith(RESULTS_SUFFIX)
    )
    if len(selection) == 1 and _is_results_file(selection_text):
        past_search = last_search.read_results_file(Path(selection_text))
        chosen_results = list(enumerate(past_search.result_refs[:k], 1))
        try:
            with options.open_library() as library:
                return _build_excerpts(library, past_search.query_text, chosen_results, pad_seconds)
        except NoLibraryError:
            return _build_excerpts(None, past_search.query_text, chosen_results, pad_seconds)
    with options.open_library() as library:
        if _RESULT_NUMBERS_RE.fullmatch(selection_text):
            past_search = last_search.load_last_search(library.cache_path)
            query_text = past_search.query_text
            result_numbers = last_search.parse_result_numbers(",".join(selection_text.split()))
            chosen_results = [(number, past_search.get_result(number)) for number in result_numbers]
        else:
            query_text = selection_text
            chosen_results = _search_library(library, query_text, k or DEFAULT_K)
        return _build_excerpts(library, query_text, chosen_results, pad_seconds)


def _is_results_file(selection_text: str) -> bool:
    """Return whether the selection names a results file; raise QueryError if it is missing."""
    if not selection_text.lower().endswith(RESULTS_SUFFIX):
        return False
    if os.path.isfile(selection_text):  # noqa: PTH113 - never raises, whatever the name
        return True
    if re.search(r"\s", selection_text):
        return False
    raise QueryError(
        f"{selection_text}: there is no such file; to search for the word, write "
        f"'\"{selection_text}\"'"
    )


def _search_library(library: Library, query_text: str, k: int) -> list[tuple[int, ResultRef]]:
    from vsearch.export.exporter import rank_results
    from vsearch.search import last_search

    search_result = library.search(query_text, k=k)
    if not last_search.save_last_search(library.cache_path, query_text, search_result):
        print_note(last_search.NOT_SAVED_NOTE)
    if search_result and search_result.has_confident_match is False:
        print_note("Probably not in this library; exporting the nearest results.")
    return rank_results(search_result)


def _build_excerpts(
    library: Library | None,
    query_text: str,
    ranked_results: list[tuple[int, ResultRef]],
    pad_seconds: float,
) -> tuple[str, list[ExportExcerpt], list[SkippedResult], list[Path]]:
    from vsearch.export.exporter import build_excerpts

    videos = library.videos() if library else []
    video_durations = {video.path: video.duration for video in videos}
    excerpts, skipped_results = build_excerpts(
        ranked_results, durations=video_durations, pad_seconds=pad_seconds, query_note=query_text
    )
    return query_text, excerpts, skipped_results, list(video_durations)


def _print_export_result(export_result: ExportResult) -> None:
    if export_result.error is not None:
        print_problem(escape_unprintable(export_result.error))
        return
    encoding_note = ""
    if export_result.excerpt_spans:  # a film
        encoding_note = ", copied" if export_result.is_stream_copy else ", encoded"
    output_text = format_path(export_result.output_path.absolute())
    print_note(f"Written: {output_text}{encoding_note}")
    if photo_count := len(export_result.left_out_photos):
        print_note(f"without {format_count(photo_count, 'photo')}; --clips and --csv include them")


def _export_to_dict(
    query_text: str,
    excerpts: Sequence[ExportExcerpt],
    skipped_results: Sequence[SkippedResult],
    export_results: Sequence[ExportResult],
    html_page: Path | None,
) -> dict[str, Any]:
    """Return the JSON object of `export --json`; times in seconds."""
    file_entries = [_file_to_dict(export_result) for export_result in export_results]
    if html_page is not None:
        file_entries.append({"kind": HTML_KIND, "path": str(html_page.absolute()), "error": None})
    return {
        "query": query_text,
        "excerpts": [
            {
                "rank": excerpt.rank,
                "video": str(excerpt.source.video_path),
                "start": round(excerpt.span.start, 3),
                "end": round(excerpt.span.end, 3),
                "score": None if excerpt.score is None else round(excerpt.score, 6),
                "confidence": excerpt.confidence,
            }
            for excerpt in excerpts
        ],
        "failed": [
            {"rank": skipped.rank, "video": str(skipped.video_path), "error": skipped.reason}
            for skipped in skipped_results
        ],
        "files": file_entries,
    }


def _file_to_dict(export_result: ExportResult) -> dict[str, Any]:
    file_entry: dict[str, Any] = {
        "kind": export_result.export_kind,
        "path": str(export_result.output_path.absolute()),
        "error": export_result.error,
    }
    if export_result.excerpt_spans:
        file_entry["copied"] = export_result.is_stream_copy
        file_entry["duration"] = round(export_result.excerpt_spans[-1].end, 3)
    return file_entry
