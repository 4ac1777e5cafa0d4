"""`vsearch summarize`: choose the excerpts that best represent a video."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note
from vsearch.cli.options import HtmlPathParam, library_options
from vsearch.cli.render import (
    escape_unprintable,
    format_count,
    format_duration,
    format_path,
    format_time,
    print_json,
    print_table,
)
from vsearch.errors import NoLibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.analysis.summaries import Excerpt, SummaryResult
    from vsearch.cli.options import CommonOptions
    from vsearch.export.mp4 import ExportedFile
    from vsearch.library import Library

PAGE_SUFFIXES = (".html", ".htm")
VIDEO_SUFFIXES = (".mp4",)


class SummaryPathParam(HtmlPathParam):
    """Path of a film or HTML page to write, checked before the work starts."""

    def convert(
        self, value: str | Path, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path:
        """Convert `value` to a path with a known suffix."""
        output_path = Path(value)
        if output_path.suffix.lower() in PAGE_SUFFIXES:
            return super().convert(output_path, param, ctx)
        if output_path.suffix.lower() not in VIDEO_SUFFIXES:
            self.fail(f"{output_path}: the name must end in .mp4 or .html", param, ctx)
        return output_path


@click.command()
@click.argument("video")
@click.option(
    "--length",
    "length_text",
    default="30s",
    show_default=True,
    metavar="TIME|%",
    help="Maximum length of the summary: 30s, 1m30s, 90 (seconds) or 10% of the video.",
)
@click.option("--query", metavar="TEXT", help="Prefer excerpts that match this text.")
@click.option(
    "-o",
    "--output",
    type=SummaryPathParam(),
    metavar="FILE",
    help="Write a film with sound (.mp4) or an HTML page with pictures (.html).",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing film.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def summarize(
    options: CommonOptions,
    video: str,
    length_text: str,
    query: str | None,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Summarize a video by its most representative excerpts.

    VIDEO is a video of the library, or any file, which is then processed first.

    \b
    vsearch summarize match.mp4
    vsearch summarize match.mp4 --length 1m --query "a goal" -o goals.mp4
    """
    from vsearch.analysis.summaries import SummaryLength  # deferred: --help needs none of it
    from vsearch.export.mp4 import validate_target

    summary_length = SummaryLength.parse(length_text)
    with _open_library(options) as library:
        if output is not None and output.suffix.lower() in VIDEO_SUFFIXES:
            library_paths = [each.path for each in library.videos()]
            validate_target(output, [Path(video)], overwrite=overwrite, library_paths=library_paths)
        if not library.videos([video]) and Path(video).is_file():
            print_note(f"{escape_unprintable(video)}: not indexed, processing it now.")
        summary = library.summarize(video, length=summary_length, query=query)
    exported_file = None if output is None else _write_summary(output, summary, query, overwrite)
    if as_json:
        print_json(_summary_to_dict(summary, query, output, exported_file))
        return
    _print_summary(summary)
    if output is not None:
        encoding_note = ""
        if exported_file is not None:
            encoding_note = ", copied" if exported_file.is_stream_copy else ", encoded"
        print_note(f"Written: {format_path(output)}{encoding_note}")


@contextmanager
def _open_library(options: CommonOptions) -> Iterator[Library]:
    """Open the library; if there is none and none was named, use a temporary empty one."""
    try:
        library = options.open_library()
    except NoLibraryError:
        if options.library is not None:
            raise
        with TemporaryDirectory(prefix="vsearch-") as temp_dir:
            empty_options = replace(options, library=temp_dir)
            with empty_options.open_library(create=True) as library:
                yield library
        return
    with library:
        yield library


def _write_summary(
    output_path: Path, summary: SummaryResult, query_text: str | None, overwrite: bool
) -> ExportedFile | None:
    """Write the summary as a film, or as a page (returns None)."""
    if output_path.suffix.lower() in PAGE_SUFFIXES:
        from vsearch.cli.html.storyboard import write_storyboard  # deferred: brings a decoder

        write_storyboard(output_path, summary, query_text)
        return None
    from vsearch.export.mp4 import ClipSpan, export_clips

    clip_spans = [ClipSpan(summary.video_path, excerpt.span) for excerpt in summary.excerpts]
    return export_clips(clip_spans, output_path, overwrite=overwrite)


def _print_summary(summary: SummaryResult) -> None:
    has_relevance = any(excerpt.query_similarity is not None for excerpt in summary.excerpts)
    relevance_head = ["relevance"] if has_relevance else []
    table_rows = [["#", "start", "duration", "coverage", "peak", *relevance_head]]
    table_rows += [
        _build_row(number, excerpt) for number, excerpt in enumerate(summary.excerpts, 1)
    ]
    print_table(table_rows, alignments="rrrrrr")
    excerpts_text = format_count(len(summary.excerpts), "excerpt")
    click.echo(
        f"{excerpts_text}, {format_duration(summary.total_seconds)} of "
        f"{format_duration(summary.duration)}: {format_path(summary.video_path)}"
    )


def _build_row(excerpt_number: int, excerpt: Excerpt) -> list[str]:
    similarity = excerpt.query_similarity
    return [
        str(excerpt_number),
        format_time(excerpt.span.start),
        f"{excerpt.span.duration:.1f} s",
        f"{100 * excerpt.video_share:.0f} %",
        format_time(excerpt.peak_time),
        *([] if similarity is None else [f"{similarity:.3f}"]),
    ]


def _summary_to_dict(
    summary: SummaryResult,
    query_text: str | None,
    output_path: Path | None,
    exported_file: ExportedFile | None,
) -> dict[str, Any]:
    """Return the JSON object of `summarize --json`; times in seconds."""
    return {
        "video": str(summary.video_path),
        "duration": round(summary.duration, 3),
        "query": query_text,
        "length": round(summary.total_seconds, 3),
        "coverage": round(summary.coverage, 4),
        "excerpts": [_excerpt_to_dict(excerpt) for excerpt in summary.excerpts],
        "output": None if output_path is None else str(output_path.absolute()),
        "copied": None if exported_file is None else exported_file.is_stream_copy,
    }


def _excerpt_to_dict(excerpt: Excerpt) -> dict[str, Any]:
    similarity = excerpt.query_similarity
    return {
        "start": round(excerpt.span.start, 3),
        "end": round(excerpt.span.end, 3),
        "peak": round(excerpt.peak_time, 3),
        "coverage": round(excerpt.video_share, 4),
        "relevance": None if similarity is None else round(similarity, 6),
    }
