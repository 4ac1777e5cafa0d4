"""Query embeddings: single terms and combinations of terms."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import NoTextError, QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.protocols import Encoder
    from vsearch.query.model import Term
    from vsearch.types import Matrix, Vector


def embed_term(term: Term, encoder: Encoder) -> Vector:
    """Embed a text or image term.

    Args:
        term: A term of kind "text" or "image".
        encoder: The encoder of the library's space.

    Returns:
        The query vector, float32 (D,) of unit length.

    Raises:
        NoTextError: The term is text and the encoder has no text support.
        MediaError: The image file cannot be read.
    """
    if term.kind == "text":
        if not encoder.space.supports_text:
            raise NoTextError(
                f"{encoder.space.name} supports images only, so it cannot search for "
                f"{term.value!r}: search with --image or --clip, or index with a model that "
                "supports text (--model builtin or --model openclip:…)"
            )
        text_vector: Vector = encoder.encode_texts([term.value])[0]
        return text_vector
    from vsearch.media.images import read_image  # deferred: text needs no decoder

    image_path = Path(os.path.expanduser(term.value))  # noqa: PTH111 - never raises
    image_vector: Vector = encoder.encode_images(read_image(image_path)[None])[0]
    return image_vector


def combine_terms(
    term_vectors: Sequence[Vector], term_weights: Sequence[float], sample_vectors: Matrix
) -> Vector:
    """Combine term vectors into one query vector by a weighted sum.

    Text and images score on different scales, so each vector is first divided by the standard
    deviation of its scores on the sample.

    Args:
        term_vectors: float32 (D,) of unit length each.
        term_weights: Weight of each term; negative to steer away from it.
        sample_vectors: Segments sampled evenly from the library, float32 (M, D).

    Returns:
        The query vector, float32 (D,) of unit length; a single term is returned unchanged.

    Raises:
        QueryError: The terms cancel out.
    """
    if len(term_vectors) == 1 and term_weights[0] > 0:
        return term_vectors[0]
    vector_sum = np.zeros_like(term_vectors[0])
    for term_vector, term_weight in zip(term_vectors, term_weights, strict=True):
        score_std = float((sample_vectors @ term_vector).std()) if len(sample_vectors) > 1 else 1.0
        vector_sum += np.float32(term_weight / max(score_std, 1e-6)) * term_vector
    vector_norm = float(np.linalg.norm(vector_sum))
    if vector_norm < 1e-9:
        raise QueryError("the terms of this query cancel each other out; change their weights")
    query_vector: Vector = (vector_sum / vector_norm).astype(np.float32)
    return query_vector
