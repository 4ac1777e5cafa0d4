"""`vsearch classify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import shared
from vsearch.cli.render import plural, print_json, printable, short, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import Options
    from vsearch.types import Classified, Vector


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO]...")
@click.option("--all", "all_", is_flag=True, help="Every video of the library.")
@click.option(
    "--labels",
    "file",
    type=click.Path(path_type=Path),
    help="A text file: one label a line, or `label: what it looks like; or so`.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A classifier.npz of `vsearch train classifier`, in place of labels.",
)
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="How likely a label must be to become a tag.",
)
@click.option("--no-store", is_flag=True, help="Only tell; leave the tags as they are.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def classify(
    options: Options,
    paths: tuple[str, ...],
    all_: bool,
    file: Path | None,
    checkpoint: Path | None,
    threshold: float,
    no_store: bool,
    as_json: bool,
) -> None:
    """Judge which label fits indexed videos and their parts, or none of them.

    VIDEO is a path, folder or glob. Labels exclude each other; what is likely enough is kept as
    tags, see `vsearch tags` and `vsearch search --tag`. A second run with a file of that name
    replaces them. Stop it at any time: videos that are judged are kept.

    \b
    vsearch classify --all --labels labels.txt
    vsearch classify holiday.mp4 --checkpoint classifier.npz
    """
    if bool(paths) == all_:
        raise click.UsageError("name videos, or say --all")
    if (file is None) == (checkpoint is None):
        raise click.UsageError("give --labels FILE or --checkpoint FILE")
    from vsearch.analysis.labels import read  # deferred: --help needs no numpy

    labels, name = ([], "") if file is None else (read(file), printable(file.stem))
    with options.open() as library:
        found = _judged(
            library.classify(
                labels,
                [] if all_ else paths,
                checkpoint=checkpoint,
                name=name,
                threshold=threshold,
                store=not no_store,
            ),
            len(library.videos([] if all_ else paths)),
        )
    if as_json:
        print_json({"videos": [_plain(one) for one in found]})
    elif found:
        _show(found)
    else:
        click.echo("No videos." if all_ else "No video matches.", err=True)
    for one in found:
        if one.error:
            click.echo(f"failed     {printable(one.error)}", err=True)
    if any(one.error for one in found) or not (found or all_):
        sys.exit(1)
    if not no_store:
        tags = [tag for one in found for tag in one.tags]
        source = f" by “{printable(tags[0].source)}”" if tags else ""
        click.echo(f"{plural(len(tags), 'tag')} stored{source}.", err=True)


def _judged(results: Any, count: int) -> list[Classified]:
    """All of them, with progress on stderr, which is silent where that is no terminal."""
    hidden = not sys.stderr.isatty()
    with click.progressbar(
        results, count, label="Classifying", file=sys.stderr, hidden=hidden
    ) as bar:
        return list(bar)


def _show(found: Sequence[Classified]) -> None:
    """A row a video: the likeliest outcome, and the next one."""
    rows = [("label", "p", "next", "p", "tags", "video")]
    for one in found:
        if one.error is not None:
            continue
        first, *others = sorted(range(len(one.labels)), key=lambda at: -one.whole[at])
        second = others[0] if others else first
        rows.append(
            (
                printable(one.labels[first]),
                f"{one.whole[first]:.2f}",
                printable(one.labels[second]),
                f"{one.whole[second]:.2f}",
                str(len(one.tags)),
                short(one.video.path),
            )
        )
    table(rows, right="lrlrr", shrink=5)


def _plain(one: Classified) -> dict[str, Any]:
    """One video of `classify --json`; times in seconds."""
    if one.error is not None:
        return {"video": str(one.video.path), "error": one.error}
    return {
        "video": str(one.video.path),
        "label": one.labels[int(one.whole.argmax())],
        "probabilities": _named(one, one.whole),
        "segments": [
            {
                "start": round(segment.span.start, 3),
                "end": round(segment.span.end, 3),
                "label": one.labels[int(chances.argmax())],
                "probabilities": _named(one, chances),
            }
            for segment, chances in zip(one.segments, one.probabilities, strict=True)
        ],
        "tags": len(one.tags),
    }


def _named(one: Classified, chances: Vector) -> dict[str, float]:
    return {name: round(float(p), 6) for name, p in zip(one.labels, chances, strict=True)}
