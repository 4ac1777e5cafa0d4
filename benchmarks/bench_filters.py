"""Measure recall and latency of filtered search: the IVF index against an exhaustive scan.

    python -m benchmarks.bench_filters [--segments 200000] [--json FILE]

Filters select whole videos, as those of the command line do, or single segments. Half of the
queries are near a segment, half far from all. Times are CPU times of one core.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.bench_vectors import make_vector_source
from benchmarks.report import Claim, Report, format_command, run_benchmark
from benchmarks.walks import SEGMENTS_PER_VIDEO, VECTOR_DIM, WalkVectors
from vsearch.index.ground_truth import IMAGE_COSINE, K_NEIGHBORS, TEXT_COSINE, GroundTruth
from vsearch.index.ivf_sq8 import IvfIndex, Sq8Index
from vsearch.index.rescoring import RescoringIndex

if TYPE_CHECKING:
    from pathlib import Path

    from vsearch.types import Ids

DEFAULT_SEGMENTS = 200_000
FILTER_SHARES = 0.0002, 0.01, 0.2, 1.0
QUERIES_PER_KIND = 50  # near and far queries


def draw_allowed_ids(walks: WalkVectors, kept_share: float, *, whole_videos: bool) -> Ids:
    """Draw the ids that a filter keeps, ascending."""
    random = np.random.default_rng(1)
    if not whole_videos:
        return np.asarray(walks.ids[random.random(len(walks.ids)) < kept_share])
    count = -(-len(walks.ids) // SEGMENTS_PER_VIDEO)
    kept_videos = random.choice(count, max(1, round(kept_share * count)), replace=False)
    return np.asarray(walks.ids[np.isin(walks.ids // SEGMENTS_PER_VIDEO, kept_videos)])


def measure_filters(segment_count: int, work_folder: Path) -> Report:
    """Measure a row per index, filter and share."""
    walks = WalkVectors(work_folder / "walks", segment_count)
    queries = np.concatenate(
        [walks.draw_queries(QUERIES_PER_KIND, cosine) for cosine in (IMAGE_COSINE, TEXT_COSINE)]
    )
    vector_source = make_vector_source(walks)
    indexes = {
        name: RescoringIndex(
            index_class.build(
                VECTOR_DIM, vector_source, single_list=False, check_cancelled=lambda: None
            ),
            walks.fetch_vectors,
        )
        for name, index_class in (("sq8", Sq8Index), ("ivf", IvfIndex))
    }
    report = Report("filters")
    for share in FILTER_SHARES:
        for videos in (True, False):
            allowed_ids = draw_allowed_ids(walks, share, whole_videos=videos)
            ground_truth = GroundTruth(queries)
            for start in range(0, len(allowed_ids), 10_000):
                ground_truth.add(*walks.fetch_vectors(allowed_ids[start : start + 10_000]))
            for name, index in indexes.items():
                report.rows.append(
                    measure_row(name, index, ground_truth, allowed_ids, share, whole_videos=videos)
                )
    report.claims = build_claims(report, segment_count)
    return report


def measure_row(
    index_name: str,
    index: RescoringIndex,
    ground_truth: GroundTruth,
    allowed_ids: Ids,
    kept_share: float,
    *,
    whole_videos: bool,
) -> dict[str, object]:
    """Measure recall and the median milliseconds."""
    result_ids, milliseconds = [], []
    for query in ground_truth.queries:
        start_time = time.process_time()
        ids, _ = index.search(query, K_NEIGHBORS, allowed_ids)
        milliseconds.append(1000 * (time.process_time() - start_time))
        result_ids.append(ids.tolist())
    return {
        "index": index_name,
        "share": f"{100 * kept_share:g} %",
        "of": "videos" if whole_videos else "segments",
        "segments": len(allowed_ids),
        "recall": ground_truth.measure_recall(result_ids),
        "ms": float(np.median(milliseconds)),
    }


def build_claims(report: Report, segment_count: int) -> list[Claim]:
    """Build the claims of the speed table."""
    lowest_recall = {
        share: min(
            float(str(row["recall"])) for row in report.rows if row["share"] == f"{100 * share:g} %"
        )
        for share in FILTER_SHARES[:-1]
    }
    recalls = ", ".join(
        f"{100 * share:g} %: {recall:.3f}" for share, recall in lowest_recall.items()
    )
    what = f"lowest recall@10 when a filter keeps a share of {segment_count:,} segments"
    return [Claim(what, recalls, format_command("filters", segment_count, DEFAULT_SEGMENTS))]


if __name__ == "__main__":
    run_benchmark(__doc__, DEFAULT_SEGMENTS, measure_filters)
