"""Compare the IVF index with the HNSW graphs of hnswlib and usearch at equal recall.

    python -m benchmarks.bench_neighbors [--segments 50000] [--json FILE]

The vectors are near-duplicate segments of drifting videos. The graphs are built with common
settings (M 16, ef_construction 200) on all cores, and searched with the smallest ef that reaches
the recall of the IVF index, or the largest one tried. Times are CPU times summed over cores. Needs
the extra `bench`. The IVF index reads the few vectors that it rescores from a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hnswlib
import numpy as np
from usearch.index import Index

from benchmarks.bench_vectors import make_vector_source, measure_cpu
from benchmarks.report import Claim, Report, format_command, run_benchmark
from benchmarks.walks import VECTOR_DIM, WalkVectors
from vsearch.index.ground_truth import IMAGE_COSINE, K_NEIGHBORS, TEXT_COSINE, GroundTruth
from vsearch.index.ivf_sq8 import IvfIndex
from vsearch.index.rescoring import RescoringIndex

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.types import Vector

HNSW_LINKS, BUILD_EXPANSION = 16, 200
SEARCH_EXPANSIONS = 16, 32, 64, 128, 256, 512, 1_024
DEFAULT_SEGMENTS = 50_000
QUERIES_PER_KIND = 50  # near and far queries
REMOVED_COUNT = 3_600
REMOVE_COLUMN = f"remove {REMOVED_COUNT:,} ms"


def memory_mb(index: Any) -> float:
    """Return the memory of an index in MB, from its arrays or its file."""
    if isinstance(index, RescoringIndex):
        lists = index.base_index._view.inverted_lists  # type: ignore[attr-defined]
        parts = (lists.codes, lists.ids, lists.row_of_id, lists.id_of_row, lists.centroids)
        return float(sum(part.nbytes for part in parts)) / 2**20
    byte_count = index.memory_usage if isinstance(index, Index) else index.index_file_size()
    return float(byte_count) / 2**20


def build_ivf(walks: WalkVectors) -> Any:
    """Build the IVF index of vsearch."""
    built = IvfIndex.build(
        VECTOR_DIM, make_vector_source(walks), single_list=False, check_cancelled=lambda: None
    )
    return RescoringIndex(built, walks.fetch_vectors)


def build_hnsw(walks: WalkVectors) -> Any:
    """Build the index of hnswlib."""
    index: Any = hnswlib.Index("ip", VECTOR_DIM)
    index.init_index(len(walks.ids), M=HNSW_LINKS, ef_construction=BUILD_EXPANSION)
    for ids, vectors in walks.iter_batches():
        index.add_items(vectors, ids)
    return index


def build_usearch(walks: WalkVectors) -> Any:
    """Build the index of usearch, with float16 vectors."""
    index: Any = Index(
        ndim=VECTOR_DIM,
        metric="ip",
        dtype="f16",
        connectivity=HNSW_LINKS,
        expansion_add=BUILD_EXPANSION,
    )
    for ids, vectors in walks.iter_batches():
        index.add(ids, vectors)
    return index


def make_search_function(index: Any) -> Callable[[Vector], list[int]]:
    """Return a function that searches an index."""
    if isinstance(index, RescoringIndex):
        return lambda one: index.search(one, K_NEIGHBORS)[0].tolist()
    if isinstance(index, Index):
        return lambda one: [int(key) for key in index.search(one, K_NEIGHBORS).keys]
    return lambda one: index.knn_query(one[None], K_NEIGHBORS, num_threads=1)[0][0].tolist()


def measure_search(index: Any, expansion: int, ground_truth: GroundTruth) -> tuple[float, float]:
    """Measure recall and median milliseconds."""
    if isinstance(index, Index):
        index.expansion_search = expansion
    elif not isinstance(index, RescoringIndex):
        index.set_ef(max(expansion, K_NEIGHBORS))
    search = make_search_function(index)
    result_ids, milliseconds = [], []
    for query in ground_truth.queries:
        seconds, ids = measure_cpu(lambda query=query: search(query))  # type: ignore[misc]
        result_ids.append(ids)
        milliseconds.append(1000 * seconds)
    return ground_truth.measure_recall(result_ids), float(np.median(milliseconds))


def remove_some(index: Any, walks: WalkVectors) -> None:
    """Remove vectors from an index."""
    removed_ids = np.random.default_rng(0).choice(walks.ids, REMOVED_COUNT, replace=False)
    if isinstance(index, (RescoringIndex, Index)):
        index.remove(removed_ids)
    else:
        for vector_id in removed_ids.tolist():
            index.mark_deleted(vector_id)


def measure_indexes(segment_count: int, work_folder: Path) -> Report:
    """Measure a row per index."""
    walks = WalkVectors(work_folder / "walks", segment_count)
    ground_truth = GroundTruth(
        np.concatenate(
            [walks.draw_queries(QUERIES_PER_KIND, cosine) for cosine in (IMAGE_COSINE, TEXT_COSINE)]
        )
    )
    for ids, vectors in walks.iter_batches():
        ground_truth.add(ids, vectors)
    report, target_recall = Report("neighbors"), 0.0
    for name, make in (
        ("vsearch ivf", build_ivf),
        ("hnswlib", build_hnsw),
        ("usearch f16", build_usearch),
    ):
        build, index = measure_cpu(lambda make=make: make(walks))  # type: ignore[misc]
        for expansion in (0,) if make is build_ivf else SEARCH_EXPANSIONS:
            recall, milliseconds = measure_search(index, expansion, ground_truth)
            if recall >= target_recall:
                break
        target_recall = target_recall or recall
        remove_seconds, _ = measure_cpu(lambda index=index: remove_some(index, walks))  # type: ignore[misc]
        report.rows.append(
            {
                "index": name, "ef": expansion or "–", "build s": build, "MB": memory_mb(index),
                "recall": recall, "ms": milliseconds, REMOVE_COLUMN: 1000 * remove_seconds,
            }
        )  # fmt: skip
        print(report.rows[-1], flush=True)
    report.claims = build_claims(report, segment_count)
    return report


def build_claims(report: Report, segment_count: int) -> list[Claim]:
    """Build the claims of the speed table."""
    ours = report.rows[0]
    comparisons = "; ".join(
        f"{row['index']} (recall {row['recall']:.3f}): builds "
        f"{row['build s'] / ours['build s']:.1f}x "
        f"as long, {row['MB'] / max(ours['MB'], 1):.1f}x the memory, {row['ms'] / ours['ms']:.1f}x "
        f"the time of a query, {row[REMOVE_COLUMN] / ours[REMOVE_COLUMN]:.1f}x the time of "
        f"removing {REMOVED_COUNT:,}"
        for row in report.rows[1:]
    )
    what = (
        f"HNSW graphs compared with the IVF index (recall {ours['recall']:.3f}), "
        f"{segment_count:,} segments"
    )
    return [Claim(what, comparisons, format_command("neighbors", segment_count, DEFAULT_SEGMENTS))]


if __name__ == "__main__":
    run_benchmark(__doc__, DEFAULT_SEGMENTS, measure_indexes)
