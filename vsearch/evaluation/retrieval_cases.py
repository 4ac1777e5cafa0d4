"""Text-to-video retrieval cases: captions, candidate videos and their relevance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.evaluation import metrics
from vsearch.evaluation.datasets import normalize_caption
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from collections.abc import Sequence

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
        The case; a caption with several moments in one video is one query.
    """
    query_items = _merge_moments(caption_items)
    columns = {video.path: column for column, video in enumerate(videos)}
    relevance_matrix = build_relevance(
        query_items, [columns[item.video_path] for item in query_items], len(videos)
    )
    return RetrievalCase(tuple(query_items), tuple(videos), relevance_matrix)


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
        if querybank is not None:
            penalties = querybank.hubness_penalty(video_vectors)
            best_scores = best_scores - penalties[similarities.argmax(axis=1)]
        score_columns.append(best_scores)
    return np.stack(score_columns, axis=1)


def rank_first_hits(similarity_scores: ScoreMatrix, relevance_matrix: RelevanceMatrix) -> RankArray:
    """Return the rank of the best relevant video for each query, int64 (Q,), from 1.

    Args:
        similarity_scores: Scores, float32 (Q, V).
        relevance_matrix: Relevance, bool (Q, V).
    """
    relevant_ranks = map(metrics.rank_relevant, similarity_scores, relevance_matrix)
    return np.array([ranks[0] for ranks in relevant_ranks], np.int64)


def _merge_moments(caption_items: Sequence[CaptionItem]) -> list[CaptionItem]:
    """Keep one item of a caption that has several moments in one video."""
    timed_items = {
        (item.video_path, normalize_caption(item.caption), item.group_name): item
        for item in caption_items
        if item.span
    }
    return [item for item in caption_items if not item.span] + list(timed_items.values())


def build_relevance(
    caption_items: Sequence[CaptionItem], item_columns: Sequence[int], candidate_count: int
) -> RelevanceMatrix:
    """Relate captions to candidates: by equal captions, the same video, or the same group.

    Args:
        caption_items: The Q captions.
        item_columns: Index of the candidate that each caption describes.
        candidate_count: Number of candidates, N.

    Returns:
        Relevance, bool (Q, N).
    """
    columns_by_key: dict[str, set[int]] = {}  # candidates that share a key
    for item, column in zip(caption_items, item_columns, strict=True):
        for key in _list_relevance_keys(item):
            columns_by_key.setdefault(key, set()).add(column)
    relevance_matrix = np.zeros((len(caption_items), candidate_count), np.bool_)
    for row, item in zip(relevance_matrix, caption_items, strict=True):
        for key in _list_relevance_keys(item):
            row[list(columns_by_key[key])] = True
    return relevance_matrix


def find_relevant_videos(caption_items: Sequence[CaptionItem]) -> list[set[Path]]:
    """Return the videos that are right for each caption, by the rule of `build_relevance`.

    Args:
        caption_items: The Q captions.

    Returns:
        Q sets of videos.
    """
    paths_by_key: dict[str, set[Path]] = {}  # videos that share a key
    for item in caption_items:
        for key in _list_relevance_keys(item):
            paths_by_key.setdefault(key, set()).add(item.video_path)
    return [
        set[Path]().union(*(paths_by_key[key] for key in _list_relevance_keys(item)))
        for item in caption_items
    ]


def _list_relevance_keys(item: CaptionItem) -> list[str]:
    """Return the keys of an item; items that share one are relevant to each other."""
    keys = [f"words {normalize_caption(item.caption)}", f"path {item.video_path}"]
    return keys if item.group_name is None else [*keys, f"group {item.group_name}"]
