"""Visual search: from a query vector to moments.

The nearest segments are retrieved from the vector index by their pooled vectors, corrected for
hubness, and expanded into candidate moments. For text, the best of these are scored again by their
frames (late interaction). Those that remain are refined to frame accuracy and explained.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.boundaries import refine_boundaries
from vsearch.search.expansion import NeighborExpander, build_allowed_mask, group_candidates
from vsearch.search.explanations import explain_moment
from vsearch.search.hubness import HubnessModel
from vsearch.search.late_interaction import context_span, score_segment
from vsearch.search.moments import MomentCandidate, is_top_k_final, top_k_per_video
from vsearch.search.sequences import SequenceMatch, StepScores, match_sequences
from vsearch.search.stored_frames import load_frames
from vsearch.types import Moment, Span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.catalog.catalog import Catalog
    from vsearch.search.explanations import FrameWeighing
    from vsearch.search.hubness import Querybank
    from vsearch.search.live_index import IndexSnapshot
    from vsearch.search.moments import Baseline
    from vsearch.search.time_ranges import TimeRanges
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Features, Ids, Matrix, Vector, Video

CANDIDATES_PER_RESULT = 16  # segments retrieved per requested moment, which may contain several
MIN_CANDIDATES = 64  # segments retrieved at least
HUBNESS_CANDIDATES = 512  # up to here, the bound for unseen segments includes the hubness gain
MAX_CANDIDATES = 4_096  # segments retrieved at most; beyond, whole videos are scored
CANDIDATES_PER_SEQUENCE_STEP = 1_000  # segments retrieved per step of a sequence
RESCORED_CANDIDATES = 24  # candidates scored by their frames, if the search found that many
STEP_SALIENCE_SHARE = 0.5  # share of the library's best lead over the baseline a step must reach


@dataclass(frozen=True, slots=True, eq=False)
class LoadedCandidate:
    """A candidate moment with the stored frames of its context."""

    candidate: MomentCandidate
    frame_features: Features | None  # None: no frames are stored

    @property
    def video_id(self) -> int:
        """Id of its video."""
        return self.candidate.video_id

    @property
    def span(self) -> Span:
        """Span in seconds."""
        return self.candidate.span

    @property
    def score(self) -> float:
        """Score of its peak segment."""
        return self.candidate.score

    def rescore(self, query_vector: Vector) -> LoadedCandidate:
        """Replace the score of the pooled vector by that of the frames of the peak segment."""
        if self.frame_features is None:
            return self
        frame_score = score_segment(self.frame_features, self.candidate.peak_span, query_vector)
        return replace(
            self,
            candidate=replace(self.candidate, score=frame_score - self.candidate.hubness_penalty),
        )

    def clip_frames(self, time_ranges: TimeRanges) -> LoadedCandidate:
        """Drop the frames outside of time ranges."""
        if self.frame_features is None:
            return self
        frame_features = time_ranges.select_frames(self.frame_features, self.candidate.peak_span)
        return replace(self, frame_features=frame_features)


class VisualSearch:
    """Visual search in one snapshot of a library."""

    def __init__(
        self,
        catalog: Catalog,
        feature_store: FeatureStore,
        index_snapshot: IndexSnapshot,
        querybank: Querybank,
        weigh_frames: FrameWeighing | None = None,
        hubness_model: HubnessModel | None = None,
        *,
        late_interaction: bool = False,
    ) -> None:
        """Search `index_snapshot`.

        Args:
            catalog: The catalog of the library.
            feature_store: Its stored frame features.
            index_snapshot: The index to search.
            querybank: The encoder's bank for text queries; an empty one for image queries.
            weigh_frames: Attention weights of the pooler, for explanations; None: unknown.
            hubness_model: The model of this snapshot and bank, if it exists already.
            late_interaction: Rank candidates by their frames, as is best for text.
        """
        self._catalog, self._feature_store = catalog, feature_store
        self._index_snapshot = index_snapshot
        self.hubness_model = hubness_model or HubnessModel(catalog, index_snapshot, querybank)
        self._weigh_frames, self._late_interaction = weigh_frames, late_interaction

    @property
    def querybank(self) -> Querybank:
        """Querybank that corrects the scores."""
        return self.hubness_model.querybank

    @property
    def sample_vectors(self) -> Matrix:
        """Vectors of segments sampled evenly from the library, float32 (M, D)."""
        return self.hubness_model.sample_vectors

    def search(
        self,
        query_vector: Vector,
        k: int,
        *,
        allowed_ids: Ids | None,
        per_video: int,
        fill_remaining: bool = True,
    ) -> list[Moment]:
        """Find the moments most similar to a query.

        Args:
            query_vector: float32 (D,).
            k: Maximum number of moments.
            allowed_ids: Segments to search, ascending; None: all.
            per_video: Maximum number of moments of one video.
            fill_remaining: Fill up to `k` with further moments of the same videos.

        Returns:
            Moments without confidence, best first.
        """
        candidates = self.find_candidates(
            query_vector,
            k,
            allowed_ids=allowed_ids,
            per_video=per_video,
            fill_remaining=fill_remaining,
        )
        return self.refine_candidates(candidates, query_vector)

    def find_candidates(
        self,
        query_vector: Vector,
        k: int,
        *,
        allowed_ids: Ids | None,
        per_video: int,
        fill_remaining: bool = True,
        time_ranges: TimeRanges | None = None,
    ) -> list[LoadedCandidate]:
        """Retrieve the nearest segments, expand them, and return the best `k` candidates.

        Takes the arguments of `search`, and `time_ranges`, to which candidates are clipped.

        Returns:
            Candidate moments with their frames, best first.
        """
        expander = NeighborExpander(
            self._catalog,
            self.hubness_model,
            query_vector,
            self.hubness_model.query_baseline(query_vector),
            allowed_ids,
        )
        candidates = self._retrieve_and_expand(expander, query_vector, k, allowed_ids, per_video)
        pool_size = max(k, RESCORED_CANDIDATES) if self._late_interaction else k
        if time_ranges is not None:
            candidates = [
                part for candidate in candidates for part in time_ranges.split_candidate(candidate)
            ]
        loaded_candidates = [
            LoadedCandidate(candidate, self._load_context_frames(candidate))
            for candidate in top_k_per_video(
                candidates, pool_size, per_video, fill_remaining=fill_remaining
            )
        ]
        if self._late_interaction:
            loaded_candidates = [candidate.rescore(query_vector) for candidate in loaded_candidates]
        if time_ranges is not None:
            loaded_candidates = [
                candidate.clip_frames(time_ranges) for candidate in loaded_candidates
            ]
        return top_k_per_video(loaded_candidates, k, per_video, fill_remaining=fill_remaining)

    def refine_candidates(
        self, top_candidates: Sequence[LoadedCandidate], query_vector: Vector
    ) -> list[Moment]:
        """Refine the boundaries of candidates by their frames, and explain them.

        Args:
            top_candidates: Best first; a better one gets disputed frames.
            query_vector: float32 (D,).

        Returns:
            Moments in the same order, except those of videos removed since the snapshot.
        """
        baseline = self.hubness_model.query_baseline(query_vector)
        videos_by_id = self._catalog.videos_by_id(
            {candidate.video_id for candidate in top_candidates}
        )
        moment_by_candidate: dict[LoadedCandidate, Moment] = {}
        for video_id, video in videos_by_id.items():
            video_candidates = [
                candidate for candidate in top_candidates if candidate.video_id == video_id
            ]
            moment_spans = _refine_video_spans(video_candidates, query_vector, baseline)
            for loaded, moment_span in zip(video_candidates, moment_spans, strict=True):
                explanation = explain_moment(
                    loaded.candidate,
                    moment_span,
                    loaded.frame_features,
                    query_vector,
                    self._weigh_frames,
                )
                moment_by_candidate[loaded] = Moment(
                    video, moment_span, loaded.score, None, explanation
                )
        return [
            moment_by_candidate[candidate]
            for candidate in top_candidates
            if candidate in moment_by_candidate
        ]

    def score_spans(
        self, video_spans: Sequence[tuple[int, Span]], query_vector: Vector
    ) -> list[float]:
        """Score the best segment in each span, as the same segment is scored in a search.

        Args:
            video_spans: Video id, and span in seconds.
            query_vector: float32 (D,).

        Returns:
            One score per span; the mean score of the library where a span has no segment.
        """
        mean_score = self.hubness_model.query_baseline(query_vector).score
        ids_by_span = self._catalog.segments_overlapping(video_spans)
        wanted_ids = _sorted_union(ids_by_span)
        known_ids, segment_vectors = self._catalog.vectors(wanted_ids, self._index_snapshot.space)
        similarities = segment_vectors @ query_vector
        penalties = self.hubness_model.hubness_penalty_of(known_ids, segment_vectors)
        best_rows = [
            int(rows[similarities[rows].argmax()]) if len(rows) else None
            for rows in (np.flatnonzero(np.isin(known_ids, span_ids)) for span_ids in ids_by_span)
        ]
        segment_spans = self._find_segment_spans(
            known_ids[[row for row in best_rows if row is not None]]
        )
        span_scores = []
        for (video_id, _), row in zip(video_spans, best_rows, strict=True):
            if row is None:
                span_scores.append(mean_score)
                continue
            segment_span = segment_spans.get(int(known_ids[row]))
            frame_score = self._score_by_frames(video_id, segment_span, query_vector)
            similarity = float(similarities[row]) if frame_score is None else frame_score
            span_scores.append(similarity - float(penalties[row]))
        return span_scores

    def _find_segment_spans(self, segment_ids: Ids) -> dict[int, Span]:
        """Return the spans of segments by id; none if late interaction does not need them."""
        if not self._late_interaction:
            return {}
        segment_runs = self._catalog.segment_runs(
            _sorted_union([segment_ids]), 0, self._index_snapshot.space
        )
        return {
            segment_id: Span(*segment_times)
            for segment_run in segment_runs
            for segment_id, segment_times in zip(
                segment_run.segment_ids.tolist(), segment_run.segment_times, strict=True
            )
        }

    def _score_by_frames(
        self, video_id: int, segment_span: Span | None, query_vector: Vector
    ) -> float | None:
        """Return the late interaction score of a segment; None if it is not used or possible."""
        if segment_span is None:
            return None
        frame_features = self._load_frames(video_id, context_span(segment_span))
        if frame_features is None:
            return None
        return score_segment(frame_features, segment_span, query_vector)

    def search_sequence(
        self,
        step_vectors: Sequence[Vector],
        max_gaps: Sequence[float | None],
        k: int,
        *,
        allowed_ids: Ids | None,
        per_video: int,
        fill_remaining: bool = True,
        time_ranges: TimeRanges | None = None,
    ) -> list[Moment]:
        """Find moments that show several steps in order.

        A step must stand out compared with the whole library, so a video that shows the steps in
        another order, or only some of them, is not found.

        Args:
            step_vectors: Query vector of each step, float32 (D,).
            max_gaps: For each step but the first, the maximum seconds between the end of the
                previous step and its start; None: `sequences.DEFAULT_MAX_GAP_SECONDS`.
            k: Maximum number of moments.
            allowed_ids: Segments to search, ascending; None: all.
            per_video: Maximum number of moments of one video.
            fill_remaining: Fill up to `k` with further moments of the same videos.
            time_ranges: Ranges to which the steps are clipped; None: all times.

        Returns:
            Moments without confidence, best first; `explanation.step_spans` locates the steps.

        Raises:
            ValueError: There are fewer than two steps, or the number of gaps does not match.
        """
        if not 2 <= len(step_vectors) == len(max_gaps) + 1:
            raise ValueError(
                "a sequence needs at least two steps and a gap between each two, not "
                f"{len(step_vectors)} steps and {len(max_gaps)} gaps"
            )
        baselines = [self.hubness_model.query_baseline(step_vector) for step_vector in step_vectors]
        sequence_matches = self._match_sequences(
            step_vectors, baselines, (None, *max_gaps), k, allowed_ids
        )
        if time_ranges is not None:
            sequence_matches = [match.clip(time_ranges) for match in sequence_matches]
        top_matches = top_k_per_video(sequence_matches, k, per_video, fill_remaining=fill_remaining)
        videos_by_id = self._catalog.videos_by_id(
            {sequence_match.video_id for sequence_match in top_matches}
        )
        moment_by_match: dict[SequenceMatch, Moment] = {}
        for sequence_match in top_matches:
            if sequence_match.video_id in videos_by_id:
                frame_features = self._load_context_frames(sequence_match)
                if time_ranges is not None and frame_features is not None:
                    frame_features = time_ranges.select_frames(
                        frame_features, sequence_match.steps[0].peak_span
                    )
                moment_by_match[sequence_match] = _build_sequence_moment(
                    videos_by_id[sequence_match.video_id],
                    sequence_match,
                    frame_features,
                    step_vectors,
                    baselines,
                )
        return [
            moment_by_match[sequence_match]
            for sequence_match in top_matches
            if sequence_match in moment_by_match
        ]

    def _retrieve_and_expand(
        self,
        expander: NeighborExpander,
        query_vector: Vector,
        k: int,
        allowed_ids: Ids | None,
        per_video: int,
    ) -> list[MomentCandidate]:
        """Return candidates that include the top `k`.

        Doubles the number of nearest segments until no unseen one can score better. The bound for
        unseen segments includes the largest gain by hubness correction only up to
        `HUBNESS_CANDIDATES`; beyond, exactness would cost too much time.
        """
        fetch_count = max(k * CANDIDATES_PER_RESULT, MIN_CANDIDATES)
        hubness_limit = max(HUBNESS_CANDIDATES, 2 * fetch_count)
        while fetch_count <= MAX_CANDIDATES:
            near_ids, near_scores, segment_vectors = self._index_snapshot.search_nearest(
                query_vector, fetch_count, allowed_ids, self._catalog
            )
            max_score_gain = (
                self.hubness_model.max_score_gain if fetch_count < hubness_limit else 0.0
            )
            min_score = (
                -math.inf
                if len(near_ids) < fetch_count
                else float(near_scores[-1]) + max_score_gain
            )
            candidate_groups = group_candidates(
                near_ids, expander.normalize_scores(near_ids, near_scores, segment_vectors)
            )
            candidates, is_final = expander.expand_candidates(
                candidate_groups, k, per_video, min_score
            )
            if is_final or len(near_ids) < fetch_count:
                return candidates
            fetch_count *= 2
        return self._scan_whole_videos(expander, query_vector, k, allowed_ids, per_video)

    def _scan_whole_videos(
        self,
        expander: NeighborExpander,
        query_vector: Vector,
        k: int,
        allowed_ids: Ids | None,
        per_video: int,
    ) -> list[MomentCandidate]:
        """Return candidates that include the top `k`, if few videos contain most near segments.

        Scores the videos of the nearest segments as a whole, then continues with the nearest
        segments of all other videos.
        """
        candidates: list[MomentCandidate] = []
        remaining_ids = allowed_ids  # None: all
        fetch_count = max(k * CANDIDATES_PER_RESULT, MIN_CANDIDATES)
        while remaining_ids is None or len(remaining_ids):
            near_ids, near_scores = self._index_snapshot.vector_index.search(
                query_vector, fetch_count, remaining_ids
            )
            if not len(near_ids):
                break
            candidates += expander.expand_whole_videos(near_ids, k)
            if is_top_k_final(
                candidates, k, per_video, float(near_scores[-1]) + self.hubness_model.max_score_gain
            ):
                break
            fetch_count *= 2
            seen_ids = self._catalog.segment_ids(set(self._catalog.video_ids_of(near_ids).tolist()))
            remaining_ids = np.setdiff1d(
                self._index_snapshot.segment_ids if remaining_ids is None else remaining_ids,
                [*near_ids, *seen_ids],
            )
        return candidates

    def _match_sequences(
        self,
        step_vectors: Sequence[Vector],
        baselines: Sequence[Baseline],
        max_gaps: Sequence[float | None],
        k: int,
        allowed_ids: Ids | None,
    ) -> list[SequenceMatch]:
        """Return sequences in which every step stands out, at most `k` of a video."""
        step_candidates = [
            self._index_snapshot.vector_index.search(
                step_vector, CANDIDATES_PER_SEQUENCE_STEP, allowed_ids
            )
            for step_vector in step_vectors
        ]
        min_scores = [
            baseline.score
            + STEP_SALIENCE_SHARE * (self._best_score(step_vector, candidate_ids) - baseline.score)
            for step_vector, baseline, (candidate_ids, _) in zip(
                step_vectors, baselines, step_candidates, strict=True
            )
        ]
        seed_ids = self._select_sequence_seeds(step_candidates, min_scores)
        sequence_matches: list[SequenceMatch] = []
        for segments, segment_vectors in self._catalog.iter_videos_with_vectors(
            seed_ids, self._index_snapshot.space
        ):
            allowed_mask = build_allowed_mask(segments, allowed_ids)
            step_scores = [
                StepScores(
                    self._score_promising(segment_vectors, step_vector, min_score),
                    min_score,
                    baseline,
                    max_gap,
                )
                for step_vector, baseline, min_score, max_gap in zip(
                    step_vectors, baselines, min_scores, max_gaps, strict=True
                )
            ]
            sequence_matches += islice(
                match_sequences(segments, segment_vectors, step_scores, allowed_mask), k
            )
        return sequence_matches

    def _select_sequence_seeds(
        self, step_candidates: Sequence[tuple[Ids, Vector]], min_scores: Sequence[float]
    ) -> Ids:
        """Return segments that cover all videos that may contain every step.

        These are the matches of the rarest step. If every step is so common that its matches were
        not all retrieved, the nearest segments of all steps are used.
        """
        complete_steps = [
            candidate_ids[candidate_scores + self.hubness_model.max_score_gain >= min_score]
            for (candidate_ids, candidate_scores), min_score in zip(
                step_candidates, min_scores, strict=True
            )
            if len(candidate_ids) < CANDIDATES_PER_SEQUENCE_STEP
            or candidate_scores[-1] + self.hubness_model.max_score_gain < min_score
        ]
        if complete_steps:
            return min(complete_steps, key=len)
        return np.unique(np.concatenate([candidate_ids for candidate_ids, _ in step_candidates]))

    def _best_score(self, query_vector: Vector, candidate_ids: Ids) -> float:
        """Return the best hubness-corrected score among the nearest segments."""
        segment_vectors = self._catalog.vectors(
            candidate_ids[:MIN_CANDIDATES], self._index_snapshot.space
        )[1]
        return float(self.score_vectors(segment_vectors, query_vector).max(initial=-1.0))

    def _score_promising(
        self, segment_vectors: Matrix, query_vector: Vector, min_score: float
    ) -> Vector:
        """Return scores, float32 (N,); -1 for segments that cannot reach `min_score`."""
        segment_scores: Vector = segment_vectors @ query_vector
        is_promising = segment_scores + self.hubness_model.max_score_gain >= min_score
        segment_scores[is_promising] -= self.hubness_model.hubness_penalty(
            segment_vectors[is_promising]
        )
        return np.where(is_promising, segment_scores, np.float32(-1.0))

    def score_vectors(self, segment_vectors: Matrix, query_vector: Vector) -> Vector:
        """Score vectors like a search does, with hubness correction.

        Args:
            segment_vectors: float32 (N, D) of unit length.
            query_vector: float32 (D,).

        Returns:
            float32 (N,).
        """
        segment_scores: Vector = (
            segment_vectors @ query_vector - self.hubness_model.hubness_penalty(segment_vectors)
        )
        return segment_scores

    def _load_context_frames(self, candidate: MomentCandidate | SequenceMatch) -> Features | None:
        """Load the frames of a candidate's context; None if they are missing or damaged."""
        sequence_steps = candidate.steps if isinstance(candidate, SequenceMatch) else (candidate,)
        needed_spans = [span for step in sequence_steps for span in step.context_spans]
        if self._late_interaction:
            needed_spans += [context_span(step.peak_span) for step in sequence_steps]
        full_span = Span(
            min(span.start for span in needed_spans), max(span.end for span in needed_spans)
        )
        return self._load_frames(candidate.video_id, full_span)

    def _load_frames(self, video_id: int, span: Span) -> Features | None:
        """Load the stored frames of a span; None if they are missing or damaged."""
        return load_frames(
            self._catalog, self._feature_store, video_id, self._index_snapshot.space, span
        )


