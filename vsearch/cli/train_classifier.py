"""`vsearch train classifier`: a Transformer learns what labelled videos show."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.figures import interval, share
from vsearch.cli.options import FiniteRange, shared
from vsearch.cli.render import plural, print_json, printable, table
from vsearch.files import replaced

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import Options
    from vsearch.evaluation.classes import Judgement
    from vsearch.library import Library
    from vsearch.temporal.training import Progress
    from vsearch.training.classifier import Plan, Training

FOLDER = Path("training", "classifiers")  # inside the library


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    type=click.Choice(["small", "videobert"]),
    default="small",
    show_default=True,
    help="3 million parameters, or 87.",
)
@click.option("--epochs", type=click.IntRange(1), default=60, show_default=True, help="At most.")
@click.option(
    "--patience",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Stop after so many epochs without a better one; 0: never.",
)
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True, help="Rows a step.")
@click.option(
    "--rate",
    type=FiniteRange(0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Of learning.",
)
@click.option(
    "--smoothing",
    type=FiniteRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Of labels.",
)
@click.option(
    "--class-weights/--no-class-weights",
    "weighted",
    default=True,
    show_default=True,
    help="Let rare labels count as much as common ones.",
)
@click.option(
    "--from",
    "pretrained",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Begin with what `vsearch train pretrain` saved.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where classifier.npz, figures.json, confusion.png, the checkpoint and log.csv go.  "
    "[default: training/classifiers/NAME in the library]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of chance.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def classifier(
    options: Options,
    file: Path,
    preset: str,
    epochs: int,
    patience: int,
    batch: int,
    rate: float,
    smoothing: float,
    weighted: bool,
    pretrained: Path | None,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a classifier on labelled videos of the library.

    FILE is .csv or .jsonl with path and label, and where they are known start, end (seconds, of a
    part), group (of videos that belong together) and split (train, val or test). Without splits,
    of each label a fifth of the videos is for stopping in time, and a fifth to judge by. Nothing is
    decoded. A run that was stopped goes on where it was when it is started again.

    \b
    vsearch train classifier labels.csv
    vsearch classify --all --checkpoint indexes/default/training/classifiers/labels/classifier.npz
    """
    from vsearch.training.classifier import Plan  # deferred: brings numpy

    plan = Plan(
        preset, epochs, batch, rate, smoothing, weighted, patience,
        seed=seed, device=options.device or "auto",
    )  # fmt: skip
    with options.open() as library:
        folder = out if out is not None else library.path / FOLDER / file.stem
        done = _learn(library, file, plan, folder, pretrained)
    figures = _plain(done, plan, folder)
    with replaced(folder / "figures.json") as written:
        written.write(json.dumps(figures, indent=2).encode())
    _draw(done, folder)
    if as_json:
        print_json(figures)
    else:
        _show(done, plan)
        click.echo(f"Saved: {printable(str(folder / 'classifier.npz'))}", err=True)


def _learn(
    library: Library, file: Path, plan: Plan, folder: Path, pretrained: Path | None
) -> Training:
    """Learn with progress on stderr, which is silent where that is no terminal."""
    from vsearch.training.classifier import train_classifier  # deferred: brings numpy
    from vsearch.training.labelled import read
    from vsearch.training.pretraining import load

    given = read(file)
    begin = None
    if pretrained is not None and (space := library.space) is not None:
        begin = load(pretrained, space)
    with click.progressbar(
        length=1, label="Learning", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def report(now: Progress, steps: int) -> None:
            bar.length = steps
            bar.label = f"Learning, loss {now.history[-1]['loss']:.2f}"
            bar.update(now.step - bar.pos)

        return train_classifier(
            library, printable(file.stem), given, plan, folder, pretrained=begin, report=report
        )


def _draw(done: Training, folder: Path) -> None:
    from vsearch.cli.confusion import picture  # deferred: brings Pillow

    judged = done.test or done.validation
    with replaced(folder / "confusion.png") as written:
        picture(done.labels, judged.confusion).save(written, "PNG")


def _show(done: Training, plan: Plan) -> None:
    """What was learnt from, and how well it does on what was held out."""
    click.echo(
        f"learnt     {plural(done.rows['train'], 'row')} of "
        f"{plural(done.videos['train'], 'video')}, {len(done.labels)} labels ({plan.preset}) in "
        f"{done.seconds:.0f} s; best after {plural(done.epoch, 'epoch')}"
    )
    for part, use in (("val", "stopped by"), ("test", "judged by")):
        if done.rows[part]:  # type: ignore[index]
            rows, videos = done.rows[part], done.videos[part]  # type: ignore[index]
            click.echo(f"{use:<10} {plural(rows, 'row')} of {plural(videos, 'video')}")
    for reason in done.left_out:
        click.echo(f"left out   {printable(reason)}")
    if done.test is None:
        click.echo("There is no test split: these are the rows that training was stopped by.")
    _figures(done.test or done.validation)


def _figures(judged: Judgement) -> None:
    click.echo("")
    rows: list[Sequence[str]] = [("label", "rows", "precision", "recall", "F1", "AP")]
    for one in judged.classes:
        shares = (one.precision, one.recall, one.f1, one.average_precision)
        rows.append((printable(one.name), str(one.rows), *map(share, shares)))
    table(rows, right="lrrrrr")
    click.echo(
        f"\ntop-1 {share(judged.top1.value)} % ({interval(judged.top1)}), "
        f"top-5 {share(judged.top5.value)} %, mAP {share(judged.mean_ap)}, "
        f"macro F1 {share(judged.macro_f1)}, calibration error {judged.calibration:.3f}"
    )


def _plain(done: Training, plan: Plan, folder: Path) -> dict[str, Any]:
    return {
        "file": str(folder / "classifier.npz"),
        "space": done.weights.about["space"],
        **{key: value for key, value in asdict(plan).items() if key != "device"},
        "labels": list(done.labels),
        "rows": done.rows,
        "videos": done.videos,
        "left_out": list(done.left_out),
        "best_epoch": done.epoch,
        "temperature": done.weights.about["temperature"],
        "validation": asdict(done.validation),
        "test": None if done.test is None else asdict(done.test),
        "seconds": round(done.seconds, 3),
        "digest": done.weights.digest,
    }
