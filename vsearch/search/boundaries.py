"""Boundary refinement: move the start and end of a moment from segment to frame accuracy.

The context of a candidate is split wherever consecutive frame vectors change, and the moment is
grown again over these pieces by the region growing of `vsearch.search.moments`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.moments import grow_region
from vsearch.types import Features, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.search.moments import Baseline, MomentCandidate
    from vsearch.types import Matrix, Vector

# a change of 0 means equal frames, 1 frames as dissimilar as two random frames of the library
STRONG_SCENE_CHANGE = 0.5  # above it, a change is a scene boundary
WEAK_SCENE_CHANGE = 0.2  # above it, one only if it also stands out from its surroundings
CHANGE_RATIO = 3.0  # factor over the median change that counts as standing out
MIN_FRAME_GAP_SECONDS = 0.5  # denser frames are subsampled before they are compared


def refine_boundaries(
    candidate: MomentCandidate,
    frame_features: Features,
    query_vector: Vector,
    baseline: Baseline,
    taken_spans: Sequence[Span] = (),
) -> Span:
    """Refine the start and end of a candidate moment by its frames.

    The context segments are split at every scene change between the stored frames, including
    changes that shot detection missed while decoding. A new region then grows from the best piece.
    A boundary is exact where it coincides with the start of a segment, and otherwise lies half-way
    between two stored frames.

    Args:
        candidate: The moment found from segment vectors.
        frame_features: Stored frames that cover the candidate's context.
        query_vector: float32 (D,).
        baseline: Baseline similarities of the query in this library.
        taken_spans: Spans in seconds that belong to other moments and must not be entered.

    Returns:
        The refined span in seconds, or the candidate's own span if its peak is already taken.
    """
    frame_features = _leave_out_gaps(candidate.context_spans, frame_features)
    piece_spans = _split_at_changes(candidate.context_spans, frame_features, baseline)
    piece_vectors = _mean_piece_vectors(frame_features, piece_spans)  # (P, D)
    piece_scores = (piece_vectors @ query_vector).tolist()
    is_free = [
        not any(piece_span.overlaps(taken_span) for taken_span in taken_spans)
        for piece_span in piece_spans
    ]
    peak_pieces = [
        piece_index
        for piece_index, piece_span in enumerate(piece_spans)
        if is_free[piece_index] and piece_span.overlaps(candidate.peak_span)
    ]
    if not peak_pieces:
        return candidate.span
    peak_piece = max(peak_pieces, key=lambda piece_index: piece_scores[piece_index])
    piece_times = [(piece_span.start, piece_span.end) for piece_span in piece_spans]
    first_piece, last_piece = grow_region(
        piece_times, piece_vectors, piece_scores, peak_piece, baseline, is_free
    )
    end_time = piece_spans[last_piece].end
    gap_starts = {after.start: before.end for before, after in pairwise(candidate.context_spans)}
    return Span(piece_spans[first_piece].start, gap_starts.get(end_time, end_time))


def _leave_out_gaps(context_spans: Sequence[Span], frame_features: Features) -> Features:
    """Leave out frames between segments, in gradual transitions."""
    is_kept = np.ones(len(frame_features.frame_times), bool)
    for before, after in pairwise(context_spans):
        if before.end < after.start:
            first_frame, end_frame = np.searchsorted(
                frame_features.frame_times, [before.end, after.start]
            )
            is_kept[first_frame:end_frame] = False
    if is_kept.all():
        return frame_features
    return Features(
        frame_features.space,
        frame_features.frame_vectors[is_kept],
        frame_features.frame_times[is_kept],
    )


def _split_at_changes(
    context_spans: Sequence[Span], frame_features: Features, baseline: Baseline
) -> list[Span]:
    """Split the context segments where the frames change within one.

    Pieces are contiguous: a gap between segments belongs to the piece before it.
    """
    edge_times = [context_span.start for context_span in context_spans] + [context_spans[-1].end]
    first_frame, last_frame = np.searchsorted(
        frame_features.frame_times, [edge_times[0], edge_times[-1]]
    ).tolist()
    frame_times = frame_features.frame_times[first_frame:last_frame].tolist()
    frame_stride = max(1, int(MIN_FRAME_GAP_SECONDS / _median_frame_gap(frame_times)))
    frame_times = frame_times[::frame_stride]
    for frame_index in find_scene_changes(
        frame_features.frame_vectors[first_frame:last_frame:frame_stride], baseline
    ):
        before_time, after_time = frame_times[frame_index], frame_times[frame_index + 1]
        if not any(before_time < edge_time <= after_time for edge_time in edge_times):
            edge_times.append((before_time + after_time) / 2)
    return [Span(*edge_pair) for edge_pair in pairwise(sorted(edge_times))]


def find_scene_changes(frame_vectors: Matrix, baseline: Baseline) -> list[int]:
    """Find the frames after which a new scene begins.

    The sums of the two frames before and the two frames after each position are compared, so that
    a single outlier frame does not count as a scene. A position is a scene change if the similarity
    drops near the library's mean similarity, or if it drops clearly while little else changes.

    Args:
        frame_vectors: float32 (T, D) in presentation order.
        baseline: Supplies the mean similarity of unrelated frames.

    Returns:
        Ascending indexes of the last frame before each change.
    """
    if len(frame_vectors) < 2:
        return []
    pair_sums = np.zeros((len(frame_vectors) + 1, frame_vectors.shape[1]), np.float32)
    pair_sums[:-1] = frame_vectors  # row i: frame i plus frame i - 1, where they exist
    pair_sums[1:] += frame_vectors
    squared_norms = _row_products(pair_sums, pair_sums)
    pair_norms = np.sqrt(squared_norms[:-2] * squared_norms[2:])
    pair_similarity = _row_products(pair_sums[:-2], pair_sums[2:]) / np.maximum(pair_norms, 1e-9)
    change_scores = (1 - pair_similarity) / (1 - baseline.mean_similarity)
    if change_scores.max() <= WEAK_SCENE_CHANGE:
        return []
    is_clear_change = (change_scores > WEAK_SCENE_CHANGE) & (
        change_scores > CHANGE_RATIO * _fast_median(change_scores.tolist())
    )
    padded_scores = np.concatenate([[0.0], change_scores, [0.0]])
    # local maxima only: a dissolve is one change
    is_local_peak = (change_scores >= padded_scores[:-2]) & (change_scores >= padded_scores[2:])
    change_frames: list[int] = np.flatnonzero(
        ((change_scores > STRONG_SCENE_CHANGE) | is_clear_change) & is_local_peak
    ).tolist()
    return change_frames


def _median_frame_gap(frame_times: Sequence[float]) -> float:
    """Return the median gap between frames in seconds."""
    frame_gaps = [after_time - before_time for before_time, after_time in pairwise(frame_times)]
    return max(_fast_median(frame_gaps), 1e-3) if frame_gaps else MIN_FRAME_GAP_SECONDS


def _fast_median(float_values: Sequence[float]) -> float:
    """Return the median; `np.median` takes ten times as long for a few values."""
    sorted_values, middle_index = sorted(float_values), len(float_values) // 2
    return (sorted_values[middle_index] + sorted_values[~middle_index]) / 2


def _row_products(left_rows: Matrix, right_rows: Matrix) -> Vector:
    """Return the inner products of corresponding rows: two float32 (N, D) -> (N,)."""
    row_products: Vector = np.einsum("nd,nd->n", left_rows, right_rows)
    return row_products


def _mean_piece_vectors(frame_features: Features, piece_spans: Sequence[Span]) -> Matrix:
    """Return the mean frame vector of each piece, float32 (P, D) of unit length.

    Pieces must be contiguous. A piece without a frame uses the frame nearest to its middle.
    """
    edge_times = [piece_spans[0].start, *(piece_span.end for piece_span in piece_spans)]
    frame_offsets = np.searchsorted(frame_features.frame_times, edge_times)
    frame_counts = frame_offsets[1:] - frame_offsets[:-1]
    nonempty_pieces = np.flatnonzero(frame_counts)
    piece_vectors = np.empty((len(piece_spans), frame_features.space.dim), np.float32)
    if len(nonempty_pieces):
        piece_vectors[nonempty_pieces] = np.add.reduceat(
            frame_features.frame_vectors[: frame_offsets[-1]], frame_offsets[nonempty_pieces]
        )
    for empty_index in np.flatnonzero(frame_counts == 0).tolist():
        nearest_frames = frame_features.within(piece_spans[empty_index])
        piece_vectors[empty_index] = nearest_frames.frame_vectors[0]
    vector_norms = np.sqrt(_row_products(piece_vectors, piece_vectors))
    piece_vectors /= np.maximum(vector_norms, np.float32(1e-9))[:, None]
    return piece_vectors
