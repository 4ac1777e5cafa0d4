"""`vsearch train`: the command group, and `vsearch train align`, which fits a query adapter."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import library_options
from vsearch.cli.render import escape_unprintable, format_count, print_json, print_table
from vsearch.cli.report_tables import format_interval, format_points, format_share
from vsearch.cli.train.classifier import classifier
from vsearch.cli.train.pooler import train_pooler_command
from vsearch.cli.train.pretrain import pretrain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.cli.options import CommonOptions
    from vsearch.evaluation.metrics import Metric
    from vsearch.library import Library
    from vsearch.training.query_adapter import AdapterTrainingResult


@click.group()
@library_options
def train() -> None:
    """Train models on the videos of the library.

    \b
    vsearch train align clips.jsonl
    """


train.add_command(pretrain)
train.add_command(train_pooler_command)
train.add_command(classifier)


@train.command()
@click.argument("captions_path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--dry-run", is_flag=True, help="Train and evaluate without installing.")
@click.option("--force", is_flag=True, help="Install the adapter even if it is not better.")
@click.option("--remove", is_flag=True, help="Remove the installed adapter.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def align(
    options: CommonOptions,
    captions_path: Path | None,
    seed: int,
    dry_run: bool,
    force: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Train a query adapter for the library's videos.

    FILE is .jsonl or .csv with the fields path and caption, and optionally start, end (seconds) and
    group, as for `vsearch evaluate`. Without it, subtitles and descriptive file names are used. The
    adapter is installed if it ranks better on held-out videos; otherwise the exit code is 1. Frame
    features and the index stay unchanged.
    """
    if remove:
        if captions_path or dry_run or force or as_json:
            raise click.UsageError("--remove cannot be combined with other options")
        _remove_adapter(options)
        return
    if dry_run and force:
        raise click.UsageError("--dry-run and --force cannot be combined")
    with options.open_library() as library:
        training_result = _train_adapter(library, captions_path, seed)
        is_installed = not dry_run and _install_adapter(library, training_result, force)
    if as_json:
        print_json(_result_to_dict(training_result, is_installed))
    else:
        _print_result(training_result)
    _print_outcome(training_result, is_installed, dry_run)
    if not (is_installed or training_result.evaluation.is_better):
        sys.exit(1)


def _remove_adapter(options: CommonOptions) -> None:
    with options.open_library() as library:
        was_installed = library.models.set_query_adapter(None)
    print_problem("The adapter was removed." if was_installed else "There is no adapter to remove.")
    if not was_installed:
        sys.exit(1)


def _train_adapter(
    library: Library, captions_path: Path | None, seed: int
) -> AdapterTrainingResult:
    """Train with progress on stderr, if that is a terminal."""
    from vsearch.evaluation import datasets  # deferred: brings numpy
    from vsearch.training.query_adapter import train_query_adapter

    dataset = None if captions_path is None else datasets.read_dataset(captions_path)
    with click.progressbar(
        length=1, label="Training", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress_bar:

        def on_progress(done_steps: int, total_steps: int) -> None:
            progress_bar.length = total_steps
            progress_bar.update(done_steps - progress_bar.pos)

        return train_query_adapter(library, dataset, seed=seed, on_progress=on_progress)


def _install_adapter(library: Library, training_result: AdapterTrainingResult, force: bool) -> bool:
    from vsearch.training.query_adapter import install_adapter  # deferred: brings numpy

    return install_adapter(library, training_result, force=force)


def _print_result(training_result: AdapterTrainingResult) -> None:
    """Print the training data and the metrics on held-out videos."""
    adapter_info, evaluation = training_result.adapter.training_info, training_result.evaluation
    click.echo(
        f"trained on  {adapter_info.rows} rows of {format_count(adapter_info.videos, 'video')} "
        f"({escape_unprintable(adapter_info.source)}) in {training_result.seconds:.0f} s: "
        f"{training_result.step_count} steps, weight decay {training_result.weight_decay:g}"
    )
    held_out_text = format_count(training_result.held_out_videos, "video")
    click.echo(
        f"tested on   {adapter_info.held_out} rows of {held_out_text}, "
        f"among {evaluation.candidate_count} moments"
    )
    for reason in training_result.skipped_reasons:
        click.echo(f"excluded    {escape_unprintable(reason)}")
    click.echo("")
    table_rows: list[Sequence[str]] = [("", "R@1", "95 %", "R@5", "95 %", "MRR", "95 %")]
    table_rows.append(_build_row("no adapter", evaluation.baseline_metrics))
    if evaluation.current_metrics is not None:
        table_rows.append(_build_row("installed", evaluation.current_metrics))
    table_rows.append(_build_row("new adapter", evaluation.adapted_metrics))
    print_table(table_rows, alignments="lrrrrrr")
    gain_texts = [
        format_points(share)
        for share in (
            evaluation.mrr_gain.value,
            evaluation.mrr_gain.ci_low,
            evaluation.mrr_gain.ci_high,
        )
    ]
    click.echo("MRR gain {} points, 95 %: {} to {}".format(*gain_texts))


def _build_row(row_name: str, metrics: Sequence[Metric]) -> tuple[str, ...]:
    metric_texts = [
        metric_text
        for metric in metrics
        for metric_text in (format_share(metric.value), format_interval(metric))
    ]
    return (row_name, *metric_texts)


def _print_outcome(
    training_result: AdapterTrainingResult, is_installed: bool, dry_run: bool
) -> None:
    """Print whether the adapter was installed, and why not."""
    is_better = training_result.evaluation.is_better
    if is_installed and is_better:
        message = (
            "Installed: text queries use the adapter from now on. `vsearch train align --remove` "
            "removes it."
        )
    elif is_installed:
        message = (
            "WARNING: installed with --force, although it is NOT better on the held-out rows. "
            "`vsearch train align --remove` removes it."
        )
    elif is_better:
        message = "Better, but not installed because of --dry-run."
    elif dry_run:
        message = f"It would not be installed: {_explain_rejection(training_result)}"
    else:
        message = f"Not installed: {_explain_rejection(training_result)}"
    print_note(message)


def _explain_rejection(training_result: AdapterTrainingResult) -> str:
    mrr_gain = training_result.evaluation.mrr_gain
    if mrr_gain.value <= 0:
        return "it does not rank better than no adapter on the held-out rows."
    if mrr_gain.ci_low <= 0:
        return "its gain on the held-out rows is not significant; add more rows."
    return (
        "the installed adapter ranks better. If that was trained on rows that are held out now, "
        "remove it first (--remove)."
    )


def _result_to_dict(training_result: AdapterTrainingResult, is_installed: bool) -> dict[str, Any]:
    """Return the JSON object of `train align --json`."""
    evaluation, adapter_info = training_result.evaluation, training_result.adapter.training_info
    return {
        "installed": is_installed,
        "better": evaluation.is_better,
        "source": adapter_info.source,
        "rows": adapter_info.rows,
        "videos": adapter_info.videos,
        "held_out": {"rows": adapter_info.held_out, "videos": training_result.held_out_videos},
        "excluded": list(training_result.skipped_reasons),
        **asdict(evaluation),
        "weight_decay": training_result.weight_decay,
        "steps": training_result.step_count,
        "seconds": round(training_result.seconds, 3),
        "digest": training_result.adapter.digest,
    }
