"""Snapshots: the consistent state of a library that one search uses from start to end."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vsearch.search.calibration import calibrate_images, calibrate_text
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
    from vsearch.types import Space

VISUAL_TERM_KINDS = ("text", "image", "clip")  # terms that are matched against frames


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

    def describes(self, index_snapshot: IndexSnapshot, encoder: Encoder) -> bool:
        """Return True for the same segments and encoder."""
        same_segments = (
            self._index_snapshot.segments.content_key is index_snapshot.segments.content_key
        )
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

    def calibration_for(self, term: Term) -> Calibration | None:
        """Return the calibration for a visual term; None if none can be measured."""
        return self._text_calibration if term.kind == "text" else self._image_calibration

    @cached_property
    def _text_calibration(self) -> Calibration | None:
        text_vectors = self._generic_embeddings.embeddings_for(self._encoder)
        if text_vectors is None:
            return None
        return calibrate_text(
            text_vectors,
            self.text_hubness.sample_vectors,
            self.text_hubness.querybank,
            self._index_snapshot.segments.count,
        )

    @cached_property
    def _image_calibration(self) -> Calibration | None:
        sample_ids, sample_vectors = self.image_hubness.sampled_segments
        return calibrate_images(
            sample_vectors,
            self._catalog.video_ids_of(sample_ids),
            self._index_snapshot.segments.count,
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
        """Return the state of the library in the catalog snapshot of this thread.

        Returns:
            The state; None if nothing is indexed.

        Raises:
            SpaceMismatchError: If the library was indexed with another model.
            ModelError: If the model cannot be loaded.
        """
        return self._catalog.read_consistently(self._take_snapshot)

    def _take_snapshot(self) -> LibrarySnapshot | None:
        index_snapshot = self._live_index.take_snapshot()
        if index_snapshot is None:
            return None
        encoder = self._active_model.for_space(index_snapshot.space, self._catalog)
        return LibrarySnapshot(
            index_snapshot, encoder, self._current_statistics(index_snapshot, encoder)
        )

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
