"""What the segments of a library have in common: measured once for each state of it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vsearch.search.moments import Usual

if TYPE_CHECKING:
    from vsearch.catalog.repository import Catalog
    from vsearch.search.current import Current
    from vsearch.search.excess import Excess
    from vsearch.search.querybank import Querybank
    from vsearch.types import Ids, Matrix, Vector

SAMPLE = 1_000  # segments that stand for the library's background
USUAL = 5  # every fifth of those tells what fits every query
VARIED = 0.6  # mean cosine of segments: a library that is all of one kind still has scenes


class Background:
    """The background of one state of a library. Safe to use from several threads."""

    def __init__(
        self, catalog: Catalog, current: Current, bank: Querybank, kept: Excess | None = None
    ) -> None:
        """`bank` for queries with words; pictures are compared as they are, with an empty one.

        `kept` knows what was measured of the segments before.
        """
        self._catalog, self.current, self.bank, self._kept = catalog, current, bank, kept

    @property
    def sample(self) -> Matrix:
        """Vectors of at most 1,000 segments drawn evenly from the library, float32 (M, D)."""
        return self._sampled[1]

    @cached_property
    def middle(self) -> float:
        """What fits every query, on the average: added, so that scores stay cosines."""
        return float(self._usually.mean()) if len(self._usually) else 0.0

    @cached_property
    def gain(self) -> float:
        """The most that a score can gain by what is taken off it."""
        return self.middle - float(self._usually.min(initial=self.middle))

    def excess(self, vectors: Matrix) -> Vector:
        """What to take off the scores of vectors, float32 (N,), beside what is usual."""
        less: Vector = self.bank.excess(vectors) - np.float32(self.middle)
        return less

    def excess_of(self, ids: Ids, vectors: Matrix) -> Vector:
        """The same for segments, with their vectors, float32 (N, D): each is measured once."""
        if not len(self.bank):
            return self.excess(vectors)
        places = np.searchsorted(self.current.ids, ids).clip(max=len(self.current.ids) - 1)
        own = self.current.ids[places] == ids  # others came meanwhile
        less = np.where(own, self._each[places], np.float32(np.nan))
        if len(fresh := np.flatnonzero(np.isnan(less))):
            less[fresh] = self.bank.excess(vectors[fresh])
            self._each[places[own]] = less[own]
        return less - np.float32(self.middle)

    def keep(self) -> None:
        """Measure what is taken off every segment, for other processes and later times.

        Only the holder of the lock may.
        """
        if self._kept is None or not len(self.bank):
            return
        ids, space, each = self.current.ids, self.current.space, self._each
        fresh = ids[np.isnan(each)]
        for some, vectors in self._catalog.iter_vectors(space, fresh):
            each[np.searchsorted(ids, some)] = self.bank.excess(vectors)
        if len(fresh):
            there = np.isfinite(each)  # what is gone meanwhile has none
            self._kept.keep(space, ids[there], each[there])

    def usual(self, query: Vector) -> Usual:
        """What segments of this library have in common, and with the query."""
        if not len(self.sample):
            return Usual(0.0, 0.0)
        return Usual(float(self._mean @ query), self._likeness)

    @cached_property
    def _sampled(self) -> tuple[Ids, Matrix]:
        ids = self.current.ids
        return self._catalog.vectors(ids[:: max(1, -(-len(ids) // SAMPLE))], self.current.space)

    @cached_property
    def _usually(self) -> Vector:
        return self.bank.excess(self.sample[::USUAL])

    @cached_property
    def _each(self) -> Vector:
        """What fits every query in each segment, float32 (N,); NaN where it is not known yet."""
        ids = self.current.ids
        if self._kept is None:
            return np.full(len(ids), np.nan, np.float32)
        return self._kept.of(self.current.space, ids, self._sampled[0][::USUAL], self._usually)

    @cached_property
    def _mean(self) -> Vector:
        mean: Vector = self.sample.mean(axis=0)
        return mean

    @cached_property
    def _likeness(self) -> float:
        return min(float(self._mean @ self._mean), VARIED)
