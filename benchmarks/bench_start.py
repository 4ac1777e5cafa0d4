"""Measure the cost of one command in its own process, compared with loading its dependencies.

The commands alternate in one run, so that other load on the machine affects all alike.

    python -m benchmarks.bench_start [--segments 10000] [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.report import Claim, Report, add_json_option
from benchmarks.synthetic import build_library

REFERENCE_CODE = "import onnxruntime, faiss, numpy"
MAX_RATIO, MAX_OTHER_RATIO = 2.5, 3.5  # to the reference; for other languages than English


def measure_process_cpu(command: list[str], cache_folder: Path) -> float:
    """Return user and system CPU seconds of a process."""
    unset = ("PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
    env = {name: value for name, value in os.environ.items() if name not in unset}
    env["PYTHONPYCACHEPREFIX"] = str(cache_folder)  # keeps compiled modules, as if installed
    process = subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime


def list_commands(library_path: Path) -> dict[str, list[str]]:
    """Return the reference and the measured commands."""
    vsearch = [sys.executable, "-m", "vsearch"]
    search = [*vsearch, "--library", str(library_path), "search"]
    return {
        REFERENCE_CODE: [sys.executable, "-c", REFERENCE_CODE],
        "vsearch --help": [*vsearch, "--help"],
        "vsearch search WORDS": [*search, "a dog on a beach"],
        "vsearch search GERMAN": [*search, "ein Hund am Strand"],
        "vsearch search --json WORDS": [*search, "--json", "a dog on a beach"],
    }


def measure_commands(library_path: Path, round_count: int) -> dict[str, list[float]]:
    """Measure CPU times of each command, alternating."""
    commands = list_commands(library_path)
    seconds_by_command: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(round_count + 1):
            for name, command in commands.items():
                seconds = measure_process_cpu(command, Path(cache))
                if number:  # the first round compiles
                    seconds_by_command[name].append(seconds)
    return seconds_by_command


def build_report(segment_count: int, round_count: int) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "library"
        build_library(library, segment_count)
        seconds_by_command = measure_commands(library, round_count)
    reference = median(seconds_by_command[REFERENCE_CODE])
    report = Report("start")
    for name, seconds in seconds_by_command.items():
        median_seconds = median(seconds)
        report.rows.append(
            {
                "command": name,
                "CPU ms": round(1000 * median_seconds),
                "ratio": round(median_seconds / reference, 2),
            }
        )
    ratio = {str(row["command"]): row["ratio"] for row in report.rows}
    report.claims.append(
        Claim(
            f"one text query in its own process, {segment_count:,} segments, CPU time",
            f"{ratio['vsearch search WORDS']}x of `python -c '{REFERENCE_CODE}'` (limit "
            f"{MAX_RATIO}); with --json, which adds frame weights, "
            f"{ratio['vsearch search --json WORDS']}x; in German "
            f"{ratio['vsearch search GERMAN']}x (limit {MAX_OTHER_RATIO})",
            "`python -m benchmarks.bench_start`",
        )
    )
    return report


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    build_report(options.segments, options.rounds).print_and_write(options.json)


if __name__ == "__main__":
    main()
