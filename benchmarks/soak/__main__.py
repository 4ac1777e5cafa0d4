"""Break media and libraries, interrupt commands, and compare the answers.

    python -m benchmarks.soak --minutes 10
    python -m benchmarks.soak --rounds 1 --only killed --seed 7

The scenarios take turns. Counts are printed at the end; the first wrong answer ends the run with
exit code 1 and the command that repeats it.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.soak.concurrent_use import check_concurrent_use
from benchmarks.soak.flipped_bits import check_flipped_bits
from benchmarks.soak.full_disk import check_full_disk
from benchmarks.soak.harness import Round, WrongAnswerError
from benchmarks.soak.killed_commands import KilledCommands
from benchmarks.soak.mutated_media import check_mutated_media
from benchmarks.soak.samples import Samples, make_samples
from benchmarks.soak.swapped_library import check_swapped_library

if TYPE_CHECKING:
    from collections.abc import Callable

SCENARIOS: dict[str, Callable[[Round, Samples], None]] = {
    "media": check_mutated_media,
    "killed": KilledCommands(),
    "bits": check_flipped_bits,
    "disk": check_full_disk,
    "concurrent": check_concurrent_use,
    "swapped": check_swapped_library,
}


def main() -> int:
    """Run rounds until the time is over; return 1 after a wrong answer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="time to run")
    parser.add_argument("--rounds", type=int, help="rounds of each scenario, instead of a time")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first round")
    parser.add_argument("--only", choices=SCENARIOS, help="a single scenario")
    arguments = parser.parse_args()
    scenario_names = [arguments.only] if arguments.only else list(SCENARIOS)
    scratch_folder = Path(tempfile.mkdtemp(prefix="vsearch-soak-"))
    counts: dict[str, Counter[str]] = {name: Counter() for name in scenario_names}
    deadline = time.monotonic() + 60 * arguments.minutes
    try:
        samples = make_samples(scratch_folder)
        seed = arguments.seed
        while (
            seed - arguments.seed < arguments.rounds
            if arguments.rounds
            else time.monotonic() < deadline
        ):
            for scenario_name in scenario_names:
                _run_round(scenario_name, seed, samples, counts[scenario_name])
            seed += 1
    except WrongAnswerError as wrong_answer:
        print(f"WRONG: {wrong_answer}", file=sys.stderr)
        return 1
    finally:
        for scenario_name, scenario_counts in counts.items():
            _print_counts(scenario_name, scenario_counts)
        shutil.rmtree(scratch_folder, ignore_errors=True)
    return 0


def _run_round(scenario_name: str, seed: int, samples: Samples, counts: Counter[str]) -> None:
    """Run one round of a scenario in a folder of its own."""
    folder = samples.folder / f"{scenario_name}-{seed}"
    folder.mkdir()
    round_ = Round(folder, random.Random(f"{scenario_name} {seed}"), counts)
    counts["rounds"] += 1
    try:
        SCENARIOS[scenario_name](round_, samples)
    except WrongAnswerError:
        print(
            f"Repeat it: python -m benchmarks.soak --rounds 1 --only {scenario_name} --seed {seed}",
            file=sys.stderr,
        )
        raise
    shutil.rmtree(folder, ignore_errors=True)


def _print_counts(scenario_name: str, counts: Counter[str]) -> None:
    print(f"{scenario_name}: " + ", ".join(f"{counts[key]} {key}" for key in sorted(counts)))


if __name__ == "__main__":
    sys.exit(main())
