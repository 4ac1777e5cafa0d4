"""Compare the vector indexes with FAISS's IndexFlatIP, on segments of drifting videos.

    python -m benchmarks.bench_vectors [--segments 1000000] [--json FILE]

All indexes get the same queries, alternating, in one process; times are CPU times of one core.
Recall is that of the ten nearest by float32 vectors, for queries near a segment (cosine 0.9, like
images) and far from all (0.3, like texts); sq8 and ivf rescore with float16 vectors, as the catalog
stores them. Apart from these, only the index is in memory.
"""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from benchmarks.report import Claim, Report, format_command, run_benchmark
from benchmarks.walks import VECTOR_DIM, WalkVectors
from vsearch.index.cache import IndexCache, SavedIndex
from vsearch.index.exact import ExactIndex
from vsearch.index.ground_truth import IMAGE_COSINE, K_NEIGHBORS, TEXT_COSINE, GroundTruth
from vsearch.index.ivf_sq8 import IvfIndex, Sq8Index
from vsearch.index.rescoring import RescoringIndex
from vsearch.protocols import VectorSource
from vsearch.types import Space

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.types import Vector

    SearchFunction = Callable[[Vector], list[int]]

BENCH_SPACE = Space("bench", VECTOR_DIM, supports_text=False)
DEFAULT_SEGMENTS = 1_000_000
QUERIES_PER_KIND = 100  # near and far queries
ADDED_COUNT, REMOVED_COUNT = 1_000, 3_600
REFERENCE_NAME = "IndexFlatIP"
RECALL_AND_TIME_LIMITS = 0.99, 0.35  # recall@10, and share of the time of the reference


