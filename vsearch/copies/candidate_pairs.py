"""Candidate pairs of near-duplicate videos, from the vectors of their segments alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from vsearch.types import Ids, Matrix, Segment

BLOCK_ROWS = 512  # segments compared with all others at once, at most
BLOCK_BYTES = 128 << 20  # size of the similarity block; large libraries use fewer rows
K_NEIGHBORS = 16  # neighbors per segment
MIN_SIMILARITY = 0.6  # relative similarity: 0 for unrelated segments, 1 for identical ones
MIN_ALTERED_SIMILARITY = 0.45  # of a segment and its rotated or grayscale copy
WEAK_EVIDENCE = 0.01  # weight of segments that are only similar enough for altered copies
MAX_PARTNERS = 10  # candidate pairs per video
SAMPLE_SEGMENTS = 1_000  # segments from which the background similarity is estimated
COMMON_AFTER_VIDEOS = 5  # content found in more videos than this is weighted down
TIE_MARGIN = 0.05  # relative similarity within which neighbors show the same content


@dataclass(frozen=True, slots=True)
class SegmentMatch:
    """Two similar segments of different videos."""

    first_segment: Segment
    second_segment: Segment
    similarity: float  # relative to unrelated segments, in (0, 1]
    shared_by_count: int  # videos with an equally similar segment, such as a title or black

    @property
    def evidence_weight(self) -> float:
        """Similarity, weighted down for content that many videos share, and if it is low."""
        if self.similarity < MIN_SIMILARITY:
            return WEAK_EVIDENCE * self.similarity
        return self.similarity / max(1.0, self.shared_by_count / COMMON_AFTER_VIDEOS)


@dataclass(frozen=True, slots=True)
class CandidatePair:
    """Two videos with similar segments."""

    first_video_id: int  # the lower id
    second_video_id: int
    segment_matches: tuple[SegmentMatch, ...]  # strongest evidence first

    @property
    def evidence_weight(self) -> float:
        """Sum of the evidence of all segment matches."""
        return sum(segment_match.evidence_weight for segment_match in self.segment_matches)

    @property
    def max_similarity(self) -> float:
        """Similarity of the most similar segments."""
        return max(segment_match.similarity for segment_match in self.segment_matches)


def estimate_background_similarity(segment_vectors: Matrix) -> float:
    """Return the mean cosine of two random segments.

    Args:
        segment_vectors: float32 (N, D) of unit length; about `SAMPLE_SEGMENTS` of them are used.

    Returns:
        The mean over all pairs of the sample.
    """
    sampled_vectors = segment_vectors[:: max(1, len(segment_vectors) // SAMPLE_SEGMENTS)]
    sample_count = len(sampled_vectors)
    # The squared norm of the sum is the sum over all pairs, including each vector with itself.
    similarity_sum = float((sampled_vectors.sum(axis=0) ** 2).sum()) - sample_count
    return similarity_sum / max(1, sample_count * (sample_count - 1))


def find_candidate_pairs(
    segments: Sequence[Segment], segment_vectors: Matrix, requested_ids: Collection[int]
) -> list[CandidatePair]:
    """Return the pairs of videos with similar segments, strongest evidence first.

    The requested segments are compared with all others in blocks of bounded size, in time
    O(R N D); each video keeps its `MAX_PARTNERS` strongest partners.

    Args:
        segments: All segments, N of them.
        segment_vectors: float32 (N, D) of unit length.
        requested_ids: Ids of videos; a pair contains at least one of them.

    Returns:
        The candidate pairs.
    """
    matches_by_pair: dict[tuple[int, int], dict[tuple[int, int], SegmentMatch]] = defaultdict(dict)
    owner_ids = np.array([segment.video_id for segment in segments], np.int64)
    query_rows = np.flatnonzero(np.isin(owner_ids, list(requested_ids)))
    neighbors = _iter_neighbors(segment_vectors, owner_ids, query_rows)
    for query_row, neighbor_rows, similarities in neighbors:
        for neighbor_row, similarity in zip(
            neighbor_rows.tolist(), similarities.tolist(), strict=True
        ):
            first, second = sorted(
                (segments[query_row], segments[neighbor_row]), key=lambda s: (s.video_id, s.id)
            )
            tied_rows = neighbor_rows[similarities >= similarity - TIE_MARGIN]
            shared_by_count = len(np.unique(owner_ids[tied_rows]))
            segment_match = SegmentMatch(first, second, similarity, shared_by_count)
            pair_matches = matches_by_pair[first.video_id, second.video_id]
            pair_matches[first.id, second.id] = segment_match
    candidate_pairs = [
        CandidatePair(
            *pair_ids, tuple(sorted(pair_matches.values(), key=lambda m: -m.evidence_weight))
        )
        for pair_ids, pair_matches in matches_by_pair.items()
    ]
    return _keep_strongest(candidate_pairs)


def _iter_neighbors(
    segment_vectors: Matrix, owner_ids: Ids, query_rows: Ids
) -> Iterator[tuple[int, Ids, Matrix]]:
    """Yield (row, neighbor rows, relative similarities) for rows that have similar neighbors.

    Neighbors are segments of other videos, most similar first.
    """
    background_similarity = estimate_background_similarity(segment_vectors)
    min_similarity = background_similarity + MIN_ALTERED_SIMILARITY * (1 - background_similarity)
    block_rows = max(1, min(BLOCK_ROWS, BLOCK_BYTES // (4 * len(segment_vectors))))
    for block_start in range(0, len(query_rows), block_rows):
        row_block = query_rows[block_start : block_start + block_rows]
        similarity_scores = segment_vectors[row_block] @ segment_vectors.T  # (B, N)
        similarity_scores[owner_ids[row_block][:, None] == owner_ids] = -1.0
        has_neighbors = (similarity_scores >= min_similarity).any(axis=1)
        for block_index in np.flatnonzero(has_neighbors).tolist():
            row_scores = similarity_scores[block_index]
            neighbor_rows = np.flatnonzero(row_scores >= min_similarity)
            neighbor_rows = neighbor_rows[np.argsort(-row_scores[neighbor_rows])[:K_NEIGHBORS]]
            relative_similarities = (row_scores[neighbor_rows] - background_similarity) / max(
                1 - background_similarity, 1e-6
            )
            yield int(row_block[block_index]), neighbor_rows, relative_similarities


def _keep_strongest(candidate_pairs: list[CandidatePair]) -> list[CandidatePair]:
    """Return the pairs that are among the `MAX_PARTNERS` strongest of either video."""
    partner_counts: dict[int, int] = defaultdict(int)
    kept_pairs = []
    for pair in sorted(candidate_pairs, key=lambda pair: -pair.evidence_weight):
        video_ids = pair.first_video_id, pair.second_video_id
        if min(partner_counts[video_id] for video_id in video_ids) < MAX_PARTNERS:
            kept_pairs.append(pair)
            for video_id in video_ids:
                partner_counts[video_id] += 1
    return kept_pairs
