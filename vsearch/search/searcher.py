"""Query execution: the stages from a parsed query to ranked moments."""

from __future__ import annotations

import logging
import math
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.catalog.filters import allowed_segment_ids
from vsearch.catalog.path_matching import videos_matching
from vsearch.errors import NoTextError, QueryError, SpaceMismatchError, VSearchError
from vsearch.search.calibrator import (
    VISUAL_TERM_KINDS,
    Calibrator,
    assign_confidence,
    calibrate_text_hits,
)
from vsearch.search.copy_search import CopyFinder, merge_copies
from vsearch.search.diversity import deduplicate_moments, diversify_moments, limit_per_video
from vsearch.search.embedding import QueryClip, combine_terms, embed_term
from vsearch.search.fusion import ScoreScale, TextHit, fuse_evidence, text_only_moments
from vsearch.search.hubness import HubnessModel, Querybank
from vsearch.search.semantic_cues import SemanticCueIndex
from vsearch.search.step_joining import filter_salient, join_steps
from vsearch.search.text import TranscriptSearch
from vsearch.search.text_terms import TextMatches, match_text_terms
from vsearch.search.visual import VisualSearch
from vsearch.types import Curve, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.copies.duplicates import DuplicateSpan
    from vsearch.indexing.pipeline import Pipeline
    from vsearch.protocols import Encoder, Pooler
    from vsearch.query.model import Query, Term
    from vsearch.search.calibration import Calibration
    from vsearch.search.copy_search import CopyMatch
    from vsearch.search.explanations import FrameWeighing
    from vsearch.search.feedback import RelevanceFeedback
    from vsearch.search.hubness import HubnessCache
    from vsearch.search.live_index import IndexSnapshot, LiveIndex
    from vsearch.storage.feature_store import FeatureStore
    from vsearch.types import Ids, Matrix, Moment, Space, Times, Vector, Video

log = logging.getLogger(__name__)
DEFAULT_MAX_PER_VIDEO = 3  # moments of one video, while other videos have results
DEDUP_OVERSAMPLE = 10  # further moments to find, as near-duplicates will be hidden
CANDIDATES_PER_STEP = 100  # moments found per step of a sequence with transcript terms
MIN_SCORE_STD = 0.02  # lower limit in a library of few scenes


@dataclass(frozen=True, slots=True)
class _SearchSnapshot:
    """The current index, and the encoder of its space."""

    index_snapshot: IndexSnapshot
    encoder: Encoder


@dataclass(frozen=True, slots=True)
class _HubnessModels:
    """The hubness models of one snapshot, keyed by whether the query is text only."""

    index_snapshot: IndexSnapshot
    encoder: Encoder
    by_text_only: dict[bool, HubnessModel]

    def matches_snapshot(self, search_snapshot: _SearchSnapshot) -> bool:
        """Return True for the same index content, recognized by its array of ids, and encoder."""
        same_ids = self.index_snapshot.segment_ids is search_snapshot.index_snapshot.segment_ids
        return same_ids and self.encoder is search_snapshot.encoder


@dataclass(frozen=True, slots=True)
class _SearchParams:
    """Limits and restrictions of one search."""

    k: int  # moments to find, including those that post-processing may remove
    per_video: int
    fill_remaining: bool  # fill up to k with further moments of the same videos
    allowed_ids: Ids | None  # int64 (N,), ascending; None: all segments
    only_salient: bool = False  # keep only what stands out as a step of a sequence has to
    feedback: RelevanceFeedback | None = None


