"""An index that is nearly right, put right: the best that it finds are compared in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from vsearch.protocols import VectorIndex
    from vsearch.types import Ids, Matrix, Vector

MORE = 30, 100  # neighbours looked at beyond those asked for: as many, within these


@dataclass(frozen=True, slots=True)
class Rescored:
    """A VectorIndex over another one, with the scores of `vectors`.

    These are given for ids int64 (N,) as ids, in any order and without those that are not there
    any more, and float32 (n, D).
    """

    index: VectorIndex
    vectors: Callable[[Ids], tuple[Ids, Matrix]]

    def upsert(self, ids: Ids, vectors: Matrix) -> None:
        """Add or replace vectors, float32 (N, D)."""
        self.index.upsert(ids, vectors)

    def remove(self, ids: Ids) -> None:
        """Forget ids; those that are not there are passed over."""
        self.index.remove(ids)

    def search(self, query: Vector, k: int, among: Ids | None = None) -> tuple[Ids, Vector]:
        """The k best, best first; equal scores by lower id. See `VectorIndex.search`."""
        ids, scores, _ = self.nearest(query, k, among)
        return ids, scores

    def nearest(
        self, query: Vector, k: int, among: Ids | None = None
    ) -> tuple[Ids, Vector, Matrix]:
        """The same with their vectors, float32 (n, D)."""
        near, _ = self.index.search(query, k + min(max(k, MORE[0]), MORE[1]), among)
        ids, vectors = self.vectors(np.sort(near))  # as they are stored: nothing is moved
        scores = vectors @ query.astype(np.float32)
        order = np.lexsort((ids, -scores))[: max(k, 0)]
        return ids[order], scores[order], vectors[order]

    def save(self, path: Path) -> None:
        """Write the index below."""
        self.index.save(path)

    def __len__(self) -> int:
        return len(self.index)
