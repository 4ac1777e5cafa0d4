"""`vsearch train classifier`: train a Transformer classifier on labeled videos."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note
from vsearch.cli.options import FiniteRange, library_options
from vsearch.cli.render import escape_unprintable, format_count, print_json, print_table
from vsearch.cli.report_tables import format_interval, format_share
from vsearch.storage.atomic_files import atomic_write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.evaluation.classification import ClassificationReport
    from vsearch.library import Library
    from vsearch.training.classifier import ClassifierConfig, ClassifierTrainingResult
    from vsearch.training.labeled_dataset import SplitName
    from vsearch.training.trainer import TrainerState

CLASSIFIERS_DIR = Path("training", "classifiers")  # inside the library


@click.command()
@click.argument("labels_path", metavar="FILE", type=click.Path(path_type=Path))
@click.option(
    "--preset",
    type=click.Choice(["small", "videobert"]),
    default="small",
    show_default=True,
    help="Model size: 3 or 87 million parameters.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=60,
    show_default=True,
    help="Maximum number of epochs.",
)
@click.option(
    "--patience",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Stop after this many epochs without improvement; 0 never stops early.",
)
@click.option(
    "--batch-size", type=click.IntRange(1), default=8, show_default=True, help="Rows per step."
)
@click.option(
    "--learning-rate",
    type=FiniteRange(0, min_open=True),
    default=1e-4,
    show_default=True,
    help="Peak learning rate.",
)
@click.option(
    "--label-smoothing",
    type=FiniteRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Label smoothing factor, 0 to 1.",
)
@click.option(
    "--class-weights/--no-class-weights",
    default=True,
    show_default=True,
    help="Weight the loss so that rare labels count as much as frequent ones.",
)
@click.option(
    "--init-from",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Start from weights of `vsearch train pretrain`.  [default: random weights]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write classifier.npz, figures.json, confusion.png, the checkpoint and log.csv to this "
    "folder.  [default: training/classifiers/NAME in the library]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def classifier(
    options: CommonOptions,
    labels_path: Path,
    preset: str,
    epochs: int,
    patience: int,
    batch_size: int,
    learning_rate: float,
    label_smoothing: float,
    class_weights: bool,
    init_from: Path | None,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Train a classifier on labeled videos of the library.

    FILE is .csv or .jsonl with the fields path and label, and optionally start, end (seconds, for a
    part), group (videos that belong together) and split (train, val or test). Without splits, a
    fifth of the videos of each label is used for validation and a fifth for testing. Decodes no
    video. A stopped run continues when it is started again.

    \b
    vsearch train classifier labels.csv
    vsearch classify --all --checkpoint indexes/default/training/classifiers/labels/classifier.npz
    """
    from vsearch.training.classifier import ClassifierConfig  # deferred: brings numpy

    config = ClassifierConfig(
        preset,
        epochs,
        batch_size,
        learning_rate,
        label_smoothing,
        class_weights,
        patience,
        seed=seed,
        device=options.device or "auto",
    )
    with options.open_library() as library:
        output_dir = out if out is not None else library.path / CLASSIFIERS_DIR / labels_path.stem
        training_result = _run_training(library, labels_path, config, output_dir, init_from)
    result_fields = _result_to_dict(training_result, config, output_dir)
    with atomic_write(output_dir / "figures.json") as output_file:
        output_file.write(json.dumps(result_fields, indent=2).encode())
    _save_confusion_matrix(training_result, output_dir)
    if as_json:
        print_json(result_fields)
    else:
        _print_result(training_result, config)
        print_note(f"Saved: {escape_unprintable(str(output_dir / 'classifier.npz'))}")


