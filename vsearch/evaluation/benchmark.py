"""Retrieval benchmark of a library on a captioned dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch import __version__
from vsearch.encoders.query_adapter import AdaptedEncoder
from vsearch.errors import DatasetError
from vsearch.evaluation import metrics
from vsearch.evaluation.datasets import list_video_paths, normalize_caption
from vsearch.evaluation.retrieval_cases import (
    build_retrieval_case,
    rank_first_hits,
    score_best_segments,
    score_videos,
)
from vsearch.evaluation.video_search import MAX_RANK, score_by_search
from vsearch.protocols import DescribedEncoder
from vsearch.query.parser import text_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import CaptionDataset, CaptionItem
    from vsearch.evaluation.metrics import Metric, OverlapMatrix, RelevanceMatrix, ScoreMatrix
    from vsearch.evaluation.retrieval_cases import RetrievalCase
    from vsearch.library import Library
    from vsearch.types import Matrix, Span, Video


@dataclass(frozen=True, slots=True)
class RetrievalTaskResult:
    """Metrics of one retrieval task."""

    task_name: str
    query_count: int
    candidate_count: int
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class MissedCaption:
    """A caption whose video was not ranked first."""

    caption: str
    path: Path
    rank: int  # of the best relevant video, from 1; the last if it is not found


@dataclass(frozen=True, slots=True)
class BenchmarkReport:
    """Results of all tasks with the dataset and the protocol."""

    dataset_name: str
    caption_count: int
    video_count: int
    missing_count: int
    unusable_count: int  # files that could not be indexed
    protocol: EvaluationProtocol
    task_results: tuple[RetrievalTaskResult, ...]
    failures: tuple[MissedCaption, ...]  # of text → video, worst first


def evaluate_library(library: Library, dataset: CaptionDataset) -> BenchmarkReport:
    """Evaluate all retrieval tasks for which the dataset has annotations.

    Equal captions, and videos of one group, are relevant to each other.

    Args:
        library: Library that contains the videos.
        dataset: Captions.

    Returns:
        The report.

    Raises:
        DatasetError: If none of the videos is in the library.
        NoTextError: If the library's model does not encode text.
    """
    caption_items, retrieval_case = prepare_case(library, dataset)
    captions, relevance_matrix = retrieval_case.captions, retrieval_case.relevance_matrix
    segment_vectors = [library.segments_with_vectors(video)[1] for video in retrieval_case.videos]
    search_scores = score_by_search(
        library, captions, [video.path for video in retrieval_case.videos]
    )
    similarity_scores = score_videos(captions, library.encoder, segment_vectors)
    task_results = [
        _build_task_result("text → video", search_scores, relevance_matrix),
        _build_task_result("video → text", similarity_scores.T, relevance_matrix.T),
    ]
    task_results += _evaluate_clip_retrieval(caption_items, retrieval_case.videos, segment_vectors)
    task_results += _evaluate_moment_retrieval(library, caption_items)
    return BenchmarkReport(
        dataset.dataset_name,
        len(retrieval_case.query_items),
        len(retrieval_case.videos),
        len(dataset.missing_paths),
        len(list_video_paths(dataset.items)) - len(retrieval_case.videos),
        describe_protocol(library, retrieval_case.videos, dataset.split_name, SCORING_DESCRIPTION),
        tuple(task_results),
        _collect_missed_captions(retrieval_case, search_scores),
    )


def prepare_case(
    library: Library, dataset: CaptionDataset
) -> tuple[list[CaptionItem], RetrievalCase]:
    """Select the captions whose videos are in the library.

    Args:
        library: Library to evaluate.
        dataset: Captions.

    Returns:
        The caption items, and the retrieval case.

    Raises:
        DatasetError: If none of the videos is in the library.
    """
    videos_by_path = {video.path: video for video in library.videos()}
    caption_items = [item for item in dataset.items if item.video_path in videos_by_path]
    if not caption_items:
        raise DatasetError(f"{dataset.dataset_name}: none of the videos is in the library")
    return caption_items, build_retrieval_case(
        caption_items,
        [videos_by_path[video_path] for video_path in list_video_paths(caption_items)],
    )


def _collect_missed_captions(
    retrieval_case: RetrievalCase, search_scores: ScoreMatrix
) -> tuple[MissedCaption, ...]:
    ranks = rank_first_hits(search_scores, retrieval_case.relevance_matrix).tolist()
    missed_captions = [
        MissedCaption(item.caption, item.video_path, rank)
        for item, rank in zip(retrieval_case.query_items, ranks, strict=True)
        if rank > 1
    ]
    return tuple(sorted(missed_captions, key=lambda missed: -missed.rank))


def _evaluate_clip_retrieval(
    caption_items: Sequence[CaptionItem], videos: Sequence[Video], segment_vectors: Sequence[Matrix]
) -> list[RetrievalTaskResult]:
    """Retrieve the other videos of a group with each video that is not alone in its group."""
    groups_by_path: dict[Path, set[str]] = {video.path: set() for video in videos}
    for item in caption_items:
        if item.group_name is not None:
            groups_by_path[item.video_path].add(item.group_name)
    groups = [groups_by_path[video.path] for video in videos]
    is_same_group = np.array([[bool(mine & other) for other in groups] for mine in groups])
    np.fill_diagonal(is_same_group, False)
    query_rows = np.flatnonzero(is_same_group.any(axis=1))
    if not len(query_rows):
        return []
    mean_vectors = np.stack([vectors.mean(axis=0) for vectors in segment_vectors])
    similarity_scores = score_best_segments(mean_vectors[query_rows], segment_vectors)
    similarity_scores[np.arange(len(query_rows)), query_rows] = -np.inf  # exclude the query
    return [_build_task_result("clip → clip", similarity_scores, is_same_group[query_rows])]


def _evaluate_moment_retrieval(
    library: Library, caption_items: Sequence[CaptionItem]
) -> list[RetrievalTaskResult]:
    """Retrieve the moments of each timed caption, in its video and in all videos."""
    captions: dict[tuple[Path, str], str] = {}  # one query per video and caption
    true_spans: dict[str, dict[Path, list[Span]]] = {}  # by normalized caption
    for item in caption_items:
        if item.span is not None:
            caption_key = normalize_caption(item.caption)
            captions.setdefault((item.video_path, caption_key), item.caption)
            spans_by_path = true_spans.setdefault(caption_key, {})
            spans_by_path.setdefault(item.video_path, []).append(item.span)
    if not captions:
        return []
    in_video_overlaps, library_overlaps = [], []
    for (path, caption_key), caption in captions.items():
        spans_by_path = true_spans[caption_key]
        in_video_overlaps.append(
            _compute_moment_overlaps(library, caption, {path: spans_by_path[path]}, [str(path)])
        )
        library_overlaps.append(_compute_moment_overlaps(library, caption, spans_by_path, []))
    return [
        RetrievalTaskResult(
            task_name,
            len(captions),
            candidate_count,
            tuple(metrics.compute_moment_metrics(overlap_matrices)),
        )
        for task_name, candidate_count, overlap_matrices in (
            ("text → moment in its video", 1, in_video_overlaps),
            ("text → moment in all videos", library.info().video_count, library_overlaps),
        )
    ]


def _compute_moment_overlaps(
    library: Library,
    caption_text: str,
    true_spans: Mapping[Path, Sequence[Span]],
    path_filters: Sequence[str],
) -> OverlapMatrix:
    """Return the overlaps of the moments found, best first, with the spans of all true videos."""
    moments = library.search(
        text_query(caption_text, path_filters),
        k=metrics.MAX_MOMENT_PREDICTIONS,
        per_video=metrics.MAX_MOMENT_PREDICTIONS,
        include_duplicates=True,
    )
    return np.hstack(
        [
            metrics.compute_overlaps(
                [moment.span if moment.video.path == path else None for moment in moments], spans
            )
            for path, spans in true_spans.items()
        ]
    )


def _build_task_result(
    task_name: str, similarity_scores: ScoreMatrix, relevance_matrix: RelevanceMatrix
) -> RetrievalTaskResult:
    query_count, candidate_count = similarity_scores.shape
    return RetrievalTaskResult(
        task_name,
        query_count,
        candidate_count,
        tuple(metrics.compute_retrieval_metrics(similarity_scores, relevance_matrix)),
    )


# Evaluation protocol.

SCORING_DESCRIPTION = (
    f"text → video: complete search, one result per video, up to rank {MAX_RANK}; video → text and "
    "clip → clip: cosine of the best segment; 95 % bootstrap"
)
VECTOR_SCORING_DESCRIPTION = (
    "cosine with querybank normalization if available; best segment per video; 95 % bootstrap"
)


@dataclass(frozen=True, slots=True)
class EvaluationProtocol:
    """Settings needed to reproduce the figures."""

    model: str
    space: str  # name and weights digest of the image model
    text_model: str | None  # if it differs from `model`
    text_digest: str | None  # of the text model's weights, if known
    adapter: str | None  # query adapter; figures on its training rows are too high
    precision: str  # of the encoder's computation
    prompt: str  # prompt templates around a query
    fps: float
    frame_count: int  # of all videos
    pooling: str
    split_name: str
    scoring: str
    vsearch_version: str


def describe_protocol(
    library: Library, videos: Sequence[Video], split_name: str, scoring: str
) -> EvaluationProtocol:
    """Collect the settings with which some videos of a library are searched.

    Args:
        library: Library to evaluate.
        videos: Candidate videos.
        split_name: Split of the dataset.
        scoring: Description of the ranking and the intervals.

    Returns:
        The protocol.
    """
    encoder, query_adapter = library.encoder, library.models.query_adapter
    if isinstance(encoder, AdaptedEncoder):
        encoder = encoder.base_encoder
    description = encoder if isinstance(encoder, DescribedEncoder) else None
    return EvaluationProtocol(
        model=library.settings.model,
        space=encoder.space.name,
        text_model=library.settings.text_model or None,
        text_digest=description.text_digest if description else None,
        adapter=str(query_adapter) if query_adapter else None,
        precision=description.precision if description else "float32",
        prompt=description.prompt if description else "as written",
        fps=library.settings.fps,
        frame_count=sum(video.sampled_frames for video in videos),
        pooling=library.info().pooler or library.settings.pooler,
        split_name=split_name,
        scoring=scoring,
        vsearch_version=__version__,
    )
