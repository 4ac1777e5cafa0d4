"""Consistency checks of a library, and the recall of its vector index."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch import config
from vsearch.errors import DamagedLibraryError, StoreError, VSearchError
from vsearch.index.ground_truth import (
    IMAGE_COSINE,
    K_NEIGHBORS,
    TEXT_COSINE,
    GroundTruth,
    perturb_queries,
)
from vsearch.index.rescoring import RescoringIndex
from vsearch.indexing.downloads import find_download_problems
from vsearch.indexing.indexed_folders import find_record_problems, read_indexed_folders
from vsearch.media.file_status import find_indexed_folder
from vsearch.storage.array_files import find_damaged_archives
from vsearch.storage.reindexing import reindex_command

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.encoders.query_adapter import AdapterFile
    from vsearch.indexing.library_storage import Storage
    from vsearch.library_location import LibraryLocation
    from vsearch.protocols import VectorIndex
    from vsearch.search.live_index import IndexSnapshot, LiveIndex
    from vsearch.types import Ids, Matrix, Vector, Video
    from vsearch.writer import LibraryWriter

QUERIES_PER_KIND = 100
TIMED_QUERIES = 5  # queries for which exact search is timed one by one
COMPARED_QUERIES = 4  # of each kind, by whose scores the index is compared with the catalog
EXACT_TOLERANCE, QUANTIZED_TOLERANCE = 1e-3, 0.05  # of a score
HELD_OUT_SEED = 1  # differs from the seed with which an index tunes itself


@dataclass(frozen=True, slots=True)
class IndexRecall:
    """Recall@10 of the vector index for one kind of query."""

    query_kind: str  # description for the user
    query_count: int
    recall: float  # share of the 10 nearest segments that the index finds, in [0, 1]
    index_seconds: float  # median search time of the index per query
    exact_seconds: float  # time of exact search over all vectors per query


def diagnose_library(
    location: LibraryLocation,
    writer: LibraryWriter,
    live_index: LiveIndex,
    check_files: Callable[[Iterable[Video]], list[Video]],
    adapter_file: AdapterFile,
    cache_folders: Sequence[Path],
) -> list[str]:
    """Check all parts of a library for damaged and missing files.

    Args:
        location: Where the library is.
        writer: Its catalog, files and pooler.
        live_index: Its index.
        check_files: Returns videos with the status of their files.
        adapter_file: Its query adapter.
        cache_folders: Folders of archives that can be rebuilt.

    Returns:
        Problems found, each a sentence with the remedy.
    """
    storage = writer.storage()
    problems = config.find_problems(location.settings_source)
    if store_problem := location.find_store_problem():
        return [*problems, store_problem]
    problems += find_record_problems(location.folder)
    problems += examine_library(storage, check_files, read_indexed_folders(location.folder))
    problems += find_damaged_caches(cache_folders)
    problems += adapter_file.find_problems()
    try:
        problems += examine_index(storage.catalog, live_index)
        known_paths = [path for _, path in storage.catalog.video_places()]
        problems += find_download_problems(location.folder, known_paths)
    except VSearchError as exc:
        problems += [str(exc)] if str(exc) not in problems else []
    try:
        if storage.catalog.space() is not None:
            writer.pooler()
    except VSearchError as exc:
        problems.append(str(exc))
    return problems


def measure_recall(catalog: Catalog, live_index: LiveIndex) -> list[IndexRecall]:
    """Measure the recall of the index against exact search over all vectors.

    Args:
        catalog: Catalog of the library.
        live_index: Its index.

    Returns:
        Recall of each kind of query; empty for an empty library.
    """
    snapshot = live_index.take_snapshot()
    if snapshot is None or not snapshot.segments.count:
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


def examine_index(catalog: Catalog, live_index: LiveIndex) -> list[str]:
    """Check the saved index, and compare the index that searches use with the catalog.

    Every vector is compared by its scores for a few queries, with a tolerance for quantization.

    Args:
        catalog: Catalog of the library.
        live_index: Its index; damaged files are replaced.

    Returns:
        Problems found, each a sentence with the remedy.
    """
    problem_texts = live_index.find_problems()
    snapshot = live_index.take_snapshot()
    if snapshot is not None and snapshot.keeps_all_ids:
        problem_texts += _find_index_differences(catalog, snapshot)
    return problem_texts


def _find_index_differences(catalog: Catalog, snapshot: IndexSnapshot) -> Iterator[str]:
    """Compare ids and vectors of an index with those in the catalog."""
    vector_index, tolerance = snapshot.vector_index, EXACT_TOLERANCE
    if isinstance(vector_index, RescoringIndex):  # which takes the scores from the catalog
        vector_index, tolerance = vector_index.base_index, QUANTIZED_TOLERANCE
    compared_queries = _draw_compared_queries(catalog, snapshot)
    found_scores = [
        _score_all(vector_index, query_vector, snapshot.segment_ids)
        for query_vector in compared_queries
    ]
    is_different = np.ones(len(snapshot.segment_ids), bool)
    missing_count = 0
    for segment_ids, vectors in catalog.iter_vectors(snapshot.space):
        rows = np.searchsorted(snapshot.segment_ids, segment_ids)
        rows = rows.clip(max=max(len(snapshot.segment_ids) - 1, 0))
        is_known = np.isin(segment_ids, snapshot.segment_ids)
        missing_count += int(np.count_nonzero(~is_known))
        rows, known_vectors = rows[is_known], vectors[is_known]
        is_different[rows] = False
        for query_vector, scores in zip(compared_queries, found_scores, strict=True):
            differences = np.abs(known_vectors @ query_vector - scores[rows])
            is_different[rows] |= ~(differences <= tolerance)  # NaN: the index did not find it
    if wrong_count := missing_count + int(np.count_nonzero(is_different)):
        yield (
            f"the index does not match the catalog: {wrong_count} of {len(snapshot.segment_ids)} "
            "segments differ; `vsearch rebuild` builds it again"
        )


def _draw_compared_queries(catalog: Catalog, snapshot: IndexSnapshot) -> Matrix:
    """Return a few vectors of the library and as many random ones, float32 (Q, D)."""
    random_vectors = np.random.default_rng(HELD_OUT_SEED).normal(
        size=(COMPARED_QUERIES, snapshot.space.dim)
    )
    random_vectors /= np.linalg.norm(random_vectors, axis=1, keepdims=True)
    sample_vectors = catalog.sample_vectors(snapshot.space, COMPARED_QUERIES)
    return np.concatenate([sample_vectors, random_vectors]).astype(np.float32)


def _score_all(vector_index: VectorIndex, query_vector: Vector, segment_ids: Ids) -> Vector:
    """Return the score of each segment, float32 (N,); NaN if the index does not find it."""
    scores = np.full(len(segment_ids), np.nan, np.float32)
    found_ids, found_scores = vector_index.search(query_vector, len(segment_ids))
    is_known = np.isin(found_ids, segment_ids)
    scores[np.searchsorted(segment_ids, found_ids[is_known])] = found_scores[is_known]
    return scores


def find_damaged_caches(cache_folders: Iterable[Path]) -> Iterator[str]:
    """Find damaged archives.

    Args:
        cache_folders: Folders of caches that are rebuilt when they are needed.

    Yields:
        Problems found, each a sentence with the remedy.
    """
    for cache_folder in cache_folders:
        for cache_path in find_damaged_archives(cache_folder):
            yield f"{cache_path} is damaged; it is not used, and the next search replaces it"


def examine_library(
    storage: Storage,
    check_files: Callable[[Iterable[Video]], list[Video]],
    indexed_folders: Sequence[Path],
) -> list[str]:
    """Check the catalog, the feature files, the frame cache and the video files.

    Args:
        storage: Storage of the library.
        check_files: Sets `file_status` of videos; see `Library.check_files`.
        indexed_folders: Folders that were indexed.

    Returns:
        Problems found, each a sentence with the remedy.
    """
    problem_texts = storage.catalog.find_problems()
    try:
        videos_by_id = {video.id: video for video in storage.catalog.videos()}
        problem_texts += _find_feature_problems(storage, videos_by_id)
        problem_texts += _find_file_problems(storage, videos_by_id)
    except DamagedLibraryError:
        return problem_texts  # the damage is among the problems
    except StoreError as error:
        problem_texts.append(str(error))
    problem_texts += _find_gone_files(check_files(videos_by_id.values()), indexed_folders)
    return problem_texts


def _find_gone_files(
    checked_videos: Iterable[Video], indexed_folders: Sequence[Path]
) -> Iterator[str]:
    """Find missing files, and the folders of files that are offline."""
    offline_counts: Counter[Path] = Counter()
    for video in checked_videos:
        if video.file_status == "missing":
            yield (
                f"{video.path}: the file is missing; if it was moved, `vsearch index NEWPLACE` "
                "finds it by its content and keeps its tags, marks and transcripts; if it was "
                "deleted, `vsearch remove --missing` removes it from the library"
            )
        elif video.file_status == "offline":
            offline_counts[find_indexed_folder(video.path, indexed_folders)] += 1
    for folder, video_count in offline_counts.items():
        files_text = "1 video is" if video_count == 1 else f"{video_count} videos are"
        yield (
            f"{folder}: {files_text} offline; connect the drive or, if the folder was moved, run "
            "`vsearch index NEWPLACE`, which finds the videos by their content and keeps their "
            "tags, marks and transcripts"
        )


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
                video_path = videos[missing_id].path
                yield (
                    f"{video_path}: frame features are missing; "
                    f"index it again with {reindex_command(video_path)}"
                )
            for video_path in damaged_paths:
                yield (
                    f"{video_path}: frame features are damaged; "
                    f"index it again with {reindex_command(video_path)}"
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
