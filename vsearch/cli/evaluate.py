"""`vsearch evaluate`: measure retrieval quality, or compare index configurations."""

from __future__ import annotations

import hashlib
import re
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.index import run_index
from vsearch.cli.messages import print_note
from vsearch.cli.options import HtmlPathParam, library_options
from vsearch.cli.query_tables import print_query_report, query_report_to_dict
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
    from vsearch.evaluation.query_datasets import QueryDataset
    from vsearch.library import Library
    from vsearch.library_location import LibraryLocation

MAX_SHOWN_FAILURES = 50  # on the contact sheet
SCRATCH_DIR = Path("indexes", "evaluation")


@click.command()
@click.argument("dataset_path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--queries",
    "query_paths",
    type=click.Path(path_type=Path),
    metavar="FILE",
    multiple=True,
    help="Also evaluate the queries in this file; may be repeated.",
)
@click.option(
    "--clips",
    "clips_folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder of the clips that the queries name; all of its videos are searched.  "
    "[default: the folder of the file, and the named clips only]",
)
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
@click.option(
    "--robustness",
    is_flag=True,
    help="Also evaluate misspelled, rephrased, shortened, punctuated and negated queries.",
)
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
    dataset_path: Path | None,
    query_paths: tuple[Path, ...],
    clips_folder: Path | None,
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
    """Measure retrieval quality on captioned clips and on people's queries.

    With --auto-dataset, compare models, frame rates and poolers on your own videos instead. FILE is
    .jsonl or .csv with the fields path and caption, and optionally start, end (seconds) and group;
    or .jsonl with the fields query and clips (a list, empty if nothing matches), and optionally
    lang; or with clip and a caption per language (en, de, …). The clips are indexed in a separate
    library, indexes/evaluation/NAME, unless --library is given.

    \b
    vsearch evaluate clips.jsonl
    vsearch evaluate queries.jsonl --clips clips
    vsearch evaluate clips.jsonl --queries queries.jsonl
    vsearch evaluate --auto-dataset --models openclip:ViT-B-32/openai
    """
    needs_captions = robustness or check_pooler or bool(contact_sheet)
    if auto_dataset:
        if (
            dataset_path or query_paths or clips_folder or dataset_format or videos
            or needs_captions
        ):  # fmt: skip
            raise click.UsageError(
                "--auto-dataset can only be combined with --models, --fps and --json"
            )
        _run_comparison(options, (models or "").split(","), fps, as_json)
    elif (dataset_path is None and not query_paths) or models:
        raise click.UsageError(
            "name a FILE of captions or queries, or use --auto-dataset [--models NAME,…]"
        )
    else:
        datasets = _read_datasets(dataset_path, query_paths, clips_folder, dataset_format, videos)
        if needs_captions and datasets.captions is None:
            raise click.UsageError(
                "--robustness, --check-pooler and --contact-sheet require a FILE of captions"
            )
        _run_benchmark(options, datasets, fps, robustness, check_pooler, contact_sheet, as_json)


@dataclass(frozen=True, slots=True)
class _EvaluationDatasets:
    """Datasets of one run."""

    captions: CaptionDataset | None
    queries: tuple[QueryDataset, ...]
    clips_folder: Path | None  # all videos in it are searched

    @property
    def name(self) -> str:
        """Name of the first dataset, and of its library."""
        return (self.captions or self.queries[0]).dataset_name

    def list_video_paths(self) -> tuple[str, ...]:
        """Return the videos and folders to index."""
        from vsearch.evaluation.datasets import list_video_paths  # deferred: brings numpy

        caption_paths = list_video_paths(self.captions.items) if self.captions else []
        clip_paths = [path for queries in self.queries for path in queries.clip_paths]
        query_paths = [self.clips_folder] if self.clips_folder else clip_paths
        return tuple(dict.fromkeys(map(str, [*caption_paths, *query_paths])))


def _read_datasets(
    dataset_path: Path | None,
    query_paths: tuple[Path, ...],
    clips_folder: Path | None,
    dataset_format: str | None,
    videos_dir: Path | None,
) -> _EvaluationDatasets:
    """Read the captions, if there are any, and all files of queries."""
    from vsearch.evaluation import (  # deferred: --help needs no numpy
        datasets,
        public_datasets,
        query_datasets,
    )

    captions = None
    if (dataset_format is None) != (videos_dir is None):
        raise click.UsageError("--format and --videos must be used together")
    if dataset_path is None:
        if dataset_format:
            raise click.UsageError("--format requires a FILE of captions")
    elif dataset_format is not None and videos_dir is not None:
        captions = public_datasets.read_published(dataset_format, dataset_path, videos_dir)
    elif query_datasets.is_query_file(dataset_path):
        query_paths = (dataset_path, *query_paths)
    else:
        captions = datasets.read_dataset(dataset_path)
    if clips_folder is not None and not query_paths:
        raise click.UsageError("--clips requires a file of queries")
    if clips_folder is not None and not clips_folder.is_dir():
        raise click.UsageError(f"--clips: there is no folder {clips_folder}")
    queries = tuple(query_datasets.read_queries(path, clips_folder) for path in query_paths)
    return _EvaluationDatasets(captions, queries, clips_folder)


