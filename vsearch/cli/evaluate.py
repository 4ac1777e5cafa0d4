"""`vsearch evaluate`: measure retrieval quality, or compare index configurations."""

from __future__ import annotations

import hashlib
import re
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.index import run_index
from vsearch.cli.options import HtmlPathParam, library_options
from vsearch.cli.render import print_json
from vsearch.cli.report_tables import (
    gate_to_dict,
    print_comparison,
    print_gate,
    print_report,
    print_robustness,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vsearch.cli.options import CommonOptions
    from vsearch.evaluation.benchmark import BenchmarkReport
    from vsearch.evaluation.datasets import CaptionDataset
    from vsearch.library import Library

MAX_SHOWN_FAILURES = 50  # on the contact sheet
SCRATCH_DIR = Path("indexes", "evaluation")


@click.command()
@click.argument("captions_path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--format",
    "dataset_format",
    metavar="NAME",
    help="Read FILE in the format of a public dataset: msrvtt-1ka, msvd, didemo, activitynet, …",
)
@click.option(
    "--videos",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder with the videos of the dataset; only with --format.",
)
@click.option("--robustness", is_flag=True, help="Also evaluate misspelled and rephrased queries.")
@click.option(
    "--check-pooler", is_flag=True, help="Also compare the trained pooler with mean pooling."
)
@click.option(
    "--auto-dataset",
    is_flag=True,
    help="Instead of FILE, build a dataset from subtitles and file names of the library's videos, "
    "and compare poolers, frame rates and models on it.",
)
@click.option(
    "--models",
    metavar="NAME,…",
    help="Also index with these models and compare them; only with --auto-dataset.",
)
@click.option(
    "--fps",
    type=float,
    help="Frames to sample per second; with --auto-dataset, an additional rate to compare.  "
    "[default: from the library, or 1]",
)
@click.option(
    "--contact-sheet",
    type=HtmlPathParam(),
    metavar="FILE",
    help="Write an HTML page with thumbnails of the failures.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def evaluate(
    options: CommonOptions,
    captions_path: Path | None,
    dataset_format: str | None,
    videos: Path | None,
    robustness: bool,
    check_pooler: bool,
    auto_dataset: bool,
    models: str | None,
    fps: float | None,
    contact_sheet: Path | None,
    as_json: bool,
) -> None:
    """Measure retrieval quality on captioned clips.

    With --auto-dataset, compare models, frame rates and poolers on your own videos instead. FILE is
    .jsonl or .csv with the fields path and caption, and optionally start, end (seconds) and group.
    The clips are indexed in a separate library, indexes/evaluation/NAME, unless --library is given.

    \b
    vsearch evaluate clips.jsonl
    vsearch evaluate --auto-dataset --models openclip:ViT-B-32/openai
    """
    if auto_dataset:
        if captions_path or dataset_format or videos or robustness or check_pooler or contact_sheet:
            raise click.UsageError(
                "--auto-dataset can only be combined with --models, --fps and --json"
            )
        _run_comparison(options, (models or "").split(","), fps, as_json)
    elif captions_path is None or models:
        raise click.UsageError("name a FILE of captions, or use --auto-dataset [--models NAME,…]")
    else:
        dataset = _read_dataset(captions_path, dataset_format, videos)
        _run_benchmark(options, dataset, fps, robustness, check_pooler, contact_sheet, as_json)


def _read_dataset(
    captions_path: Path, dataset_format: str | None, videos_dir: Path | None
) -> CaptionDataset:
    from vsearch.evaluation import datasets, public_datasets  # deferred: --help needs no numpy

    if (dataset_format is None) != (videos_dir is None):
        raise click.UsageError("--format and --videos must be used together")
    if dataset_format is None or videos_dir is None:
        return datasets.read_dataset(captions_path)
    return public_datasets.read_published(dataset_format, captions_path, videos_dir)


def _run_benchmark(
    options: CommonOptions,
    dataset: CaptionDataset,
    fps: float | None,
    with_robustness: bool,
    check_pooler: bool,
    contact_sheet: Path | None,
    as_json: bool,
) -> None:
    """Index the videos of a dataset, evaluate all captions, and print the report."""
    from vsearch.evaluation.benchmark import evaluate_library  # deferred: brings numpy
    from vsearch.evaluation.datasets import list_video_paths
    from vsearch.evaluation.pooler_gate import run_library_gate
    from vsearch.evaluation.robustness import measure_robustness

    if options.library is None:
        options = replace(options, library=str(SCRATCH_DIR / dataset.dataset_name))
    with options.open_library(create=True, fps=fps) as library:
        run_index(library, tuple(map(str, list_video_paths(dataset.items))), quiet=True)
        report = evaluate_library(library, dataset)
        perturbation_results = measure_robustness(library, dataset) if with_robustness else []
        gate_result = run_library_gate(library, dataset) if check_pooler else None
        if contact_sheet is not None:
            _write_failures(contact_sheet, library, report)
    if as_json:
        print_json(
            {
                **_report_to_dict(report),
                "robustness": [asdict(result) for result in perturbation_results],
                "pooler_check": gate_to_dict(gate_result) if gate_result else None,
            }
        )
        return
    print_report(report)
    if perturbation_results:
        print_robustness(perturbation_results)
    if gate_result is not None:
        print_gate(gate_result)
    elif check_pooler:
        click.echo("There is no trained pooler for this space; mean pooling is used.", err=True)


def _run_comparison(
    options: CommonOptions, model_names: list[str], fps: float | None, as_json: bool
) -> None:
    """Compare index configurations on a dataset built from the library's own videos."""
    from vsearch.evaluation.auto_dataset import build_auto_dataset  # deferred: brings numpy
    from vsearch.evaluation.benchmark import describe_protocol
    from vsearch.evaluation.comparison import check_text_support, compare_libraries

    with ExitStack() as exit_stack:
        library = exit_stack.enter_context(options.open_library())
        videos = library.videos()
        auto_dataset = build_auto_dataset(library.path.name, [video.path for video in videos])
        scratch_libraries = [
            exit_stack.enter_context(scratch_library)
            for scratch_library in _open_scratch_libraries(options, library, model_names, fps)
        ]
        for compared_library in (library, *scratch_libraries):
            check_text_support(compared_library)
        for scratch_library in scratch_libraries:
            run_index(scratch_library, tuple(str(video.path) for video in videos), quiet=True)
        comparison = compare_libraries([library, *scratch_libraries], auto_dataset.dataset)
        protocol = describe_protocol(library, videos, "auto")
    if as_json:
        print_json(
            {
                "library": str(library.path),
                "protocol": asdict(protocol),
                "sources": [asdict(source) for source in auto_dataset.sources],
                "unreadable": auto_dataset.unread_reasons,
                **asdict(comparison),
            }
        )
    else:
        print_comparison(auto_dataset, protocol, comparison)


def _open_scratch_libraries(
    options: CommonOptions, library: Library, model_names: list[str], fps: float | None
) -> Iterator[Library]:
    """Open libraries for other models and rates; those of an earlier run are reused."""
    settings = library.settings
    configurations = [(name.strip(), settings.fps) for name in model_names if name.strip()]
    configurations += [(settings.model, fps)] if fps is not None else []
    for model_name, sample_fps in dict.fromkeys(configurations):
        if (model_name, sample_fps) != (settings.model, settings.fps):
            scratch_dir = SCRATCH_DIR / _build_dir_name(library.path, model_name, sample_fps)
            text_model = settings.text_model if model_name == settings.model else ""
            scratch_options = replace(
                options, library=str(scratch_dir), model=model_name, text_model=text_model
            )
            yield scratch_options.open_library(create=True, fps=sample_fps)


def _build_dir_name(library_path: Path, model_name: str, sample_fps: float) -> str:
    """Return a readable folder name that is unique per library, model and rate."""
    digest = hashlib.sha256(
        f"{library_path.absolute()}\n{model_name}\n{sample_fps}".encode()
    ).hexdigest()[:8]
    readable_part = re.sub(
        r"[^A-Za-z0-9]+", "-", f"{library_path.name} {model_name} {sample_fps:g}"
    ).strip("-")
    return f"auto-{readable_part[:60]}-{digest}"


def _report_to_dict(report: BenchmarkReport) -> dict[str, Any]:
    failures = [{**asdict(failure), "path": str(failure.path)} for failure in report.failures]
    return {**asdict(report), "failures": failures}


def _write_failures(contact_sheet: Path, library: Library, report: BenchmarkReport) -> None:
    """Write a contact sheet with the correct video of each failure and those ranked above it."""
    from vsearch.cli.html.contact_sheet import SheetSection, write_contact_sheet
    from vsearch.query.parser import text_query

    sections = []
    for failure in report.failures[:MAX_SHOWN_FAILURES]:
        correct_moments = library.search(text_query(failure.caption, [str(failure.path)]), k=1)
        top_moments = library.search(
            text_query(failure.caption), k=min(failure.rank, 4), per_video=1
        )
        wrong_moments = [moment for moment in top_moments if moment.video.path != failure.path]
        section_title = f"{failure.caption} (correct: first picture, ranked {failure.rank})"
        sections.append(SheetSection(section_title, [*correct_moments, *wrong_moments]))
    write_contact_sheet(contact_sheet, library, sections)
