"""What pretraining learns on a library, by videos held out:

    python tests/benchmarks/bench_pretrain.py LIBRARY [--steps N] [--preset small]

LIBRARY is an indexed library (`vsearch --library LIBRARY index CLIPS`); it is only read, and
nothing of what is learnt is kept. Both forms, beside what can be had without learning: guessing,
naming the nearest frame that is seen, and naming the word that turns out to be the commonest.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vsearch import Library
from vsearch.training.pretraining import Plan, pretrain

if TYPE_CHECKING:
    from vsearch.temporal.training import Progress


def report(now: Progress) -> None:
    if "figures" in (row := now.history[-1]):
        held, right = row["figures"]["loss"], row["figures"]["accuracy"]
        print(f"  step {now.step:5}   loss {row['loss']:.3f}, held out {held:.3f}, "
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
        for form in ("contrastive", "words"):
            print(form)
            plan = Plan(
                form,
                given.preset,
                given.steps,
                batch=given.batch,
                device=given.device,
            )
            done = pretrain(library, plan, report=report)
            first, last = done.first, done.figures
            print(f"{done.videos} videos, {done.held_videos} held out, {done.words} visual words, "
                  f"{done.seconds:.0f} s; best at step {done.step}")  # fmt: skip
            print(
                f"loss   {first['loss']:.3f} → {last['loss']:.3f}, guessing {last['guessed']:.3f}"
            )
            told = {
                "untrained": first["accuracy"],
                "pretrained": last["accuracy"],
                "nearest seen frame": last["copied"],
            }
            told |= {"commonest word": last["commonest"]} if done.words else {}
            print("right  " + ", ".join(f"{n} {100 * v:.1f} %" for n, v in told.items()) + "\n")


if __name__ == "__main__":
    main()
