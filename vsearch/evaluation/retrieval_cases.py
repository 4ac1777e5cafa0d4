"""Text-to-video retrieval cases: captions, candidate videos and their relevance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation import metrics
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.evaluation.datasets import CaptionItem
    from vsearch.evaluation.metrics import RankArray, RelevanceMatrix, ScoreMatrix
    from vsearch.protocols import Encoder
    from vsearch.types import Matrix, Video


@dataclass(frozen=True, slots=True)
class RetrievalCase:
    """Captions, candidate videos and their relevance."""

    query_items: tuple[CaptionItem, ...]
    videos: tuple[Video, ...]
    relevance_matrix: RelevanceMatrix  # (captions, videos)

    @property
    def captions(self) -> list[str]:
        """The query texts."""
        return [item.caption for item in self.query_items]


def build_retrieval_case(
    caption_items: Sequence[CaptionItem], videos: Sequence[Video]
) -> RetrievalCase:
    """Build the case of retrieving the video of every caption.

    Equal captions, and videos of one group, are relevant to each other.

    Args:
        caption_items: Captions, each of one of the videos.
        videos: Candidates.

    Returns:
        The case, with each caption once.
    """
    query_items = _deduplicate_items(caption_items)
    return RetrievalCase(
        tuple(query_items),
        tuple(videos),
        _build_relevance(query_items, [video.path for video in videos]),
    )


def score_videos(
    query_texts: Sequence[str], encoder: Encoder, segment_vectors: Sequence[Matrix]
) -> ScoreMatrix:
    """Score every video for every text.

    Args:
        query_texts: The Q queries.
        encoder: Text encoder.
        segment_vectors: Vectors of the segments of each of the V videos, float32 (S, D).

    Returns:
        Scores, float32 (Q, V).

    Raises:
        NoTextError: If the encoder does not encode text.
    """
    return score_best_segments(
        encoder.encode_texts(query_texts), segment_vectors, Querybank.from_encoder(encoder)
    )


def score_best_segments(
    query_vectors: Matrix, segment_vectors: Sequence[Matrix], querybank: Querybank | None = None
) -> ScoreMatrix:
    """Score every video by its best segment.

    Args:
        query_vectors: Queries, float32 (Q, D).
        segment_vectors: Vectors of the segments of each of the V videos, float32 (S, D).
        querybank: For text queries, the querybank of the hubness correction.

    Returns:
        Scores, float32 (Q, V).
    """
    score_columns = []
    for video_vectors in segment_vectors:
        similarities = query_vectors @ video_vectors.T  # (Q, S)
        best_scores = similarities.max(axis=1)
        score_columns.append(
            best_scores
            if querybank is None
            else best_scores - querybank.hubness_penalty(video_vectors)[similarities.argmax(axis=1)]
        )
    return np.stack(score_columns, axis=1)


def rank_first_hits(similarity_scores: ScoreMatrix, relevance_matrix: RelevanceMatrix) -> RankArray:
    """Return the rank of the best relevant video for each query, int64 (Q,), from 1.

    Args:
        similarity_scores: Scores, float32 (Q, V).
        relevance_matrix: Relevance, bool (Q, V).
    """
    score_pairs = zip(similarity_scores, relevance_matrix, strict=True)
    return np.array([metrics.rank_relevant(*score_pair)[0] for score_pair in score_pairs], np.int64)


def _deduplicate_items(caption_items: Sequence[CaptionItem]) -> list[CaptionItem]:
    """Keep each caption of a video once, however many moments it has."""
    timed_items = {
        (item.video_path, item.caption, item.group_name): item
        for item in caption_items
        if item.span
    }
    return [item for item in caption_items if not item.span] + list(timed_items.values())


def _build_relevance(
    caption_items: Sequence[CaptionItem], video_paths: Sequence[Path]
) -> RelevanceMatrix:
    """Return which videos are relevant to which captions, bool (captions, videos)."""
    item_labels = [_list_item_labels(item) for item in caption_items]
    column_by_path = {
        video_path: column_index for column_index, video_path in enumerate(video_paths)
    }
    columns_by_label: dict[str, set[int]] = {}  # relevant videos of each label
    for item, label_set in zip(caption_items, item_labels, strict=True):
        for label_name in label_set:
            columns_by_label.setdefault(label_name, set()).add(column_by_path[item.video_path])
    relevance_matrix = np.zeros((len(caption_items), len(video_paths)), np.bool_)
    for relevance_row, label_set in zip(relevance_matrix, item_labels, strict=True):
        relevance_row[
            list(set().union(*(columns_by_label[label_name] for label_name in label_set)))
        ] = True
    return relevance_matrix


def _list_item_labels(item: CaptionItem) -> set[str]:
    """Return the labels that make items relevant to each other."""
    item_labels = {f"words {' '.join(item.caption.casefold().split())}", f"path {item.video_path}"}
    return item_labels if item.group_name is None else item_labels | {f"group {item.group_name}"}
