"""Candidate expansion: grow moments from the nearest segments without reading whole videos.

Only a few context segments around each candidate are read. Where a region reaches the edge of this
context, it is widened, finally to the whole video, so the result equals full-video region growing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.moments import build_candidate, is_top_k_final, iter_candidates, iter_regions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vsearch.catalog.catalog import Catalog
    from vsearch.catalog.segments import SegmentRun
    from vsearch.search.hubness import HubnessModel
    from vsearch.search.moments import Baseline, MomentCandidate, PeakRegion
    from vsearch.types import Ids, Matrix, Segment, Vector

INITIAL_GROUPS = 16  # groups expanded first; doubled until the top k are final
CONTEXT_SEGMENTS = 4  # read on either side of a candidate; most moments reach less far
MAX_CONTEXT_SEGMENTS = 24  # second attempt for longer moments, usually about a minute


@dataclass(frozen=True, slots=True, eq=False)
class CandidateGroup:
    """Candidate segments so close to each other that their contexts may overlap."""

    segment_ids: Ids  # int64 (n,) ascending
    segment_scores: Vector  # float32 (n,), hubness-corrected
    best_score: float


class NeighborExpander:
    """Expansion of candidate segments into moments for one query, with a cache per group."""

    def __init__(
        self,
        catalog: Catalog,
        hubness_model: HubnessModel,
        query_vector: Vector,
        baseline: Baseline,
        allowed_ids: Ids | None,
    ) -> None:
        """Restrict results to `allowed_ids`, ascending (None: all)."""
        self._catalog, self._hubness_model = catalog, hubness_model
        self._query_vector, self._baseline = query_vector, baseline
        self._allowed_ids = allowed_ids
        self._space = hubness_model.index_snapshot.space
        self._candidates_by_group: dict[bytes, list[MomentCandidate]] = {}  # key: bytes of the ids

    def normalize_scores(
        self, near_ids: Ids, segment_scores: Vector, segment_vectors: Matrix
    ) -> Vector:
        """Subtract the hubness penalty from the scores of candidate segments.

        Args:
            near_ids: Segment ids, int64 (n,).
            segment_scores: Inner products with the query, float32 (n,).
            segment_vectors: float32 (n, D).

        Returns:
            float32 (n,).
        """
        return segment_scores - self._hubness_model.hubness_penalty_of(near_ids, segment_vectors)

    def expand_candidates(
        self, candidate_groups: Sequence[CandidateGroup], k: int, per_video: int, min_score: float
    ) -> tuple[list[MomentCandidate], bool]:
        """Expand groups, best first, until the top `k` moments cannot change any more.

        Args:
            candidate_groups: Groups by descending best score.
            k: Number of moments that are needed.
            per_video: Maximum number of moments of one video.
            min_score: Upper bound of the score of every segment that is not in any group.

        Returns:
            The candidate moments, unsorted, and True if the top `k` among them are final: at least
            `k` score no less than any segment that was not expanded.
        """
        useful_groups = [group for group in candidate_groups if group.best_score >= min_score]
        group_count = max(INITIAL_GROUPS, k)
        while True:
            self._expand_groups(useful_groups[:group_count])
            candidates = [
                candidate
                for group in useful_groups[:group_count]
                for candidate in self._candidates_by_group[group.segment_ids.tobytes()]
            ]
            best_remaining = (
                useful_groups[group_count].best_score
                if group_count < len(useful_groups)
                else min_score
            )
            is_final = is_top_k_final(candidates, k, per_video, best_remaining)
            if is_final or group_count >= len(useful_groups):
                return candidates, is_final
            group_count *= 2

    def expand_whole_videos(
        self, near_ids: Ids, max_per_video: int | None = None
    ) -> list[MomentCandidate]:
        """Return the candidate moments of all videos that contain any of the segments.

        Args:
            near_ids: Segment ids, int64 (n,).
            max_per_video: Maximum number of candidates of one video; None: all.
        """
        return [
            candidate
            for _, video_candidates in self._iter_whole_videos(near_ids, max_per_video)
            for candidate in video_candidates
        ]

    def _expand_groups(self, candidate_groups: Sequence[CandidateGroup]) -> None:
        """Expand the groups that are not cached yet."""
        new_groups = {
            group.segment_ids[0]: group
            for group in candidate_groups
            if group.segment_ids.tobytes() not in self._candidates_by_group
        }
        if not new_groups:
            return
        ordered_groups = [new_groups[first_id] for first_id in sorted(new_groups)]
        segment_ids = np.concatenate([group.segment_ids for group in ordered_groups])
        segment_scores = np.concatenate([group.segment_scores for group in ordered_groups])
        candidates_by_group: list[list[MomentCandidate]] = [[] for _ in ordered_groups]
        group_index = np.repeat(
            np.arange(len(ordered_groups)), [len(group.segment_ids) for group in ordered_groups]
        )
        for segment_id, candidate in self._iter_run_candidates(segment_ids, CONTEXT_SEGMENTS):
            seed_row = int(np.searchsorted(segment_ids, segment_id))
            candidates_by_group[group_index[seed_row]].append(
                _correct_score(candidate, candidate.score - float(segment_scores[seed_row]))
            )
        for group, grown_candidates in zip(ordered_groups, candidates_by_group, strict=True):
            self._candidates_by_group[group.segment_ids.tobytes()] = grown_candidates

    def _iter_run_candidates(
        self, near_ids: Ids, context_size: int
    ) -> Iterator[tuple[int, MomentCandidate]]:
        """Yield (seed segment id, candidate) pairs, identical to growing in the full video.

        `near_ids` must be sorted.
        """
        truncated_ids: list[Ids] = []
        for segment_run in self._catalog.segment_runs(near_ids, context_size, self._space):
            own_mask = isin_sorted(segment_run.segment_ids, near_ids)
            segment_scores = segment_run.vectors @ self._query_vector
            peak_regions = self._grow_regions(segment_run, segment_scores, np.flatnonzero(own_mask))
            if any(_is_truncated(segment_run, peak_region) for peak_region in peak_regions):
                truncated_ids.append(segment_run.segment_ids[own_mask])
                continue
            for peak_region in peak_regions:
                peak_score = float(segment_scores[peak_region.peak_index])
                yield (
                    int(segment_run.segment_ids[peak_region.peak_index]),
                    build_candidate(
                        segment_run.video_id, segment_run.segment_times, peak_region, peak_score
                    ),
                )
        if truncated_ids:
            yield from self._widen_context(np.concatenate(truncated_ids), context_size)

    def _grow_regions(
        self, segment_run: SegmentRun, segment_scores: Vector, seed_indexes: Ids
    ) -> list[PeakRegion]:
        """Return the regions of a run that grow from the seeds, int64 (n,)."""
        peak_order = seed_indexes[np.argsort(-segment_scores[seed_indexes], kind="stable")].tolist()
        allowed_mask = (
            None
            if self._allowed_ids is None
            else isin_sorted(segment_run.segment_ids, self._allowed_ids).tolist()
        )
        return list(
            iter_regions(
                segment_run.segment_times,
                segment_run.vectors,
                segment_scores,
                self._baseline,
                allowed_mask,
                peak_order,
            )
        )

    def _widen_context(
        self, near_ids: Ids, context_size: int
    ) -> Iterator[tuple[int, MomentCandidate]]:
        """Repeat `_iter_run_candidates` with more context, or with whole videos."""
        if context_size < MAX_CONTEXT_SEGMENTS:
            yield from self._iter_run_candidates(near_ids, MAX_CONTEXT_SEGMENTS)
            return
        for segments, candidates in self._iter_whole_videos(near_ids):
            identified_candidates = (
                (segments[candidate.peak_index].id, candidate) for candidate in candidates
            )
            yield from (  # the other seeds are not truncated and were yielded before
                (segment_id, candidate)
                for segment_id, candidate in identified_candidates
                if segment_id in near_ids
            )

    def _iter_whole_videos(
        self, near_ids: Ids, max_per_video: int | None = None
    ) -> Iterator[tuple[list[Segment], list[MomentCandidate]]]:
        """Yield the segments and the hubness-corrected candidates of each video."""
        for segments, segment_vectors in self._catalog.iter_videos_with_vectors(
            near_ids, self._space
        ):
            allowed_mask = build_allowed_mask(segments, self._allowed_ids)
            segment_scores = segment_vectors @ self._query_vector
            candidates = list(
                islice(
                    iter_candidates(
                        segments, segment_vectors, segment_scores, self._baseline, allowed_mask
                    ),
                    max_per_video,
                )
            )
            peak_indexes = [candidate.peak_index for candidate in candidates]
            segment_ids = np.array(
                [segments[peak_index].id for peak_index in peak_indexes], np.int64
            )
            penalties = self._hubness_model.hubness_penalty_of(
                segment_ids, segment_vectors[peak_indexes]
            ).tolist()
            yield segments, list(map(_correct_score, candidates, penalties))


def group_candidates(segment_ids: Ids, segment_scores: Vector) -> list[CandidateGroup]:
    """Group segments so that the contexts of two groups cannot overlap.

    Args:
        segment_ids: int64 (n,); consecutive segments of a video have consecutive ids.
        segment_scores: float32 (n,).

    Returns:
        The groups by descending best score.
    """
    if not len(segment_ids):
        return []
    id_order = np.argsort(segment_ids, kind="stable")
    segment_ids, segment_scores = segment_ids[id_order], segment_scores[id_order]
    group_starts = np.flatnonzero(
        np.diff(segment_ids, prepend=segment_ids[0] - 2 * MAX_CONTEXT_SEGMENTS - 2)
        > 2 * MAX_CONTEXT_SEGMENTS + 1
    )
    best_scores = np.maximum.reduceat(segment_scores, group_starts)
    group_ends = [*group_starts[1:].tolist(), len(segment_ids)]
    group_slices = list(map(slice, group_starts.tolist(), group_ends))
    return [
        CandidateGroup(
            segment_ids[group_slices[group_row]],
            segment_scores[group_slices[group_row]],
            float(best_scores[group_row]),
        )
        for group_row in np.argsort(-best_scores, kind="stable").tolist()
    ]


def _correct_score(candidate: MomentCandidate, hubness_penalty: float) -> MomentCandidate:
    """Subtract the hubness penalty from the score of a candidate."""
    return replace(
        candidate, score=candidate.score - hubness_penalty, hubness_penalty=hubness_penalty
    )


def _is_truncated(segment_run: SegmentRun, peak_region: PeakRegion) -> bool:
    """Return True if the context of a region may extend beyond the run."""
    return (segment_run.has_more_before and peak_region.context_first == 0) or (
        segment_run.has_more_after and peak_region.context_last == len(segment_run.segment_ids) - 1
    )


def build_allowed_mask(segments: Sequence[Segment], allowed_ids: Ids | None) -> list[bool] | None:
    """Mark the segments of a video that a search may return.

    Args:
        segments: Segments of one video.
        allowed_ids: Ascending segment ids; None: all.

    Returns:
        One flag per segment, or None if all are allowed.
    """
    if allowed_ids is None:
        return None
    allowed_mask: list[bool] = isin_sorted(
        np.array([segment.id for segment in segments], np.int64), allowed_ids
    ).tolist()
    return allowed_mask


def isin_sorted(segment_ids: Ids, allowed_ids: Ids) -> npt.NDArray[np.bool_]:
    """Test membership by binary search; `np.isin` would scan all allowed ids on every call.

    Args:
        segment_ids: int64 (n,).
        allowed_ids: int64 (m,), ascending.

    Returns:
        bool (n,).
    """
    insert_positions = np.searchsorted(allowed_ids, segment_ids)
    is_member: npt.NDArray[np.bool_] = insert_positions < len(allowed_ids)
    is_member[is_member] = allowed_ids[insert_positions[is_member]] == segment_ids[is_member]
    return is_member
