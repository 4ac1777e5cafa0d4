"""Confidence of moments and transcript hits, with the last calibration cached per snapshot."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vsearch.search.calibration import MAX_CONFIDENCE, Calibration, calibrate_query
from vsearch.search.hubness import BACKGROUND_SAMPLE_SIZE
from vsearch.search.null_queries import GenericEmbeddings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import Encoder
    from vsearch.query.model import Term
    from vsearch.search.fusion import TextHit
    from vsearch.search.hubness import Querybank
    from vsearch.search.live_index import IndexSnapshot
    from vsearch.types import Ids, Matrix, Moment

VISUAL_TERM_KINDS = ("text", "image", "clip")  # terms that are matched against frames


@dataclass(frozen=True, slots=True, eq=False)
class _CachedCalibration:
    """A calibration and the state of the library and query that it was measured for."""

    segment_ids: Ids
    encoder: Encoder
    query_form: tuple[tuple[bool, float], ...]  # (is text, weight) of each term
    segment_count: int
    calibration: Calibration | None


class Calibrator:
    """Source of query calibrations, caching the last one. Thread-safe."""

    def __init__(self, catalog: Catalog, cache_folder: Path) -> None:
        """Cache the embeddings of generic texts in `cache_folder`."""
        self._catalog, self._generic_embeddings = catalog, GenericEmbeddings(cache_folder)
        self._cached_calibration: _CachedCalibration | None = None
        self._lock = threading.Lock()

    def calibration_for(
        self,
        query_terms: Sequence[Term],
        encoder: Encoder,
        index_snapshot: IndexSnapshot,
        sample_vectors: Matrix,
        querybank: Querybank,
        allowed_ids: Ids | None,
    ) -> Calibration | None:
        """Return the calibration for a query, measured or cached.

        Args:
            query_terms: The query; transcript terms (`said:`, `shown:`) are ignored.
            encoder: The encoder that embeds the query.
            index_snapshot: The index that is searched.
            sample_vectors: Segments sampled evenly from the library, float32 (M, D).
            querybank: The querybank that corrects the scores.
            allowed_ids: Segments that are searched; None: all.

        Returns:
            The calibration, or None if none can be measured; see `calibrate_query`.
        """
        visual_terms = [term for term in query_terms if term.kind in VISUAL_TERM_KINDS]
        query_form = tuple((term.kind == "text", term.weight) for term in visual_terms)
        segment_count = len(index_snapshot.segment_ids if allowed_ids is None else allowed_ids)
        with self._lock:
            cached_calibration = self._cached_calibration
        if (
            cached_calibration is None
            or cached_calibration.segment_ids is not index_snapshot.segment_ids
            or cached_calibration.encoder is not encoder
            or (cached_calibration.query_form, cached_calibration.segment_count)
            != (query_form, segment_count)
        ):
            new_calibration = self._measure_calibration(
                visual_terms, encoder, index_snapshot, sample_vectors, querybank, segment_count
            )
            cached_calibration = _CachedCalibration(
                index_snapshot.segment_ids, encoder, query_form, segment_count, new_calibration
            )
            with self._lock:
                self._cached_calibration = cached_calibration
        return cached_calibration.calibration

    def _measure_calibration(
        self,
        query_terms: Sequence[Term],
        encoder: Encoder,
        index_snapshot: IndexSnapshot,
        sample_vectors: Matrix,
        querybank: Querybank,
        segment_count: int,
    ) -> Calibration | None:
        if not query_terms:
            return None
        has_text = any(term.kind == "text" for term in query_terms)
        generic_vectors = self._generic_embeddings.embeddings_for(encoder) if has_text else None
        sample_ids = index_snapshot.segment_ids[
            :: max(1, -(-len(index_snapshot.segment_ids) // BACKGROUND_SAMPLE_SIZE))
        ]
        if len(sample_ids) != len(sample_vectors):  # a segment has no vector
            sample_ids, sample_vectors = self._catalog.vectors(sample_ids, index_snapshot.space)
        return calibrate_query(
            query_terms,
            generic_vectors,
            sample_vectors,
            self._catalog.video_ids_of(sample_ids),
            querybank,
            segment_count,
        )


def assign_confidence(
    moments: Sequence[Moment], query_calibration: Calibration | None
) -> list[Moment]:
    """Return the moments with their confidence.

    A pixel-verified copy has `MAX_CONFIDENCE`. Without a calibration, other moments have None.
    """
    other_scores = [moment.score for moment in moments if not moment.explanation.is_copy]
    next_confidence = iter(
        query_calibration.score_confidences(other_scores)
        if query_calibration
        else [None] * len(other_scores)
    )
    return [
        replace(
            moment,
            confidence=MAX_CONFIDENCE if moment.explanation.is_copy else next(next_confidence),
        )
        for moment in moments
    ]


def calibrate_text_hits(
    text_hits: Sequence[TextHit], moments: Sequence[Moment], query_calibration: Calibration | None
) -> list[TextHit]:
    """Return the transcript hits with the confidence of their visual score.

    Args:
        text_hits: Hits with their `visual_score` set.
        moments: Visual moments of the same query; the best of them is the reference for gaps.
        query_calibration: None leaves the hits as they are.
    """
    if query_calibration is None:
        return list(text_hits)
    best_score = max((moment.score for moment in moments), default=0.0)
    confidences = query_calibration.score_confidences(
        [*(text_hit.visual_score for text_hit in text_hits), best_score]
    )
    return [
        replace(text_hit, confidence=confidence)
        for text_hit, confidence in zip(text_hits, confidences[:-1], strict=True)
    ]
