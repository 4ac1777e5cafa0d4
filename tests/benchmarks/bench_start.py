"""What it costs to ask one thing in a process of its own, against loading what that needs.

Each command is run in turn, in one run: what other processes do disturbs all of them alike.

    python -m tests.benchmarks.bench_start [--segments 10000] [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from tests.benchmarks.report import Claim, Report, with_json
from tests.benchmarks.synthetic import build

REFERENCE = "import onnxruntime, faiss, numpy"
LIMIT = 2.5  # times as much


def cpu(command: list[str], cache: Path) -> float:
    """Seconds of processor time, of the user and the system, that a process took."""
    unset = ("PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env["PYTHONPYCACHEPREFIX"] = str(cache)  # what is compiled is kept, as where it is installed
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime


def commands(library: Path) -> dict[str, list[str]]:
    """The reference, and what is measured against it."""
    vsearch = [sys.executable, "-m", "vsearch"]
    search = [*vsearch, "--library", str(library), "search"]
    return {
        REFERENCE: [sys.executable, "-c", REFERENCE],
        "vsearch --help": [*vsearch, "--help"],
        "vsearch search WORDS": [*search, "a dog on a beach"],
        "vsearch search --json WORDS": [*search, "--json", "a dog on a beach"],
    }


def measured(library: Path, rounds: int) -> dict[str, list[float]]:
    """The processor time of each command, one after the other, so many times."""
    chosen = commands(library)
    taken: dict[str, list[float]] = {name: [] for name in chosen}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(rounds + 1):
            for name, command in chosen.items():
                seconds = cpu(command, Path(cache))
                if number:  # the first round compiles
                    taken[name].append(seconds)
    return taken


def report(segments: int, rounds: int) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        build(library, segments)
        taken = measured(library, rounds)
    reference = median(taken[REFERENCE])
    found = Report("start")
    for name, seconds in taken.items():
        middle = median(seconds)
        found.rows.append(
            {"command": name, "CPU ms": round(1000 * middle), "ratio": round(middle / reference, 2)}
        )
    ratio = {str(row["command"]): row["ratio"] for row in found.rows}
    found.claims.append(
        Claim(
            f"one text query as a process of its own, {segments:,} segments, processor time",
            f"{ratio['vsearch search WORDS']}x of `python -c '{REFERENCE}'` (limit {LIMIT}); with "
            f"--json, which also tells what each frame counted, "
            f"{ratio['vsearch search --json WORDS']}x",
            "`python -m tests.benchmarks.bench_start`",
        )
    )
    return found


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    report(given.segments, given.rounds).write(given.json)


if __name__ == "__main__":
    main()
