"""`vsearch evaluate`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsearch.cli.manage import run_index
from vsearch.cli.options import shared
from vsearch.cli.render import plural, print_json, printable, table

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.evaluation.benchmark import Report, Task
    from vsearch.evaluation.datasets import Dataset
    from vsearch.evaluation.metrics import Measure

COUNTED = ("MdR",)  # in places; all other measures are shares


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "published",
    metavar="NAME",
    help="FILE is as a published set ships it: msrvtt-1ka, msvd, didemo, activitynet, …",
)
@click.option(
    "--videos",
    type=click.Path(path_type=Path, file_okay=False),
    help="With --format: the folder of its videos.",
)
@click.option("--fps", type=float, help="Frames sampled a second.  [default: the library's, or 1]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def evaluate(
    options: Options,
    file: Path,
    published: str | None,
    videos: Path | None,
    fps: float | None,
    as_json: bool,
) -> None:
    """Measure the search on captioned clips.

    FILE is .jsonl or .csv with path and caption, and where they are known start, end (seconds) and
    group. The clips go into a library of their own, indexes/evaluation/NAME, unless --library says
    otherwise.
    """
    from vsearch.evaluation.benchmark import evaluate as measure  # deferred: --help needs no numpy
    from vsearch.evaluation.datasets import paths

    dataset = _dataset(file, published, videos)
    if options.library is None:
        options = replace(options, library=str(Path("indexes", "evaluation", dataset.name)))
    with options.open(create=True, fps=fps) as library:
        run_index(library, tuple(map(str, paths(dataset.items))), quiet=True)
        report = measure(library, dataset)
    if as_json:
        print_json(asdict(report))
    else:
        _show(report)


def _dataset(file: Path, name: str | None, videos: Path | None) -> Dataset:
    from vsearch.evaluation import datasets, published  # deferred: --help needs no numpy

    if (name is None) != (videos is None):
        raise click.UsageError("--format and --videos go together")
    if name is None or videos is None:
        return datasets.read(file)
    return published.read(name, file, videos)


def _show(report: Report) -> None:
    rows = [
        ("captions", f"{report.captions} of {plural(report.videos, 'video')} ({report.dataset})"),
        ("model", f"{printable(report.model)} ({report.space})"),
        ("frames", f"{report.fps:g} a second, segments pooled by {report.pooler}"),
        ("score", "a video's best segment; 95 % bootstrap intervals over the queries"),
    ]
    if report.missing or report.unusable:
        rows.insert(1, ("left out", f"{report.missing} missing, {report.unusable} unusable"))
    for name, value in rows:
        click.echo(f"{name:<9} {value}")
    for task in report.tasks:
        _show_task(task)


def _show_task(task: Task) -> None:
    click.echo(f"\n{click.style(task.name, bold=True)}   {task.queries} among {task.answers}")
    rows = [("", *(each.name for each in task.measures))]
    rows.append(("", *(_figure(each, each.value) for each in task.measures)))
    rows.append(("95 %", *(f"{_figure(m, m.low)}–{_figure(m, m.high)}" for m in task.measures)))
    table(rows, right="l" + "r" * len(task.measures))


def _figure(measure: Measure, value: float) -> str:
    return f"{value:g}" if measure.name in COUNTED else f"{100 * value:.1f}"
