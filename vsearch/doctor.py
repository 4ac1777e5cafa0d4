"""Consistency checks of a library, and the recall of its vector index."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import DamagedLibraryError
from vsearch.index.ground_truth import (
    IMAGE_COSINE,
    K_NEIGHBORS,
    TEXT_COSINE,
    GroundTruth,
    perturb_queries,
)
from vsearch.indexing.pipeline import is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from vsearch.catalog.catalog import Catalog
    from vsearch.indexing.pipeline import Storage
    from vsearch.search.live_index import IndexSnapshot, LiveIndex
    from vsearch.types import Video

QUERIES_PER_KIND = 100
TIMED_QUERIES = 5  # queries for which exact search is timed one by one
HELD_OUT_SEED = 1  # differs from the seed with which an index tunes itself


@dataclass(frozen=True, slots=True)
class IndexRecall:
    """Recall@10 of the vector index for one kind of query."""

    query_kind: str  # description for the user
    query_count: int
    recall: float  # share of the 10 nearest segments that the index finds, in [0, 1]
    index_seconds: float  # median search time of the index per query
    exact_seconds: float  # time of exact search over all vectors per query


def measure_recall(catalog: Catalog, live_index: LiveIndex) -> list[IndexRecall]:
    """Measure the recall of the index against exact search over all vectors.

    Args:
        catalog: Catalog of the library.
        live_index: Its index.

    Returns:
        Recall of each kind of query; empty for an empty library.
    """
    snapshot = live_index.take_snapshot()
    if snapshot is None or not len(snapshot.segment_ids):
        return []
    sample_vectors = catalog.sample_vectors(snapshot.space)
    queries_by_kind = {
        f"segments, changed to a cosine of {cosine:g}": perturb_queries(
            sample_vectors, QUERIES_PER_KIND, (cosine,), HELD_OUT_SEED
        )
        for cosine in (IMAGE_COSINE, TEXT_COSINE)
    }
    text_queries = live_index.tuning_queries(snapshot.space)
    queries_by_kind["null queries (text)"] = text_queries[
        :: max(1, len(text_queries) // QUERIES_PER_KIND)
    ][:QUERIES_PER_KIND]
    ground_truths = {
        query_kind: GroundTruth(query_vectors)
        for query_kind, query_vectors in queries_by_kind.items()
        if len(query_vectors)
    }
    exact_seconds = _time_exact_search(catalog, snapshot, list(ground_truths.values()))
    return [
        _measure_query_kind(snapshot, query_kind, ground_truth, exact_seconds)
        for query_kind, ground_truth in ground_truths.items()
    ]


def _time_exact_search(
    catalog: Catalog, snapshot: IndexSnapshot, ground_truths: list[GroundTruth]
) -> float:
    """Add all vectors to the ground truths and return the seconds of exact search per query."""
    elapsed_seconds, timed_queries = 0.0, ground_truths[0].queries[:TIMED_QUERIES]
    for segment_ids, vectors in catalog.iter_vectors(snapshot.space):
        for ground_truth in ground_truths:
            ground_truth.add(segment_ids, vectors)
        start_time = time.perf_counter()
        for query_vector in timed_queries:
            vectors @ query_vector
        elapsed_seconds += time.perf_counter() - start_time
    return elapsed_seconds / len(timed_queries)


def _measure_query_kind(
    snapshot: IndexSnapshot, query_kind: str, ground_truth: GroundTruth, exact_seconds: float
) -> IndexRecall:
    found_ids, query_seconds = [], []
    for query_vector in ground_truth.queries:
        start_time = time.perf_counter()
        result_ids, _ = snapshot.vector_index.search(query_vector, K_NEIGHBORS)
        query_seconds.append(time.perf_counter() - start_time)
        found_ids.append(result_ids.tolist())
    recall_share = ground_truth.measure_recall(found_ids)
    return IndexRecall(
        query_kind,
        len(ground_truth.queries),
        recall_share,
        float(np.median(query_seconds)),
        exact_seconds,
    )


def examine_library(storage: Storage) -> list[str]:
    """Check the catalog, the feature files, the frame cache and the video files.

    Args:
        storage: Storage of the library.

    Returns:
        Problems found, each a sentence with the remedy.
    """
    problem_texts = storage.catalog.find_problems()
    try:
        videos_by_id = {video.id: video for video in storage.catalog.videos()}
        problem_texts += _find_feature_problems(storage, videos_by_id)
    except DamagedLibraryError:
        return problem_texts  # the damage is among the problems
    problem_texts += _find_file_problems(storage, videos_by_id)
    problem_texts += [
        f"{video.path}: the file is missing; `vsearch remove --missing` removes it from the library"
        for video in videos_by_id.values()
        if is_missing(video.path)
    ]
    return problem_texts


def _find_feature_problems(storage: Storage, videos: Mapping[int, Video]) -> Iterator[str]:
    """Find missing and damaged feature files, those of the active space first."""
    feature_store = storage.feature_store
    for space_info in sorted(
        storage.catalog.spaces(), key=lambda space_info: not space_info.is_active
    ):
        damaged_paths = [
            videos[video_id].path
            for video_id in feature_store.find_damaged(space_info.space)
            if video_id in videos
        ]
        if space_info.is_active:
            for missing_id in sorted(videos.keys() - feature_store.video_ids(space_info.space)):
                yield f"{videos[missing_id].path}: frame features are missing; index it again"
            for video_path in damaged_paths:
                yield (
                    f"{video_path}: frame features are damaged; "
                    "index it with `vsearch index --force`"
                )
        elif damaged_paths:
            name = space_info.space.name
            yield (
                f"{len(damaged_paths)} feature files of the inactive space {name} are damaged; "
                f"`vsearch model delete {name}` deletes them"
            )


def _find_file_problems(storage: Storage, videos: Mapping[int, Video]) -> Iterator[str]:
    """Find files of removed videos and damaged cached frames."""
    for file_kind, file_ids in (
        ("feature", storage.feature_store.video_ids()),
        ("frame", storage.frame_store.list_video_ids()),
    ):
        if orphan_ids := file_ids - videos.keys():
            yield (
                f"{len(orphan_ids)} {file_kind} files belong to no indexed video; "
                "the next `vsearch index` deletes them"
            )
    for video_id in storage.frame_store.find_damaged():
        if video_id in videos:
            yield (
                f"{videos[video_id].path}: cached frames are damaged; "
                "`vsearch index --force --keep-frames` writes them again"
            )
