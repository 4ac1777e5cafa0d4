"""What a library costs as it grows: room, adding an hour of video, its index, a query, a start.

The videos are made up (see `synthetic.py`): films of one hour in segments of 8 s, the longest that
sampling usually makes, so that 10,000 hours are 4.5 million segments. Their rows, vectors, features
and index are not: they go in by the library's own parts. What a frame costs to decode and encode is
measured by `bench_indexing`, and is the same in the last hour as in the first.

    python -m tests.benchmarks.bench_growth [--hours 1 10 100 1000 10000]

In a `--folder` that is kept, a run that was stopped goes on. 10,000 hours need 20 GB of disk and
8 GB of memory; a size for which there is no room, or no time by `--minutes`, is left out, and told.
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

from tests.benchmarks.bench_query import cpu_ms
from tests.benchmarks.bench_start import cpu
from tests.benchmarks.report import Claim, Report, with_json
from tests.benchmarks.synthetic import FILM, PER_HOUR, Shop, World, queries, save_index
from vsearch import Library

QUERIES, STARTS = 21, 5
ROOM = 4_500  # bytes of disk for a segment, the old and the new index side by side among them
HOURS = 1, 10, 100, 1_000, 10_000
SLOWER = 1.5  # times as long an hour may take in a larger library, all in all


def added(folder: Path, world: World, films: int) -> float:
    """Seconds of processor time for storing an hour, until there are so many films."""
    spent, new = 0.0, 0
    with closing(Shop(folder, world)) as shop:
        for number in range(len(shop), films):
            vectors = world.film(number)
            began = time.process_time()
            shop.put(number, vectors)
            spent += time.process_time() - began
            new += 1
    return float(spent / max(new * FILM / PER_HOUR, 1e-9))


def asked(folder: Path) -> list[float]:
    """Milliseconds of processor time of queries in an open library, reading the words left out."""
    with Library.open(folder) as library:
        library.search("anything at all")
        encode = library.encoder.encode_texts
        return [
            cpu_ms(partial(library.search, text)) - cpu_ms(partial(encode, [text]))
            for text in queries(QUERIES)
        ]


def started(folder: Path) -> float:
    """Milliseconds of processor time of a query as a process of its own."""
    command = [sys.executable, "-m", "vsearch", "--library", str(folder), "search", "a dog"]
    with tempfile.TemporaryDirectory() as cache:
        cpu(command, Path(cache))  # compiles
        return float(1000 * median(cpu(command, Path(cache)) for _ in range(STARTS)))


def measured(folder: Path, world: World, hours: int) -> dict[str, Any]:
    """What a library of so many hours costs; the one in the folder grows to that."""
    films = -(-hours * PER_HOUR // FILM)
    hour = added(folder, world, films)
    began = time.process_time()
    save_index(folder)
    index = time.process_time() - began
    rest = asked(folder)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return {
        "hours": hours,
        "segments": films * FILM,
        "MB": round(sum(sizes) / 1e6, 1),
        "CPU s to store an hour": round(hour, 4),
        "CPU s for the index": round(index, 1),
        "query p50 ms": round(float(np.median(rest)), 1),
        "query p95 ms": round(float(np.percentile(rest, 95)), 1),
        "search process ms": round(started(folder)),
    }


def report(sizes: list[int], folder: Path, minutes: float) -> Report:
    found = Report("growth")
    world, began = World.of(), time.monotonic()
    known, took, left_out = folder / "rows.json", 0.0, list[int]()
    rows = json.loads(known.read_text()) if known.exists() else {}
    for before, hours in zip([0, *sizes], sizes, strict=False):
        if str(hours) not in rows:
            if not _fits(hours, before, folder, took, minutes - (time.monotonic() - began) / 60):
                left_out.append(hours)
                continue
            start = time.monotonic()
            rows[str(hours)] = measured(folder, world, hours)
            took = (time.monotonic() - start) / (hours - before)
            known.write_text(json.dumps(rows))
        found.rows.append(rows[str(hours)])
        print(found.rows[-1], flush=True)
    asked = "" if sizes == list(HOURS) else f" --hours {' '.join(map(str, sizes))}"
    how = f"python -m tests.benchmarks.bench_growth{asked}"
    found.claims.append(Claim(*_told(found, left_out), how))
    return found


def _fits(hours: int, before: int, folder: Path, took: float, left: float) -> bool:
    """Whether there is room for so many hours, and time, where the last size took so much of it."""
    new = hours - before
    room = shutil.disk_usage(folder).free > new * PER_HOUR * ROOM
    return room and SLOWER * took * new < 60 * left


def _told(found: Report, left_out: list[int]) -> tuple[str, str]:
    first, last = found.rows[0], found.rows[-1]
    what = (
        f"from {first['hours']} to {last['hours']:,} hours of video ({last['segments']:,} segments "
        "of 8 s, made up), processor time"
    )
    took = " → ".join(str(row["query p50 ms"]) for row in found.rows)
    told = (
        f"storing an hour {first['CPU s to store an hour']} → {last['CPU s to store an hour']} s, "
        f"its share of the index {_share(first)} → {_share(last)} s; a query beside reading the "
        f"words {took} ms (segments to the power of {_power(found):.2f}); a search as a process "
        f"{first['search process ms']} → {last['search process ms']} ms"
    )
    if left_out:
        told += f"; left out for want of room or time: {', '.join(f'{one:,}' for one in left_out)}"
    return what, told


def _share(row: dict[str, Any]) -> float:
    share: float = row["CPU s for the index"] / row["hours"]
    return round(share, 4)


def _power(found: Report) -> float:
    """With which power of segments a query grows, over all sizes."""
    if len(found.rows) < 2:
        return 0.0
    segments, took = ([row[name] for row in found.rows] for name in ("segments", "query p50 ms"))
    return float(np.polyfit(np.log(segments), np.log(took), 1)[0])


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--hours", type=int, nargs="+", default=list(HOURS))
    parser.add_argument("--folder", type=Path, help="kept; a run that was stopped goes on")
    parser.add_argument("--minutes", type=float, default=20)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        report(sorted(given.hours), folder, given.minutes).write(given.json)


if __name__ == "__main__":
    main()
