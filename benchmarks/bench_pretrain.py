"""Measure pretraining on a library, on held-out videos.

    python -m benchmarks.bench_pretrain LIBRARY [--steps N] [--preset small]

LIBRARY is an indexed library (`vsearch --library LIBRARY index CLIPS`); it is only read, and the
weights are discarded. Both objectives, with baselines that need no training: uniform guessing,
predicting the nearest visible frame, and predicting the most common visual word.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch import Library
from vsearch.training.pretraining import PretrainConfig, pretrain_transformer

if TYPE_CHECKING:
    from vsearch.training.trainer import TrainerState


def print_progress(trainer_state: TrainerState) -> None:
    if "figures" in (row := trainer_state.history[-1]):
        held_out_loss, accuracy = row["figures"]["loss"], row["figures"]["accuracy"]
        print(f"  step {trainer_state.step:5}   loss {row['loss']:.3f}, held-out loss "
              f"{held_out_loss:.3f}, accuracy {100 * accuracy:.1f} %", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    with Library.open(options.library, create=False) as library:
        for form in ("contrastive", "visual-words"):
            print(form)
            config = PretrainConfig(
                form,
                options.preset,
                options.steps,
                batch_size=options.batch_size,
                device=options.device,
            )
            result = pretrain_transformer(library, config, on_progress=print_progress)
            first, last = result.initial_figures, result.best_figures
            print(
                f"{result.video_count} training videos, {result.held_out_videos} held out, "
                f"{result.visual_word_count} visual words, {result.seconds:.0f} s; best at step "
                f"{result.best_step}"
            )
            print(
                f"loss      {first['loss']:.3f} → {last['loss']:.3f}, guessing "
                f"{last['guessed']:.3f}"
            )
            accuracies = {
                "untrained": first["accuracy"],
                "pretrained": last["accuracy"],
                "nearest visible frame": last["copied"],
            }
            accuracies |= (
                {"most common word": last["commonest"]} if result.visual_word_count else {}
            )
            print(
                "accuracy  "
                + ", ".join(f"{name} {100 * value:.1f} %" for name, value in accuracies.items())
                + "\n"
            )


if __name__ == "__main__":
    main()