@dataclass(frozen=True, slots=True)
class _VisualQuery:
    """The embedded visual terms of a query, and the search for them."""

    visual_search: VisualSearch
    query_vector: Vector  # float32 (D,)
    query_clip: QueryClip | None  # the only term, a clip that is not in the library

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
        live_index: LiveIndex,
        active_model: ActiveModel,
        calibrator: Calibrator,
        hubness_cache: HubnessCache,
        *,
        load_pooler: Callable[[], Pooler],
        load_pipeline: Callable[[], Pipeline],
        load_feedback: Callable[[Query, Space], RelevanceFeedback | None],
    ) -> None:
        """Take the components of a library; those named `load_…` are created on first use.

        Args:
            catalog: The catalog.
            feature_store: Stored frame features.
            live_index: The vector index.
            active_model: The encoder.
            calibrator: Source of confidences.
            hubness_cache: Hubness penalties on disk.
            load_pooler: Returns the pooler, for query clips and frame weights.
            load_pipeline: Returns the indexing pipeline, which decodes query clips.
            load_feedback: Returns the relevance feedback of a query in a space, if any.
        """
        self._catalog, self._feature_store, self._live_index = catalog, feature_store, live_index
        self._active_model, self._calibrator = active_model, calibrator
        self._hubness_cache = hubness_cache
        self._load_pooler, self._load_pipeline = load_pooler, load_pipeline
        self._load_feedback = load_feedback
        self._semantic_cues = SemanticCueIndex(catalog, lambda: active_model.image_encoder)
        self._hubness_models: _HubnessModels | None = None
        self._lock = threading.Lock()

    def search(
        self,
        query: Query,
        k: int,
        per_video: int | None,
        *,
        diversify: bool,
        include_duplicates: bool,
    ) -> list[Moment]:
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
            Moments, best first; empty if nothing is indexed.

        Raises:
            QueryError: A parameter is out of range, or the query only excludes.
            NoTextError: The query is text and the encoder has no text support.
            MediaError: An image or a clip cannot be read.
        """
        _check_query(query, k, per_video)
        search_snapshot = self._load_snapshot()
        if search_snapshot is None:
            return []
        search_params = self._search_params(
            query, search_snapshot, k, per_video, oversample=diversify or not include_duplicates
        )
        if query.next_steps:
            moments = self._search_sequence(query, search_snapshot, search_params)
        else:
            moments = self._search_terms(query.terms, search_snapshot, search_params)
        if diversify:
            moments = self._diversify(moments, search_snapshot)
        if not include_duplicates:
            moments = self._deduplicate(moments, search_snapshot)
        if search_params.feedback is not None:
            moments = search_params.feedback.demote_rejected(moments)
        return limit_per_video(
            moments, k, search_params.per_video, fill_remaining=search_params.fill_remaining
        )

    def _search_params(
        self,
        query: Query,
        search_snapshot: _SearchSnapshot,
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
            feedback=self._load_feedback(query, search_snapshot.index_snapshot.space),
        )

    def _search_terms(
        self,
        query_terms: Sequence[Term],
        search_snapshot: _SearchSnapshot,
        search_params: _SearchParams,
    ) -> list[Moment]:
        """Search for the terms of one step: embed, retrieve, expand, refine, calibrate, fuse."""
        text_matches = self._match_text(query_terms, search_params.allowed_ids)
        visual_terms = [term for term in query_terms if term.kind in VISUAL_TERM_KINDS]
        visual_query = self._embed_query(visual_terms, text_matches, search_snapshot)
        if visual_query is None:
            return text_only_moments(text_matches.text_hits)
        visual_query = visual_query.apply_feedback(search_params.feedback)
        candidates = visual_query.visual_search.find_candidates(
            visual_query.query_vector,
            search_params.k,
            allowed_ids=text_matches.allowed_ids,
            per_video=search_params.per_video,
            fill_remaining=search_params.fill_remaining,
        )
        moments = visual_query.visual_search.refine_candidates(
            candidates, visual_query.query_vector
        )
        if visual_query.query_clip is not None:
            copy_matches = self._find_copies(
                visual_query, visual_query.query_clip, search_snapshot, text_matches.allowed_ids
            )
            moments = merge_copies(copy_matches, moments, search_params.k, None)
        query_calibration = self._calibrate_terms(
            visual_terms, visual_query, search_snapshot, text_matches.allowed_ids
        )
        moments = assign_confidence(moments, query_calibration)
        if text_matches.text_hits:
            text_hits = self._add_visual_scores(
                text_matches.text_hits, visual_query, search_snapshot
            )
            text_hits = calibrate_text_hits(text_hits, moments, query_calibration)
            moments = fuse_evidence(moments, text_hits, visual_query.score_scale)
        if search_params.only_salient:
            moments = filter_salient(moments, visual_query.score_scale.baseline)
        return moments

    def _embed_query(
        self,
        visual_terms: Sequence[Term],
        text_matches: TextMatches,
        search_snapshot: _SearchSnapshot,
    ) -> _VisualQuery | None:
        """Embed the visual terms; None if transcripts alone answer the query."""
        if not visual_terms:
            return None
        try:
            return self._embed_visual_terms(visual_terms, search_snapshot)
        except NoTextError:
            # without text support, plain text can still match transcripts
            if not text_matches.text_hits or any(term.kind != "text" for term in visual_terms):
                raise
            return None

    def _find_copies(
        self,
        visual_query: _VisualQuery,
        query_clip: QueryClip,
        search_snapshot: _SearchSnapshot,
        allowed_ids: Ids | None,
    ) -> list[CopyMatch]:
        copy_finder = CopyFinder(
            self._catalog,
            self._feature_store,
            search_snapshot.index_snapshot,
            visual_query.visual_search.sample_vectors,
            allowed_ids,
        )
        return copy_finder.find_copies(query_clip)

    def _diversify(
        self, moments: Sequence[Moment], search_snapshot: _SearchSnapshot
    ) -> list[Moment]:
        peak_vectors = self._peak_vectors(moments, search_snapshot.index_snapshot.space)
        return diversify_moments(moments, peak_vectors, len(moments))

    def _deduplicate(
        self, moments: Sequence[Moment], search_snapshot: _SearchSnapshot
    ) -> list[Moment]:
        peak_vectors = self._peak_vectors(moments, search_snapshot.index_snapshot.space)
        return deduplicate_moments(moments, peak_vectors)

    def _calibrate_terms(
        self,
        query_terms: Sequence[Term],
        visual_query: _VisualQuery,
        search_snapshot: _SearchSnapshot,
        allowed_ids: Ids | None,
    ) -> Calibration | None:
        visual_search = visual_query.visual_search
        return self._calibrator.calibration_for(
            query_terms,
            search_snapshot.encoder,
            search_snapshot.index_snapshot,
            visual_search.sample_vectors,
            visual_search.querybank,
            allowed_ids,
        )

    def _search_sequence(
        self, query: Query, search_snapshot: _SearchSnapshot, search_params: _SearchParams
    ) -> list[Moment]:
        """Search for consecutive steps, jointly if all of their terms are visual."""
        step_terms = [query.terms, *(step.terms for step in query.next_steps)]
        max_gaps = [step.max_gap_seconds for step in query.next_steps]
        all_terms = [term for query_terms in step_terms for term in query_terms]
        if all(term.kind in VISUAL_TERM_KINDS for term in all_terms):
            visual_queries = [
                self._embed_visual_terms(query_terms, search_snapshot) for query_terms in step_terms
            ]
            moments = visual_queries[0].visual_search.search_sequence(
                [visual_query.query_vector for visual_query in visual_queries],
                max_gaps,
                search_params.k,
                allowed_ids=search_params.allowed_ids,
                per_video=search_params.per_video,
                fill_remaining=search_params.fill_remaining,
            )
            return self._add_sequence_confidences(
                moments,
                list(zip(visual_queries, step_terms, strict=True)),
                search_snapshot,
                search_params,
            )
        step_params = replace(
            search_params, k=CANDIDATES_PER_STEP, per_video=CANDIDATES_PER_STEP, only_salient=True
        )
        moments_by_step = [
            self._search_terms(query_terms, search_snapshot, step_params)
            for query_terms in step_terms
        ]
        return join_steps(moments_by_step, max_gaps)

    def _add_sequence_confidences(
        self,
        moments: Sequence[Moment],
        visual_steps: Sequence[tuple[_VisualQuery, Sequence[Term]]],
        search_snapshot: _SearchSnapshot,
        search_params: _SearchParams,
    ) -> list[Moment]:
        """Give sequences the confidence of their weakest step, as every step has to match."""
        step_confidences: list[list[float]] = []
        for step_index, (visual_query, query_terms) in enumerate(visual_steps):
            query_calibration = self._calibrate_terms(
                query_terms, visual_query, search_snapshot, search_params.allowed_ids
            )
            if query_calibration is None:
                return list(moments)
            video_spans = [
                (moment.video.id, moment.explanation.step_spans[step_index]) for moment in moments
            ]
            step_confidences.append(
                query_calibration.score_confidences(
                    self._score_spans(video_spans, visual_query, search_snapshot)
                )
            )
        return [
            replace(moment, confidence=min(confidences))
            for moment, *confidences in zip(moments, *step_confidences, strict=True)
        ]

    def _embed_visual_terms(
        self, query_terms: Sequence[Term], search_snapshot: _SearchSnapshot
    ) -> _VisualQuery:
        """Embed visual terms as one query. Raises QueryError, NoTextError and MediaError."""
        encoder = search_snapshot.encoder
        visual_search = self._build_visual_search(
            search_snapshot, text_only=all(term.kind == "text" for term in query_terms)
        )
        clips_by_term = {
            term: self._load_query_clip(Path(term.value), term.span, encoder.space)
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
        if query_clip is not None and query_clip.library_video is not None:
            query_clip = None  # an indexed video needs no copy search: it finds itself
        return _VisualQuery(visual_search, query_vector, query_clip)

    def _build_visual_search(
        self, search_snapshot: _SearchSnapshot, *, text_only: bool
    ) -> VisualSearch:
        """Create the search, with the hubness model cached per snapshot."""
        index_snapshot, encoder = search_snapshot.index_snapshot, search_snapshot.encoder
        with self._lock:
            cached_models = self._hubness_models
            if cached_models is None or not cached_models.matches_snapshot(search_snapshot):
                cached_models = _HubnessModels(index_snapshot, encoder, {})
                self._hubness_models = cached_models
            if (hubness_model := cached_models.by_text_only.get(text_only)) is None:
                querybank = (
                    Querybank.from_encoder(encoder)
                    if text_only
                    else Querybank.create_empty(encoder.space.dim)
                )
                hubness_model = HubnessModel(
                    self._catalog, index_snapshot, querybank, self._hubness_cache
                )
                cached_models.by_text_only[text_only] = hubness_model
        return VisualSearch(
            self._catalog,
            self._feature_store,
            index_snapshot,
            hubness_model.querybank,
            self._frame_weights,
            hubness_model,
        )

    def _match_text(self, query_terms: Sequence[Term], allowed_ids: Ids | None) -> TextMatches:
        """Search transcripts, unless neither the query nor the library has any text."""
        term_kinds = {term.kind for term in query_terms}
        has_filter = not term_kinds.isdisjoint(("said", "shown"))  # applies without cues as well
        if not has_filter and not (
            "text" in term_kinds and self._catalog.cue_index.estimate_size()
        ):
            return TextMatches([], allowed_ids)
        transcript_search = TranscriptSearch(self._catalog, self._semantic_cues)
        return match_text_terms(query_terms, allowed_ids, self._catalog, transcript_search)

    def _add_visual_scores(
        self,
        text_hits: Sequence[TextHit],
        visual_query: _VisualQuery,
        search_snapshot: _SearchSnapshot,
    ) -> list[TextHit]:
        """Add the visual score at the time of each transcript hit."""
        video_spans = [(text_hit.video.id, text_hit.span) for text_hit in text_hits]
        visual_scores = self._score_spans(video_spans, visual_query, search_snapshot)
        return [
            replace(text_hit, visual_score=visual_score)
            for text_hit, visual_score in zip(text_hits, visual_scores, strict=True)
        ]

    def _score_spans(
        self,
        video_spans: Sequence[tuple[int, Span]],
        visual_query: _VisualQuery,
        search_snapshot: _SearchSnapshot,
    ) -> list[float]:
        """Return the best segment score within each (video id, span)."""
        overlapping_ids = self._catalog.segments_overlapping(video_spans)
        wanted_ids = _sorted_union(overlapping_ids)
        known_ids, segment_vectors = self._catalog.vectors(
            wanted_ids, search_snapshot.index_snapshot.space
        )
        segment_scores = visual_query.visual_search.score_vectors(
            segment_vectors, visual_query.query_vector
        )
        return [
            float(
                segment_scores[np.isin(known_ids, span_ids)].max(
                    initial=visual_query.score_scale.baseline
                )
            )
            for span_ids in overlapping_ids
        ]

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
        """
        no_scores: Vector = np.empty(0, np.float32)
        step_terms = [query.terms, *(step.terms for step in query.next_steps)]
        visual_steps = [
            [term for term in query_terms if term.kind in VISUAL_TERM_KINDS]
            for query_terms in step_terms
        ]
        if (search_snapshot := self._load_snapshot()) is None or not any(visual_steps):
            return Curve(np.empty(0, np.float64), no_scores, 0.0)
        space = search_snapshot.index_snapshot.space
        frame_features = self._feature_store.load(video.id, space)
        feedback = self._load_feedback(query, space)
        best_scores, baseline = np.full(len(frame_features.frame_times), -1.0, np.float32), -1.0
        for query_terms in filter(None, visual_steps):
            visual_query = self._embed_visual_terms(query_terms, search_snapshot)
            visual_query = visual_query.apply_feedback(feedback)
            step_scores = visual_query.visual_search.score_vectors(
                frame_features.frame_vectors, visual_query.query_vector
            )
            best_scores = np.maximum(best_scores, step_scores)
            baseline = max(baseline, visual_query.score_scale.baseline)
        return Curve(frame_features.frame_times, best_scores, baseline)

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
        if k < 1:
            raise QueryError("k must be at least 1")
        search_snapshot = self._load_snapshot()
        if search_snapshot is None:
            return []
        index_snapshot, encoder = search_snapshot.index_snapshot, search_snapshot.encoder
        query_clip = self._load_query_clip(self._resolve_path(video_path), clip_span, encoder.space)
        visual_search = self._build_visual_search(search_snapshot, text_only=False)
        allowed_ids = self._other_segments(
            query_clip, index_snapshot.segment_ids, same_video=same_video
        )
        max_per_video = min(DEFAULT_MAX_PER_VIDEO, math.ceil(k / 2))
        return visual_search.search(
            query_clip.mean_vector, k, allowed_ids=allowed_ids, per_video=max_per_video
        )

    def find_duplicates(self, video_paths: Sequence[str]) -> Iterator[DuplicateSpan]:
        """Find spans that videos share with other videos of the library.

        Args:
            video_paths: Files, folders or names of videos; none: all videos of the library.

        Yields:
            Exact duplicates of files that are not indexed, then shared spans.

        Raises:
            QueryError: A path matches no video in the library or on disk.
        """
        # deferred: brings a decoder
        from vsearch.copies.duplicates import create_exact_duplicate, find_duplicates
        from vsearch.media.discovery import compute_fingerprint, find_videos

        space = self._catalog.space()
        queried_videos = (
            videos_matching(self._catalog, video_paths) if video_paths else self._catalog.videos()
        )
        known_paths = {video.path for video in queried_videos}
        file_paths = (
            [found_file.path for found_file in find_videos(video_paths) if found_file.error is None]
            if video_paths
            else []
        )
        if not queried_videos and not file_paths:
            raise QueryError(f"{', '.join(video_paths)}: no such video, in the library or on disk")
        for file_path in file_paths:
            twin_videos = (
                self._catalog.videos_by_fingerprint(compute_fingerprint(file_path))
                if file_path not in known_paths
                else []
            )
            yield from (create_exact_duplicate(file_path, twin_video) for twin_video in twin_videos)
        if space is not None:
            yield from find_duplicates(self._catalog, self._feature_store, space, queried_videos)

    def _resolve_path(self, path: Path) -> Path:
        """Return the path of an indexed video with the same name or content, if there is one.

        An indexed video does not have to be decoded.
        """
        from vsearch.media.discovery import compute_fingerprint  # deferred: a text query needs none

        file_path = Path(os.path.expanduser(path))  # noqa: PTH111 - never raises
        if not file_path.is_file():
            matching_videos = videos_matching(self._catalog, [str(path)])
            if len(matching_videos) > 1:
                raise QueryError(
                    f"{path}: matches {len(matching_videos)} videos; use the path of one"
                )
            return matching_videos[0].path if matching_videos else file_path
        if self._catalog.video_by_path(Path(os.path.abspath(file_path))):  # noqa: PTH100 - as discovery does
            return file_path
        twin_videos = self._catalog.videos_by_fingerprint(compute_fingerprint(file_path))
        return twin_videos[0].path if twin_videos else file_path

    def _other_segments(
        self, query_clip: QueryClip, segment_ids: Ids, *, same_video: bool
    ) -> Ids | None:
        """Exclude the segments of the clip, and unless `same_video` those of its whole video."""
        if query_clip.library_video is None:
            return None
        excluded_ids = [
            segment.id
            for segment in self._catalog.segments_of_video(query_clip.library_video.id)
            if not same_video
            or (
                segment.span.start < query_clip.clip_span.end
                and query_clip.clip_span.start < segment.span.end
            )
        ]
        return np.setdiff1d(segment_ids, excluded_ids)

    def _frame_weights(self, frame_vectors: Matrix, frame_times: Times) -> Vector:
        """Return the pooler's attention weight of each frame, float32 (T,).

        Empty if the pooler does not expose weights or cannot be loaded.
        """
        no_weights: Vector = np.empty(0, np.float32)
        try:
            weigh_frames: FrameWeighing | None = getattr(self._load_pooler(), "weigh", None)
        except VSearchError as error:
            log.warning("%s", error)
            return no_weights
        return no_weights if weigh_frames is None else weigh_frames(frame_vectors, frame_times)

    def _load_snapshot(self) -> _SearchSnapshot | None:
        """Return the current index and its encoder; None if nothing is indexed."""
        while (index_snapshot := self._live_index.take_snapshot()) is not None:
            try:
                return _SearchSnapshot(
                    index_snapshot,
                    self._active_model.for_space(index_snapshot.space, self._catalog),
                )
            except SpaceMismatchError:
                if self._catalog.space() == index_snapshot.space:
                    raise  # else the library has just switched to another space
        return None

    def _load_query_clip(self, named_path: Path, span: Span | None, space: Space) -> QueryClip:
        """Load a clip from the library, or decode it the way videos are indexed.

        Raises MediaError, and QueryError if the video ends before the span.
        """
        # deferred: a text query needs no decoder
        from vsearch.indexing.pipeline import decode_and_encode, pool_segments

        video_path = Path(os.path.expanduser(named_path))  # noqa: PTH111 - never raises
        known_video = self._catalog.video_by_path(Path(os.path.abspath(video_path)))  # noqa: PTH100 - as discovery does
        if known_video is not None:
            frame_features = self._feature_store.load(known_video.id, space)
            end_time = known_video.duration
            known_segments = self._catalog.segments_of_video(known_video.id)
            cut_times = np.array([segment.span.start for segment in known_segments])
        else:
            decoded_video = decode_and_encode(video_path, self._load_pipeline(), span=span)
            frame_features, end_time = decoded_video.features, decoded_video.end_time
            cut_times = decoded_video.shot_cuts
        if span is not None and span.start >= end_time:
            raise QueryError(f"{video_path} ends after {end_time:.1f} s, before the requested span")
        span = Span(span.start, min(span.end, end_time)) if span else Span(0.0, end_time)
        frame_features = frame_features.within(span)
        segment_spans = _segment_clip(frame_features.frame_times, cut_times, span)
        return QueryClip(
            video_path,
            span,
            frame_features,
            segment_spans,
            pool_segments(frame_features, segment_spans, self._load_pooler()),
            known_video,
        )


def _check_query(query: Query, k: int, per_video: int | None) -> None:
    """Raise QueryError for limits below 1, and for a step without a term to search for."""
    if k < 1 or (per_video is not None and per_video < 1):
        raise QueryError("k and per_video must be at least 1")
    for query_terms in (query.terms, *(step.terms for step in query.next_steps)):
        if all(term.weight < 0 for term in query_terms):
            raise QueryError("this query only excludes; add a term to search for")


def _sorted_union(id_arrays: Iterable[Ids]) -> Ids:
    """Return distinct ids, ascending; NumPy's set routines are slow to import."""
    return np.array(
        sorted({segment_id for id_array in id_arrays for segment_id in id_array.tolist()}), np.int64
    )


def _segment_clip(frame_times: Times, cut_times: Times, video_span: Span) -> tuple[Span, ...]:
    """Segment a span of a video as if it were a whole video."""
    from vsearch.media.segmentation import segment_video

    clip_spans = segment_video(
        frame_times - video_span.start, cut_times - video_span.start, video_span.duration
    )
    shifted_spans = (
        Span(clip_span.start + video_span.start, clip_span.end + video_span.start)
        for clip_span in clip_spans
    )
    return tuple(shifted_spans) or (video_span,)
