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
QUERIES_PER_KIND = 100  # questions of each kind
ADDED_COUNT, REMOVED_COUNT = 1_000, 3_600
REFERENCE_NAME = "IndexFlatIP"
RECALL_AND_TIME_LIMITS = 0.99, 0.35  # recall, and how much of the reference's time


def measure_cpu(function: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and the result of a function."""
    began = time.process_time()
    result = function()
    return time.process_time() - began, result


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
    for some, rows in walks.iter_batches():
        vectors[some] = rows
    return ExactIndex.from_arrays(ids, vectors)


def build_and_reload(
    index_name: str, index_class: Any, walks: WalkVectors, work_folder: Path
) -> tuple[dict[str, Any], Any]:
    """Build, save and load an index; return its row and the loaded index."""
    if index_class is ExactIndex:
        build, index = measure_cpu(lambda: build_exact(walks, work_folder / "vectors"))
    else:
        made = make_vector_source(walks)
        build, index = measure_cpu(
            lambda: index_class.build(
                VECTOR_DIM, made, single_list=False, check_cancelled=lambda: None
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
    found: dict[str, list[list[int]]] = {name: [] for name in search_functions}
    took: dict[str, list[float]] = {name: [] for name in search_functions}
    for question in ground_truth.queries:
        for name, ask in search_functions.items():
            seconds, ids = measure_cpu(lambda ask=ask, question=question: ask(question))  # type: ignore[misc]
            found[name].append(ids)
            took[name].append(1000 * seconds)
    return {
        name: (ground_truth.measure_recall(found[name]), float(np.median(took[name])))
        for name in search_functions
    }


def measure_changes(index: Any, walks: WalkVectors) -> tuple[float, float]:
    """Measure milliseconds of adding and removing vectors."""
    fresh = walks.ids[-1] + 1 + np.arange(ADDED_COUNT)
    vectors = walks.fetch_vectors(walks.ids[:ADDED_COUNT])[1]
    gone = np.random.default_rng(0).choice(
        walks.ids, min(REMOVED_COUNT, len(walks.ids) // 2), False
    )
    added, _ = measure_cpu(lambda: index.upsert(fresh, vectors))
    removed, _ = measure_cpu(lambda: index.remove(gone))
    return 1000 * added, 1000 * removed


def measure_indexes(segment_count: int, work_folder: Path) -> Report:
    """Measure a row per index."""
    faiss.omp_set_num_threads(1)
    walks = WalkVectors(work_folder / "walks", segment_count)
    truths = {
        one: GroundTruth(walks.draw_queries(QUERIES_PER_KIND, one))
        for one in (IMAGE_COSINE, TEXT_COSINE)
    }
    for ids, vectors in walks.iter_batches():
        for truth in truths.values():
            truth.add(ids, vectors)
    rows, indexes = [], dict[str, Any]()
    for name, cls in (("ivf", IvfIndex), ("sq8", Sq8Index), ("exact", ExactIndex)):
        before = peak_memory_mb()
        row, indexes[name] = build_and_reload(name, cls, walks, work_folder)
        rows.append(row)
        print(f"{name} built, peak {before:.0f} -> {peak_memory_mb():.0f} MB", flush=True)
    build, flat = measure_cpu(lambda: build_reference(walks))
    rows.append(
        {"index": REFERENCE_NAME, "build s": build, "MB": 4 * VECTOR_DIM * segment_count / 2**20}
    )
    asks: dict[str, SearchFunction] = {
        name: lambda one, index=index: index.search(one, K_NEIGHBORS)[0].tolist()  # type: ignore[misc]
        for name, index in indexes.items()
    }
    for name in ("ivf", "sq8"):
        rescored = RescoringIndex(indexes[name], walks.fetch_vectors)
        asks[name] = lambda one, index=rescored: index.search(one, K_NEIGHBORS)[0].tolist()  # type: ignore[misc]
    asks[REFERENCE_NAME] = lambda one: flat.search(one[None], K_NEIGHBORS)[1][0].tolist()
    found = {cosine: measure_searches(asks, truth) for cosine, truth in truths.items()}
    report = Report("vectors")
    for row in reversed(rows):
        name = row["index"]
        opened = {"open ms": row.pop("open ms", None)}
        row |= {f"recall {cosine:g}": found[cosine][name][0] for cosine in found}
        row |= {f"ms {cosine:g}": found[cosine][name][1] for cosine in found}
        row["of flat"] = float(
            np.mean([found[one][name][1] / found[one][REFERENCE_NAME][1] for one in found])
        )
        added, removed = measure_changes(indexes[name], walks) if name in indexes else (None, None)
        row |= opened | {"add ms": added, "remove ms": removed}
        report.rows.append(row)
    report.claims = build_claims(report, segment_count)
    return report


def build_claims(report: Report, segment_count: int) -> list[Claim]:
    """Build the claims of the speed table."""
    how = format_command("vectors", segment_count, DEFAULT_SEGMENTS)
    limits = (
        f" (limits {RECALL_AND_TIME_LIMITS[0]} and {RECALL_AND_TIME_LIMITS[1]}x)"
        if segment_count == DEFAULT_SEGMENTS
        else ""
    )
    said = []
    for row in report.rows:
        if row["index"] in ("ivf", "sq8"):
            said.append(
                Claim(
                    f"{row['index']}, {segment_count:,} segments, one core",
                    f"recall@10 {row['recall 0.9']:.3f} (images), {row['recall 0.3']:.3f} "
                    f"(text); {row['ms 0.9']:.1f} and {row['ms 0.3']:.1f} ms, "
                    f"{row['of flat']:.2f}x of faiss IndexFlatIP{limits}; {row['MB']:.0f} MB, "
                    f"opens in {row['open ms']:.0f} ms; {ADDED_COUNT:,} added in "
                    f"{row['add ms']:.0f} ms, {REMOVED_COUNT:,} removed in {row['remove ms']:.0f} "
                    "ms",
                    how,
                )
            )
    return said


if __name__ == "__main__":
    run_benchmark(__doc__, DEFAULT_SEGMENTS, measure_indexes)
