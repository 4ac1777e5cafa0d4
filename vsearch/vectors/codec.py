"""Vectors as bytes, one a number, and a quick look through many of them (scalar quantisation)."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import faiss
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector

Codes: TypeAlias = npt.NDArray[np.uint8]  # (N, D)
Bits: TypeAlias = npt.NDArray[np.uint8]  # (ceil(N / 8),) a bit for each row, the lowest one first

MARGIN = 0.05  # of its range that a dimension may exceed what the sample shows
MIDDLE = 128  # FAISS's signed bytes stand for -128 to 127


@dataclass(frozen=True, slots=True, eq=False)
class Codec:
    """256 even steps between the least and the most of each dimension."""

    low: Vector  # (D,)
    step: Vector  # (D,) above 0

    def __post_init__(self) -> None:
        if self.low.shape != self.step.shape or self.low.ndim != 1:
            raise ValueError(f"steps of {self.step.shape} from {self.low.shape}")
        if not (np.isfinite(self.low).all() and np.isfinite(self.step).all()):
            raise ValueError("a range that is not finite")
        if not (self.step > 0).all():
            raise ValueError("a range that is empty")

    @classmethod
    def fitted(cls, sample: Matrix) -> Self:
        """The codec for vectors like these, float32 (M, D), M > 0."""
        low, high = sample.min(axis=0), sample.max(axis=0)
        margin = MARGIN * (high - low)
        step = (high - low + 2 * margin) / 255
        return cls(low - margin, np.maximum(step, 1e-6).astype(np.float32))

    def encode(self, vectors: Matrix) -> Codes:
        """Float32 (N, D) -> uint8 (N, D)."""
        scaled = (vectors - self.low) / self.step
        np.rint(scaled, out=scaled)
        return scaled.clip(0, 255, out=scaled).astype(np.uint8)


class _Scanner:
    """FAISS's scanner and selector. Its wrapper never frees one, so they are used again."""

    _idle: ClassVar[dict[tuple[int, bool], deque[_Scanner]]] = defaultdict(deque)

    def __init__(self, dim: int, chooses: bool) -> None:
        self._dim, self._chooses = dim, chooses
        native: Any = faiss  # its stubs lack some of it
        kind = native.ScalarQuantizer.QT_8bit_direct_signed
        self._quantizer: Any = native.ScalarQuantizer(dim, kind)
        self._chosen: Any = native.IDSelectorBitmap(np.zeros(1, np.uint8)) if chooses else None
        self.native: Any = self._quantizer.select_InvertedListScanner(
            faiss.METRIC_INNER_PRODUCT, None, False, self._chosen, False
        )
        self.native.set_list(0, 0.0)

    @classmethod
    def taken(cls, dim: int, keep: Bits | None) -> _Scanner:
        """One for vectors of that size that nobody else uses until it is given back."""
        try:
            scanner = cls._idle[dim, keep is not None].pop()
        except IndexError:
            scanner = cls(dim, keep is not None)
        if keep is not None:
            scanner._chosen.n, scanner._chosen.bitmap = len(keep), faiss.swig_ptr(keep)
        return scanner

    def give_back(self) -> None:
        """Nothing of a query is used any more."""
        self._idle[self._dim, self._chooses].append(self)


class Scan:
    """The best rows for one query, whichever are looked through. Rows are codes in memory or a
    mapped file; FAISS sees nothing but these bytes and arrays made here.
    """

    def __init__(self, codec: Codec, query: Vector, k: int, keep: Bits | None = None) -> None:
        """`k` at least 1; `keep` tells which rows count, by their labels.

        Raises ValueError for a query of another size.
        """
        if query.shape != codec.low.shape:
            raise ValueError(f"a query of {query.shape} for vectors of {codec.low.shape}")
        query = query.astype(np.float32)
        # q · (low + step c) = (q step) · (c - 128) + what is the same for all
        scaled = query * codec.step
        self._same = float(query @ codec.low) + MIDDLE * float(scaled.sum())
        # whole numbers: FAISS multiplies bytes by bytes
        self._unit = max(float(np.abs(scaled).max()), 1e-30) / 127
        self._query = np.ascontiguousarray(np.rint(scaled / np.float32(self._unit)), np.float32)
        self._scores = np.full(k, -np.inf, np.float32)  # a heap of FAISS's
        self._labels = np.full(k, -1, np.int64)
        self._k, self._keep = k, keep

    def __enter__(self) -> Self:
        self._scanner = _Scanner.taken(len(self._query), self._keep)
        self._scanner.native.set_query(faiss.swig_ptr(self._query))
        return self

    def __exit__(self, *_: object) -> None:
        self._scanner.give_back()

    def see(self, codes: Codes, labels: Ids) -> None:
        """Look through codes uint8 (n, D) that are called int64 (n,)."""
        if codes.shape != (len(labels), len(self._query)) or not codes.flags.c_contiguous:
            raise ValueError(f"{codes.shape} codes for {len(labels)} labels")
        if len(labels):
            self._scanner.native.scan_codes(
                len(labels),
                faiss.swig_ptr(codes),
                faiss.swig_ptr(labels),
                faiss.swig_ptr(self._scores),
                faiss.swig_ptr(self._labels),
                self._k,
            )

    def best(self) -> tuple[Ids, Vector]:
        """Labels int64 and scores float32 of the k best rows, or of all if there were fewer."""
        found = self._labels >= 0
        scores = self._scores[found] * np.float32(self._unit) + np.float32(self._same)
        return self._labels[found], scores


def bits(rows: Ids | slice, count: int) -> Bits:
    """A bit for each of `count` rows, set for these."""
    chosen = np.zeros(count, bool)
    chosen[rows] = True
    return np.packbits(chosen, bitorder="little")


def are_set(chosen: Bits, rows: Ids) -> npt.NDArray[np.bool_]:
    """Whether the bits of these rows are set."""
    set_: npt.NDArray[np.bool_] = (chosen[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1 > 0
    return set_
