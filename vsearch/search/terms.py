"""Each thing that is asked for as a vector, and several of them as one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsearch.errors import NoTextError, QueryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsearch.protocols import Encoder
    from vsearch.types import Matrix, Term, Vector


def term_vector(term: Term, encoder: Encoder) -> Vector:
    """Words or a picture in the encoder's space, float32 (D,) of unit length.

    Raises NoTextError when words meet a model that knows pictures only, and MediaError when a
    file is no use.
    """
    if term.kind == "text":
        if not encoder.space.speaks_text:
            raise NoTextError(
                f"{encoder.space.name} understands pictures only, so it cannot look for "
                f"{term.value!r}: search with --image or --clip, or index with a model that "
                "understands text (--model builtin or --model openclip:…)"
            )
        words: Vector = encoder.encode_texts([term.value])[0]
        return words
    from vsearch.media.stills import read_picture  # deferred: words need no decoder

    path = Path(os.path.expanduser(term.value))  # noqa: PTH111 - never raises
    picture: Vector = encoder.encode_images(read_picture(path)[None])[0]
    return picture


def combine(vectors: Sequence[Vector], weights: Sequence[float], sample: Matrix) -> Vector:
    """One query vector whose inner product is the weighted sum of the terms' scores.

    Words and pictures score on different scales, so each term is first scaled to unit spread
    over `sample`, float32 (M, D): segments of the library. Raises QueryError when nothing is left.
    """
    if len(vectors) == 1 and weights[0] > 0:
        return vectors[0]
    total = np.zeros_like(vectors[0])
    for vector, weight in zip(vectors, weights, strict=True):
        spread = float((sample @ vector).std()) if len(sample) > 1 else 1.0
        total += np.float32(weight / max(spread, 1e-6)) * vector
    length = float(np.linalg.norm(total))
    if length < 1e-9:
        raise QueryError("the parts of this query cancel each other out")
    combined: Vector = (total / length).astype(np.float32)
    return combined
