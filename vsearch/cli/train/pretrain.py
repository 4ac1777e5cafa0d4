"""`vsearch train pretrain`: pretrain a Transformer on a library's frames without labels."""

from __future__ import annotations

import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsearch.cli.messages import print_note
from vsearch.cli.options import library_options
from vsearch.cli.render import escape_unprintable, format_count, print_json
from vsearch.cli.report_tables import format_share

if TYPE_CHECKING:
    from vsearch.cli.options import CommonOptions
    from vsearch.library import Library
    from vsearch.training.pretraining import PretrainConfig, PretrainingResult
    from vsearch.training.trainer import TrainerState

PRETRAIN_DIR = Path("training", "pretrain")  # inside the library


@click.command()
@click.option(
    "--objective",
    type=click.Choice(["contrastive", "visual-words"]),
    default="contrastive",
    show_default=True,
    help="Predict a masked frame among other frames, or its visual word.",
)
@click.option(
    "--preset",
    type=click.Choice(["small", "videobert"]),
    default="small",
    show_default=True,
    help="Model size: 3 or 87 million parameters.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=1_000,
    show_default=True,
    help="Number of training steps.",
)
@click.option(
    "--captions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Also train on these captions, in the format of `vsearch evaluate`.  "
    "[default: subtitle files next to the videos]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write pretrained.npz, the checkpoint and log.csv to this folder.  "
    "[default: training/pretrain in the library]",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Random seed.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@library_options
@click.pass_obj
def pretrain(
    options: CommonOptions,
    objective: str,
    preset: str,
    steps: int,
    captions: Path | None,
    out: Path | None,
    seed: int,
    as_json: bool,
) -> None:
    """Pretrain a Transformer on the library's frames, without labels.

    Predicts masked frames of a clip and, if there are captions, whether a caption belongs to the
    clip. About one in five videos is held out for testing. Decodes no video and does not change the
    library's results; other training commands can start from pretrained.npz. A stopped run
    continues when it is started again.
    """
    from vsearch.training.pretraining import PretrainConfig  # deferred: brings numpy

    config = PretrainConfig(
        objective,  # type: ignore[arg-type] # one of the choices above
        preset,
        steps,
        seed=seed,
        device=options.device or "auto",
    )
    with options.open_library() as library:
        output_dir = out if out is not None else library.path / PRETRAIN_DIR
        training_result = _run_training(library, config, captions, output_dir)
    if as_json:
        print_json(_result_to_dict(training_result, config, output_dir))
    else:
        _print_result(training_result, config)
        print_note(f"Saved: {escape_unprintable(str(output_dir / 'pretrained.npz'))}")


def _run_training(
    library: Library, config: PretrainConfig, captions: Path | None, output_dir: Path
) -> PretrainingResult:
    """Train with progress on stderr, if that is a terminal."""
    from vsearch.evaluation import datasets  # deferred: brings numpy
    from vsearch.training.pretraining import pretrain_transformer

    dataset = None if captions is None else datasets.read_dataset(captions)
    with click.progressbar(
        length=config.steps, label="Training", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as progress_bar:

        def on_progress(trainer_state: TrainerState) -> None:
            progress_bar.label = f"Training, loss {trainer_state.history[-1]['loss']:.2f}"
            progress_bar.update(trainer_state.step - progress_bar.pos)

        return pretrain_transformer(library, config, dataset, output_dir, on_progress=on_progress)


def _print_result(result: PretrainingResult, config: PretrainConfig) -> None:
    """Print the training data and the metrics on held-out videos, before and after."""
    vocabulary_text = ""
    if result.visual_word_count:
        vocabulary_text = f", {result.visual_word_count} visual words"
    click.echo(
        f"trained on  {format_count(result.video_count, 'video')} ({config.objective}, "
        f"{config.preset}{vocabulary_text}) in {result.seconds:.0f} s; "
        f"best at step {result.best_step} of {config.steps}"
    )
    if result.captioned_videos:
        click.echo(f"captions    of {format_count(result.captioned_videos, 'video')}")
    click.echo(f"tested on   {format_count(result.held_out_videos, 'video')}")
    for reason in result.skipped_reasons:
        click.echo(f"excluded    {escape_unprintable(reason)}")
    first, best = result.initial_figures, result.best_figures
    click.echo(
        f"\nmasked frames   loss {first['loss']:.3f} → {best['loss']:.3f} "
        f"(chance {best['guessed']:.3f}), "
        f"accuracy {format_share(first['accuracy'])} → {format_share(best['accuracy'])} %"
    )
    baseline_text = f"nearest visible frame {format_share(best['copied'])} %"
    if result.visual_word_count:
        baseline_text += f", most frequent visual word {format_share(best['commonest'])} %"
    click.echo(f"  baselines: {baseline_text}")
    if "belongs" in best:
        click.echo(
            f"caption match   accuracy {format_share(first['belongs'])} → "
            f"{format_share(best['belongs'])} % (chance 50 %)"
        )


def _result_to_dict(
    result: PretrainingResult, config: PretrainConfig, output_dir: Path
) -> dict[str, Any]:
    """Return the JSON object of `train pretrain --json`."""
    result_fields = {
        result_field.name: getattr(result, result_field.name)
        for result_field in fields(result)
        if result_field.name != "weights"
    }
    return {
        "file": str(output_dir / "pretrained.npz"),
        "objective": config.objective,
        "preset": config.preset,
        "space": result.weights.metadata["space"],
        "steps": config.steps,
        "seed": config.seed,
        **result_fields,
        "seconds": round(result.seconds, 3),
        "digest": result.weights.digest,
    }
