"""`vsearch tags`: list, add and remove tags of videos and parts of videos."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import library_options
from vsearch.cli.render import (
    escape_unprintable,
    format_count,
    format_path,
    format_span,
    print_json,
    print_table,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.types import Tag


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO[@START-END]]...")
@click.option("--add", metavar="LABEL", help="Tag the given videos or parts with this label.")
@click.option("--remove", metavar="LABEL", help="Remove tags with this label, from any source.")
@click.option("--remove-source", metavar="NAME", help="Remove all tags from this source.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def tags(
    options: CommonOptions,
    paths: tuple[str, ...],
    add: str | None,
    remove: str | None,
    remove_source: str | None,
    as_json: bool,
) -> None:
    """List, add or remove tags of videos.

    VIDEO is a path, folder or glob; VIDEO@START-END selects tags that overlap this part, including
    tags of the whole video.

    \b
    vsearch tags                              count the tags of the library
    vsearch tags holiday.mp4                  list the tags of a video
    vsearch tags holiday.mp4@1:05-1:20        list the tags of these seconds
    vsearch tags holiday.mp4@1:05-1:20 --add "grandma dances"
    vsearch tags --remove dog
    """
    if sum(flag_value is not None for flag_value in (add, remove, remove_source)) > 1:
        raise click.UsageError("--add, --remove and --remove-source cannot be combined")
    if add is not None and not paths:
        raise click.UsageError("--add needs a video")
    with options.open_library(ignore_invalid_settings=True) as library:
        if add is not None:
            _add_tags(library, paths, add)
        elif remove is not None or remove_source is not None:
            _remove_tags(library, paths, remove, remove_source)
        else:
            _list_tags(library, paths, as_json)


def _add_tags(library: Library, paths: Sequence[str], label: str) -> None:
    from vsearch.query.parser import parse_clip  # deferred: --help needs no numpy

    for clip_term in map(parse_clip, paths):
        tag = library.tags.add(clip_term.value, label, clip_term.span)
        span_text = "" if tag.span is None else f"  {format_span(tag.span)}"
        tag_text = f"{escape_unprintable(tag.label)}{span_text}"
        print_note(f"tagged     {tag_text}  {escape_unprintable(clip_term.value)}")


def _remove_tags(
    library: Library, paths: Sequence[str], label: str | None, source: str | None
) -> None:
    tag_count = library.tags.remove(paths, label=label, source=source)
    click.echo(f"{format_count(tag_count, 'tag')} removed")
    if not tag_count:
        source_names = ", ".join(sorted({tag.source for tag in library.tags.list()}))
        print_problem(f"Sources of tags: {escape_unprintable(source_names) or 'none'}.")
        sys.exit(1)


def _list_tags(library: Library, paths: Sequence[str], as_json: bool) -> None:
    video_paths = {video.id: video.path for video in library.videos()}
    # a video may have been removed since
    found_tags = [tag for tag in library.tags.list(paths) if tag.video_id in video_paths]
    if as_json:
        print_json(
            {
                "labels": _count_tags(found_tags),
                "tags": [_tag_to_dict(tag, video_paths) for tag in found_tags],
            }
        )
    elif not found_tags:
        print_note("No tags.")
    elif paths:
        _print_tags(found_tags, video_paths)
    else:
        _print_counts(_count_tags(found_tags))


def _print_counts(tag_counts: Sequence[dict[str, Any]]) -> None:
    table_rows = [("tag", "videos", "parts", "source")]
    table_rows += [
        (
            escape_unprintable(tag_count["label"]),
            str(tag_count["videos"]),
            str(tag_count["parts"]),
            escape_unprintable(tag_count["source"]),
        )
        for tag_count in tag_counts
    ]
    print_table(table_rows, alignments="lrr")


def _count_tags(found_tags: Sequence[Tag]) -> list[dict[str, Any]]:
    """Count the videos and the parts of videos of each label and source."""
    tagged_videos = {(tag.label, tag.source, tag.video_id) for tag in found_tags}
    video_counts = Counter((label, source) for label, source, _ in tagged_videos)
    part_counts = Counter((tag.label, tag.source) for tag in found_tags if tag.span is not None)
    return [
        {
            "label": label,
            "source": source,
            "videos": video_counts[label, source],
            "parts": part_counts[label, source],
        }
        for label, source in sorted(video_counts)
    ]


def _print_tags(found_tags: Sequence[Tag], video_paths: dict[int, Path]) -> None:
    table_rows = [("tag", "prob", "span", "source", "video")]
    for tag in found_tags:
        span_text = "whole video" if tag.span is None else format_span(tag.span)
        table_rows.append(
            (
                escape_unprintable(tag.label),
                f"{tag.probability:.2f}",
                span_text,
                escape_unprintable(tag.source),
                format_path(video_paths[tag.video_id]),
            )
        )
    print_table(table_rows, alignments="lrll", shrink_column=4)


def _tag_to_dict(tag: Tag, video_paths: dict[int, Path]) -> dict[str, Any]:
    """Return the entry of a tag in `tags --json`; times in seconds, null for the whole video."""
    return {
        "video": str(video_paths[tag.video_id]),
        "label": tag.label,
        "probability": round(tag.probability, 6),
        "start": None if tag.span is None else round(tag.span.start, 3),
        "end": None if tag.span is None else round(tag.span.end, 3),
        "source": tag.source,
        "model": tag.model,
        "created_at": tag.created_at.isoformat(timespec="seconds"),
    }
