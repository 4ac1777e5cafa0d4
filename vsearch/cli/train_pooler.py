"""`vsearch train pooler`: a pooler for the library's own videos, installed if it passes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.figures import plain_gate, show_gate
from vsearch.cli.options import shared
from vsearch.cli.render import plural, print_json, printable
from vsearch.pooler import own

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.library import Library
    from vsearch.training.pooler import PoolerTraining

STEPS = 1_500


@click.command("pooler")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option("--steps", type=click.IntRange(1), default=STEPS, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of chance.")
@click.option(
    "--from", "start", type=click.Path(path_type=Path), help="A file of `vsearch train pretrain`."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where log.csv and the checkpoint go.  [default: training/pooler in the library]",
)
@click.option("--dry-run", is_flag=True, help="Learn and judge, but install nothing.")
@click.option("--force", is_flag=True, help="Install it even if it does not pass.")
@click.option("--remove", is_flag=True, help="Take away what was installed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def train_pooler(
    options: Options,
    file: Path | None,
    steps: int,
    seed: int,
    start: Path | None,
    out: Path | None,
    dry_run: bool,
    force: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Learn to pool the library's own videos: a Transformer that passes over junk.

    Black frames, title cards, blur, flashes, neighbouring shots and frames that hang are mixed into
    clips of the library, and the clean clip is the right answer. FILE holds captions to learn from
    as well, as `vsearch evaluate` reads them. Some videos are held out, and what does not find at
    least 6 points of R@1 more there on clips of which 30 to 50 % are junk, and as much as the mean
    on clean ones, or what finds less than the pooler in use, is not installed; exit 1. Stopped, it
    goes on when it is run again. No video is decoded.
    """
    if remove:
        if file or dry_run or force or as_json or start or out:
            raise click.UsageError("--remove goes alone")
        _remove(options)
        return
    if dry_run and force:
        raise click.UsageError("--dry-run and --force exclude each other")
    with options.open() as library:
        training = _learn(library, file, start, out, steps, seed, anyway=force or dry_run)
        installed = not dry_run and _install(library, training, force)
    if as_json:
        print_json(_plain(training, installed))
    else:
        _show(training)
    _tell(training, installed, dry_run)
    if not (installed or training.gate.passed):
        sys.exit(1)


def _remove(options: Options) -> None:
    with options.open() as library:
        if not own(library.path):
            click.echo("There is no pooler to remove.", err=True)
            sys.exit(1)
        name = library.use_pooler(None)
    click.echo(f"The pooler is removed; segments are pooled by {name} again.", err=True)


def _learn(
    library: Library,
    file: Path | None,
    start: Path | None,
    out: Path | None,
    steps: int,
    seed: int,
    *,
    anyway: bool,
) -> PoolerTraining:
    """Learn with progress on stderr, which is silent where that is no terminal."""
    from vsearch.evaluation import datasets  # deferred: brings numpy
    from vsearch.temporal.weights import Weights
    from vsearch.training.pooler import train_pooler as learn

    dataset = None if file is None else datasets.read(file)
    remedy = "name a file of `vsearch train pretrain`"
    weights = None if start is None else Weights.load(start, "pretrained", remedy)
    with click.progressbar(
        length=steps, label="Learning", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:
        return learn(
            library,
            dataset,
            folder=out or library.path / "training" / "pooler",
            steps=steps,
            seed=seed,
            device=library.settings.device,
            start=weights,
            anyway=anyway,
            progress=lambda done, _: bar.update(done - bar.pos),
        )


def _install(library: Library, training: PoolerTraining, force: bool) -> bool:
    from vsearch.training.pooler import install  # deferred: brings numpy

    return install(library, training, force=force)


def _show(training: PoolerTraining) -> None:
    gate = training.gate
    click.echo(
        f"learnt   from {plural(training.videos, 'video')} in {training.seconds:.0f} s, "
        f"{plural(training.steps, 'step')}"
    )
    click.echo(
        f"judged   {gate.queries} queries among "
        f"{plural(gate.clips, 'clip')} of other videos, {gate.seeds} mixtures"
    )
    for reason in training.left_out:
        click.echo(f"left out {printable(reason)}")
    show_gate(gate)


def _tell(training: PoolerTraining, installed: bool, dry_run: bool) -> None:
    """What became of it, and what to do."""
    passed = training.gate.passed
    if installed and passed:
        click.echo(
            "Installed: all segments are pooled by it. `vsearch train pooler --remove` takes it "
            "away.",
            err=True,
        )
    elif installed:
        click.echo(
            "WARNING: installed by --force, though it did NOT pass. `vsearch train pooler "
            "--remove` takes it away.",
            err=True,
        )
    elif passed:
        click.echo("It passed, and is not installed: --dry-run.", err=True)
    else:
        click.echo(
            "Not installed: it did not pass." if not dry_run else "It did not pass.", err=True
        )


def _plain(training: PoolerTraining, installed: bool) -> dict[str, Any]:
    return {
        "pooler": training.gate.pooler,
        "videos": training.videos,
        "steps": training.steps,
        "seconds": round(training.seconds, 1),
        "left_out": list(training.left_out),
        "gate": plain_gate(training.gate),
        "installed": installed,
    }
