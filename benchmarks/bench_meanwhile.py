"""Measure searches in a library while another process indexes into it.

    python -m benchmarks.bench_meanwhile FOLDER [--model builtin:fast] [--json FILE]

Half of the videos are indexed first. Then a process that keeps the library open repeats the same
queries, alternating between an idle machine and `vsearch index` adding the other half; every query
is timed. Each listed video must be found by a query that is filtered to it. A query takes a few
milliseconds, most of them for encoding the text.
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

QUERY_TEXTS = ("a dog runs", "cooking in a kitchen", "a car on a road", "someone laughs", "snow")
MAX_SLOWDOWN = 2  # times as long as with nothing going on
QUERY_PAUSE_SECONDS = 0.05  # seconds between two queries, as of somebody who is quick


@dataclass(slots=True)
class QueryTimes:
    """Milliseconds of queries while idle and while indexing."""

    idle_ms: list[float] = field(default_factory=list)
    busy_ms: list[float] = field(default_factory=list)
    missed_videos: int = 0  # videos that were listed and not found

    def slowdown(self, percentile: float) -> float:
        """Return the ratio of query times while indexing and while idle."""
        return float(
            np.percentile(self.busy_ms, percentile) / np.percentile(self.idle_ms, percentile)
        )


def time_query(library: Library, query_number: int) -> float:
    """Measure milliseconds of one query."""
    began = time.perf_counter()
    library.search(QUERY_TEXTS[query_number % len(QUERY_TEXTS)], k=5)
    return 1000 * (time.perf_counter() - began)


def start_indexing(
    library_folder: Path, video_paths: list[Path], model_name: str, index_options: list[str]
) -> subprocess.Popen[bytes]:
    """Index videos in another process."""
    command = [
        sys.executable,
        "-m",
        "vsearch",
        "--library",
        str(library_folder),
        "--model",
        model_name,
        "index",
    ]
    return subprocess.Popen(
        [*command, *map(str, video_paths), *index_options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def count_missing(library: Library, known_paths: set[Path]) -> int:
    """Count the newly listed videos that are not found."""
    new = [video for video in library.videos() if video.path not in known_paths]
    known_paths.update(video.path for video in new)
    return sum(not library.search("a picture", k=1, videos=[str(one.path)]) for one in new)


def measure_queries(
    video_paths: list[Path], model_name: str, index_options: list[str], query_count: int
) -> QueryTimes:
    """Alternate between queries while idle and while indexing."""
    query_times, half = QueryTimes(), len(video_paths) // 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_indexing(folder, video_paths[:half], model_name, []).wait()
        with Library.open(folder) as library:
            known = {video.path for video in library.videos()}
            for number in range(10):
                time_query(library, number)  # warm
            rest = video_paths[half:]
            parts = [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
            for part in parts:
                for number in range(query_count):
                    query_times.idle_ms.append(time_query(library, number))
                    time.sleep(QUERY_PAUSE_SECONDS)
                process, number = start_indexing(folder, part, model_name, index_options), 0
                while len(library.videos()) == len(known) and process.poll() is None:
                    time.sleep(QUERY_PAUSE_SECONDS)  # it is still loading
                while process.poll() is None:
                    query_times.busy_ms.append(time_query(library, number))
                    query_times.missed_videos += count_missing(library, known)
                    number += 1
                    time.sleep(QUERY_PAUSE_SECONDS)
    return query_times


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", type=Path)
    parser.add_argument("--model", default="builtin:fast")
    parser.add_argument("--each", type=int, default=60)
    parser.add_argument(
        "--how", nargs="*", default=[], help="options of `vsearch index` without dashes"
    )
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    videos = [found.path for found in find_videos([given.videos]) if not found.error]
    how = [f"--{word}" if word.isalpha() else word for word in given.how]
    times = measure_queries(videos, given.model, how, given.each)
    print(f"{os.cpu_count()} cores, {given.model}, {len(times.busy_ms)} queries while indexing")
    print("         idle      indexing   ratio")
    for name, percent in (("median", 50), ("p90", 90)):
        idle, busy = (
            float(np.percentile(each, percent)) for each in (times.idle_ms, times.busy_ms)
        )
        print(f"{name:7}  {idle:6.1f} ms  {busy:6.1f} ms  {busy / idle:.2f}x")
    print(f"{times.missed_videos} listed videos were not found")
    if given.json:
        claim = {
            "what": f"queries while another process indexes, {os.cpu_count()} cores",
            "found": (
                f"median {times.slowdown(50):.2f}x of the time without (limit {MAX_SLOWDOWN}), "
                f"p90 {times.slowdown(90):.2f}x; {times.missed_videos} finished videos were not "
                "found immediately"
            ),
            "how": "python -m benchmarks.bench_meanwhile FOLDER",
        }
        states = {"idle": times.idle_ms, "indexing": times.busy_ms}
        rows = [
            {"state": name, "queries": len(each), "ms": float(np.median(each))}
            for name, each in states.items()
        ]
        told = {"name": "meanwhile", "rows": rows, "claims": [claim]}
        given.json.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
