"""Measure how many videos `vsearch index` should process in parallel, and where its time goes.

    python -m benchmarks.bench_workers FOLDER [--model builtin:fast] [--json FILE]

Every variant indexes the whole folder into a new library; they alternate for `--rounds` rounds, and
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

WORKER_VARIANTS = {
    "1 worker": ["--workers", "1"],
    "2 workers": ["--workers", "2"],
    "3 workers": ["--workers", "3"],
    "keyframes, 2 workers": ["--workers", "2", "--keyframes-only"],
}


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """Results of one variant."""

    variant: str
    seconds: float
    cpu: float  # seconds of all cores
    megabytes: float  # peak
    other: float  # share of the work that is neither decoding, shots nor encoding


def measure_variant(variant_name: str, videos_folder: Path, model_name: str) -> WorkerRow:
    """Index a folder into a new library."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vsearch", "--library", folder, "--model", model_name]
        command += ["index", str(videos_folder), "--timings", *WORKER_VARIANTS[variant_name]]
        log_path = Path(folder) / "log"
        start_time = time.monotonic()
        with log_path.open("w") as file:
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start_time
        lines = log_path.read_text("utf-8").splitlines()
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit("\n".join(lines[-5:]))
    decode, shots, encode, pool, store = map(
        float, next(line for line in lines if line.endswith(" total")).split()[:5]
    )
    other = (pool + store) / (decode + shots + encode + pool + store)
    return WorkerRow(
        variant_name, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, other
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("videos", type=Path)
    parser.add_argument("--model", default="builtin:fast")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    best_rows: dict[str, WorkerRow] = {}
    for _ in range(options.rounds):
        for name in WORKER_VARIANTS:
            row = measure_variant(name, options.videos, options.model)
            if name not in best_rows or row.seconds < best_rows[name].seconds:
                best_rows[name] = row
    reference = best_rows["1 worker"]
    print(f"{os.cpu_count()} cores, {options.model}")
    print("time   CPU    MB    other  variant")
    for row in best_rows.values():
        time_, cpu = row.seconds / reference.seconds, row.cpu / reference.cpu
        print(f"{time_:.2f}x  {cpu:.2f}x  {row.megabytes:4.0f}  {row.other:5.1%}  {row.variant}")
    if options.json:
        two_workers = best_rows["2 workers"]
        claim = {
            "what": f"two videos in parallel on {os.cpu_count()} cores, compared with one",
            "found": f"{two_workers.seconds / reference.seconds:.2f}x of the time; pooling and "
            f"storing are {two_workers.other:.0%} of the work",
            "how": "python -m benchmarks.bench_workers FOLDER",
        }
        rows = [asdict(row) for row in best_rows.values()]
        report = {"name": "workers", "rows": rows, "claims": [claim]}
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
