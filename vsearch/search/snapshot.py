"""Snapshots: the consistent state of a library that one search uses from start to end."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.errors import SpaceMismatchError
from vsearch.search.calibration import calibrate_query
from vsearch.search.hubness import HubnessModel, Querybank

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.active_model import ActiveModel
    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import Encoder
    from vsearch.query.model import Term
    from vsearch.search.calibration import Calibration
    from vsearch.search.hubness import HubnessCache
    from vsearch.search.live_index import IndexSnapshot, LiveIndex
    from vsearch.search.null_queries import GenericEmbeddings
    from vsearch.types import Ids, Space

VISUAL_TERM_KINDS = ("text", "image", "clip")  # terms that are matched against frames
MAX_CACHED_CALIBRATIONS = 64


@dataclass(frozen=True, slots=True, eq=False)
class LibrarySnapshot:
    """The index at one revision of the catalog, the encoder of its space, and its statistics."""

    index_snapshot: IndexSnapshot
    encoder: Encoder
    statistics: ScoreStatistics

    @property
    def space(self) -> Space:
        """Space of the vectors."""
        return self.index_snapshot.space


class ScoreStatistics:
    """Hubness and calibrations of one encoder in one state of the index, measured on first use."""

    def __init__(
        self,
        catalog: Catalog,
        index_snapshot: IndexSnapshot,
        encoder: Encoder,
        hubness_cache: HubnessCache,
        generic_embeddings: GenericEmbeddings,
    ) -> None:
        """Measure nothing yet.

        Args:
            catalog: The catalog.
            index_snapshot: The index.
            encoder: The encoder of its space.
            hubness_cache: Hubness penalties on disk.
            generic_embeddings: Embeddings of generic texts, as null queries.
        """
        self._catalog, self._index_snapshot, self._encoder = catalog, index_snapshot, encoder
        self._hubness_cache, self._generic_embeddings = hubness_cache, generic_embeddings
        self._calibrations: dict[object, Calibration | None] = {}

    def describes(self, index_snapshot: IndexSnapshot, encoder: Encoder) -> bool:
        """Return True for the same segments, recognized by their array of ids, and encoder."""
        same_segments = self._index_snapshot.segment_ids is index_snapshot.segment_ids
        return same_segments and self._encoder is encoder

    def hubness_for(self, query_terms: Sequence[Term]) -> HubnessModel:
        """Return the hubness model for a query, which corrects scores of text only."""
        is_text = all(term.kind == "text" for term in query_terms)
        return self.text_hubness if is_text else self.image_hubness

    @cached_property
    def text_hubness(self) -> HubnessModel:
        """Hubness with respect to the encoder's querybank."""
        return self._hubness_model(Querybank.from_encoder(self._encoder))

    @cached_property
    def image_hubness(self) -> HubnessModel:
        """Hubness model of images and clips, whose scores are not corrected."""
        return self._hubness_model(Querybank.create_empty(self._encoder.space.dim))

    def _hubness_model(self, querybank: Querybank) -> HubnessModel:
        return HubnessModel(self._catalog, self._index_snapshot, querybank, self._hubness_cache)

    def calibration_for(
        self, query_terms: Sequence[Term], allowed_ids: Ids | None
    ) -> Calibration | None:
        """Return the calibration for queries of the same form.

        Args:
            query_terms: The query; transcript terms (`said:`, `shown:`) are ignored.
            allowed_ids: Segments that are searched; None: all.

        Returns:
            The calibration, or None if none can be measured; see `calibrate_query`.
        """
        visual_terms = [term for term in query_terms if term.kind in VISUAL_TERM_KINDS]
        if not visual_terms:
            return None
        segment_ids = self._index_snapshot.segment_ids
        segment_count = len(segment_ids if allowed_ids is None else allowed_ids)
        query_form = tuple((term.kind == "text", term.weight) for term in visual_terms)
        cache_key = (query_form, segment_count)
        calibrations = self._calibrations  # other threads may replace it
        if cache_key not in calibrations:
            if len(calibrations) >= MAX_CACHED_CALIBRATIONS:
                self._calibrations = calibrations = {}
            calibrations[cache_key] = self._measure_calibration(visual_terms, segment_count)
        return calibrations[cache_key]

    def _measure_calibration(
        self, visual_terms: Sequence[Term], segment_count: int
    ) -> Calibration | None:
        hubness_model = self.hubness_for(visual_terms)
        has_text = any(term.kind == "text" for term in visual_terms)
        sample_ids, sample_vectors = hubness_model.sampled_segments
        return calibrate_query(
            visual_terms,
            self._generic_embeddings.embeddings_for(self._encoder) if has_text else None,
            sample_vectors,
            self._catalog.video_ids_of(sample_ids),
            hubness_model.querybank,
            segment_count,
        )


class SnapshotSource:
    """Source of snapshots of one library. Thread-safe."""

    def __init__(
        self,
        catalog: Catalog,
        live_index: LiveIndex,
        active_model: ActiveModel,
        hubness_cache: HubnessCache,
        generic_embeddings: GenericEmbeddings,
    ) -> None:
        """Take the components of a library; nothing is loaded yet.

        Args:
            catalog: The catalog.
            live_index: The vector index.
            active_model: The encoder.
            hubness_cache: Hubness penalties on disk.
            generic_embeddings: Embeddings of generic texts, as null queries.
        """
        self._catalog, self._live_index, self._active_model = catalog, live_index, active_model
        self._hubness_cache, self._generic_embeddings = hubness_cache, generic_embeddings
        self._statistics: ScoreStatistics | None = None
        self._lock = threading.Lock()

    def take_snapshot(self) -> LibrarySnapshot | None:
        """Return the current state of the library; None if nothing is indexed.

        Raises:
            SpaceMismatchError: If the library was indexed with another model.
            ModelError: If the model cannot be loaded.
        """
        while (index_snapshot := self._live_index.take_snapshot()) is not None:
            space = index_snapshot.space
            try:
                encoder = self._active_model.for_space(space, self._catalog)
            except SpaceMismatchError:
                if self._catalog.space() == space:
                    raise  # else the library has just switched to another space
                continue
            return LibrarySnapshot(
                index_snapshot, encoder, self._current_statistics(index_snapshot, encoder)
            )
        return None

    def _current_statistics(
        self, index_snapshot: IndexSnapshot, encoder: Encoder
    ) -> ScoreStatistics:
        """Return the last statistics if they still apply, else new ones."""
        with self._lock:
            if self._statistics is None or not self._statistics.describes(index_snapshot, encoder):
                self._statistics = ScoreStatistics(
                    self._catalog,
                    index_snapshot,
                    encoder,
                    self._hubness_cache,
                    self._generic_embeddings,
                )
            return self._statistics
