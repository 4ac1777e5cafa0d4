"""What a library costs as it grows: room, adding an hour of video, a query, a start.

The videos are made up (see `synthetic.py`), their rows, vectors, features and index are not.

    OPENBLAS_NUM_THREADS=1 python -m tests.benchmarks.bench_growth [--hours 1 10 100 1000]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from tests.benchmarks.bench_query import cpu_ms
from tests.benchmarks.bench_start import cpu
from tests.benchmarks.report import Claim, Report, with_json
from tests.benchmarks.synthetic import FILM, PER_HOUR, World, fill, queries, save_index
from vsearch import Library

QUERIES, STARTS = 21, 3


def grown(folder: Path, world: World, films: range) -> tuple[float, float]:
    """Seconds of processor time that these films take to add, and then the index."""
    began = time.process_time()
    for _ in fill(folder, world, films):
        pass
    added = time.process_time()
    save_index(folder)
    return added - began, time.process_time() - added


def asked(folder: Path) -> float:
    """Milliseconds of processor time of a query in an open library, reading the words included."""
    with Library.open(folder) as library:
        library.search("anything at all")
        return float(median(cpu_ms(partial(library.search, text)) for text in queries(QUERIES)))


def started(folder: Path) -> float:
    """Milliseconds of processor time of a query as a process of its own."""
    command = [sys.executable, "-m", "vsearch", "--library", str(folder), "search", "a dog"]
    with tempfile.TemporaryDirectory() as cache:
        cpu(command, Path(cache))  # compiles
        return float(1000 * median(cpu(command, Path(cache)) for _ in range(STARTS)))


def report(sizes: list[int], folder: Path) -> Report:
    found = Report("growth")
    world = World.of()
    have = 0
    for hours in sizes:
        films = range(have, -(-hours * PER_HOUR // FILM))
        added, index = grown(folder, world, films)
        new = max(len(films) * FILM / PER_HOUR, 1e-9)
        have = films.stop
        catalog = sum(path.stat().st_size for path in folder.glob("catalog.sqlite3*"))
        found.rows.append(
            {
                "hours": hours,
                "segments": have * FILM,
                "catalogue MB": round(catalog / 1e6, 1),
                "CPU s to add an hour": round(added / new, 3),
                "CPU s for the index": round(index, 1),
                "query ms": round(asked(folder), 1),
                "search process ms": round(started(folder)),
            }
        )
        print(found.rows[-1], flush=True)
    found.claims.append(Claim(*_told(found)))
    return found


def _told(found: Report) -> tuple[str, str, str]:
    first, last = found.rows[0], found.rows[-1]
    powers = np.polyfit(
        np.log([row["segments"] for row in found.rows[-2:]]),
        np.log([row["query ms"] for row in found.rows[-2:]]),
        1,
    )
    what = (
        f"from {first['hours']} to {last['hours']:,} hours ({last['segments']:,} segments, made "
        "up), processor time"
    )
    told = (
        f"storing an hour {first['CPU s to add an hour']} → {last['CPU s to add an hour']} s; a "
        f"query in an open library {first['query ms']} → {last['query ms']} ms (in the last step "
        f"it grows with segments to the power of {powers[0]:.2f}); a search as a process "
        f"{first['search process ms']} → {last['search process ms']} ms"
    )
    return what, told, "`python -m tests.benchmarks.bench_growth`"


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--hours", type=int, nargs="+", default=[1, 10, 100, 1000])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report(given.hours, Path(folder)).write(given.json)


if __name__ == "__main__":
    main()
