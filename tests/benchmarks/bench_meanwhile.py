"""Searching a library while another process indexes into it.

    python -m tests.benchmarks.bench_meanwhile FOLDER [--model builtin:fast] [--json FILE]

Half of the videos are indexed first. Then a process that keeps the library open asks the same
queries in turn: with nothing else going on, while `vsearch index` brings in the other half, and so
on; every query is timed. Each video that the library lists must be found by a query that is
narrowed to it. A query takes some milliseconds, of which the words take most.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vsearch import Library
from vsearch.media.discovery import find_videos

QUERIES = ("a dog runs", "cooking in a kitchen", "a car on a road", "someone laughs", "snow")
LIMIT = 2  # times as long as with nothing going on
PAUSE = 0.05  # seconds between two queries, as of somebody who is quick


@dataclass(slots=True)
class Times:
    """Milliseconds of queries, in two states of the machine."""

    idle: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)
    late: int = 0  # videos that were listed and not found

    def share(self, percent: float) -> float:
        """How much longer a query takes while indexing."""
        return float(np.percentile(self.busy, percent) / np.percentile(self.idle, percent))


def asked(library: Library, number: int) -> float:
    """Milliseconds of one query."""
    began = time.perf_counter()
    library.search(QUERIES[number % len(QUERIES)], k=5)
    return 1000 * (time.perf_counter() - began)


def indexed(
    folder: Path, videos: list[Path], model: str, how: list[str]
) -> subprocess.Popen[bytes]:
    """Bring videos in, in another process."""
    command = [sys.executable, "-m", "vsearch", "--library", str(folder), "--model", model, "index"]
    return subprocess.Popen(
        [*command, *map(str, videos), *how], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def all_found(library: Library, known: set[Path]) -> int:
    """How many of the videos that came since are not found."""
    new = [video for video in library.videos() if video.path not in known]
    known.update(video.path for video in new)
    return sum(not library.search("a picture", k=1, videos=[str(one.path)]) for one in new)


def measured(videos: list[Path], model: str, how: list[str], each: int) -> Times:
    """Ask in both states by turns: `each` queries with nothing going on, then while it indexes."""
    times, half = Times(), len(videos) // 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        indexed(folder, videos[:half], model, []).wait()
        with Library.open(folder) as library:
            known = {video.path for video in library.videos()}
            for number in range(10):
                asked(library, number)  # warm
            rest = videos[half:]
            parts = [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
            for part in parts:
                for number in range(each):
                    times.idle.append(asked(library, number))
                    time.sleep(PAUSE)
                process, number = indexed(folder, part, model, how), 0
                while len(library.videos()) == len(known) and process.poll() is None:
                    time.sleep(PAUSE)  # it is still loading
                while process.poll() is None:
                    times.busy.append(asked(library, number))
                    times.late += all_found(library, known)
                    number += 1
                    time.sleep(PAUSE)
    return times


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", type=Path)
    parser.add_argument("--model", default="builtin:fast")
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument("--how", nargs="*", default=[], help="options of index, without dashes")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    videos = [found.path for found in find_videos([given.videos]) if not found.error]
    how = [f"--{word}" if word.isalpha() else word for word in given.how]
    times = measured(videos, given.model, how, given.each)
    print(f"{os.cpu_count()} cores, {given.model}, {len(times.busy)} queries while it indexes")
    print("         idle      meanwhile  ratio")
    for name, percent in (("median", 50), ("p90", 90)):
        idle, busy = (float(np.percentile(each, percent)) for each in (times.idle, times.busy))
        print(f"{name:7}  {idle:6.1f} ms  {busy:6.1f} ms  {busy / idle:.2f}x")
    print(f"{times.late} videos that were listed were not found")
    if given.json:
        claim = {
            "what": f"queries while another process indexes, {os.cpu_count()} cores",
            "found": f"median {times.share(50):.2f}x of the time without (limit {LIMIT}), "
            f"p90 {times.share(90):.2f}x; {times.late} finished videos were not found at once",
            "how": "python -m tests.benchmarks.bench_meanwhile FOLDER",
        }
        states = {"idle": times.idle, "indexing": times.busy}
        rows = [
            {"state": name, "queries": len(each), "ms": float(np.median(each))}
            for name, each in states.items()
        ]
        told = {"name": "meanwhile", "rows": rows, "claims": [claim]}
        given.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
