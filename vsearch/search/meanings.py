"""What is said in other words: cues whose meaning is near that of a text.

Cues and queries are compared as the library's own model reads them, without an adapter and without
another model of words, so that both are in one space. All are looked at, a part at a time.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable

    from vsearch.catalog.repository import Catalog
    from vsearch.protocols import Encoder
    from vsearch.types import Ids, Matrix, Space, Vector

LEAST = 0.5  # similarity
SPREADS = 5.0  # above what most texts have; chosen with tests/benchmarks/bench_cues.py
SAMPLE = 4_096  # of them
FEW = 64  # fewer tell nothing about most texts: then the model's generic ones do
MOST = 1_000_000  # cues that are held, a gigabyte; what came first is left out
ROWS = 32_768  # compared at once
BEST = 0.9  # of a score: words that are said count more than any meaning
SURE = 0.85  # similarity that is told as that


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    revision: int
    space: Space
    ids: Ids
    vectors: npt.NDArray[np.float16]  # (N, D), rows of unit length


class Meanings:
    """The cues of one library by meaning. Safe to use from several threads."""

    def __init__(self, catalog: Catalog, encoder: Callable[[], Encoder]) -> None:
        """`encoder` is the model that cues are read by, made when it is needed."""
        self._catalog, self._encoder = catalog, encoder
        self._lock = threading.Lock()
        self._held: _Held | None = None

    def near(self, text: str) -> tuple[Ids, Vector]:
        """Cues that mean about the same, the nearest first: ids int64 (N,), scores float32 (N,).

        Scores are from 0.5 on, and stay below 1. There are none where the library's model reads no
        words, or no cue was read by it.
        """
        held = self._present()
        encoder = self._encoder() if held is not None and len(held.ids) else None
        if held is None or encoder is None or encoder.space != held.space:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        query = encoder.encode_texts([text])[0]
        similar = _compared(held.vectors, query)
        bank: Matrix | None = getattr(encoder, "querybank", None)
        least = _threshold(similar, None if bank is None else bank @ query)
        places = np.flatnonzero(similar >= least)
        places = places[np.argsort(-similar[places], kind="stable")]
        above = (similar[places] - least) / max(SURE - least, 1e-6)
        scores = np.minimum(BEST, 0.5 + (BEST - 0.5) * above).astype(np.float32)
        return held.ids[places], scores

    def _present(self) -> _Held | None:
        space = self._catalog.space()
        if space is None or not self._catalog.cue_index.read_until(space):
            return None
        with self._lock:
            revision, held = self._catalog.revision(), self._held
            if held is None or (held.revision, held.space) != (revision, space):
                ids, vectors = self._catalog.cue_index.vectors(space, MOST)
                held = self._held = _Held(revision, space, ids, vectors)
            return held


def _compared(vectors: npt.NDArray[np.float16], query: Vector) -> Vector:
    """Similarities, float32 (N,); a part at a time, for there may be a gigabyte of them."""
    found = np.empty(len(vectors), np.float32)
    for begin in range(0, len(vectors), ROWS):
        found[begin : begin + ROWS] = vectors[begin : begin + ROWS].astype(np.float32) @ query
    return found


def _threshold(similar: Vector, generic: Vector | None) -> float:
    """From which similarity on two texts mean the same: far above what most texts have."""
    usual = similar[:: max(1, -(-len(similar) // SAMPLE))]
    if len(usual) < FEW:
        if generic is None:
            return np.inf
        usual = generic
    middle = float(np.median(usual))
    spread = 1.4826 * float(np.median(np.abs(usual - middle)))  # of a normal distribution
    return min(max(LEAST, middle + SPREADS * spread), SURE)
