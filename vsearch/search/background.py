"""What the segments of a library have in common: measured once for each state of it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.moments import Usual

if TYPE_CHECKING:
    from vsearch.catalog.repository import Catalog
    from vsearch.search.current import Current
    from vsearch.search.querybank import Querybank
    from vsearch.types import Matrix, Vector

SAMPLE = 1_000  # segments that stand for the library's background
USUAL = 5  # every fifth of those tells what fits every query
VARIED = 0.6  # mean cosine of segments: a library that is all of one kind still has scenes


class Background:
    """The background of one state of a library. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, current: Current, bank: Querybank) -> None:
        """`bank` for queries with words; pictures are compared as they are, with an empty one."""
        self._catalog, self.current, self.bank = catalog, current, bank

    @cached_property
    def sample(self) -> Matrix:
        """Vectors of at most 1,000 segments drawn evenly from the library, float32 (M, D)."""
        ids = self.current.ids
        step = max(1, -(-len(ids) // SAMPLE))
        return self._catalog.vectors(ids[::step], self.current.space)[1]

    @cached_property
    def middle(self) -> float:
        """What fits every query, on the average: added, so that scores stay cosines."""
        return float(self._usually.mean()) if len(self._usually) else 0.0

    @cached_property
    def gain(self) -> float:
        """The most that a score can gain by what is taken off it."""
        return self.middle - float(self._usually.min(initial=self.middle))

    def excess(self, vectors: Matrix) -> Vector:
        """What to take off the scores of segments, float32 (N,), beside what is usual."""
        less: Vector = self.bank.excess(vectors) - np.float32(self.middle)
        return less

    def usual(self, query: Vector) -> Usual:
        """What segments of this library have in common, and with the query."""
        if not len(self.sample):
            return Usual(0.0, 0.0)
        return Usual(float(self._mean @ query), self._likeness)

    @cached_property
    def _usually(self) -> Vector:
        return self.bank.excess(self.sample[::USUAL])

    @cached_property
    def _mean(self) -> Vector:
        mean: Vector = self.sample.mean(axis=0)
        return mean

    @cached_property
    def _likeness(self) -> float:
        return min(float(self._mean @ self._mean), VARIED)
