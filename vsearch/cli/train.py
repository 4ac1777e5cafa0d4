"""`vsearch train`: what a library can learn from what is known of its videos."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.figures import interval, points, share
from vsearch.cli.options import shared
from vsearch.cli.render import plural, print_json, printable, table
from vsearch.cli.train_classifier import classifier
from vsearch.cli.train_pooler import train_pooler
from vsearch.cli.train_pretrain import pretrain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import Options
    from vsearch.evaluation.adapting import Alignment
    from vsearch.evaluation.metrics import Measure
    from vsearch.library import Library


@click.group()
@shared
def train() -> None:
    """Learn from what is known of the library's own videos.

    \b
    vsearch train align clips.jsonl
    """


train.add_command(pretrain)
train.add_command(train_pooler)


train.add_command(classifier)


@train.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of chance.")
@click.option("--dry-run", is_flag=True, help="Learn and judge, but install nothing.")
@click.option("--force", is_flag=True, help="Install it even if it is not better.")
@click.option("--remove", is_flag=True, help="Take away what was installed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def align(
    options: Options,
    file: Path | None,
    seed: int,
    dry_run: bool,
    force: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Adapt the words of queries to the library's videos.

    FILE is .jsonl or .csv with path and caption, and where they are known start, end (seconds) and
    group, as `vsearch evaluate` reads it. Without it, subtitles beside the videos and telling file
    names are learnt from. Some videos are held out, and what does not find more on those is not
    installed; exit 1. The pictures, and so the index, stay as they are.
    """
    if remove:
        if file or dry_run or force or as_json:
            raise click.UsageError("--remove goes alone")
        _remove(options)
        return
    if dry_run and force:
        raise click.UsageError("--dry-run and --force exclude each other")
    with options.open() as library:
        alignment = _learn(library, file, seed)
        installed = not dry_run and _install(library, alignment, force)
    if as_json:
        print_json(_plain(alignment, installed))
    else:
        _show(alignment)
    _tell(alignment, installed, dry_run)
    if not (installed or alignment.verdict.better):
        sys.exit(1)


def _remove(options: Options) -> None:
    with options.open() as library:
        there = library.adapt(None)
    click.echo("The adapter is removed." if there else "There is no adapter to remove.", err=True)
    if not there:
        sys.exit(1)


def _learn(library: Library, file: Path | None, seed: int) -> Alignment:
    """Learn with progress on stderr, which is silent where that is no terminal."""
    from vsearch.evaluation import datasets  # deferred: brings numpy
    from vsearch.evaluation.adapting import align as learn

    dataset = None if file is None else datasets.read(file)
    with click.progressbar(
        length=1, label="Learning", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def progress(done: int, parts: int) -> None:
            bar.length = parts
            bar.update(done - bar.pos)

        return learn(library, dataset, seed=seed, progress=progress)


def _install(library: Library, alignment: Alignment, force: bool) -> bool:
    from vsearch.evaluation.adapting import install  # deferred: brings numpy

    return install(library, alignment, force=force)


def _show(alignment: Alignment) -> None:
    """What was learnt from, and how well it does on what was held out."""
    trained, verdict = alignment.adapter.trained, alignment.verdict
    videos = plural(alignment.held_videos, "video")
    click.echo(
        f"learnt     {trained.rows} rows of {plural(trained.videos, 'video')} "
        f"({printable(trained.source)}) in {alignment.seconds:.0f} s: "
        f"{alignment.steps} steps, decay {alignment.decay:g}"
    )
    click.echo(f"held out   {trained.held_out} rows of {videos}, among {verdict.answers} moments")
    for reason in alignment.left_out:
        click.echo(f"left out   {printable(reason)}")
    click.echo("")
    rows: list[Sequence[str]] = [("", "R@1", "95 %", "R@5", "95 %", "MRR", "95 %")]
    rows.append(_row("as it is", verdict.before))
    if verdict.present is not None:
        rows.append(_row("installed", verdict.present))
    rows.append(_row("adapted", verdict.after))
    table(rows, right="lrrrrrr")
    gain = verdict.gain
    click.echo(
        f"MRR gained {points(gain.value)} points, 95 %: {points(gain.low)} to {points(gain.high)}"
    )


def _row(name: str, measures: Sequence[Measure]) -> tuple[str, ...]:
    figures = [text for each in measures for text in (share(each.value), interval(each))]
    return (name, *figures)


def _tell(alignment: Alignment, installed: bool, dry_run: bool) -> None:
    """What became of it, and what to do."""
    verdict = alignment.verdict
    if installed and verdict.better:
        click.echo(
            "Installed: the words of queries pass through it from now on. `vsearch train align "
            "--remove` takes it away.",
            err=True,
        )
    elif installed:
        click.echo(
            "WARNING: installed by --force, though it is NOT better on the held-out rows. `vsearch "
            "train align --remove` takes it away.",
            err=True,
        )
    elif verdict.better:
        click.echo("Better, and not installed: --dry-run.", err=True)
    elif not dry_run:
        click.echo(f"Not installed: {_why_not(alignment)}", err=True)
    else:
        click.echo(f"It would not be installed: {_why_not(alignment)}", err=True)


def _why_not(alignment: Alignment) -> str:
    verdict = alignment.verdict
    if verdict.gain.value <= 0:
        return "it finds no more on the held-out rows than the model as it is."
    if verdict.gain.low <= 0:
        return "what it gains on the held-out rows may be chance. More rows would tell."
    return (
        "the adapter in use finds more. If that one has learnt from rows that are held out now, "
        "take it away first (--remove)."
    )


def _plain(alignment: Alignment, installed: bool) -> dict[str, Any]:
    verdict, trained = alignment.verdict, alignment.adapter.trained
    return {
        "installed": installed,
        "better": verdict.better,
        "source": trained.source,
        "rows": trained.rows,
        "videos": trained.videos,
        "held_out": {"rows": trained.held_out, "videos": alignment.held_videos},
        "left_out": list(alignment.left_out),
        **asdict(verdict),
        "decay": alignment.decay,
        "steps": alignment.steps,
        "seconds": round(alignment.seconds, 3),
        "digest": alignment.adapter.digest,
    }
