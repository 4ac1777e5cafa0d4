"""Null queries: generic queries of the same form as a query, as the reference for calibration.

Generic texts stand for text terms, and frames of the library itself for image terms; the latter are
not compared with segments of their own video.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.generic_prompts import GENERIC_PROMPTS
from vsearch.errors import DamagedLibraryError
from vsearch.search.hubness import Querybank
from vsearch.storage.array_files import load_arrays, save_arrays
from vsearch.storage.atomic_files import damage_as_error, remove_partial_files, safe_file_name

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from vsearch.protocols import Encoder
    from vsearch.types import Ids, Matrix

log = logging.getLogger(__name__)
MAX_NULL_QUERIES = 256  # standard error of their mean best score: a 16th of its deviation
FALLBACK_PROMPTS = GENERIC_PROMPTS[::3]  # without a querybank; fewer, as encoding may be slow
SAME_MODEL_SIMILARITY = 0.99  # cosine of the first prompt encoded twice by one model
MAX_HEADER_BYTES = 4_096  # of a cache file, beyond its array data


@dataclass(frozen=True, slots=True, eq=False)
class NullQueries:
    """Generic queries, and a mask of sampled segments that they are not compared with."""

    query_vectors: Matrix  # float32 (B, D), rows of unit length
    hidden_mask: npt.NDArray[np.bool_] | None = None  # bool (B, M)

    def score_sample(self, sample_vectors: Matrix) -> Matrix:
        """Score the sample, float32 (M, D), against all queries.

        Returns:
            float32 (B, M); NaN where a pair is masked.
        """
        null_scores: Matrix = self.query_vectors @ sample_vectors.T
        if self.hidden_mask is not None:
            null_scores[self.hidden_mask] = np.nan
        return null_scores


def even_subset(row_count: int) -> slice:
    """Return a slice of at most `MAX_NULL_QUERIES` evenly spaced rows."""
    return slice(None, None, max(1, -(-row_count // MAX_NULL_QUERIES)))


def text_null_queries(text_vectors: Matrix) -> NullQueries:
    """Return generic texts, float32 (B, D), as null queries."""
    return NullQueries(text_vectors[even_subset(len(text_vectors))])


def image_null_queries(sample_vectors: Matrix, video_ids: Ids) -> NullQueries:
    """Return segments of the library as null queries, masked for their own video.

    Args:
        sample_vectors: Segments sampled evenly from the library, float32 (M, D).
        video_ids: Their videos, int64 (M,).
    """
    sample_slice = even_subset(len(sample_vectors))
    return NullQueries(
        sample_vectors[sample_slice], video_ids[sample_slice][:, None] == video_ids[None, :]
    )


class GenericEmbeddings:
    """Embeddings of generic texts: the encoder's querybank, or encoded prompts. Thread-safe.

    A large model takes seconds to encode the prompts, so they are cached on disk, in
    `<library>/generic_queries`. The folder may be deleted at any time; a damaged file is replaced,
    and a read-only library works without it.
    """

    def __init__(self, cache_folder: Path) -> None:
        """Create `cache_folder` on the first write."""
        self._cache_folder = cache_folder
        self._last_embeddings: tuple[Encoder, Matrix] | None = None
        self._lock = threading.Lock()

    def embeddings_for(self, encoder: Encoder) -> Matrix | None:
        """Return the generic texts in an encoder's space.

        Raises any exception of `encoder.encode_texts`.

        Returns:
            float32 (B, D) of unit length, or None for an encoder without text support.
        """
        if not encoder.space.supports_text:
            return None
        with self._lock:
            if self._last_embeddings is None or self._last_embeddings[0] is not encoder:
                text_vectors = Querybank.from_encoder(encoder).query_vectors
                if not len(text_vectors):
                    text_vectors = self._load_or_embed(encoder)
                self._last_embeddings = encoder, text_vectors
            return self._last_embeddings[1]

    def _load_or_embed(self, encoder: Encoder) -> Matrix:
        """Load cached embeddings if the same model made them, else encode the prompts."""
        cache_path = self._cache_folder / f"{safe_file_name(encoder.space.name)}.npz"
        first_vector = encoder.encode_texts(FALLBACK_PROMPTS[:1])
        try:
            if cache_path.exists():
                cached_vectors = _load_embeddings(cache_path, encoder.space.dim)
                if float(first_vector[0] @ cached_vectors[0]) >= SAME_MODEL_SIMILARITY:
                    return cached_vectors
        except DamagedLibraryError as error:
            log.warning("%s", error)
        text_vectors = np.concatenate([first_vector, encoder.encode_texts(FALLBACK_PROMPTS[1:])])
        try:
            remove_partial_files(self._cache_folder)
            save_arrays(cache_path, {"vectors": text_vectors})
        except OSError as error:
            log.info("could not write %s: %s", cache_path, error)
        return text_vectors


def _load_embeddings(cache_path: Path, vector_dim: int) -> Matrix:
    """Load cached embeddings; raise DamagedLibraryError if the file is not usable."""
    with damage_as_error(cache_path, "the generic queries are encoded again"):
        return _load_checked(cache_path, (len(FALLBACK_PROMPTS), vector_dim))


def _load_checked(cache_path: Path, expected_shape: tuple[int, int]) -> Matrix:
    if cache_path.stat().st_size > 4 * expected_shape[0] * expected_shape[1] + MAX_HEADER_BYTES:
        raise ValueError(f"{cache_path}: file too large")
    cached_vectors = load_arrays(cache_path, "vectors")["vectors"]
    if cached_vectors.shape != expected_shape or cached_vectors.dtype != np.float32:
        raise ValueError(
            f"{cache_path}: expected float32 {expected_shape}, found {cached_vectors.dtype} "
            f"{cached_vectors.shape}"
        )
    if not np.allclose(np.linalg.norm(cached_vectors, axis=1), 1, atol=1e-3):
        raise ValueError(f"{cache_path}: vectors are not of unit length")
    return cached_vectors
