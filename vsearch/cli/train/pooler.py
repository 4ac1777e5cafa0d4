"""`vsearch train pooler`: train a pooler on the library's videos and install it if it passes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note, print_problem
from vsearch.cli.options import library_options
from vsearch.cli.render import escape_unprintable, format_count, print_json
from vsearch.cli.report_tables import gate_to_dict, print_gate
from vsearch.pooling.selection import trained_pooler_files

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.training.pooler import PoolerTrainingResult

DEFAULT_STEPS = 1_500
CHECKPOINT_DIR = Path("training", "pooler")  # inside the library


@click.command("pooler")
@click.argument("captions_path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=DEFAULT_STEPS,
    show_default=True,
    help="Number of training steps.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
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
    help="Write log.csv and the checkpoint to this folder.  "
    "[default: training/pooler in the library]",
)
@click.option("--dry-run", is_flag=True, help="Train and evaluate without installing.")
@click.option("--force", is_flag=True, help="Install the pooler even if it does not pass.")
@click.option("--remove", is_flag=True, help="Remove the installed pooler.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def train_pooler_command(
    options: CommonOptions,
    captions_path: Path | None,
    steps: int,
    seed: int,
    init_from: Path | None,
    out: Path | None,
    dry_run: bool,
    force: bool,
    remove: bool,
    as_json: bool,
) -> None:
    """Train a pooler that ignores distractor frames.

    The pooler, a Transformer, is installed if it passes a test. Black frames, title cards, blur,
    flashes, neighboring shots and frozen frames are mixed into clips of the library; the target is
    the vector of the clean clip. FILE adds captions, as for `vsearch evaluate`. To pass on held-out
    videos, the pooler must gain at least 6 points of R@1 over mean pooling on clips with 30 to 50 %
    distractors, lose at most 0.5 points on clean clips, and not rank worse than the installed
    pooler; otherwise the exit code is 1. A stopped run continues when it is started again. Decodes
    no video.
    """
    if remove:
        if captions_path or dry_run or force or as_json or init_from or out:
            raise click.UsageError("--remove cannot be combined with other options")
        _remove_pooler(options)
        return
    if dry_run and force:
        raise click.UsageError("--dry-run and --force cannot be combined")
    with options.open_library() as library:
        training_result = _run_training(
            library, captions_path, init_from, out, steps, seed, ignore_headroom=force or dry_run
        )
        is_installed = not dry_run and _install_pooler(library, training_result, force)
    if as_json:
        print_json(_result_to_dict(training_result, is_installed))
    else:
        _print_result(training_result)
    _print_outcome(training_result, is_installed, dry_run)
    if not (is_installed or training_result.gate_result.has_passed):
        sys.exit(1)


def _remove_pooler(options: CommonOptions) -> None:
    with options.open_library() as library:
        if not trained_pooler_files(library.path):
            print_problem("There is no pooler to remove.")
            sys.exit(1)
        pooler_name = library.models.install_pooler(None)
    print_note(f"The pooler was removed; segments are pooled by {pooler_name} again.")


def _run_training(
    library: Library,
    captions_path: Path | None,
    init_from: Path | None,
    out: Path | None,
    steps: int,
    seed: int,
    *,
    ignore_headroom: bool,
) -> PoolerTrainingResult:
    """Train with progress on stderr, if that is a terminal."""
    from vsearch.evaluation import datasets  # deferred: brings numpy
    from vsearch.pooling.weights import NetworkWeights
    from vsearch.training.pooler import train_pooler

    dataset = None if captions_path is None else datasets.read_dataset(captions_path)
    fix_hint = "name a file of `vsearch train pretrain`"
    initial_weights = (
        None if init_from is None else NetworkWeights.load(init_from, "pretrained", fix_hint)
    )
    with click.progressbar(
        length=steps, label="Training", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress_bar:
        return train_pooler(
            library,
            dataset,
            checkpoint_folder=out or library.path / CHECKPOINT_DIR,
            step_count=steps,
            seed=seed,
            device=library.settings.device,
            initial_weights=initial_weights,
            force=ignore_headroom,
            on_progress=lambda done_steps, _: progress_bar.update(done_steps - progress_bar.pos),
        )


def _install_pooler(library: Library, training_result: PoolerTrainingResult, force: bool) -> bool:
    from vsearch.training.pooler import install_pooler  # deferred: brings numpy

    return install_pooler(library, training_result, force=force)


def _print_result(training_result: PoolerTrainingResult) -> None:
    """Print the training data and the acceptance test."""
    gate_result = training_result.gate_result
    click.echo(
        f"trained on  {format_count(training_result.video_count, 'video')} in "
        f"{training_result.seconds:.0f} s, {format_count(training_result.step_count, 'step')}"
    )
    click.echo(
        f"tested on   {gate_result.query_count} queries among "
        f"{format_count(gate_result.clip_count, 'clip')} of other videos, "
        f"{format_count(gate_result.seed_count, 'mixture')}"
    )
    for reason in training_result.skipped_reasons:
        click.echo(f"excluded    {escape_unprintable(reason)}")
    print_gate(gate_result)


def _print_outcome(
    training_result: PoolerTrainingResult, is_installed: bool, dry_run: bool
) -> None:
    """Print whether the pooler was installed, and why not."""
    has_passed = training_result.gate_result.has_passed
    if is_installed and has_passed:
        message = (
            "Installed: all segments are pooled by it. `vsearch train pooler --remove` removes it."
        )
    elif is_installed:
        message = (
            "WARNING: installed with --force, although it did NOT pass. `vsearch train pooler "
            "--remove` removes it."
        )
    elif has_passed:
        message = "Passed, but not installed because of --dry-run."
    else:
        message = "Did not pass." if dry_run else "Not installed: it did not pass."
    print_note(message)


def _result_to_dict(training_result: PoolerTrainingResult, is_installed: bool) -> dict[str, Any]:
    """Return the JSON object of `train pooler --json`."""
    return {
        "pooler": training_result.gate_result.pooler_name,
        "videos": training_result.video_count,
        "steps": training_result.step_count,
        "seconds": round(training_result.seconds, 1),
        "excluded": list(training_result.skipped_reasons),
        "gate": gate_to_dict(training_result.gate_result),
        "installed": is_installed,
    }