def _run_benchmark(
    options: CommonOptions,
    datasets: _EvaluationDatasets,
    fps: float | None,
    with_robustness: bool,
    check_pooler: bool,
    contact_sheet: Path | None,
    as_json: bool,
) -> None:
    """Index the videos of the datasets, evaluate captions and queries, and print the reports."""
    from vsearch.evaluation.benchmark import evaluate_library  # deferred: brings numpy
    from vsearch.evaluation.pooler_gate import run_library_gate
    from vsearch.evaluation.query_evaluation import evaluate_queries
    from vsearch.evaluation.robustness import measure_robustness

    captions, report, perturbation_results, gate_result = datasets.captions, None, [], None
    if options.library is None:
        options = replace(options, library=str(SCRATCH_DIR / datasets.name))
    with options.open_library(create=True, fps=fps) as library:
        run_index(library, datasets.list_video_paths(), quiet=True)
        if captions is not None:
            report = evaluate_library(library, captions)
            perturbation_results = measure_robustness(library, captions) if with_robustness else []
            gate_result = run_library_gate(library, captions) if check_pooler else None
            if contact_sheet is not None:
                _write_failures(contact_sheet, library, report)
        query_reports = [evaluate_queries(library, queries) for queries in datasets.queries]
    if as_json:
        caption_values = {
            **_report_to_dict(report),
            "robustness": [asdict(result) for result in perturbation_results],
            "pooler_check": gate_to_dict(gate_result) if gate_result else None,
        } if report else {}  # fmt: skip
        print_json({**caption_values, "queries": list(map(query_report_to_dict, query_reports))})
        return
    if report is not None:
        print_report(report)
    if perturbation_results:
        print_robustness(perturbation_results)
    if gate_result is not None:
        print_gate(gate_result)
    elif check_pooler:
        print_note("There is no trained pooler for this space; mean pooling is used.")
    for query_report in query_reports:
        if report is not None or query_report is not query_reports[0]:
            click.echo("")
        print_query_report(query_report)


def _run_comparison(
    options: CommonOptions, model_names: list[str], fps: float | None, as_json: bool
) -> None:
    """Compare index configurations on a dataset built from the library's own videos."""
    from vsearch.evaluation.auto_dataset import build_auto_dataset  # deferred: brings numpy
    from vsearch.evaluation.benchmark import VECTOR_SCORING_DESCRIPTION, describe_protocol
    from vsearch.evaluation.comparison import check_text_support, compare_libraries

    with ExitStack() as exit_stack:
        library = exit_stack.enter_context(options.open_library())
        videos = library.videos()
        auto_dataset = build_auto_dataset(
            library.location.short_name, [video.path for video in videos]
        )
        scratch_libraries = [
            exit_stack.enter_context(scratch_library)
            for scratch_library in _open_scratch_libraries(options, library, model_names, fps)
        ]
        for compared_library in (library, *scratch_libraries):
            check_text_support(compared_library)
        for scratch_library in scratch_libraries:
            run_index(scratch_library, tuple(str(video.path) for video in videos), quiet=True)
        comparison = compare_libraries([library, *scratch_libraries], auto_dataset.dataset)
        protocol = describe_protocol(library, videos, "auto", VECTOR_SCORING_DESCRIPTION)
    if as_json:
        print_json(
            {
                "library": str(library.location),
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
            scratch_dir = SCRATCH_DIR / _build_dir_name(library.location, model_name, sample_fps)
            text_model = settings.text_model if model_name == settings.model else ""
            scratch_options = replace(
                options, library=str(scratch_dir), model=model_name, text_model=text_model
            )
            yield scratch_options.open_library(create=True, fps=sample_fps)


def _build_dir_name(location: LibraryLocation, model_name: str, sample_fps: float) -> str:
    """Return a readable folder name that is unique per library, model and rate."""
    digest = hashlib.sha256(
        f"{location.absolute_name}\n{model_name}\n{sample_fps}".encode()
    ).hexdigest()[:8]
    readable_part = re.sub(
        r"[^A-Za-z0-9]+", "-", f"{location.short_name} {model_name} {sample_fps:g}"
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
