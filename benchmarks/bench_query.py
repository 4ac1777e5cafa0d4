"""Measure the latency of a query in an open library: encoding the text, and everything else.

The baseline is a bare NumPy scan of the same vectors, alternating with the queries.

    python -m benchmarks.bench_query [--segments 10000 100000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads that wait for each other would count as work

import numpy as np

from benchmarks.report import Claim, Report, add_json_option
from benchmarks.synthetic import SceneWorld, build_library, make_queries
from vsearch import Library
from vsearch.catalog.catalog import Catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.types import Matrix, Vector

QUERY_COUNT = 40
MAX_REST_MS = 15.0  # without text encoding, at 100,000 segments


def measure_cpu_ms(function: Callable[[], object]) -> float:
    """Measure CPU milliseconds of a function."""
    start_time = time.process_time()
    function()
    return 1000 * (time.process_time() - start_time)


def load_vectors(library_folder: Path) -> Matrix:
    """Load all vectors of a library, float32 (N, D)."""
    with Catalog.open(library_folder / "catalog.sqlite3") as catalog:
        space = catalog.space()
        assert space is not None
        return catalog.vectors(None, space)[1]


def scan_vectors(vectors: Matrix, query: Vector) -> None:
    """Find the 20 nearest vectors by brute force."""
    np.argpartition(vectors @ query, -20)


def measure_queries(library_folder: Path) -> dict[str, float | int]:
    """Measure percentiles over distinct queries."""
    milliseconds: dict[str, list[float]] = {"text": [], "search": [], "scan": []}
    vectors = load_vectors(library_folder)
    with Library.open(library_folder) as library:
        encoder = library.encoder
        library.search("anything at all")
        for text in make_queries(QUERY_COUNT):
            query = encoder.encode_texts([text])[0]
            scan = partial(scan_vectors, vectors, query)
            milliseconds["scan"].append(measure_cpu_ms(scan))
            milliseconds["text"].append(measure_cpu_ms(partial(encoder.encode_texts, [text])))
            milliseconds["search"].append(measure_cpu_ms(partial(library.search, text)))
    text_ms, search_ms, scan_ms = map(np.array, milliseconds.values())
    rest_ms = search_ms - np.median(text_ms)
    return {
        "segments": len(vectors),
        "text p50 ms": round(float(np.median(text_ms)), 1),
        "rest p50 ms": round(float(np.median(rest_ms)), 1),
        "rest p95 ms": round(float(np.percentile(rest_ms, 95)), 1),
        "numpy scan p50 ms": round(float(np.median(scan_ms)), 1),
        "rest / scan": round(float(np.median(rest_ms) / np.median(scan_ms)), 2),
    }


def build_report(segment_counts: list[int]) -> Report:
    report = Report("query")
    world = SceneWorld.for_model()
    with tempfile.TemporaryDirectory() as folder:
        for size in segment_counts:
            library = Path(folder) / str(size)
            build_library(library, size, world)
            report.rows.append(measure_queries(library))
    largest = report.rows[-1]
    summary = (
        f"text encoding {largest['text p50 ms']} ms, everything else "
        f"{largest['rest p50 ms']} ms (p95 {largest['rest p95 ms']}, limit {MAX_REST_MS:g}); a "
        f"bare NumPy scan of the vectors {largest['numpy scan p50 ms']} ms"
    )
    what = f"one text query in an open library, {largest['segments']:,} segments, CPU time"
    report.claims.append(Claim(what, summary, "`python -m benchmarks.bench_query`"))
    return report


def main() -> None:
    parser = add_json_option(argparse.ArgumentParser(description=__doc__.split("\n", 1)[0]))
    parser.add_argument("--segments", type=int, nargs="+", default=[10_000, 100_000])
    options = parser.parse_args()
    build_report(options.segments).print_and_write(options.json)


if __name__ == "__main__":
    main()
