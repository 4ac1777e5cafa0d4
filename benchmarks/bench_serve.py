"""Measure a server under load by concurrent clients, which run as threads of another process.

python -m benchmarks.bench_serve [--segments 10000] [--clients 50] [--seconds 60]
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import numpy as np

from benchmarks.report import Claim, Report, add_json_option
from benchmarks.synthetic import build_library

QUERY_PHRASES = (
    "a dog", "a cat on a sofa", "people walking", "a red car", "the sea at night", "a kitchen",
    "someone cooks", "a child laughs", "snow on a mountain", "a crowded street", "a boat",
)  # fmt: skip
MAX_P95_RATIO = 5.0  # times the median, that 95 % of the answers may take
MAX_MEMORY_GROWTH = 1.10  # times the memory at a third of the time, that it may be in the end


class SearchClient(threading.Thread):
    """A thread that searches until a deadline."""

    def __init__(self, address: str, client_number: int, end_time: float) -> None:
        super().__init__(daemon=True)
        self._address, self._random, self._end_time = (
            address,
            random.Random(client_number),
            end_time,
        )
        self.answer_seconds: list[float] = []  # seconds
        self.errors: list[str] = []

    def run(self) -> None:
        with httpx2.Client(base_url=self._address, timeout=60) as http:
            while time.monotonic() < self._end_time:
                asked = f"{self._random.choice(QUERY_PHRASES)} {self._random.choice(QUERY_PHRASES)}"
                began = time.monotonic()
                try:
                    answer = http.get("/api/v1/search", params={"q": asked})
                    if answer.status_code != 200 or not answer.json()["results"]:
                        self.errors.append(f"{answer.status_code}: {answer.text[:200]}")
                except httpx2.HTTPError as error:
                    self.errors.append(repr(error))
                self.answer_seconds.append(time.monotonic() - began)


def resident_mb(process: subprocess.Popen[str]) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def measure_server(
    library_path: Path, client_count: int, duration_seconds: float
) -> tuple[list[SearchClient], list[float]]:
    """Return the clients with their latencies, and ten samples of server memory in MB."""
    command = [
        sys.executable,
        "-m",
        "vsearch",
        "--library",
        str(library_path),
        "serve",
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            told = re.search(r"http://\S+", server.stderr.readline())
            assert told is not None
            drained = threading.Thread(target=server.stderr.read, daemon=True)
            drained.start()
            address = f"http://{urlsplit(told[0]).netloc}"
            for _ in range(100):  # it loads the model first
                try:
                    httpx2.get(f"{address}/healthz", timeout=5)
                    break
                except httpx2.HTTPError:
                    time.sleep(0.2)
            until = time.monotonic() + duration_seconds
            asking = [SearchClient(address, number, until) for number in range(client_count)]
            for one in asking:
                one.start()
            memory = []
            for _ in range(10):
                time.sleep(duration_seconds / 10)
                memory.append(resident_mb(server))
            for one in asking:
                one.join()
            return asking, memory
        finally:
            server.terminate()


def build_report(segment_count: int, client_count: int, duration_seconds: float) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        build_library(Path(folder) / "library", segment_count)
        asking, memory = measure_server(Path(folder) / "library", client_count, duration_seconds)
    taken = np.array([each for one in asking for each in one.answer_seconds])
    errors = [each for one in asking for each in one.errors]
    half, most = np.percentile(taken, [50, 95])
    found = Report("serve")
    found.rows.append(
        {
            "clients": client_count,
            "answers": len(taken),
            "per second": round(len(taken) / duration_seconds, 1),
            "errors": len(errors),
            "p50 ms": round(1000 * half),
            "p95 ms": round(1000 * most),
            "p95/p50": round(most / half, 2),
            "MB at 1/3": round(memory[2]),
            "MB at the end": round(memory[-1]),
        }
    )
    for error in errors[:5]:
        print(error)
    grown = memory[-1] / memory[2]
    found.claims.append(
        Claim(
            f"{client_count} concurrent clients searching a server for {duration_seconds:.0f} s, "
            f"{segment_count:,} segments",
            f"{len(errors)} errors; p95 {most / half:.1f}x of p50 (limit {MAX_P95_RATIO:.0f}); "
            f"memory at the end {grown:.2f}x of that after a third (limit {MAX_MEMORY_GROWTH})",
            "`python -m benchmarks.bench_serve`",
        )
    )
    return found


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    build_report(given.segments, given.clients, given.seconds).print_and_write(given.json)


if __name__ == "__main__":
    main()
