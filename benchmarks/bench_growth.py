"""Measure the cost of a growing library: storage, adding videos, indexing, query, startup.

The videos are synthetic (see `synthetic.py`): films of one hour in segments of 8 s, the longest
that sampling usually makes, so that 10,000 hours are 4.5 million segments. Catalog rows, vectors,
features and the index are real: they are written by the library's own code. Decoding and encoding
are measured by `bench_indexing` and do not depend on the size of the library.

    python -m benchmarks.bench_growth [--hours 1 10 100 1000 10000]

An interrupted run resumes if its `--folder` is kept. 10,000 hours need 20 GB of disk and 8 GB of
memory; sizes that exceed the disk or the time limit (`--minutes`) are skipped with a message.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads that wait for each other would count as work

import numpy as np

from benchmarks.bench_query import measure_cpu_ms
from benchmarks.bench_start import measure_process_cpu
from benchmarks.report import Claim, Report, add_json_option
from benchmarks.synthetic import (
    SEGMENTS_PER_FILM,
    SEGMENTS_PER_HOUR,
    FilmWriter,
    SceneWorld,
    make_queries,
    save_index,
)
from vsearch import Library

QUERY_COUNT, START_ROUNDS = 21, 5
DISK_BYTES_PER_SEGMENT = 4_500  # including the old and the new index at the same time
DEFAULT_HOURS = 1, 10, 100, 1_000, 10_000
MAX_SLOWDOWN = 1.5  # of an hour of video in a larger library, to estimate the time it takes


def add_films(library_folder: Path, world: SceneWorld, film_count: int) -> float:
    """Add films up to a number; return CPU seconds per hour of video."""
    cpu_seconds, added_count = 0.0, 0
    with closing(FilmWriter(library_folder, world)) as writer:
        for number in range(len(writer), film_count):
            vectors = world.film_vectors(number)
            start_time = time.process_time()
            writer.add_film(number, vectors)
            cpu_seconds += time.process_time() - start_time
            added_count += 1
    return float(cpu_seconds / max(added_count * SEGMENTS_PER_FILM / SEGMENTS_PER_HOUR, 1e-9))


def time_queries(library_folder: Path) -> list[float]:
    """Measure CPU milliseconds of queries in an open library, without text encoding."""
    with Library.open(library_folder) as library:
        library.search("anything at all")
        encode = library.encoder.encode_texts
        return [
            measure_cpu_ms(partial(library.search, text)) - measure_cpu_ms(partial(encode, [text]))
            for text in make_queries(QUERY_COUNT)
        ]


def time_search_process(library_folder: Path) -> float:
    """Measure CPU milliseconds of a query in its own process."""
    command = [sys.executable, "-m", "vsearch", "--library", str(library_folder), "search", "a dog"]
    with tempfile.TemporaryDirectory() as cache:
        measure_process_cpu(command, Path(cache))  # compiles
        return float(
            1000 * median(measure_process_cpu(command, Path(cache)) for _ in range(START_ROUNDS))
        )


def measure_growth(library_folder: Path, world: SceneWorld, hours: int) -> dict[str, Any]:
    """Grow the library to a number of hours and measure its costs."""
    films = -(-hours * SEGMENTS_PER_HOUR // SEGMENTS_PER_FILM)
    seconds_per_hour = add_films(library_folder, world, films)
    start_time = time.process_time()
    save_index(library_folder)
    index_seconds = time.process_time() - start_time
    query_ms = time_queries(library_folder)
    sizes = [path.stat().st_size for path in library_folder.rglob("*") if path.is_file()]
    return {
        "hours": hours,
        "segments": films * SEGMENTS_PER_FILM,
        "MB": round(sum(sizes) / 1e6, 1),
        "CPU s to store an hour": round(seconds_per_hour, 4),
        "CPU s for the index": round(index_seconds, 1),
        "query p50 ms": round(float(np.median(query_ms)), 1),
        "query p95 ms": round(float(np.percentile(query_ms, 95)), 1),
        "search process ms": round(time_search_process(library_folder)),
    }


def build_report(library_hours: list[int], library_folder: Path, max_minutes: float) -> Report:
    report = Report("growth")
    world, start_time = SceneWorld.for_model(), time.monotonic()
    rows_path, seconds_per_hour, skipped_hours = library_folder / "rows.json", 0.0, list[int]()
    rows = json.loads(rows_path.read_text()) if rows_path.exists() else {}
    for previous_hours, hours in zip([0, *library_hours], library_hours, strict=False):
        if str(hours) not in rows:
            if not _has_room(
                hours,
                previous_hours,
                library_folder,
                seconds_per_hour,
                max_minutes - (time.monotonic() - start_time) / 60,
            ):
                skipped_hours.append(hours)
                continue
            start = time.monotonic()
            rows[str(hours)] = measure_growth(library_folder, world, hours)
            seconds_per_hour = (time.monotonic() - start) / (hours - previous_hours)
            rows_path.write_text(json.dumps(rows))
        report.rows.append(rows[str(hours)])
        print(report.rows[-1], flush=True)
    option = (
        ""
        if library_hours == list(DEFAULT_HOURS)
        else f" --hours {' '.join(map(str, library_hours))}"
    )
    command = f"python -m benchmarks.bench_growth{option}"
    report.claims.append(Claim(*_describe_claim(report, skipped_hours), command))
    return report


def _has_room(
    hours: int,
    previous_hours: int,
    library_folder: Path,
    seconds_per_hour: float,
    minutes_left: float,
) -> bool:
    """Return whether disk space and time suffice for the next size."""
    new = hours - previous_hours
    room = shutil.disk_usage(library_folder).free > new * SEGMENTS_PER_HOUR * DISK_BYTES_PER_SEGMENT
    return room and MAX_SLOWDOWN * seconds_per_hour * new < 60 * minutes_left


def _describe_claim(growth_report: Report, left_out: list[int]) -> tuple[str, str]:
    first, last = growth_report.rows[0], growth_report.rows[-1]
    what = (
        f"from {first['hours']} to {last['hours']:,} hours of video ({last['segments']:,} segments "
        "of 8 s, synthetic), CPU time"
    )
    query_times = " → ".join(str(row["query p50 ms"]) for row in growth_report.rows)
    summary = (
        f"storing an hour {first['CPU s to store an hour']} → {last['CPU s to store an hour']} s, "
        f"its share of building the index {_index_share(first)} → {_index_share(last)} s; a query "
        f"without text encoding {query_times} ms (segments to the power of "
        f"{_growth_exponent(growth_report):.2f}); a search as a process "
        f"{first['search process ms']} → {last['search process ms']} ms"
    )
    if left_out:
        skipped = ", ".join(f"{hours:,}" for hours in left_out)
        summary += f"; skipped for lack of disk space or time: {skipped}"
    return what, summary


def _index_share(report_row: dict[str, Any]) -> float:
    share: float = report_row["CPU s for the index"] / report_row["hours"]
    return round(share, 4)


def _growth_exponent(growth_report: Report) -> float:
    """Return the exponent of query time as a power of segments."""
    if len(growth_report.rows) < 2:
        return 0.0
    segments, query_times = (
        [row[name] for row in growth_report.rows] for name in ("segments", "query p50 ms")
    )
    return float(np.polyfit(np.log(segments), np.log(query_times), 1)[0])


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--hours", type=int, nargs="+", default=list(DEFAULT_HOURS))
    parser.add_argument("--folder", type=Path, help="kept, so that an interrupted run resumes")
    parser.add_argument("--minutes", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        build_report(sorted(options.hours), folder, options.minutes).print_and_write(options.json)


if __name__ == "__main__":
    main()
