"""Query execution: the stages from a parsed query to ranked moments."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.filters import allowed_segment_ids
from vsearch.catalog.pool import OutdatedSnapshotError
from vsearch.encoders.query_adapter import AdaptedEncoder
from vsearch.errors import LibraryError, NoTextError, QueryError, VSearchError
from vsearch.protocols import AttentionPooler
from vsearch.query.arguments import check_count
from vsearch.search.browse import browse
from vsearch.search.confidence import assign_confidence, combine_confidences
from vsearch.search.copy_search import CopyFinder, merge_copies
from vsearch.search.diversity import deduplicate_moments, diversify_moments, limit_per_video
from vsearch.search.embedding import combine_terms, embed_term
from vsearch.search.fusion import ScoreScale, TextHit, fuse_evidence, text_only_moments
from vsearch.search.hints import EMPTY_LIBRARY_HINT, collect_hints, read_texts
from vsearch.search.names import MAX_NAMED_RESULTS, add_name_evidence, keep_named, rate_names
from vsearch.search.query_clips import QueryClipLoader
from vsearch.search.result import SearchResult
from vsearch.search.semantic_cues import SemanticCueIndex
from vsearch.search.snapshot import VISUAL_TERM_KINDS
from vsearch.search.step_joining import filter_salient, join_steps
from vsearch.search.term_rating import TermRater
from vsearch.search.text import TranscriptSearch
from vsearch.search.text_terms import TextMatches, match_text_terms
from vsearch.search.time_ranges import TimeRanges
from vsearch.search.visual import VisualSearch
from vsearch.types import Curve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.indexing.pipeline import Pipeline
    from vsearch.protocols import Pooler
    from vsearch.query.model import Query, Term
    from vsearch.search.copy_search import CopyMatch
    from vsearch.search.feedback import RelevanceFeedback
    from vsearch.search.query_clips import QueryClip
    from vsearch.search.snapshot import LibrarySnapshot, SnapshotSource
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Ids, Matrix, Moment, Space, Span, Times, Vector, Video

log = logging.getLogger(__name__)
DEFAULT_MAX_PER_VIDEO = 3  # moments of one video, while other videos have results
BURST_OVERSAMPLE = 16  # factor by which to find more moments where bursts fill the results
DEDUP_OVERSAMPLE = 10  # further moments to find, as near-duplicates will be hidden
CANDIDATES_PER_STEP = 100  # moments found per step of a sequence with transcript terms
MIN_SCORE_STD = 0.02  # lower limit in a library of few scenes


@dataclass(frozen=True, slots=True)
class _SearchParams:
    """Limits and restrictions of one search."""

    k: int  # moments to find, including those that post-processing may remove
    per_video: int
    fill_remaining: bool  # fill up to k with further moments of the same videos
    allowed_ids: Ids | None  # int64 (N,), ascending; None: all segments
    only_salient: bool = False  # keep only moments that stand out enough for a step of a sequence
    feedback: RelevanceFeedback | None = None
    time_ranges: TimeRanges | None = None  # to which moments are clipped; None: all times


@dataclass(frozen=True, slots=True)
class _VisualQuery:
    """The embedded visual terms of a query, and the search for them."""

    visual_search: VisualSearch
    query_vector: Vector  # float32 (D,)
    query_clip: QueryClip | None  # the only term, a clip that is not in the library
    term_raters: tuple[TermRater, ...]  # of the positive terms

    @property
    def is_single_term(self) -> bool:
        """True if the query vector is that of its only term, not moved by feedback."""
        return len(self.term_raters) == 1 and self.term_raters[0].term_vector is self.query_vector

    def rate_spans(self, video_spans: Sequence[tuple[int, Span]]) -> list[float | None]:
        """Return the confidence of each (video id, span)."""
        return combine_confidences(
            [rater.rate_spans(video_spans) for rater in self.term_raters], len(video_spans)
        )

    def rate_moments(
        self, moments: Sequence[Moment], best_score: float | None
    ) -> list[float | None]:
        """Return the confidence of moments.

        Args:
            moments: Moments found by the query vector.
            best_score: Their best score, if the whole library was searched; None: it was not.
        """
        if not self.is_single_term:
            return self.rate_spans([(moment.video.id, moment.span) for moment in moments])
        confidences = self.term_raters[0].rate_scores(
            [moment.score for moment in moments], best_score
        )
        return combine_confidences([confidences], len(moments))

    @property
    def score_scale(self) -> ScoreScale:
        """Distribution of the query's scores over the library."""
        sample_scores = self.visual_search.sample_vectors @ self.query_vector
        if not len(sample_scores):
            return ScoreScale(0.0, MIN_SCORE_STD)
        return ScoreScale(
            float(sample_scores.mean()), max(float(sample_scores.std()), MIN_SCORE_STD)
        )

    def apply_feedback(self, feedback: RelevanceFeedback | None) -> _VisualQuery:
        """Move the query vector by relevance feedback, if there is any."""
        if feedback is None:
            return self
        moved_query = feedback.adjust_query(self.query_vector, self.visual_search.sample_vectors)
        return replace(self, query_vector=moved_query)


