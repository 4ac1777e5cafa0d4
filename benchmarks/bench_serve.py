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
MAX_P95_RATIO = 5.0  # to the median
MAX_MEMORY_GROWTH = 1.10  # ratio of the memory at the end and after a third of the time


class SearchClient(threading.Thread):
    """A thread that searches until a deadline."""

    def __init__(self, address: str, client_number: int, end_time: float) -> None:
        super().__init__(daemon=True)
        self._address, self._random, self._end_time = (
            address,
            random.Random(client_number),
            end_time,
        )
        self.answer_seconds: list[float] = []
        self.errors: list[str] = []

    def run(self) -> None:
        with httpx2.Client(base_url=self._address, timeout=60) as http:
            while time.monotonic() < self._end_time:
                query_text = (
                    f"{self._random.choice(QUERY_PHRASES)} {self._random.choice(QUERY_PHRASES)}"
                )
                start_time = time.monotonic()
                try:
                    answer = http.get("/api/v1/search", params={"q": query_text})
                    if answer.status_code != 200 or not answer.json()["results"]:
                        self.errors.append(f"{answer.status_code}: {answer.text[:200]}")
                except httpx2.HTTPError as error:
                    self.errors.append(repr(error))
                self.answer_seconds.append(time.monotonic() - start_time)


def resident_mb(process: subprocess.Popen[str]) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(match[1]) / 1024 if match else 0.0


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
            url_match = re.search(r"http://\S+", server.stderr.readline())
            assert url_match is not None
            drain_thread = threading.Thread(target=server.stderr.read, daemon=True)
            drain_thread.start()
            address = f"http://{urlsplit(url_match[0]).netloc}"
            for _ in range(100):  # it loads the model first
                try:
                    httpx2.get(f"{address}/healthz", timeout=5)
                    break
                except httpx2.HTTPError:
                    time.sleep(0.2)
            end_time = time.monotonic() + duration_seconds
            clients = [SearchClient(address, number, end_time) for number in range(client_count)]
            for client in clients:
                client.start()
            memory = []
            for _ in range(10):
                time.sleep(duration_seconds / 10)
                memory.append(resident_mb(server))
            for client in clients:
                client.join()
            return clients, memory
        finally:
            server.terminate()


def build_report(segment_count: int, client_count: int, duration_seconds: float) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        build_library(Path(folder) / "library", segment_count)
        clients, memory = measure_server(Path(folder) / "library", client_count, duration_seconds)
    answer_seconds = np.array([item for client in clients for item in client.answer_seconds])
    errors = [item for client in clients for item in client.errors]
    median_seconds, p95_seconds = np.percentile(answer_seconds, [50, 95])
    report = Report("serve")
    report.rows.append(
        {
            "clients": client_count,
            "answers": len(answer_seconds),
            "per second": round(len(answer_seconds) / duration_seconds, 1),
            "errors": len(errors),
            "p50 ms": round(1000 * median_seconds),
            "p95 ms": round(1000 * p95_seconds),
            "p95/p50": round(p95_seconds / median_seconds, 2),
            "MB at 1/3": round(memory[2]),
            "MB at the end": round(memory[-1]),
        }
    )
    for error in errors[:5]:
        print(error)
    memory_growth = memory[-1] / memory[2]
    report.claims.append(
        Claim(
            f"{client_count} concurrent clients searching a server for {duration_seconds:.0f} s, "
            f"{segment_count:,} segments",
            f"{len(errors)} errors; p95 {p95_seconds / median_seconds:.1f}x of p50 (limit "
            f"{MAX_P95_RATIO:.0f}); memory at the end {memory_growth:.2f}x of the memory after a "
            f"third of the time (limit {MAX_MEMORY_GROWTH})",
            "`python -m benchmarks.bench_serve`",
        )
    )
    return report


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    build_report(options.segments, options.clients, options.seconds).print_and_write(options.json)


if __name__ == "__main__":
    main()
