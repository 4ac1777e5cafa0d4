"""A server under load: clients that ask one search after the other, by threads of another process.

python -m tests.benchmarks.bench_serve [--segments 10000] [--clients 50] [--seconds 60]
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

from tests.benchmarks.report import Claim, Report, with_json
from tests.benchmarks.synthetic import build

WORDS = (
    "a dog", "a cat on a sofa", "people walking", "a red car", "the sea at night", "a kitchen",
    "someone cooks", "a child laughs", "snow on a mountain", "a crowded street", "a boat",
)  # fmt: skip
SPREAD = 5.0  # times the median, that 95 % of the answers may take
LEAK = 1.10  # times the memory at a third of the time, that it may be in the end


class Client(threading.Thread):
    """Asks one thing after the other until a moment."""

    def __init__(self, address: str, number: int, until: float) -> None:
        super().__init__(daemon=True)
        self._address, self._chance, self._until = address, random.Random(number), until
        self.taken: list[float] = []  # seconds
        self.errors: list[str] = []

    def run(self) -> None:
        with httpx2.Client(base_url=self._address, timeout=60) as http:
            while time.monotonic() < self._until:
                asked = f"{self._chance.choice(WORDS)} {self._chance.choice(WORDS)}"
                began = time.monotonic()
                try:
                    answer = http.get("/api/v1/search", params={"q": asked})
                    if answer.status_code != 200 or not answer.json()["results"]:
                        self.errors.append(f"{answer.status_code}: {answer.text[:200]}")
                except httpx2.HTTPError as error:
                    self.errors.append(repr(error))
                self.taken.append(time.monotonic() - began)


def resident(process: subprocess.Popen[str]) -> float:
    """MB that a process holds now."""
    status = Path(f"/proc/{process.pid}/status").read_text("utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def measured(library: Path, clients: int, seconds: float) -> tuple[list[Client], list[float]]:
    """What clients had to wait, and the server's memory in MB, ten times in that time."""
    command = [sys.executable, "-m", "vsearch", "--library", str(library), "serve", "--port", "0"]
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
            until = time.monotonic() + seconds
            asking = [Client(address, number, until) for number in range(clients)]
            for one in asking:
                one.start()
            memory = []
            for _ in range(10):
                time.sleep(seconds / 10)
                memory.append(resident(server))
            for one in asking:
                one.join()
            return asking, memory
        finally:
            server.terminate()


def report(segments: int, clients: int, seconds: float) -> Report:
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder) / "library", segments)
        asking, memory = measured(Path(folder) / "library", clients, seconds)
    taken = np.array([each for one in asking for each in one.taken])
    errors = [each for one in asking for each in one.errors]
    half, most = np.percentile(taken, [50, 95])
    found = Report("serve")
    found.rows.append(
        {
            "clients": clients, "answers": len(taken), "a second": round(len(taken) / seconds, 1),
            "errors": len(errors), "p50 ms": round(1000 * half), "p95 ms": round(1000 * most),
            "p95/p50": round(most / half, 2), "MB at 1/3": round(memory[2]),
            "MB at the end": round(memory[-1]),
        }
    )  # fmt: skip
    for error in errors[:5]:
        print(error)
    grown = memory[-1] / memory[2]
    found.claims.append(
        Claim(
            f"{clients} clients that search a server for {seconds:.0f} s, {segments:,} segments",
            f"{len(errors)} errors; p95 {most / half:.1f}x of p50 (limit {SPREAD:.0f}); memory in "
            f"the end {grown:.2f}x of that after a third (limit {LEAK})",
            "`python -m tests.benchmarks.bench_serve`",
        )
    )
    return found


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    report(given.segments, given.clients, given.seconds).write(given.json)


if __name__ == "__main__":
    main()