def _refine_video_spans(
    video_candidates: Sequence[LoadedCandidate], query_vector: Vector, baseline: Baseline
) -> list[Span]:
    """Refine candidates of one video, best first, so that their spans do not overlap.

    A candidate without stored frames keeps its segment boundaries.
    """
    refined_spans: list[Span] = []
    for candidate_index, loaded in enumerate(video_candidates):
        later_spans = [
            later_loaded.candidate.peak_span
            for later_loaded in video_candidates[candidate_index + 1 :]
        ]
        refined_spans.append(
            refine_boundaries(
                loaded.candidate,
                loaded.frame_features,
                query_vector,
                baseline,
                [*refined_spans, *later_spans],
            )
            if loaded.frame_features
            else loaded.span
        )
    return refined_spans


def _build_sequence_moment(
    video: Video,
    sequence_match: SequenceMatch,
    frame_features: Features | None,
    step_vectors: Sequence[Vector],
    baselines: Sequence[Baseline],
) -> Moment:
    """Convert a sequence into a moment; its peak frame is that of the first step."""
    step_spans: list[Span] = []
    for step_index, (candidate, step_vector, baseline) in enumerate(
        zip(sequence_match.steps, step_vectors, baselines, strict=True)
    ):
        later_spans = [
            later_step.peak_span for later_step in sequence_match.steps[step_index + 1 :]
        ]
        step_spans.append(
            refine_boundaries(
                candidate, frame_features, step_vector, baseline, [*step_spans, *later_spans]
            )
            if frame_features
            else candidate.span
        )
    first_explanation = explain_moment(
        sequence_match.steps[0], step_spans[0], frame_features, step_vectors[0], None
    )
    explanation = replace(
        first_explanation,
        segment_count=sum(candidate.segment_count for candidate in sequence_match.steps),
        step_spans=tuple(step_spans),
    )
    return Moment(
        video,
        Span(step_spans[0].start, step_spans[-1].end),
        sequence_match.score,
        None,
        explanation,
    )


def _sorted_union(id_arrays: Sequence[Ids]) -> Ids:
    """Return distinct ids, ascending; NumPy's set routines are slow to import."""
    return np.array(
        sorted({segment_id for id_array in id_arrays for segment_id in id_array.tolist()}), np.int64
    )
