"""`vsearch classify`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.options import FiniteRange, shared
from vsearch.cli.render import plural, printable, short, table

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    type=FiniteRange(0, 1),
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
        results = library.classify(
            labels,
            [] if all_ else paths,
            checkpoint=checkpoint,
            name=name,
            threshold=threshold,
            store=not no_store,
        )
        count = len(library.videos([] if all_ else paths))
        told = _stream(results, count) if as_json else _show(results, count)
    _end(told, all_=all_, stored=not no_store)


@dataclass(slots=True)
class Told:
    """What is left to say of videos that were printed; what they were found to be is let go."""

    videos: int = 0
    tags: int = 0
    source: str = ""
    errors: list[str] = field(default_factory=list)

    def count(self, one: Classified) -> None:
        """Note one more."""
        self.videos += 1
        self.tags += len(one.tags)
        self.source = one.tags[0].source if one.tags else self.source
        self.errors += [one.error] if one.error else []


def _end(told: Told, *, all_: bool, stored: bool) -> None:
    if not told.videos:
        click.echo("No videos." if all_ else "No video matches.", err=True)
    for error in told.errors:
        click.echo(f"failed     {printable(error)}", err=True)
    if told.errors or not (told.videos or all_):
        sys.exit(1)
    if stored:
        source = f" by “{printable(told.source)}”" if told.source else ""
        click.echo(f"{plural(told.tags, 'tag')} stored{source}.", err=True)


def _watched(results: Iterator[Classified], count: int, *, hidden: bool) -> Iterator[Classified]:
    """The same, with progress on stderr, which is silent where that is no terminal."""
    hidden = hidden or not sys.stderr.isatty()
    with click.progressbar(
        results, count, label="Classifying", file=sys.stderr, hidden=hidden
    ) as bar:
        yield from bar


def _show(results: Iterator[Classified], count: int) -> Told:
    """A row a video: the likeliest outcome, and the next one."""
    told, rows = Told(), [("label", "p", "next", "p", "tags", "video")]
    for one in _watched(results, count, hidden=False):
        told.count(one)
        rows += [_row(one)] if one.error is None else []
    if told.videos:
        table(rows, right="lrlrr", shrink=5)
    return told


def _row(one: Classified) -> tuple[str, str, str, str, str, str]:
    first, *others = sorted(range(len(one.labels)), key=lambda at: -one.whole[at])
    second = others[0] if others else first
    return (
        printable(one.labels[first]),
        f"{one.whole[first]:.2f}",
        printable(one.labels[second]),
        f"{one.whole[second]:.2f}",
        str(len(one.tags)),
        short(one.video.path),
    )


def _stream(results: Iterator[Classified], count: int) -> Told:
    """One JSON object, a line a video as soon as it is judged."""
    told, before = Told(), '{"videos": [\n'
    for one in _watched(results, count, hidden=sys.stdout.isatty()):
        told.count(one)
        click.echo(before + json.dumps(_plain(one)), nl=False)
        before = ",\n"
    click.echo("\n]}" if told.videos else '{"videos": []}')
    return told


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
