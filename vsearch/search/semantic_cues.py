"""Semantic transcript search: cues whose embedding is similar to that of a text.

Cues and query are embedded by the library's own encoder, without the query adapter and without a
separate text model, so that both are in one space. The search is exhaustive, block by block.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vsearch.catalog.pool import OutdatedSnapshotError
from vsearch.search.hubness import Querybank

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.catalog.catalog import Catalog
    from vsearch.protocols import Encoder
    from vsearch.types import Ids, Space, Vector

MIN_CUE_SIMILARITY = 0.5  # cosine
MAD_FACTOR = 5.0  # robust deviations above the median; chosen with benchmarks/bench_cues.py
SAMPLE_CUES = 4_096  # cues on which median and deviation are measured
MIN_SAMPLE_CUES = 64  # with fewer cues, the encoder's querybank is the background instead
MAX_HELD_CUES = 1_000_000  # in memory, about a gigabyte; the oldest are left out
BLOCK_ROWS = 32_768  # cues compared at once
MAX_CUE_SCORE = 0.9  # a semantic match scores less than a literal one
CERTAIN_CUE_SIMILARITY = 0.85  # cosine that maps to MAX_CUE_SCORE


@dataclass(frozen=True, slots=True, eq=False)
class _CueVectors:
    revision: int
    space: Space
    cue_ids: Ids
    cue_vectors: npt.NDArray[np.float16]  # (N, D), rows of unit length


class SemanticCueIndex:
    """Semantic index over the cues of one library. Thread-safe."""

    def __init__(self, catalog: Catalog, load_encoder: Callable[[], Encoder]) -> None:
        """Load the encoder on first use."""
        self._catalog, self._load_encoder = catalog, load_encoder
        self._lock = threading.Lock()
        self._cue_vectors: _CueVectors | None = None

    def search_similar(self, query_text: str) -> tuple[Ids, Vector]:
        """Find cues that mean the same as a text.

        Args:
            query_text: The text.

        Returns:
            Cue ids, int64 (N,), and scores in [0.5, `MAX_CUE_SCORE`], float32 (N,), best first.
            Both are empty if the encoder has no text support or no cue is embedded yet.
        """
        cue_vectors = self._current_vectors()
        encoder = (
            self._load_encoder() if cue_vectors is not None and len(cue_vectors.cue_ids) else None
        )
        if cue_vectors is None or encoder is None or encoder.space != cue_vectors.space:
            if encoder is not None and self._catalog.is_outdated():
                raise OutdatedSnapshotError("the model was switched during the search")
            return np.empty(0, np.int64), np.empty(0, np.float32)
        query_vector = encoder.encode_texts([query_text])[0]
        similarities = _compare_in_blocks(cue_vectors.cue_vectors, query_vector)
        generic_similarities = Querybank.from_encoder(encoder).query_vectors @ query_vector
        min_similarity = _similarity_threshold(similarities, generic_similarities)
        cue_rows = np.flatnonzero(similarities >= min_similarity)
        cue_rows = cue_rows[np.argsort(-similarities[cue_rows], kind="stable")]
        relative_similarity = (similarities[cue_rows] - min_similarity) / max(
            CERTAIN_CUE_SIMILARITY - min_similarity, 1e-6
        )
        cue_scores = np.minimum(
            MAX_CUE_SCORE, 0.5 + (MAX_CUE_SCORE - 0.5) * relative_similarity
        ).astype(np.float32)
        return cue_vectors.cue_ids[cue_rows], cue_scores

    def _current_vectors(self) -> _CueVectors | None:
        space = self._catalog.space()
        if space is None or not self._catalog.cue_index.last_embedded_cue(space):
            return None
        with self._lock:
            revision, cue_vectors = self._catalog.revision(), self._cue_vectors
            if cue_vectors is None or (cue_vectors.revision, cue_vectors.space) != (
                revision,
                space,
            ):
                cue_ids, vectors = self._catalog.cue_index.newest_vectors(space, MAX_HELD_CUES)
                cue_vectors = self._cue_vectors = _CueVectors(revision, space, cue_ids, vectors)
            return cue_vectors


def _compare_in_blocks(cue_vectors: npt.NDArray[np.float16], query_vector: Vector) -> Vector:
    """Return similarities, float32 (N,); in blocks, as the cues may take a gigabyte."""
    similarities = np.empty(len(cue_vectors), np.float32)
    for start_row in range(0, len(cue_vectors), BLOCK_ROWS):
        similarities[start_row : start_row + BLOCK_ROWS] = (
            cue_vectors[start_row : start_row + BLOCK_ROWS].astype(np.float32) @ query_vector
        )
    return similarities


def _similarity_threshold(similarities: Vector, generic_similarities: Vector) -> float:
    """Return the similarity above which a cue matches: an outlier by the median and MAD."""
    background_sample = similarities[:: max(1, -(-len(similarities) // SAMPLE_CUES))]
    if len(background_sample) < MIN_SAMPLE_CUES:
        if not len(generic_similarities):
            return np.inf
        background_sample = generic_similarities
    median_similarity = float(np.median(background_sample))
    mad = float(np.median(np.abs(background_sample - median_similarity)))
    robust_std = 1.4826 * mad  # consistent with the deviation of a normal distribution
    return min(
        max(MIN_CUE_SIMILARITY, median_similarity + MAD_FACTOR * robust_std), CERTAIN_CUE_SIMILARITY
    )
