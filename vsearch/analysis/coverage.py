"""Budgeted facility-location selection and frame similarities, for summaries.

Every target is covered as well as by the best selected candidate (facility location). The objective
is monotone and submodular: a candidate similar to a selected one adds little, so that greedy
selection yields a representative and diverse choice (Lin & Bilmes 2011, "A Class of Submodular
Functions for Document Summarization"; for videos Gygli et al. 2015, "Video Summarization by
Learning Submodular Mixtures of Objectives").
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from vsearch.types import Features, Matrix, Span, Vector

CoverageMatrix = npt.NDArray[np.float32]  # (N, C) in [0, 1]: coverage of target n by candidate c
ImportanceWeights = npt.NDArray[np.float32]  # (N,) nonnegative
_MIN_GAIN = 1e-6  # share of the total weight
_EPSILON_SECONDS = 1e-9  # tolerance of sums


class CoverageObjective:
    """Facility-location objective: the weighted coverage of all targets, in [0, 1]."""

    def __init__(
        self, coverage_matrix: CoverageMatrix, importance_weights: ImportanceWeights
    ) -> None:
        """Normalize the weights.

        Args:
            coverage_matrix: Coverage of N targets by C candidates, float32 (N, C) in [0, 1].
            importance_weights: Weights of the targets, nonnegative float32 (N,).
        """
        self._coverage_matrix = coverage_matrix
        self._normalized_weights = importance_weights / max(float(importance_weights.sum()), 1e-12)

    def compute_value(self, candidate_indices: Iterable[int]) -> float:
        """Return the coverage by some candidates, in [0, 1].

        Args:
            candidate_indices: The candidates.
        """
        selected_indices = list(candidate_indices)
        if not selected_indices:
            return 0.0
        best_coverage = self._coverage_matrix[:, selected_indices].max(axis=1)  # (N,)
        return min(1.0, float(self._normalized_weights @ best_coverage))

    def select_candidates(self, candidate_costs: Sequence[float], budget: float) -> list[int]:
        """Select candidates that maximize coverage within a budget.

        The result is the better of two greedy selections, by gain and by gain per cost, and has at
        least half of 1 - 1/e of the optimal value (Leskovec et al. 2007, "Cost-effective Outbreak
        Detection in Networks").

        Args:
            candidate_costs: Cost of each candidate.
            budget: Largest sum of the costs.

        Returns:
            The candidates, best first, without candidates that add nothing.
        """
        equal_prices = [1.0] * len(candidate_costs)
        gain_selection = self._select_greedily(candidate_costs, budget, equal_prices)
        prices = [max(cost, _EPSILON_SECONDS) for cost in candidate_costs]
        ratio_selection = self._select_greedily(candidate_costs, budget, prices)
        return max(ratio_selection, gain_selection, key=self.compute_value)

    def _select_greedily(
        self, candidate_costs: Sequence[float], budget: float, prices: Sequence[float]
    ) -> list[int]:
        """Select lazily by gain per price, reevaluating only the head of the queue."""
        best_coverage = np.zeros(len(self._normalized_weights), np.float32)  # (N,) so far
        initial_gains = (self._normalized_weights @ self._coverage_matrix).tolist()  # (C,)
        queue = [
            (-gain / price, candidate, 0)
            for candidate, (gain, price) in enumerate(zip(initial_gains, prices, strict=True))
        ]
        heapq.heapify(queue)
        selected: list[int] = []
        while queue:
            negative_ratio, candidate, evaluated_at_size = heapq.heappop(queue)
            if candidate_costs[candidate] > budget + _EPSILON_SECONDS:
                continue
            coverage = self._coverage_matrix[:, candidate]  # (N,)
            if evaluated_at_size < len(selected):  # its gain may have shrunk since
                gain = float(self._normalized_weights @ np.maximum(coverage - best_coverage, 0))
                heapq.heappush(queue, (-gain / prices[candidate], candidate, len(selected)))
            elif -negative_ratio * prices[candidate] > _MIN_GAIN:
                selected.append(candidate)
                budget -= candidate_costs[candidate]
                np.maximum(best_coverage, coverage, out=best_coverage)
        return selected


# Similarities and weights of the sampled frames of one video.

_MAX_MATRIX_CELLS = 2**24  # frames × spans
_MIN_FRAMES = 256  # target frames, however many spans there are
_SAMPLE_FRAMES = 512  # for the median distance
_MIN_DISTANCE = 0.02  # lower bound of the median distance in static videos
_RELEVANCE_WEIGHT = 2.0  # one standard deviation of relevance multiplies the weight by e²
_MAX_DEVIATIONS = 3.0  # standard deviations at which relevance is clipped


class FrameSimilarity:
    """Coverage of a video's frames by spans of it.

    Similarity is 1 for identical frames, and 0 from the median distance of two frames of the video
    upwards. The weight of a frame is the inverse square root of the duration of similar frames: a
    scene of four minutes weighs twice as much as a scene of one minute, not four times. A query
    multiplies the weights by relevance.
    """

    def __init__(
        self,
        frame_features: Features,
        duration: float,
        span_count: int,
        query_vector: Vector | None,
    ) -> None:
        """Prepare the frames of a video.

        Args:
            frame_features: Its sampled frames.
            duration: Its duration in seconds.
            span_count: Approximate number of spans to compare, which limits memory.
            query_vector: Query, float32 (D,) of unit length, or None.
        """
        self._frame_features = frame_features
        self._frame_seconds = _compute_frame_seconds(frame_features, duration)  # float32 (T,)
        self.frame_relevance = (
            None if query_vector is None else frame_features.frame_vectors @ query_vector
        )  # float32 (T,)
        frame_stride = -(
            -len(frame_features.frame_times)
            // max(_MIN_FRAMES, _MAX_MATRIX_CELLS // max(span_count, 1))
        )
        self._target_frames = frame_features.frame_vectors[::frame_stride]  # float32 (N, D)
        self._median_distance = _compute_median_distance(self._target_frames)
        block_starts = np.arange(0, len(frame_features.frame_times), frame_stride)
        block_seconds = np.add.reduceat(self._frame_seconds, block_starts)
        similar_seconds = self._sum_similar_seconds(block_seconds)
        weighted_seconds = block_seconds
        if self.frame_relevance is not None:
            relevance_factors = _compute_relevance_factors(self.frame_relevance)
            weighted_seconds = np.add.reduceat(
                self._frame_seconds * relevance_factors, block_starts
            )
        self.importance_weights: ImportanceWeights = (
            weighted_seconds / np.sqrt(similar_seconds)
        ).astype(np.float32)  # (N,)

    def find_peak_time(self, span: Span) -> float:
        """Return the time in seconds of the most relevant or most typical frame of a span.

        Args:
            span: A span with at least one frame.
        """
        span_features = self._frame_features.within(span)
        if self.frame_relevance is None:
            similarities = span_features.frame_vectors @ span_features.frame_vectors.mean(axis=0)
        else:
            similarities = self.frame_relevance[
                np.isin(self._frame_features.frame_times, span_features.frame_times)
            ]
        return float(span_features.frame_times[similarities.argmax()])

    def get_relevance_at(self, frame_time: float) -> float | None:
        """Return the similarity of the frame at a time to the query, or None without a query.

        Args:
            frame_time: Time of a sampled frame, in seconds.
        """
        if self.frame_relevance is None:
            return None
        return float(
            self.frame_relevance[np.abs(self._frame_features.frame_times - frame_time).argmin()]
        )

    def compute_coverage(self, spans: Sequence[Span]) -> CoverageMatrix:
        """Compute the coverage of the target frames by each span.

        Args:
            spans: The S spans.

        Returns:
            Coverage, float32 (N, S) in [0, 1].
        """
        coverage_matrix = np.empty((len(self._target_frames), len(spans)), np.float32)
        for column_index, span in enumerate(spans):
            coverage_matrix[:, column_index] = self._compute_max_similarity(
                self._target_frames, self._frame_features.within(span).frame_vectors
            )
        return coverage_matrix

    def compute_shares(self, spans: Sequence[Span]) -> list[float]:
        """Return the share of the video that is most similar to each span; the shares sum to 1.

        Args:
            spans: The spans.
        """
        frame_count = len(self._frame_features.frame_times)
        nearest_spans = np.zeros(frame_count, np.int64)
        best_similarity = np.full(frame_count, -1.0, np.float32)
        for span_index, span in enumerate(spans):  # one at a time, to limit memory
            similarities = self._compute_max_similarity(
                self._frame_features.frame_vectors, self._frame_features.within(span).frame_vectors
            )
            nearest_spans[similarities > best_similarity] = span_index
            np.maximum(best_similarity, similarities, out=best_similarity)
        span_seconds = np.bincount(nearest_spans, self._frame_seconds, len(spans))
        return [float(share) for share in span_seconds / span_seconds.sum()]

    def _compute_max_similarity(self, frames: Matrix, other_frames: Matrix) -> Vector:
        """Return the similarity of frames (N, D) to the best of others (M, D), float32 (N,)."""
        return _map_in_blocks(
            frames,
            len(other_frames),
            lambda frame_block: self._compute_similarity(frame_block, other_frames).max(axis=1),
        )

    def _sum_similar_seconds(self, frame_seconds: ImportanceWeights) -> ImportanceWeights:
        """Return the seconds of the video that are similar to each target frame, float32 (N,)."""
        target_frames = self._target_frames
        return _map_in_blocks(
            target_frames,
            len(target_frames),
            lambda frame_block: (
                self._compute_similarity(frame_block, target_frames) @ frame_seconds
            ),
        )

    def _compute_similarity(self, first_frames: Matrix, second_frames: Matrix) -> Matrix:
        """Return similarities in [0, 1] of (N, D) and (M, D), float32 (N, M)."""
        similarities: Matrix = np.maximum(
            1 - (1 - first_frames @ second_frames.T) / np.float32(self._median_distance), 0
        )
        return similarities


def _map_in_blocks(
    frames: Matrix, row_width: int, process_block: Callable[[Matrix], Vector]
) -> Vector:
    """Process blocks of frames, to limit memory to rows × `row_width`."""
    block_rows = max(1, _MAX_MATRIX_CELLS // max(row_width, 1))
    return np.concatenate(
        [process_block(frames[i : i + block_rows]) for i in range(0, len(frames), block_rows)]
    )


def _compute_frame_seconds(frame_features: Features, duration: float) -> ImportanceWeights:
    """Return the seconds during which each frame is the nearest one in time, float32 (T,)."""
    times = frame_features.frame_times
    midpoints = (times[:-1] + times[1:]) / 2
    edges = np.concatenate([[0.0], midpoints, [max(duration, float(times[-1]))]])
    return np.maximum(np.diff(edges), 1e-3).astype(np.float32)


def _compute_median_distance(frames: Matrix) -> float:
    """Return the median distance between two of the frames, float32 (N, D)."""
    sample = frames[:: -(-len(frames) // _SAMPLE_FRAMES)]
    pair_distances = 1 - (sample @ sample.T)[np.triu_indices(len(sample), 1)]
    return max(float(np.median(pair_distances)), _MIN_DISTANCE) if len(pair_distances) else 1.0


def _compute_relevance_factors(frame_relevance: Vector) -> ImportanceWeights:
    """Return weight factors of the frames, float32 (T,), independent of the query's scale."""
    deviations = (frame_relevance - frame_relevance.mean()) / max(
        float(frame_relevance.std()), 1e-4
    )
    clipped_deviations = np.clip(deviations, -_MAX_DEVIATIONS, _MAX_DEVIATIONS)
    factors: ImportanceWeights = np.exp(_RELEVANCE_WEIGHT * clipped_deviations).astype(np.float32)
    return factors
