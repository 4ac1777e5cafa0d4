"""How many videos to look at side by side, and where the time goes: `vsearch index` by itself.

    python -m tests.benchmarks.bench_workers FOLDER [--model builtin:fast] [--json FILE]

Every variant indexes all of the folder into a new library; they take turns, `--rounds` times, and
the fastest round of each counts. The reference is one worker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

VARIANTS = {
    "1 worker": ["--workers", "1"],
    "2 workers": ["--workers", "2"],
    "3 workers": ["--workers", "3"],
    "key frames, 2 workers": ["--workers", "2", "--fast"],
}


@dataclass(frozen=True, slots=True)
class Row:
    """One variant."""

    variant: str
    seconds: float
    cpu: float  # seconds of all cores
    megabytes: float  # the most at once
    other: float  # share of the work that is neither decoding, shots nor encoding


def measured(name: str, videos: Path, model: str) -> Row:
    """Index a folder into a new library."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vsearch", "--library", folder, "--model", model]
        command += ["index", str(videos), "--timings", *VARIANTS[name]]
        told = Path(folder) / "told"
        began = time.monotonic()
        with told.open("w") as file:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
            _, status, used = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        lines = told.read_text("utf-8").splitlines()
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit("\n".join(lines[-5:]))
    decode, shots, encode, pool, store = map(
        float, next(line for line in lines if line.endswith("in all")).split()[:5]
    )
    other = (pool + store) / (decode + shots + encode + pool + store)
    return Row(name, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, other)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", type=Path)
    parser.add_argument("--model", default="builtin:fast")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    best: dict[str, Row] = {}
    for _ in range(given.rounds):
        for name in VARIANTS:
            row = measured(name, given.videos, given.model)
            if name not in best or row.seconds < best[name].seconds:
                best[name] = row
    first = best["1 worker"]
    print(f"{os.cpu_count()} cores, {given.model}")
    print("time   CPU    MB    other  variant")
    for row in best.values():
        time_, cpu = row.seconds / first.seconds, row.cpu / first.cpu
        print(f"{time_:.2f}x  {cpu:.2f}x  {row.megabytes:4.0f}  {row.other:5.1%}  {row.variant}")
    if given.json:
        two = best["2 workers"]
        claim = {
            "what": f"two videos side by side on {os.cpu_count()} cores, against one",
            "found": f"{two.seconds / first.seconds:.2f}x of the time; pooling and storing are "
            f"{two.other:.0%} of the work",
            "how": "python -m tests.benchmarks.bench_workers FOLDER",
        }
        rows = [asdict(row) for row in best.values()]
        told = {"name": "workers", "rows": rows, "claims": [claim]}
        given.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
