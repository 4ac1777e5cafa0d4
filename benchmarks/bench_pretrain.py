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
        held, right = row["figures"]["loss"], row["figures"]["accuracy"]
        print(f"  step {trainer_state.step:5}   loss {row['loss']:.3f}, held out {held:.3f}, "
              f"right {100 * right:.1f} %", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", type=Path)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    with Library.open(given.library, create=False) as library:
        for form in ("contrastive", "visual-words"):
            print(form)
            plan = PretrainConfig(
                form,
                given.preset,
                given.steps,
                batch_size=given.batch,
                device=given.device,
            )
            done = pretrain_transformer(library, plan, on_progress=print_progress)
            first, last = done.initial_figures, done.best_figures
            print(
                f"{done.video_count} training videos, {done.held_out_videos} held out, "
                f"{done.visual_word_count} visual words, {done.seconds:.0f} s; best at step "
                f"{done.best_step}"
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
            accuracies |= {"most common word": last["commonest"]} if done.visual_word_count else {}
            print(
                "accuracy  "
                + ", ".join(f"{name} {100 * value:.1f} %" for name, value in accuracies.items())
                + "\n"
            )


if __name__ == "__main__":
    main()
