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
MAX_SLOWDOWN = 2  # ratio to the time of an idle machine
QUERY_PAUSE_SECONDS = 0.05  # between two queries, as of a fast user


@dataclass(slots=True)
class QueryTimes:
    """Milliseconds of queries while idle and while indexing."""

    idle_ms: list[float] = field(default_factory=list)
    busy_ms: list[float] = field(default_factory=list)
    missed_videos: int = 0  # listed, but not found

    def slowdown(self, percentile: float) -> float:
        """Return the ratio of query times while indexing and while idle."""
        return float(
            np.percentile(self.busy_ms, percentile) / np.percentile(self.idle_ms, percentile)
        )


def time_query(library: Library, query_number: int) -> float:
    """Measure milliseconds of one query."""
    start_time = time.perf_counter()
    library.search(QUERY_TEXTS[query_number % len(QUERY_TEXTS)], k=5)
    return 1000 * (time.perf_counter() - start_time)


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
    return sum(not library.search("a picture", k=1, videos=[str(video.path)]) for video in new)


def measure_queries(
    video_paths: list[Path], model_name: str, index_options: list[str], query_count: int
) -> QueryTimes:
    """Alternate between queries while idle and while indexing."""
    query_times, half_count = QueryTimes(), len(video_paths) // 2
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start_indexing(folder, video_paths[:half_count], model_name, []).wait()
        with Library.open(folder) as library:
            known_paths = {video.path for video in library.videos()}
            for number in range(10):
                time_query(library, number)  # warm up
            remaining_paths = video_paths[half_count:]
            batches = [
                remaining_paths[: len(remaining_paths) // 2],
                remaining_paths[len(remaining_paths) // 2 :],
            ]
            for batch in batches:
                for number in range(query_count):
                    query_times.idle_ms.append(time_query(library, number))
                    time.sleep(QUERY_PAUSE_SECONDS)
                process, number = start_indexing(folder, batch, model_name, index_options), 0
                while len(library.videos()) == len(known_paths) and process.poll() is None:
                    time.sleep(QUERY_PAUSE_SECONDS)  # the model is still loading
                while process.poll() is None:
                    query_times.busy_ms.append(time_query(library, number))
                    query_times.missed_videos += count_missing(library, known_paths)
                    number += 1
                    time.sleep(QUERY_PAUSE_SECONDS)
    return query_times


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("videos", type=Path)
    parser.add_argument("--model", default="builtin:fast")
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument(
        "--index-options", nargs="*", default=[], help="options of `vsearch index` without dashes"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    videos = [
        discovered.path for discovered in find_videos([options.videos]) if not discovered.error
    ]
    how = [f"--{word}" if word.isalpha() else word for word in options.index_options]
    times = measure_queries(videos, options.model, how, options.queries)
    print(f"{os.cpu_count()} cores, {options.model}, {len(times.busy_ms)} queries while indexing")
    print("         idle      indexing   ratio")
    for name, percent in (("median", 50), ("p90", 90)):
        idle, busy = (
            float(np.percentile(milliseconds, percent))
            for milliseconds in (times.idle_ms, times.busy_ms)
        )
        print(f"{name:7}  {idle:6.1f} ms  {busy:6.1f} ms  {busy / idle:.2f}x")
    print(f"{times.missed_videos} listed videos were not found")
    if options.json:
        claim = {
            "what": f"queries while another process indexes, {os.cpu_count()} cores",
            "found": (
                f"median {times.slowdown(50):.2f}x of the idle time (limit {MAX_SLOWDOWN}), "
                f"p90 {times.slowdown(90):.2f}x; {times.missed_videos} finished videos were not "
                "found immediately"
            ),
            "how": "python -m benchmarks.bench_meanwhile FOLDER",
        }
        states = {"idle": times.idle_ms, "indexing": times.busy_ms}
        rows = [
            {"state": name, "queries": len(milliseconds), "ms": float(np.median(milliseconds))}
            for name, milliseconds in states.items()
        ]
        report = {"name": "meanwhile", "rows": rows, "claims": [claim]}
        options.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
