"""What a query costs in a library that stays open: reading the words, and everything else.

The reference is a bare scan of the same vectors in numpy, measured in turn with the queries.

    python -m tests.benchmarks.bench_query [--segments 10000 100000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads that wait for each other would count as work

import numpy as np

from tests.benchmarks.report import Claim, Report, with_json
from tests.benchmarks.synthetic import World, build, queries
from vsearch import Library
from vsearch.catalog.repository import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Matrix

QUERIES = 40
LIMIT = 15.0  # ms beside reading the words, at 100,000 segments


def cpu_ms(work: Callable[[], object]) -> float:
    """Milliseconds of processor time that something takes."""
    began = time.process_time()
    work()
    return 1000 * (time.process_time() - began)


def vectors_of(folder: Path) -> Matrix:
    """All vectors of a library, float32 (N, D)."""
    with Catalog.open(folder / "catalog.sqlite3") as catalog:
        space = catalog.space()
        assert space is not None
        return catalog.vectors(None, space)[1]


def measured(folder: Path) -> dict[str, float | int]:
    """Percentiles over queries that are all different."""
    taken: dict[str, list[float]] = {"words": [], "search": [], "scan": []}
    vectors = vectors_of(folder)
    with Library.open(folder) as library:
        encoder = library.encoder
        library.search("anything at all")
        for text in queries(QUERIES):
            query = encoder.encode_texts([text])[0]
            taken["scan"].append(cpu_ms(lambda query=query: np.argpartition(vectors @ query, -20)))  # type: ignore[misc]
            taken["words"].append(cpu_ms(lambda text=text: encoder.encode_texts([text])))  # type: ignore[misc]
            taken["search"].append(cpu_ms(lambda text=text: library.search(text)))  # type: ignore[misc]
    words, search, scan = (np.array(taken[name]) for name in ("words", "search", "scan"))
    rest = search - np.median(words)
    return {
        "segments": len(vectors),
        "words p50 ms": round(float(np.median(words)), 1),
        "rest p50 ms": round(float(np.median(rest)), 1),
        "rest p95 ms": round(float(np.percentile(rest, 95)), 1),
        "numpy scan p50 ms": round(float(np.median(scan)), 1),
        "rest / scan": round(float(np.median(rest) / np.median(scan)), 2),
    }


def report(sizes: list[int]) -> Report:
    found = Report("query")
    world = World.of()
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            library = Path(folder) / str(size)
            build(library, size, world)
            found.rows.append(measured(library))
    largest = found.rows[-1]
    told = (
        f"reading the words {largest['words p50 ms']} ms, everything else "
        f"{largest['rest p50 ms']} ms (p95 {largest['rest p95 ms']}, limit {LIMIT:g}); a bare "
        f"numpy scan of the vectors {largest['numpy scan p50 ms']} ms"
    )
    what = f"one text query in an open library, {largest['segments']:,} segments, processor time"
    found.claims.append(Claim(what, told, "`python -m tests.benchmarks.bench_query`"))
    return found


def main() -> None:
    parser = with_json(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, nargs="+", default=[10_000, 100_000])
    given = parser.parse_args()
    report(given.segments).write(given.json)


if __name__ == "__main__":
    main()
