"""`vsearch evaluate`."""

from __future__ import annotations

import hashlib
import re
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.figures import (
    plain_gate,
    show_comparison,
    show_gate,
    show_report,
    show_robustness,
)
from vsearch.cli.manage import run_index
from vsearch.cli.options import SheetPath, shared
from vsearch.cli.render import print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.cli.options import Options
    from vsearch.evaluation.benchmark import Report
    from vsearch.evaluation.datasets import Dataset
    from vsearch.library import Library

SHOWN = 50  # failures on the page
SCRATCH = Path("indexes", "evaluation")


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
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
@click.option("--robust", is_flag=True, help="Also: what is lost when people type otherwise.")
@click.option(
    "--pooling", is_flag=True, help="Also: whether the trained pooler may take the mean's place."
)
@click.option(
    "--own",
    is_flag=True,
    help="Instead of FILE: what subtitles and file names say of the library's videos, to compare "
    "poolers, frame rates and models on.",
)
@click.option(
    "--models", metavar="NAME,…", help="With --own: index with these as well, beside the library."
)
@click.option(
    "--fps",
    type=float,
    help="Frames sampled a second; with --own a further rate.  [default: the library's, or 1]",
)
@click.option(
    "--sheet", type=SheetPath(), metavar="FILE", help="Also write the failures to this HTML page."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@shared
@click.pass_obj
def evaluate(
    options: Options,
    file: Path | None,
    published: str | None,
    videos: Path | None,
    robust: bool,
    pooling: bool,
    own: bool,
    models: str | None,
    fps: float | None,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Measure the search on captioned clips, or choices on your own videos.

    FILE is .jsonl or .csv with path and caption, and where they are known start, end (seconds) and
    group. The clips go into a library of their own, indexes/evaluation/NAME, unless --library says
    otherwise.
    """
    if own:
        if file or published or videos or robust or pooling or sheet:
            raise click.UsageError("--own goes with --models, --fps and --json only")
        _compare(options, (models or "").split(","), fps, as_json)
    elif file is None or models:
        raise click.UsageError("name a FILE of captions, or --own (with --models if you like)")
    else:
        dataset = _dataset(file, published, videos)
        _measure(options, dataset, fps, robust, pooling, sheet, as_json)


def _dataset(file: Path, name: str | None, videos: Path | None) -> Dataset:
    from vsearch.evaluation import datasets, published  # deferred: --help needs no numpy

    if (name is None) != (videos is None):
        raise click.UsageError("--format and --videos go together")
    if name is None or videos is None:
        return datasets.read(file)
    return published.read(name, file, videos)


def _measure(
    options: Options,
    dataset: Dataset,
    fps: float | None,
    robust: bool,
    pooling: bool,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Index what the set names, ask for all of it, and tell."""
    from vsearch.evaluation.benchmark import evaluate as measure  # deferred: brings numpy
    from vsearch.evaluation.datasets import paths
    from vsearch.evaluation.gate import gate_of
    from vsearch.evaluation.robustness import robustness

    if options.library is None:
        options = replace(options, library=str(SCRATCH / dataset.name))
    with options.open(create=True, fps=fps) as library:
        run_index(library, tuple(map(str, paths(dataset.items))), quiet=True)
        report = measure(library, dataset)
        variants = robustness(library, dataset) if robust else []
        gate = gate_of(library, dataset) if pooling else None
        if sheet is not None:
            _write_failures(sheet, library, report)
    if as_json:
        more = {"robustness": [asdict(one) for one in variants]}
        print_json(_plain(report) | more | {"pooling": plain_gate(gate) if gate else None})
        return
    show_report(report)
    if variants:
        show_robustness(variants)
    if gate is not None:
        show_gate(gate)
    elif pooling:
        click.echo("There is no trained pooler for this space: the mean pools.", err=True)


def _compare(options: Options, models: list[str], fps: float | None, as_json: bool) -> None:
    """Make a set of what is known of the library's videos, and compare on it."""
    from vsearch.evaluation.comparison import check, compare  # deferred: brings numpy
    from vsearch.evaluation.own import own_set
    from vsearch.evaluation.protocol import protocol

    with ExitStack() as stack:
        library = stack.enter_context(options.open())
        videos = library.videos()
        own = own_set(library.path.name, [video.path for video in videos])
        beside = [stack.enter_context(one) for one in _scratch(options, library, models, fps)]
        for one in (library, *beside):
            check(one)
        for one in beside:
            run_index(one, tuple(str(video.path) for video in videos), quiet=True)
        comparison = compare([library, *beside], own.dataset)
        made = protocol(library, videos, "own")
    if as_json:
        sources = {"sources": [asdict(source) for source in own.sources], "unread": own.unread}
        about = {"library": str(library.path), "protocol": asdict(made)}
        print_json(about | sources | asdict(comparison))
    else:
        show_comparison(own, made, comparison)


def _scratch(
    options: Options, library: Library, models: list[str], fps: float | None
) -> Iterator[Library]:
    """Libraries for what this one does not hold; one of an earlier run is used again."""
    settings = library.settings
    asked = [(model.strip(), settings.fps) for model in models if model.strip()]
    asked += [(settings.model, fps)] if fps is not None else []
    for model, rate in dict.fromkeys(asked):
        if (model, rate) != (settings.model, settings.fps):
            folder = SCRATCH / _folder_name(library.path, model, rate)
            words = settings.text_model if model == settings.model else ""
            named = replace(options, library=str(folder), model=model, text_model=words)
            yield named.open(create=True, fps=rate)


def _folder_name(library: Path, model: str, rate: float) -> str:
    """For a person to recognise, and different for every library, model and rate."""
    digest = hashlib.sha256(f"{library.absolute()}\n{model}\n{rate}".encode()).hexdigest()[:8]
    words = re.sub(r"[^A-Za-z0-9]+", "-", f"{library.name} {model} {rate:g}").strip("-")
    return f"own-{words[:60]}-{digest}"


def _plain(report: Report) -> dict[str, Any]:
    failures = [{**asdict(failure), "path": str(failure.path)} for failure in report.failures]
    return {**asdict(report), "failures": failures}


def _write_failures(sheet: Path, library: Library, report: Report) -> None:
    """A page that shows for each failure the right video, and what came before it."""
    from vsearch.cli.sheet import Section, write_sheet
    from vsearch.search.query import plain

    sections = []
    for failure in report.failures[:SHOWN]:
        right = library.search(plain(failure.caption, [str(failure.path)]), k=1)
        before = library.search(plain(failure.caption), k=min(failure.rank, 4), per_video=1)
        others = [moment for moment in before if moment.video.path != failure.path]
        title = f"{failure.caption} (right: the first picture, found at place {failure.rank})"
        sections.append(Section(title, [*right, *others]))
    write_sheet(sheet, library, sections)