class Searcher:
    """Query execution over the components of one library. Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        feature_store: FeatureStore,
        snapshots: SnapshotSource,
        active_model: ActiveModel,
        *,
        load_pooler: Callable[[], Pooler],
        load_pipeline: Callable[[], Pipeline],
        load_feedback: Callable[[Query, Space], RelevanceFeedback | None],
    ) -> None:
        """Take the components of a library; those named `load_…` are created on first use.

        Args:
            catalog: The catalog.
            feature_store: Stored frame features.
            snapshots: Source of the index with its encoder.
            active_model: The settings, and the encoder of transcript cues.
            load_pooler: Returns the pooler, for query clips and frame weights.
            load_pipeline: Returns the indexing pipeline, which decodes query clips.
            load_feedback: Returns the relevance feedback of a query in a space, if any.
        """
        self._catalog, self._feature_store, self._snapshots = catalog, feature_store, snapshots
        self._active_model, self._load_pooler = active_model, load_pooler
        self._load_feedback = load_feedback
        self._query_clips = QueryClipLoader(catalog, feature_store, load_pooler, load_pipeline)
        self._semantic_cues = SemanticCueIndex(catalog, lambda: active_model.image_encoder)

    def search(
        self,
        query: Query,
        k: int,
        per_video: int | None,
        *,
        diversify: bool,
        include_duplicates: bool,
    ) -> SearchResult:
        """Run a query through all stages of a search.

        The stages are: snapshot, allowed ids, embed, retrieve, expand, refine, calibrate, fuse
        text, deduplicate, limit. `_search_terms` contains those from embed to fuse text, which
        a sequence (`then:`) runs for each step.

        Args:
            query: The parsed query.
            k: Maximum number of moments.
            per_video: Maximum number of moments of one video; None: `DEFAULT_MAX_PER_VIDEO` or
                half of `k`, while other videos have results.
            diversify: Rerank by MMR.
            include_duplicates: Keep near-duplicates of better results.

        Returns:
            Moments, best first, with hints; empty if nothing is indexed. Without terms, what passes
            the filters, newest first.

        Raises:
            QueryError: A parameter is out of range, or the query only excludes.
            NoTextError: The query is text and the encoder has no text support.
            MediaError: An image or a clip cannot be read.
        """
        _check_query(query, k, per_video)
        if not query.terms:
            return self._catalog.read_consistently(
                lambda: browse(self._catalog, query, k, per_video)
            )
        return self._catalog.read_consistently(
            lambda: self._search(
                query, k, per_video, diversify=diversify, include_duplicates=include_duplicates
            )
        )

    def _search(
        self,
        query: Query,
        k: int,
        per_video: int | None,
        *,
        diversify: bool,
        include_duplicates: bool,
    ) -> SearchResult:
        """Search in the catalog snapshot of this thread. See `search`."""
        start_time = time.perf_counter()
        snapshot = self._snapshots.take_snapshot()
        if snapshot is None:
            return SearchResult((), str(query), None, (EMPTY_LIBRARY_HINT,))
        search_params = self._search_params(
            query, snapshot, k, per_video, oversample=diversify or not include_duplicates
        )
        moments = self._find_moments(query, snapshot, search_params, diversify=diversify)
        if not include_duplicates:
            max_candidates = BURST_OVERSAMPLE * search_params.k
            kept_moments = self._hide_duplicates(moments, snapshot)
            while _is_full_of_photos(moments, kept_moments, k, search_params, max_candidates):
                search_params = replace(search_params, k=min(4 * search_params.k, max_candidates))
                moments = self._find_moments(query, snapshot, search_params, diversify=diversify)
                kept_moments = self._hide_duplicates(moments, snapshot)
            moments = kept_moments
        if search_params.feedback is not None:
            moments = search_params.feedback.demote_rejected(moments)
        ranked_moments = moments
        moments = limit_per_video(
            moments, k, search_params.per_video, fill_remaining=search_params.fill_remaining
        )
        moments = keep_named(ranked_moments, moments, k)
        return self._build_result(query, snapshot, search_params, moments, start_time)

    def _find_moments(
        self,
        query: Query,
        snapshot: LibrarySnapshot,
        search_params: _SearchParams,
        *,
        diversify: bool,
    ) -> list[Moment]:
        """Find the moments of a query, best first, near-duplicates among them."""
        if query.next_steps:
            moments = self._search_sequence(query, snapshot, search_params)
        else:
            moments = self._search_terms(query.terms, snapshot, search_params)
        if search_params.time_ranges is not None:
            moments = search_params.time_ranges.clip_moments(moments)
        if diversify:
            moments = diversify_moments(
                moments, self._peak_vectors(moments, snapshot.space), len(moments)
            )
        return moments

    def _hide_duplicates(
        self, moments: Sequence[Moment], snapshot: LibrarySnapshot
    ) -> list[Moment]:
        return deduplicate_moments(moments, self._peak_vectors(moments, snapshot.space))

    def _build_result(
        self,
        query: Query,
        snapshot: LibrarySnapshot,
        search_params: _SearchParams,
        moments: Sequence[Moment],
        start_time: float,
    ) -> SearchResult:
        """Return the moments with hints, models and duration."""
        feedback, encoder = search_params.feedback, snapshot.encoder
        # in this order: to check the adapter loads the text model, which images do not need
        is_adapted = (
            bool(moments)
            and any(term.kind == "text" for term in query.terms)
            and isinstance(encoder, AdaptedEncoder)
            and encoder.active_adapter is not None
        )
        text_readings = read_texts(query, encoder)
        if not all(text_reading.is_supported for text_reading in text_readings):
            # what the model does not read may well be in the library
            moments = [replace(moment, confidence=None) for moment in moments]
        return SearchResult(
            tuple(moments),
            str(query),
            snapshot.space.name,
            collect_hints(self._catalog, query, moments, text_readings),
            took_ms=(time.perf_counter() - start_time) * 1_000,
            feedback_count=0 if feedback is None else feedback.label_count,
            text_model=self._active_model.settings.text_model or None,
            query_adapted=is_adapted,
        )

    def _search_params(
        self,
        query: Query,
        snapshot: LibrarySnapshot,
        k: int,
        per_video: int | None,
        *,
        oversample: bool,
    ) -> _SearchParams:
        """Resolve filters, limits and relevance feedback."""
        return _SearchParams(
            k + min(k, DEDUP_OVERSAMPLE) if oversample else k,
            per_video or min(DEFAULT_MAX_PER_VIDEO, math.ceil(k / 2)),
            per_video is None,
            allowed_segment_ids(self._catalog, query),
            feedback=self._load_feedback(query, snapshot.space),
            time_ranges=TimeRanges.from_query(query),
        )

    def _search_terms(
        self,
        query_terms: Sequence[Term],
        snapshot: LibrarySnapshot,
        search_params: _SearchParams,
    ) -> list[Moment]:
        """Search for the terms of one step: embed, retrieve, expand, refine, calibrate, fuse."""
        text_matches = self._match_text(query_terms, search_params)
        visual_terms = [term for term in query_terms if term.kind in VISUAL_TERM_KINDS]
        visual_query = self._embed_query(visual_terms, text_matches, snapshot, search_params)
        if visual_query is None:
            return text_only_moments(text_matches.text_hits)
        visual_query = visual_query.apply_feedback(search_params.feedback)
        candidates = visual_query.visual_search.find_candidates(
            visual_query.query_vector,
            search_params.k,
            allowed_ids=text_matches.allowed_ids,
            per_video=search_params.per_video,
            fill_remaining=search_params.fill_remaining,
            time_ranges=search_params.time_ranges,
        )
        moments = visual_query.visual_search.refine_candidates(
            candidates, visual_query.query_vector
        )
        if visual_query.query_clip is not None:
            copy_matches = self._find_copies(
                visual_query, visual_query.query_clip, snapshot, text_matches.allowed_ids
            )
            moments = merge_copies(copy_matches, moments, search_params.k, None)
        is_unfiltered = text_matches.allowed_ids is None and bool(candidates)
        best_score = candidates[0].score if is_unfiltered else None
        moments = assign_confidence(moments, visual_query.rate_moments(moments, best_score))
        if text_matches.text_hits:
            text_hits = _rate_text_hits(text_matches.text_hits, visual_query)
            moments = fuse_evidence(moments, text_hits, visual_query.score_scale)
        if not search_params.only_salient:
            moments = self._add_named(
                query_terms, moments, visual_query, text_matches.allowed_ids, search_params
            )
        if search_params.only_salient:
            moments = filter_salient(moments, visual_query.score_scale.baseline)
        return moments

    def _add_named(
        self,
        query_terms: Sequence[Term],
        moments: list[Moment],
        visual_query: _VisualQuery,
        allowed_ids: Ids | None,
        search_params: _SearchParams,
    ) -> list[Moment]:
        """Add the evidence of names, and a moment of each video with all words in its name."""
        evidence_by_video = rate_names(self._catalog, query_terms)
        if not evidence_by_video:
            return moments
        found_ids = {moment.video.id for moment in moments}
        new_ids = [
            video_id
            for video_id, evidence in evidence_by_video.items()
            if evidence.name_match.covers_query and video_id not in found_ids
        ]
        if new_ids:
            named_ids = self._catalog.segment_ids_of_videos(new_ids)
            if allowed_ids is not None:
                named_ids = np.intersect1d(named_ids, allowed_ids)
            candidates = visual_query.visual_search.find_candidates(
                visual_query.query_vector,
                MAX_NAMED_RESULTS,
                allowed_ids=named_ids,
                per_video=1,
                fill_remaining=False,
                time_ranges=search_params.time_ranges,
            )
            named_moments = visual_query.visual_search.refine_candidates(
                candidates, visual_query.query_vector
            )
            moments += assign_confidence(
                named_moments, visual_query.rate_moments(named_moments, None)
            )
        return add_name_evidence(moments, evidence_by_video, visual_query.score_scale)

    def _embed_query(
        self,
        visual_terms: Sequence[Term],
        text_matches: TextMatches,
        snapshot: LibrarySnapshot,
        search_params: _SearchParams,
    ) -> _VisualQuery | None:
        """Embed the visual terms; None if transcripts alone answer the query."""
        if not visual_terms:
            return None
        try:
            return self._embed_visual_terms(visual_terms, snapshot, search_params)
        except NoTextError:
            # without text support, plain text can still match transcripts
            if not text_matches.text_hits or any(term.kind != "text" for term in visual_terms):
                raise
            return None

    def _find_copies(
        self,
        visual_query: _VisualQuery,
        query_clip: QueryClip,
        snapshot: LibrarySnapshot,
        allowed_ids: Ids | None,
    ) -> list[CopyMatch]:
        copy_finder = CopyFinder(
            self._catalog,
            self._feature_store,
            snapshot.index_snapshot,
            visual_query.visual_search.sample_vectors,
            allowed_ids,
        )
        return copy_finder.find_copies(query_clip)

    def _search_sequence(
        self, query: Query, snapshot: LibrarySnapshot, search_params: _SearchParams
    ) -> list[Moment]:
        """Search for consecutive steps, jointly if all of their terms are visual."""
        step_terms = [query.terms, *(step.terms for step in query.next_steps)]
        max_gaps = [step.max_gap_seconds for step in query.next_steps]
        all_terms = [term for query_terms in step_terms for term in query_terms]
        if all(term.kind in VISUAL_TERM_KINDS for term in all_terms):
            visual_steps = [
                self._embed_visual_terms(query_terms, snapshot, search_params)
                for query_terms in step_terms
            ]
            moments = visual_steps[0].visual_search.search_sequence(
                [visual_step.query_vector for visual_step in visual_steps],
                max_gaps,
                search_params.k,
                allowed_ids=search_params.allowed_ids,
                per_video=search_params.per_video,
                fill_remaining=search_params.fill_remaining,
                time_ranges=search_params.time_ranges,
            )
            return _rate_sequences(moments, visual_steps)
        step_params = replace(
            search_params, k=CANDIDATES_PER_STEP, per_video=CANDIDATES_PER_STEP, only_salient=True
        )
        moments_by_step = [
            self._search_terms(query_terms, snapshot, step_params) for query_terms in step_terms
        ]
        return join_steps(moments_by_step, max_gaps)

    def _embed_visual_terms(
        self,
        query_terms: Sequence[Term],
        snapshot: LibrarySnapshot,
        rating_params: _SearchParams | None = None,
    ) -> _VisualQuery:
        """Embed visual terms as one query. Raises QueryError, NoTextError and MediaError."""
        encoder = snapshot.encoder
        visual_search = self._build_visual_search(snapshot, query_terms)
        clips_by_term = {
            term: self._query_clips.load(Path(term.value), term.span, encoder)
            for term in query_terms
            if term.kind == "clip"
        }
        term_vectors = [
            clips_by_term[term].mean_vector if term in clips_by_term else embed_term(term, encoder)
            for term in query_terms
        ]
        query_vector = combine_terms(
            term_vectors, [term.weight for term in query_terms], visual_search.sample_vectors
        )
        query_clip = clips_by_term.get(query_terms[0]) if len(query_terms) == 1 else None
        term_raters = (
            self._build_raters(query_terms, term_vectors, snapshot, rating_params)
            if rating_params is not None
            else ()
        )
        return _VisualQuery(visual_search, query_vector, query_clip, term_raters)

    def _build_raters(
        self,
        query_terms: Sequence[Term],
        term_vectors: Sequence[Vector],
        snapshot: LibrarySnapshot,
        rating_params: _SearchParams,
    ) -> tuple[TermRater, ...]:
        """Build a rater for each positive term."""
        return tuple(
            TermRater(
                term_vector,
                self._build_visual_search(snapshot, [term]),
                snapshot.statistics.calibration_for(term),
                rating_params.k,
                rating_params.per_video,
            )
            for term, term_vector in zip(query_terms, term_vectors, strict=True)
            if term.weight > 0
        )

    def _build_visual_search(
        self, snapshot: LibrarySnapshot, query_terms: Sequence[Term]
    ) -> VisualSearch:
        hubness_model = snapshot.statistics.hubness_for(query_terms)
        return VisualSearch(
            self._catalog,
            self._feature_store,
            snapshot.index_snapshot,
            hubness_model.querybank,
            self._frame_weights,
            hubness_model,
            late_interaction=bool(query_terms) and all(term.kind == "text" for term in query_terms),
        )

    def _match_text(self, query_terms: Sequence[Term], search_params: _SearchParams) -> TextMatches:
        """Search transcripts, unless neither the query nor the library has any text."""
        allowed_ids = search_params.allowed_ids
        term_kinds = {term.kind for term in query_terms}
        has_filter = not term_kinds.isdisjoint(("said", "shown"))  # applies without cues as well
        if not has_filter and not (
            "text" in term_kinds and self._catalog.cue_index.estimate_size()
        ):
            return TextMatches([], allowed_ids)
        transcript_search = TranscriptSearch(self._catalog, self._semantic_cues)
        return match_text_terms(
            query_terms, allowed_ids, self._catalog, transcript_search, search_params.time_ranges
        )

    def _peak_vectors(self, moments: Sequence[Moment], space: Space) -> Matrix:
        """Return the vector of the segment at each moment's peak, float32 (N, D)."""
        return self._catalog.vectors_at(
            [(moment.video.id, moment.explanation.peak_time) for moment in moments], space
        )

    def similarity_curve(self, query: Query, video: Video) -> Curve:
        """Score every stored frame of a video against the visual terms of a query.

        Args:
            query: The query; of a sequence, each frame has its best score over the steps.
            video: A video of the library.

        Returns:
            The curve; empty if the query has no visual terms.

        Raises:
            QueryError: The terms cancel out.
            NoTextError: The query is text and the encoder has no text support.
            MediaError: An image or a clip cannot be read.
            DamagedLibraryError: The stored frames are missing or damaged.
            LibraryError: The video was removed.
        """
        return self._catalog.read_consistently(lambda: self._similarity_curve(query, video))

    def _similarity_curve(self, query: Query, video: Video) -> Curve:
        """Score frames in the catalog snapshot of this thread. See `similarity_curve`."""
        no_scores: Vector = np.empty(0, np.float32)
        step_terms = [query.terms, *(step.terms for step in query.next_steps)]
        visual_steps = [
            [term for term in query_terms if term.kind in VISUAL_TERM_KINDS]
            for query_terms in step_terms
        ]
        if not any(visual_steps) or (snapshot := self._snapshots.take_snapshot()) is None:
            return Curve(np.empty(0, np.float64), no_scores, 0.0)
        space = snapshot.space
        frame_features = self._feature_store.load(self._current_video_id(video), space)
        feedback = self._load_feedback(query, space)
        best_scores, baseline = np.full(len(frame_features.frame_times), -1.0, np.float32), -1.0
        for query_terms in filter(None, visual_steps):
            visual_query = self._embed_visual_terms(query_terms, snapshot)
            visual_query = visual_query.apply_feedback(feedback)
            step_scores = visual_query.visual_search.score_vectors(
                frame_features.frame_vectors, visual_query.query_vector
            )
            best_scores = np.maximum(best_scores, step_scores)
            baseline = max(baseline, visual_query.score_scale.baseline)
        return Curve(frame_features.frame_times, best_scores, baseline)

    def _current_video_id(self, video: Video) -> int:
        """Return the id of a video, which may have been indexed again; raise LibraryError."""
        current_video = self._catalog.videos_by_id([video.id]).get(
            video.id
        ) or self._catalog.video_at(video.path)
        if current_video is None:
            raise LibraryError(f"{video.path} is no longer in the library")
        return current_video.id

    def find_similar(
        self, video_path: Path, clip_span: Span | None, k: int, *, same_video: bool
    ) -> list[Moment]:
        """Find the moments most similar to a video or a span of it.

        Args:
            video_path: A file, or the name of a video of the library.
            clip_span: The span in seconds; None: the whole video.
            k: Maximum number of moments.
            same_video: Include other moments of the same video.

        Returns:
            Moments without confidence, best first.

        Raises:
            QueryError: `k` is too small, the name is ambiguous, or the span is past the end.
            MediaError: The file cannot be read.
        """
        k = check_count(k, "k")
        return self._catalog.read_consistently(
            lambda: self._find_similar(video_path, clip_span, k, same_video=same_video)
        )

    def _find_similar(
        self, video_path: Path, clip_span: Span | None, k: int, *, same_video: bool
    ) -> list[Moment]:
        """Search in the catalog snapshot of this thread. See `find_similar`."""
        snapshot = self._snapshots.take_snapshot()
        if snapshot is None:
            return []
        index_snapshot, encoder = snapshot.index_snapshot, snapshot.encoder
        query_clip = self._query_clips.load(
            self._query_clips.resolve_path(video_path), clip_span, encoder
        )
        visual_search = self._build_visual_search(snapshot, ())
        allowed_ids = self._other_segments(
            query_clip, index_snapshot.segment_ids, same_video=same_video
        )
        max_per_video = min(DEFAULT_MAX_PER_VIDEO, math.ceil(k / 2))
        return visual_search.search(
            query_clip.mean_vector, k, allowed_ids=allowed_ids, per_video=max_per_video
        )

    def _other_segments(
        self, query_clip: QueryClip, segment_ids: Ids, *, same_video: bool
    ) -> Ids | None:
        """Exclude the segments of the clip, and unless `same_video` those of its whole video."""
        if query_clip.library_video is None:
            return None
        excluded_ids = [
            segment.id
            for segment in self._catalog.segments_of_video(query_clip.library_video.id)
            if not same_video or segment.span.overlaps(query_clip.clip_span)
        ]
        return np.setdiff1d(segment_ids, excluded_ids)

    def _frame_weights(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        """Return the pooler's attention weight of each frame, float32 (T,).

        Empty if the pooler does not weight frames or cannot be loaded.
        """
        with self._catalog.reopen():  # results may be read after the library is closed
            try:
                pooler = self._load_pooler()
            except VSearchError as error:
                if self._catalog.is_outdated():
                    raise OutdatedSnapshotError(str(error)) from error
                log.warning("%s", error)
                return np.empty(0, np.float32)
        if isinstance(pooler, AttentionPooler):
            return pooler.frame_weights(frame_vectors, frame_times)
        return np.empty(0, np.float32)


def _check_query(query: Query, k: int, per_video: int | None) -> None:
    """Raise QueryError for limits below 1, and for a step without a term to search for."""
    check_count(k, "k")
    if per_video is not None:
        check_count(per_video, "per_video")
    for query_terms in (query.terms, *(step.terms for step in query.next_steps)):
        if query_terms and all(term.weight < 0 for term in query_terms):
            raise QueryError("this query only excludes; add a term to search for")


def _rate_text_hits(text_hits: Sequence[TextHit], visual_query: _VisualQuery) -> list[TextHit]:
    """Add the visual score at the time of each transcript hit, and its confidence."""
    video_spans = [(text_hit.video.id, text_hit.span) for text_hit in text_hits]
    visual_scores = visual_query.visual_search.score_spans(video_spans, visual_query.query_vector)
    return [
        replace(text_hit, visual_score=visual_score, confidence=confidence)
        for text_hit, visual_score, confidence in zip(
            text_hits, visual_scores, visual_query.rate_spans(video_spans), strict=True
        )
    ]


def _rate_sequences(
    moments: Sequence[Moment], visual_steps: Sequence[_VisualQuery]
) -> list[Moment]:
    """Give sequences the confidence of their weakest step, as every step has to match."""
    step_confidences = [
        visual_step.rate_spans(
            [(moment.video.id, moment.explanation.step_spans[step_index]) for moment in moments]
        )
        for step_index, visual_step in enumerate(visual_steps)
    ]
    return [
        replace(moment, confidence=None if None in confidences else min(confidences))
        for moment, *confidences in zip(moments, *step_confidences, strict=True)
    ]


def _is_full_of_photos(
    moments: Sequence[Moment],
    kept_moments: Sequence[Moment],
    k: int,
    search_params: _SearchParams,
    max_candidates: int,
) -> bool:
    """Return whether near-duplicate photos took the places of other moments."""
    return (
        len(kept_moments) < k <= search_params.k <= len(moments)
        and search_params.k < max_candidates
        and any(moment.video.is_photo for moment in moments)
    )
