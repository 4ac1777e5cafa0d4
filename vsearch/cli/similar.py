"""`vsearch similar` and `vsearch duplicates`: similar moments and near-duplicate videos."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from vsearch.cli.messages import print_note
from vsearch.cli.options import HtmlPathParam, library_options
from vsearch.cli.render import (
    format_count,
    format_duration,
    format_path,
    format_span,
    print_json,
    print_moments,
    print_table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from vsearch.cli.options import CommonOptions
    from vsearch.copies.duplicate_spans import DuplicateSpan

KIND_LABELS = {"exact": "same file", "near": "same video", "part": "a part"}


@click.command()
@click.argument("video", metavar="VIDEO[@START-END]")
@click.option(
    "-k",
    default=10,
    show_default=True,
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Number of results.",
)
@click.option("--same-video", is_flag=True, help="Include other moments of the same video.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--contact-sheet",
    type=HtmlPathParam(),
    metavar="FILE",
    help="Write an HTML page with thumbnails.",
)
@library_options
@click.pass_obj
def similar(
    options: CommonOptions,
    video: str,
    k: int,
    same_video: bool,
    as_json: bool,
    contact_sheet: Path | None,
) -> None:
    """Find moments similar to a video or a part of it.

    Videos of the library are not decoded; other files are.

    \b
    vsearch similar match.mp4@1:02-1:10
    """
    from vsearch.query.parser import parse_clip  # deferred: --help needs no numpy
    from vsearch.search.serialization import moment_to_dict

    start_time = time.perf_counter()
    clip_term = parse_clip(video)
    with options.open_library() as library:
        similar_moments = library.similar(
            clip_term.value, clip_term.span, k=k, same_video=same_video
        )
        elapsed_seconds, space = time.perf_counter() - start_time, library.space
        if contact_sheet is not None:
            from vsearch.cli.html.contact_sheet import SheetSection, write_contact_sheet

            write_contact_sheet(
                contact_sheet, library, [SheetSection(f"like {video}", similar_moments)]
            )
    if as_json:
        print_json(
            {
                "query": f"clip:{clip_term.value}",
                "space": space.name if space else None,
                "took_ms": round(elapsed_seconds * 1000, 1),
                "results": [
                    moment_to_dict(rank, moment) for rank, moment in enumerate(similar_moments, 1)
                ],
            }
        )
    elif similar_moments:
        print_moments(similar_moments)
    else:
        print_note("The library contains no other moments.")
    if contact_sheet is not None:
        print_note(f"Thumbnails: {contact_sheet}")


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def duplicates(options: CommonOptions, paths: tuple[str, ...], as_json: bool) -> None:
    """Find near-duplicate videos and shared parts in the library.

    Finds re-encoded, resized and cropped copies, parts of one video inside another, and copies that
    are mirrored, rotated, in grayscale, faster or slower (of the second video named). PATH
    restricts the comparison to what these videos, folders or globs share with others; files there
    that are not indexed are reported if the library contains the same file.
    """
    with options.open_library() as library:
        duplicate_spans = _collect_duplicates(library.duplicates(paths))
    if as_json:
        print_json({"duplicates": [_duplicate_to_dict(span) for span in duplicate_spans]})
    elif duplicate_spans:
        _print_duplicates(duplicate_spans)
    else:
        print_note("No duplicates found.")


def _collect_duplicates(duplicate_spans: Iterator[DuplicateSpan]) -> list[DuplicateSpan]:
    """Collect all duplicates while counting them on stderr, if that is a terminal."""
    is_hidden = not sys.stderr.isatty()
    with click.progressbar(
        duplicate_spans, label="Comparing, found", show_pos=True, file=sys.stderr, hidden=is_hidden
    ) as progress_bar:
        return list(progress_bar)


def _print_duplicates(duplicate_spans: Sequence[DuplicateSpan]) -> None:
    """Print one row per pair of spans, grouped by connected videos."""
    table_rows = [("group", "kind", "span", "video", "span", "video")]
    video_groups = _group_by_video(duplicate_spans)
    for group_number, video_group in enumerate(video_groups, 1):
        for row_index, duplicate_span in enumerate(video_group):
            table_rows.append(
                (
                    "" if row_index else str(group_number),
                    KIND_LABELS[duplicate_span.kind],
                    format_span(duplicate_span.first_span),
                    format_path(duplicate_span.first_path),
                    format_span(duplicate_span.second_span),
                    format_path(duplicate_span.second_path) + _format_remark(duplicate_span),
                )
            )
    print_table(table_rows, alignments="r")
    shared_seconds = sum(duplicate_span.first_span.duration for duplicate_span in duplicate_spans)
    print_note(
        f"{format_count(len(video_groups), 'group')}, {format_duration(shared_seconds)} shared"
    )


def _format_remark(duplicate_span: DuplicateSpan) -> str:
    """Return how the second video was altered, and whether pixels were not compared."""
    alteration_text = duplicate_span.alteration.describe()
    remarks = [alteration_text] if alteration_text else []
    if not duplicate_span.is_verified:
        remarks.append("not pixel-verified")
    return f"  ({'; '.join(remarks)})" if remarks else ""


def _group_by_video(duplicate_spans: Sequence[DuplicateSpan]) -> list[list[DuplicateSpan]]:
    """Group duplicates into connected components, in the order of their first member."""
    video_groups: list[tuple[set[Path], list[DuplicateSpan]]] = []
    for duplicate_span in duplicate_spans:
        group_paths = {duplicate_span.first_path, duplicate_span.second_path}
        joined_groups = [group for group in video_groups if group[0] & group_paths]
        group_index = video_groups.index(joined_groups[0]) if joined_groups else len(video_groups)
        group_spans = [group_span for group in joined_groups for group_span in group[1]]
        merged_paths = group_paths.union(*(group[0] for group in joined_groups))
        video_groups = [group for group in video_groups if group not in joined_groups]
        video_groups.insert(group_index, (merged_paths, [*group_spans, duplicate_span]))
    return [group_spans for _, group_spans in video_groups]


def _duplicate_to_dict(duplicate_span: DuplicateSpan) -> dict[str, Any]:
    """Return the entry of a pair in `duplicates --json`; times in seconds."""
    return {
        "kind": duplicate_span.kind,
        "similarity": round(duplicate_span.similarity, 6),
        "pixel_verified": duplicate_span.is_verified,
        "alteration": duplicate_span.alteration.to_dict(),
        "videos": [
            {"video": str(video_path), "start": round(span.start, 3), "end": round(span.end, 3)}
            for video_path, span in (
                (duplicate_span.first_path, duplicate_span.first_span),
                (duplicate_span.second_path, duplicate_span.second_span),
            )
        ],
    }
