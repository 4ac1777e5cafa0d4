"""Queries of one form that ask for nothing in particular: what a query of that form is held to.

Words are stood for by generic texts, and pictures by those of the library itself, which are not
compared with what is in the same video. Where terms are combined, so are these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vsearch.encoders.usual import USUAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from vsearch.types import Ids, Matrix

MOST = 256  # queries: the mean of what they score best is known to a 16th of its spread
TEXTS = USUAL[::3]  # for a model without a querybank, which has to read them: it may be slow


@dataclass(frozen=True, slots=True, eq=False)
class Generic:
    """Generic queries, and the segments of the sample that they are not compared with."""

    vectors: Matrix  # float32 (B, D), rows of unit length
    hidden: npt.NDArray[np.bool_] | None = None  # (B, M)

    def scores(self, sample: Matrix) -> Matrix:
        """float32 (B, M); what is hidden is not a number."""
        found: Matrix = self.vectors @ sample.T
        if self.hidden is not None:
            found[self.hidden] = np.nan
        return found


def few(count: int) -> slice:
    """Which of so many rows are taken: at most MOST, evenly."""
    return slice(None, None, max(1, -(-count // MOST)))


def texts(vectors: Matrix) -> Generic:
    """Generic texts, float32 (B, D), as queries."""
    return Generic(vectors[few(len(vectors))])


def pictures(sample: Matrix, videos: Ids) -> Generic:
    """Segments of a library as queries: `sample` float32 (M, D), `videos` int64 (M,)."""
    own = few(len(sample))
    return Generic(sample[own], videos[own][:, None] == videos[None, :])


def combined(terms: Sequence[Generic], weights: Sequence[float], sample: Matrix) -> Generic:
    """Each of `terms` once, as `terms.combine` puts a query of such terms together."""
    if len(terms) == 1 and weights[0] > 0:
        return terms[0]
    count = max(len(term.vectors) for term in terms)
    total = np.zeros((count, sample.shape[1]), np.float32)
    hidden = np.zeros((count, len(sample)), np.bool_)
    for number, (term, weight) in enumerate(zip(terms, weights, strict=True)):
        order = np.random.default_rng(number).permutation(count) % len(term.vectors)
        vectors = term.vectors[order]
        spread = (vectors @ sample.T).std(axis=1) if len(sample) > 1 else np.ones(count)
        total += (weight / np.maximum(spread, 1e-6)).astype(np.float32)[:, None] * vectors
        if term.hidden is not None:
            hidden |= term.hidden[order]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return Generic(total / np.maximum(length, 1e-9), hidden)
