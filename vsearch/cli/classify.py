"""`vsearch classify`: tag videos and segments with labels."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import FiniteRange, library_options
from vsearch.cli.render import escape_unprintable, format_count, format_path, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.types import ClassificationResult, Vector


@click.command()
@click.argument("paths", nargs=-1, metavar="[VIDEO]...")
@click.option("--all", "all_videos", is_flag=True, help="Classify every video of the library.")
@click.option(
    "--labels",
    "labels_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Text file with one label per line, or `label: description; other description`.",
)
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="classifier.npz of `vsearch train classifier`, instead of --labels.",
)
@click.option(
    "--threshold",
    type=FiniteRange(0, 1),
    default=0.5,
    show_default=True,
    help="Minimum probability of a label to become a tag, 0 to 1.",
)
@click.option("--dry-run", is_flag=True, help="Print the results without changing tags.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def classify(
    options: CommonOptions,
    paths: tuple[str, ...],
    all_videos: bool,
    labels_path: Path | None,
    checkpoint: Path | None,
    threshold: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Tag indexed videos and their segments with likely labels.

    VIDEO is a path, folder or glob. Labels are mutually exclusive. Use the tags with `vsearch tags`
    and `vsearch search --tag`; running again with a label file of the same name replaces them. Can
    be stopped at any time; results so far are kept.

    \b
    vsearch classify --all --labels labels.txt
    vsearch classify holiday.mp4 --checkpoint classifier.npz
    """
    if bool(paths) == all_videos:
        raise click.UsageError("name videos, or use --all")
    if (labels_path is None) == (checkpoint is None):
        raise click.UsageError("give --labels FILE or --checkpoint FILE")
    from vsearch.analysis.labels import read_labels  # deferred: --help needs no numpy

    labels = [] if labels_path is None else read_labels(labels_path)
    source_name = "" if labels_path is None else escape_unprintable(labels_path.stem)
    with options.open_library() as library:
        classifications = library.classify(
            labels,
            paths,
            checkpoint=checkpoint,
            source_name=source_name,
            threshold=threshold,
            store=not dry_run,
        )
        video_count = len(library.videos(paths))
        summary = (
            _stream_json(classifications, video_count)
            if as_json
            else _print_classifications(classifications, video_count)
        )
    _report_outcome(summary, all_videos=all_videos, is_stored=not dry_run)


@dataclass(slots=True)
class ClassifySummary:
    """Counts and errors of a run; the classifications themselves are not kept in memory."""

    video_count: int = 0
    tag_count: int = 0
    tag_source: str = ""
    error_messages: list[str] = field(default_factory=list)

    def add_result(self, classification: ClassificationResult) -> None:
        """Count the classification of one video."""
        self.video_count += 1
        self.tag_count += len(classification.tags)
        if classification.tags:
            self.tag_source = classification.tags[0].source
        if classification.error:
            self.error_messages.append(classification.error)


def _report_outcome(summary: ClassifySummary, *, all_videos: bool, is_stored: bool) -> None:
    if not summary.video_count:
        print_problem("No videos." if all_videos else "No video matches.")
    for error_message in summary.error_messages:
        print_problem(f"failed     {escape_unprintable(error_message)}")
    if summary.error_messages or not (summary.video_count or all_videos):
        sys.exit(1)
    if is_stored:
        tags_text = format_count(summary.tag_count, "tag")
        source_text = escape_unprintable(summary.tag_source)
        source_note = f" with source “{source_text}”" if source_text else ""
        print_note(f"{tags_text} stored{source_note}.")


def _with_progress(
    classifications: Iterator[ClassificationResult], video_count: int, *, is_hidden: bool
) -> Iterator[ClassificationResult]:
    """Yield the classifications while showing progress on stderr, if that is a terminal."""
    is_hidden = is_hidden or not sys.stderr.isatty()
    with click.progressbar(
        classifications, video_count, label="Classifying", file=sys.stderr, hidden=is_hidden
    ) as progress_bar:
        yield from progress_bar


def _print_classifications(
    classifications: Iterator[ClassificationResult], video_count: int
) -> ClassifySummary:
    """Print one row per video: the two most likely labels and their probabilities."""
    summary = ClassifySummary()
    table_rows = [("label", "prob", "next", "prob", "tags", "video")]
    for classification in _with_progress(classifications, video_count, is_hidden=False):
        summary.add_result(classification)
        if classification.error is None:
            table_rows.append(_build_row(classification))
    if summary.video_count:
        print_table(table_rows, alignments="lrlrr", shrink_column=5)
    return summary


def _build_row(classification: ClassificationResult) -> tuple[str, str, str, str, str, str]:
    labels, probabilities = classification.labels, classification.video_probabilities
    ranked_indexes = sorted(range(len(labels)), key=lambda i: -probabilities[i])
    best_index, second_index = ranked_indexes[0], ranked_indexes[:2][-1]
    return (
        escape_unprintable(labels[best_index]),
        f"{probabilities[best_index]:.2f}",
        escape_unprintable(labels[second_index]),
        f"{probabilities[second_index]:.2f}",
        str(len(classification.tags)),
        format_path(classification.video.path),
    )


def _stream_json(
    classifications: Iterator[ClassificationResult], video_count: int
) -> ClassifySummary:
    """Print one JSON object, with a line per video as soon as it is classified."""
    summary, separator = ClassifySummary(), '{"videos": [\n'
    is_hidden = sys.stdout.isatty()
    for classification in _with_progress(classifications, video_count, is_hidden=is_hidden):
        summary.add_result(classification)
        click.echo(separator + json.dumps(_classification_to_dict(classification)), nl=False)
        separator = ",\n"
    click.echo("\n]}" if summary.video_count else '{"videos": []}')
    return summary


def _classification_to_dict(classification: ClassificationResult) -> dict[str, Any]:
    """Return the entry of a video in `classify --json`; times in seconds."""
    if classification.error is not None:
        return {"video": str(classification.video.path), "error": classification.error}
    labels = classification.labels
    return {
        "video": str(classification.video.path),
        "label": labels[int(classification.video_probabilities.argmax())],
        "probabilities": _probabilities_to_dict(labels, classification.video_probabilities),
        "segments": [
            {
                "start": round(segment.span.start, 3),
                "end": round(segment.span.end, 3),
                "label": labels[int(segment_probabilities.argmax())],
                "probabilities": _probabilities_to_dict(labels, segment_probabilities),
            }
            for segment, segment_probabilities in zip(
                classification.segments, classification.segment_probabilities, strict=True
            )
        ],
        "tags": len(classification.tags),
    }


def _probabilities_to_dict(labels: Sequence[str], probabilities: Vector) -> dict[str, float]:
    return {
        label: round(float(probability), 6)
        for label, probability in zip(labels, probabilities, strict=True)
    }
