"""`vsearch train pretrain`: a Transformer learns from a library's frames without labels."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.figures import share
from vsearch.cli.options import shared
from vsearch.cli.render import plural, print_json, printable

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.library import Library
    from vsearch.temporal.training import Progress
    from vsearch.training.pretraining import Plan, Pretraining

FOLDER = Path("training", "pretrain")  # inside the library


@click.command()
@click.option(
    "--form",
    type=click.Choice(["contrastive", "words"]),
    default="contrastive",
    show_default=True,
    help="Tell a hidden frame among the others, or its visual word.",
)
@click.option(
    "--preset",
    type=click.Choice(["small", "videobert"]),
    default="small",
    show_default=True,
    help="3 million parameters, or 87.",
)
@click.option("--steps", type=click.IntRange(1), default=1_000, show_default=True)
@click.option(
    "--captions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Words to learn beside the frames, as `vsearch evaluate` reads them.  "
    "[default: subtitles beside the videos]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where pretrained.npz, the checkpoint and log.csv go.  "
    "[default: training/pretrain in the library]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of chance.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def pretrain(
    options: Options,
    form: str,
    preset: str,
    steps: int,
    captions: Path | None,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Pretrain a Transformer on the library's frames, without labels.

    Frames of a clip are hidden, and told from the others; where there are words, also whether they
    belong to the clip. Nothing is decoded, and the library's answers stay as they are:
    pretrained.npz is what further training can begin with. About every fifth video is held out, to
    judge by. A run that was stopped goes on where it was when it is started again.
    """
    from vsearch.training.pretraining import Plan  # deferred: brings numpy

    plan = Plan(form, preset, steps, seed=seed, device=options.device or "auto")  # type: ignore[arg-type]
    with options.open() as library:
        folder = out if out is not None else library.path / FOLDER
        done = _learn(library, plan, captions, folder)
    if as_json:
        print_json(_plain(done, plan, folder))
    else:
        _show(done, plan)
        click.echo(f"Saved: {printable(str(folder / 'pretrained.npz'))}", err=True)


def _learn(library: Library, plan: Plan, captions: Path | None, folder: Path) -> Pretraining:
    """Learn with progress on stderr, which is silent where that is no terminal."""
    from vsearch.evaluation import datasets  # deferred: brings numpy
    from vsearch.training.pretraining import pretrain as learn

    dataset = None if captions is None else datasets.read(captions)
    with click.progressbar(
        length=plan.steps, label="Learning", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def report(now: Progress) -> None:
            bar.label = f"Learning, loss {now.history[-1]['loss']:.2f}"
            bar.update(now.step - bar.pos)

        return learn(library, plan, dataset, folder, report=report)


def _show(done: Pretraining, plan: Plan) -> None:
    """What was learnt from, and how well it does on what was held out."""
    words = f", {done.words} visual words" if done.words else ""
    click.echo(
        f"learnt     {plural(done.videos, 'video')} ({plan.form}, {plan.preset}{words}) in "
        f"{done.seconds:.0f} s; best at step {done.step} of {plan.steps}"
    )
    if done.talking:
        click.echo(f"words      beside {plural(done.talking, 'video')}")
    click.echo(f"held out   {plural(done.held_videos, 'video')}")
    for reason in done.left_out:
        click.echo(f"left out   {printable(reason)}")
    first, last = done.first, done.figures
    click.echo(
        f"\nhidden frames   loss {first['loss']:.3f} → {last['loss']:.3f}, by guessing "
        f"{last['guessed']:.3f}; right {share(first['accuracy'])} → {share(last['accuracy'])} %"
    )
    common = f", the commonest word {share(last['commonest'])} %" if done.words else ""
    click.echo(f"  for comparison: right as the nearest frame {share(last['copied'])} %{common}")
    if "belongs" in last:
        click.echo(
            f"words belong    right {share(first['belongs'])} → "
            f"{share(last['belongs'])} %; by chance 50 %"
        )


def _plain(done: Pretraining, plan: Plan, folder: Path) -> dict[str, Any]:
    told = {one.name: getattr(done, one.name) for one in fields(done) if one.name != "weights"}
    return {
        "file": str(folder / "pretrained.npz"),
        "form": plan.form,
        "preset": plan.preset,
        "space": done.weights.about["space"],
        "steps": plan.steps,
        "seed": plan.seed,
        **told,
        "seconds": round(done.seconds, 3),
        "digest": done.weights.digest,
    }