def _run_training(
    library: Library,
    labels_path: Path,
    config: ClassifierConfig,
    output_dir: Path,
    init_from: Path | None,
) -> ClassifierTrainingResult:
    """Train with progress on stderr, if that is a terminal."""
    from vsearch.training.classifier import train_classifier  # deferred: brings numpy
    from vsearch.training.labeled_dataset import read_label_lines
    from vsearch.training.pretraining import load_pretrained

    label_rows = read_label_lines(labels_path)
    initial_weights = None
    if init_from is not None and (space := library.space) is not None:
        initial_weights = load_pretrained(init_from, space)
    with click.progressbar(
        length=1, label="Training", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress_bar:

        def on_progress(trainer_state: TrainerState, total_steps: int) -> None:
            progress_bar.length = total_steps
            progress_bar.label = f"Training, loss {trainer_state.history[-1]['loss']:.2f}"
            progress_bar.update(trainer_state.step - progress_bar.pos)

        return train_classifier(
            library,
            escape_unprintable(labels_path.stem),
            label_rows,
            config,
            output_dir,
            pretrained_weights=initial_weights,
            on_progress=on_progress,
        )


def _save_confusion_matrix(training_result: ClassifierTrainingResult, output_dir: Path) -> None:
    from vsearch.cli.confusion_matrix import draw_confusion_matrix  # deferred: brings Pillow

    report = training_result.test_report or training_result.validation_report
    matrix_image = draw_confusion_matrix(training_result.label_names, report.confusion_matrix)
    with atomic_write(output_dir / "confusion.png") as image_file:
        matrix_image.save(image_file, "PNG")


def _print_result(result: ClassifierTrainingResult, config: ClassifierConfig) -> None:
    """Print the size of each split and the metrics of the test split."""
    click.echo(
        f"trained on    {_format_split(result, 'train')}, {len(result.label_names)} labels "
        f"({config.preset}) in {result.seconds:.0f} s; "
        f"best after {format_count(result.best_epoch, 'epoch')}"
    )
    splits: tuple[tuple[SplitName, str], ...] = (("val", "validated on"), ("test", "tested on"))
    for split_name, split_use in splits:
        if result.row_counts[split_name]:
            click.echo(f"{split_use:<12}  {_format_split(result, split_name)}")
    for reason in result.skipped_reasons:
        click.echo(f"excluded      {escape_unprintable(reason)}")
    if result.test_report is None:
        click.echo("There is no test split: these are the metrics of the validation split.")
    _print_metrics(result.test_report or result.validation_report)


def _format_split(result: ClassifierTrainingResult, split_name: SplitName) -> str:
    row_text = format_count(result.row_counts[split_name], "row")
    return f"{row_text} of {format_count(result.video_counts[split_name], 'video')}"


def _print_metrics(report: ClassificationReport) -> None:
    click.echo("")
    table_rows: list[Sequence[str]] = [("label", "rows", "precision", "recall", "F1", "AP")]
    for class_metrics in report.class_metrics:
        metric_values = (
            class_metrics.precision,
            class_metrics.recall,
            class_metrics.f1_score,
            class_metrics.average_precision,
        )
        table_rows.append(
            (
                escape_unprintable(class_metrics.class_name),
                str(class_metrics.row_count),
                *map(format_share, metric_values),
            )
        )
    print_table(table_rows, alignments="lrrrrr")
    click.echo(
        f"\ntop-1 {format_share(report.top1_accuracy.value)} % "
        f"({format_interval(report.top1_accuracy)}), "
        f"top-5 {format_share(report.top5_accuracy.value)} %, "
        f"mAP {format_share(report.mean_ap)}, macro F1 {format_share(report.macro_f1)}, "
        f"calibration error {report.calibration_error:.3f}"
    )


def _result_to_dict(
    result: ClassifierTrainingResult, config: ClassifierConfig, output_dir: Path
) -> dict[str, Any]:
    """Return the JSON object of `train classifier --json` and of figures.json."""
    test_report = result.test_report
    return {
        "file": str(output_dir / "classifier.npz"),
        "space": result.weights.metadata["space"],
        **{key: value for key, value in asdict(config).items() if key != "device"},
        "labels": list(result.label_names),
        "rows": result.row_counts,
        "videos": result.video_counts,
        "excluded": list(result.skipped_reasons),
        "best_epoch": result.best_epoch,
        "temperature": result.weights.metadata["temperature"],
        "validation": asdict(result.validation_report),
        "test": None if test_report is None else asdict(test_report),
        "seconds": round(result.seconds, 3),
        "digest": result.weights.digest,
    }
