"""Measure the latency of a query in an open library: encoding the text, and everything else.

The baseline is a bare NumPy scan of the same vectors, alternating with the queries.

    python -m benchmarks.bench_query [--segments 10000 100000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.report import Claim, Report, add_json_option
from benchmarks.synthetic import SceneWorld, build_library, make_queries
from vsearch import Library
from vsearch.catalog.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Matrix

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads that wait for each other would count as work
QUERY_COUNT = 40
MAX_REST_MS = 15.0  # ms beside reading the words, at 100,000 segments


def measure_cpu_ms(function: Callable[[], object]) -> float:
    """Measure CPU milliseconds of a function."""
    began = time.process_time()
    function()
    return 1000 * (time.process_time() - began)


def load_vectors(library_folder: Path) -> Matrix:
    """Load all vectors of a library, float32 (N, D)."""
    with Catalog.open(library_folder / "catalog.sqlite3") as catalog:
        space = catalog.space()
        assert space is not None
        return catalog.vectors(None, space)[1]


def measure_queries(library_folder: Path) -> dict[str, float | int]:
    """Measure percentiles over distinct queries."""
    taken: dict[str, list[float]] = {"words": [], "search": [], "scan": []}
    vectors = load_vectors(library_folder)
    with Library.open(library_folder) as library:
        encoder = library.encoder
        library.search("anything at all")
        for text in make_queries(QUERY_COUNT):
            query = encoder.encode_texts([text])[0]
            taken["scan"].append(
                measure_cpu_ms(lambda query=query: np.argpartition(vectors @ query, -20))  # type: ignore[misc]
            )
            taken["words"].append(measure_cpu_ms(lambda text=text: encoder.encode_texts([text])))  # type: ignore[misc]
            taken["search"].append(measure_cpu_ms(lambda text=text: library.search(text)))  # type: ignore[misc]
    words, search, scan = (np.array(taken[name]) for name in ("words", "search", "scan"))
    rest = search - np.median(words)
    return {
        "segments": len(vectors),
        "text p50 ms": round(float(np.median(words)), 1),
        "rest p50 ms": round(float(np.median(rest)), 1),
        "rest p95 ms": round(float(np.percentile(rest, 95)), 1),
        "numpy scan p50 ms": round(float(np.median(scan)), 1),
        "rest / scan": round(float(np.median(rest) / np.median(scan)), 2),
    }


def build_report(segment_counts: list[int]) -> Report:
    found = Report("query")
    world = SceneWorld.for_model()
    with tempfile.TemporaryDirectory() as folder:
        for size in segment_counts:
            library = Path(folder) / str(size)
            build_library(library, size, world)
            found.rows.append(measure_queries(library))
    largest = found.rows[-1]
    told = (
        f"text encoding {largest['text p50 ms']} ms, everything else "
        f"{largest['rest p50 ms']} ms (p95 {largest['rest p95 ms']}, limit {MAX_REST_MS:g}); a "
        f"bare NumPy scan of the vectors {largest['numpy scan p50 ms']} ms"
    )
    what = f"one text query in an open library, {largest['segments']:,} segments, CPU time"
    found.claims.append(Claim(what, told, "`python -m benchmarks.bench_query`"))
    return found


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, nargs="+", default=[10_000, 100_000])
    given = parser.parse_args()
    build_report(given.segments).print_and_write(given.json)


if __name__ == "__main__":
    main()
