"""`vsearch tags`."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import shared
from vsearch.cli.render import period, plural, print_json, printable, short, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.cli.options import Options
    from vsearch.library import Library
    from vsearch.types import Tag


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO[@START-END]]...")
@click.option("--add", metavar="LABEL", help="Give the videos, or parts of them, this tag by hand.")
@click.option("--remove", metavar="LABEL", help="Remove this tag, whoever gave it.")
@click.option("--remove-source", metavar="NAME", help="Remove all that one source gave.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def tags(
    options: Options,
    paths: tuple[str, ...],
    add: str | None,
    remove: str | None,
    remove_source: str | None,
    as_json: bool,
) -> None:
    """List the tags of the library, or of some videos, folders or globs; add and remove them.

    Of a part, tags count that overlap it; those of all of the video do, too.

    \b
    vsearch tags                              how often there is which
    vsearch tags holiday.mp4                  all that this video has
    vsearch tags holiday.mp4@1:05-1:20        what these seconds have
    vsearch tags holiday.mp4@1:05-1:20 --add "grandma dances"
    vsearch tags --remove dog
    """
    if sum(each is not None for each in (add, remove, remove_source)) > 1:
        raise click.UsageError("--add, --remove and --remove-source go alone")
    if add is not None and not paths:
        raise click.UsageError("--add needs a video")
    with options.open() as library:
        if add is not None:
            _add(library, paths, add)
        elif remove is not None or remove_source is not None:
            _remove(library, paths, remove, remove_source)
        else:
            _list(library, paths, as_json)


def _add(library: Library, paths: Sequence[str], label: str) -> None:
    from vsearch.search.query import parse_clip  # deferred: --help needs no numpy

    for clip in map(parse_clip, paths):
        tag = library.tag(clip.value, label, clip.span)
        where = "" if tag.span is None else f"  {period(tag.span)}"
        click.echo(f"tagged     {printable(tag.label)}{where}  {printable(clip.value)}", err=True)


def _remove(library: Library, paths: Sequence[str], label: str | None, source: str | None) -> None:
    count = library.untag(paths, label=label, source=source)
    click.echo(f"{plural(count, 'tag')} removed")
    if not count:
        sources = ", ".join(sorted({tag.source for tag in library.tags()}))
        click.echo(f"There are tags of: {printable(sources) or 'nobody'}.", err=True)
        sys.exit(1)


def _list(library: Library, paths: Sequence[str], as_json: bool) -> None:
    found = library.tags(paths)
    names = {video.id: video.path for video in library.videos()}
    found = [tag for tag in found if tag.video_id in names]  # else removed meanwhile
    if as_json:
        print_json({"labels": _counts(found), "tags": [_plain(tag, names) for tag in found]})
    elif not found:
        click.echo("No tags.", err=True)
    elif paths:
        _show(found, names)
    else:
        rows = [("tag", "videos", "parts", "by")]
        rows += [
            (printable(one["label"]), str(one["videos"]), str(one["parts"]), printable(one["by"]))
            for one in _counts(found)
        ]
        table(rows, right="lrr")


def _counts(found: Sequence[Tag]) -> list[dict[str, Any]]:
    """For each label and source: in how many videos, and in how many parts of them."""
    pairs = sorted({(tag.label, tag.source) for tag in found})
    videos = Counter(
        (label, source) for label, source, _ in {(t.label, t.source, t.video_id) for t in found}
    )
    parts = Counter((tag.label, tag.source) for tag in found if tag.span is not None)
    return [
        {"label": pair[0], "by": pair[1], "videos": videos[pair], "parts": parts[pair]}
        for pair in pairs
    ]


def _show(found: Sequence[Tag], names: dict[int, Path]) -> None:
    rows = [("tag", "p", "when", "by", "video")]
    for tag in found:
        when = "all of it" if tag.span is None else period(tag.span)
        rows.append(
            (
                printable(tag.label),
                f"{tag.probability:.2f}",
                when,
                printable(tag.source),
                short(names[tag.video_id]),
            )
        )
    table(rows, right="lrll", shrink=4)


def _plain(tag: Tag, names: dict[int, Path]) -> dict[str, Any]:
    """One tag of `tags --json`; times in seconds, null for the whole video."""
    return {
        "video": str(names[tag.video_id]),
        "label": tag.label,
        "probability": round(tag.probability, 6),
        "start": None if tag.span is None else round(tag.span.start, 3),
        "end": None if tag.span is None else round(tag.span.end, 3),
        "by": tag.source,
        "model": tag.model,
        "made_at": tag.made_at.isoformat(timespec="seconds"),
    }
