"""`vsearch evaluate`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.manage import run_index
from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import plural, print_json, printable, table

if TYPE_CHECKING:
    from vsearch.cli.options import Options
    from vsearch.evaluation.benchmark import Report, Task
    from vsearch.evaluation.datasets import Dataset
    from vsearch.evaluation.metrics import Measure
    from vsearch.library import Library

SHOWN = 50  # failures on the page
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
@click.option(
    "--sheet", type=SheetPath(), metavar="FILE", help="Also write the failures to this HTML page."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def evaluate(
    options: Options,
    file: Path,
    published: str | None,
    videos: Path | None,
    fps: float | None,
    sheet: Path | None,
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
        if sheet is not None:
            _write_failures(sheet, library, report)
    if as_json:
        print_json(_plain(report))
    else:
        _show(report)


def _dataset(file: Path, name: str | None, videos: Path | None) -> Dataset:
    from vsearch.evaluation import datasets, published  # deferred: --help needs no numpy

    if (name is None) != (videos is None):
        raise click.UsageError("--format and --videos go together")
    if name is None or videos is None:
        return datasets.read(file)
    return published.read(name, file, videos)


def _plain(report: Report) -> dict[str, Any]:
    failures = [{**asdict(failure), "path": str(failure.path)} for failure in report.failures]
    return {**asdict(report), "failures": failures}


def _write_failures(sheet: Path, library: Library, report: Report) -> None:
    """A page that shows for each failure the right video, and what came before it."""
    from vsearch.cli.sheet import Section, write_sheet

    sections = []
    for failure in report.failures[:SHOWN]:
        right = library.search(failure.caption, k=1, videos=[str(failure.path)])
        before = library.search(failure.caption, k=min(failure.rank, 4), per_video=1)
        others = [moment for moment in before if moment.video.path != failure.path]
        title = f"{failure.caption} (right: the first picture, found at place {failure.rank})"
        sections.append(Section(title, [*right, *others]))
    write_sheet(sheet, library, sections)


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