def measure_cpu(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and the result of a function."""
    start_time = time.process_time()
    result = function()
    return time.process_time() - start_time, result


def peak_memory_mb() -> float:
    """Return the peak memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_vector_source(walks: WalkVectors) -> VectorSource:
    """Return the source of an index build."""
    none = np.empty((0, VECTOR_DIM), np.float32)
    return VectorSource(len(walks.ids), walks.draw_sample, walks.iter_batches, lambda: none)


def build_reference(walks: WalkVectors) -> Any:
    """Build FAISS's exact index."""
    index: Any = faiss.IndexFlatIP(VECTOR_DIM)
    for _, vectors in walks.iter_batches():
        index.add(vectors)
    return index


def build_exact(walks: WalkVectors, vectors_path: Path) -> ExactIndex:
    """Build the index of a small library on a memory-mapped file."""
    ids, vectors = (
        walks.ids,
        np.memmap(vectors_path, np.float32, "w+", shape=(len(walks.ids), VECTOR_DIM)),
    )
    for batch_ids, rows in walks.iter_batches():
        vectors[batch_ids] = rows
    return ExactIndex.from_arrays(ids, vectors)


def build_and_reload(
    index_name: str, index_class: Any, walks: WalkVectors, work_folder: Path
) -> tuple[dict[str, Any], Any]:
    """Build, save and load an index; return its row and the loaded index."""
    if index_class is ExactIndex:
        build, index = measure_cpu(lambda: build_exact(walks, work_folder / "vectors"))
    else:
        source = make_vector_source(walks)
        build, index = measure_cpu(
            lambda: index_class.build(
                VECTOR_DIM, source, single_list=False, check_cancelled=lambda: None
            )
        )
    cache = IndexCache(work_folder / index_name, index_name, index_class)
    cache.save(BENCH_SPACE, SavedIndex(index, 1, walks.ids))
    del index
    opening, cached = measure_cpu(lambda: cache.load(BENCH_SPACE))
    size = sum(path.stat().st_size for path in (work_folder / index_name).iterdir())
    row = {"index": index_name, "build s": build, "MB": size / 2**20, "open ms": 1000 * opening}
    return row, cached.index


def measure_searches(
    search_functions: dict[str, SearchFunction], ground_truth: GroundTruth
) -> dict[str, tuple[float, float]]:
    """Measure recall and median milliseconds of each index, alternating."""
    result_ids: dict[str, list[list[int]]] = {name: [] for name in search_functions}
    milliseconds: dict[str, list[float]] = {name: [] for name in search_functions}
    for query in ground_truth.queries:
        for name, search in search_functions.items():
            seconds, ids = measure_cpu(lambda search=search, query=query: search(query))  # type: ignore[misc]
            result_ids[name].append(ids)
            milliseconds[name].append(1000 * seconds)
    return {
        name: (ground_truth.measure_recall(result_ids[name]), float(np.median(milliseconds[name])))
        for name in search_functions
    }


def measure_changes(index: Any, walks: WalkVectors) -> tuple[float, float]:
    """Measure milliseconds of adding and removing vectors."""
    added_ids = walks.ids[-1] + 1 + np.arange(ADDED_COUNT)
    vectors = walks.fetch_vectors(walks.ids[:ADDED_COUNT])[1]
    removed_ids = np.random.default_rng(0).choice(
        walks.ids, min(REMOVED_COUNT, len(walks.ids) // 2), False
    )
    added, _ = measure_cpu(lambda: index.upsert(added_ids, vectors))
    removed, _ = measure_cpu(lambda: index.remove(removed_ids))
    return 1000 * added, 1000 * removed


def measure_indexes(segment_count: int, work_folder: Path) -> Report:
    """Measure a row per index."""
    faiss.omp_set_num_threads(1)
    walks = WalkVectors(work_folder / "walks", segment_count)
    ground_truths = {
        cosine: GroundTruth(walks.draw_queries(QUERIES_PER_KIND, cosine))
        for cosine in (IMAGE_COSINE, TEXT_COSINE)
    }
    for ids, vectors in walks.iter_batches():
        for ground_truth in ground_truths.values():
            ground_truth.add(ids, vectors)
    rows, indexes = [], dict[str, Any]()
    for name, index_class in (("ivf", IvfIndex), ("sq8", Sq8Index), ("exact", ExactIndex)):
        before = peak_memory_mb()
        row, indexes[name] = build_and_reload(name, index_class, walks, work_folder)
        rows.append(row)
        print(f"{name} built, peak {before:.0f} -> {peak_memory_mb():.0f} MB", flush=True)
    build, flat = measure_cpu(lambda: build_reference(walks))
    rows.append(
        {"index": REFERENCE_NAME, "build s": build, "MB": 4 * VECTOR_DIM * segment_count / 2**20}
    )
    search_functions: dict[str, SearchFunction] = {
        name: lambda query, index=index: index.search(query, K_NEIGHBORS)[0].tolist()  # type: ignore[misc]
        for name, index in indexes.items()
    }
    for name in ("ivf", "sq8"):
        rescored = RescoringIndex(indexes[name], walks.fetch_vectors)
        search_functions[name] = lambda query, index=rescored: index.search(query, K_NEIGHBORS)[
            0
        ].tolist()  # type: ignore[misc]
    search_functions[REFERENCE_NAME] = lambda query: flat.search(query[None], K_NEIGHBORS)[1][
        0
    ].tolist()
    results = {
        cosine: measure_searches(search_functions, ground_truth)
        for cosine, ground_truth in ground_truths.items()
    }
    report = Report("vectors")
    for row in reversed(rows):
        name = row["index"]
        opened = {"open ms": row.pop("open ms", None)}
        row |= {f"recall {cosine:g}": results[cosine][name][0] for cosine in results}
        row |= {f"ms {cosine:g}": results[cosine][name][1] for cosine in results}
        row["of flat"] = float(
            np.mean(
                [
                    results[cosine][name][1] / results[cosine][REFERENCE_NAME][1]
                    for cosine in results
                ]
            )
        )
        added, removed = measure_changes(indexes[name], walks) if name in indexes else (None, None)
        row |= opened | {"add ms": added, "remove ms": removed}
        report.rows.append(row)
    report.claims = build_claims(report, segment_count)
    return report


def build_claims(report: Report, segment_count: int) -> list[Claim]:
    """Build the claims of the speed table."""
    command = format_command("vectors", segment_count, DEFAULT_SEGMENTS)
    limits = (
        f" (limits {RECALL_AND_TIME_LIMITS[0]} and {RECALL_AND_TIME_LIMITS[1]}x)"
        if segment_count == DEFAULT_SEGMENTS
        else ""
    )
    claims = []
    for row in report.rows:
        if row["index"] in ("ivf", "sq8"):
            claims.append(
                Claim(
                    f"{row['index']}, {segment_count:,} segments, one core",
                    f"recall@10 {row['recall 0.9']:.3f} (images), {row['recall 0.3']:.3f} "
                    f"(text); {row['ms 0.9']:.1f} and {row['ms 0.3']:.1f} ms, "
                    f"{row['of flat']:.2f}x of faiss IndexFlatIP{limits}; {row['MB']:.0f} MB, "
                    f"opens in {row['open ms']:.0f} ms; {ADDED_COUNT:,} added in "
                    f"{row['add ms']:.0f} ms, {REMOVED_COUNT:,} removed in {row['remove ms']:.0f} "
                    "ms",
                    command,
                )
            )
    return claims


if __name__ == "__main__":
    run_benchmark(__doc__, DEFAULT_SEGMENTS, measure_indexes)
