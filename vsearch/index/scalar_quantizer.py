"""8-bit scalar quantization of vectors, and top-k scans of the codes with FAISS kernels."""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt

from vsearch.index.faiss_library import faiss

if TYPE_CHECKING:
    from typing import Self

    from vsearch.types import Ids, Matrix, Vector

Codes: TypeAlias = npt.NDArray[np.uint8]  # (N, D)
Bitmap: TypeAlias = npt.NDArray[np.uint8]  # (ceil(N / 8),) one bit per row, lowest bit first
RANGE_MARGIN = 0.05  # share of its sampled range by which a dimension may exceed that range
ZERO_POINT = 128  # FAISS's signed bytes represent -128 to 127


@dataclass(frozen=True, slots=True, eq=False)
class ScalarQuantizer:
    """Uniform quantizer with 256 levels per dimension."""

    range_min: Vector  # (D,)
    step_size: Vector  # (D,) above 0

    def __post_init__(self) -> None:
        if self.range_min.shape != self.step_size.shape or self.range_min.ndim != 1:
            raise ValueError(
                f"quantizer steps of shape {self.step_size.shape} do not match minima of shape "
                f"{self.range_min.shape}"
            )
        if not (np.isfinite(self.range_min).all() and np.isfinite(self.step_size).all()):
            raise ValueError("the quantizer range is not finite")
        if not (self.step_size > 0).all():
            raise ValueError("the quantizer range is empty")

    @classmethod
    def fit(cls, sample: Matrix) -> Self:
        """Return a quantizer for vectors like `sample`, float32 (M, D), M > 0."""
        range_min, range_max = sample.min(axis=0), sample.max(axis=0)
        range_margin = RANGE_MARGIN * (range_max - range_min)
        step_size = (range_max - range_min + 2 * range_margin) / 255
        return cls(range_min - range_margin, np.maximum(step_size, 1e-6).astype(np.float32))

    def encode(self, vectors: Matrix) -> Codes:
        """Quantize vectors, float32 (N, D) -> uint8 (N, D)."""
        scaled_vectors = (vectors - self.range_min) / self.step_size
        np.rint(scaled_vectors, out=scaled_vectors)
        return scaled_vectors.clip(0, 255, out=scaled_vectors).astype(np.uint8)


class _FaissScanner:
    """A FAISS list scanner and id selector. The wrapper never frees them, so they are pooled."""

    _idle_scanners: ClassVar[dict[tuple[int, bool], deque[_FaissScanner]]] = defaultdict(deque)

    def __init__(self, dim: int, has_selector: bool) -> None:
        self._dim, self._has_selector = dim, has_selector
        native_faiss: Any = faiss  # its stubs are incomplete
        quantizer_type = native_faiss.ScalarQuantizer.QT_8bit_direct_signed
        self._quantizer: Any = native_faiss.ScalarQuantizer(dim, quantizer_type)
        self._id_selector: Any = (
            native_faiss.IDSelectorBitmap(np.zeros(1, np.uint8)) if has_selector else None
        )
        self.native_scanner: Any = self._quantizer.select_InvertedListScanner(
            faiss.METRIC_INNER_PRODUCT, None, False, self._id_selector, False
        )
        self.native_scanner.set_list(0, 0.0)

    @classmethod
    def acquire(cls, dim: int, allowed_bitmap: Bitmap | None) -> _FaissScanner:
        """Return a scanner for vectors of length `dim`, exclusive until released."""
        try:
            scanner = cls._idle_scanners[dim, allowed_bitmap is not None].pop()
        except IndexError:
            scanner = cls(dim, allowed_bitmap is not None)
        if allowed_bitmap is not None:
            scanner._id_selector.n = len(allowed_bitmap)
            scanner._id_selector.bitmap = faiss.swig_ptr(allowed_bitmap)
        return scanner

    def release(self) -> None:
        """Return the scanner to the pool."""
        self._idle_scanners[self._dim, self._has_selector].append(self)


class ScanHeap:
    """The k best rows for one query over any number of scans; use as a context manager.

    FAISS only receives the code bytes, in memory or memory-mapped, and arrays created here.
    """

    def __init__(
        self,
        quantizer: ScalarQuantizer,
        query_vector: Vector,
        k: int,
        allowed_bitmap: Bitmap | None = None,
    ) -> None:
        """Prepare a scan.

        Args:
            quantizer: The quantizer of the codes.
            query_vector: float32 (D,).
            k: Number of rows to keep, at least 1.
            allowed_bitmap: Labels that may be returned; None allows all.

        Raises:
            ValueError: The query has another dimension than the quantizer.
        """
        if query_vector.shape != quantizer.range_min.shape:
            raise ValueError(
                f"the query has shape {query_vector.shape}; "
                f"the vectors have shape {quantizer.range_min.shape}"
            )
        query_vector = query_vector.astype(np.float32)
        # q · (min + step c) = (q step) · (c - 128) + an offset that is the same for all rows
        scaled_query = query_vector * quantizer.step_size
        self._score_offset = float(query_vector @ quantizer.range_min) + ZERO_POINT * float(
            scaled_query.sum()
        )
        # Rounded to integers because FAISS multiplies bytes by bytes.
        self._score_scale = max(float(np.abs(scaled_query).max()), 1e-30) / 127
        self._quantized_query = np.ascontiguousarray(
            np.rint(scaled_query / np.float32(self._score_scale)), np.float32
        )
        self._scores = np.full(k, -np.inf, np.float32)  # a FAISS heap
        self._labels = np.full(k, -1, np.int64)
        self._k, self._allowed_bitmap = k, allowed_bitmap

    def __enter__(self) -> Self:
        self._scanner = _FaissScanner.acquire(len(self._quantized_query), self._allowed_bitmap)
        self._scanner.native_scanner.set_query(faiss.swig_ptr(self._quantized_query))
        return self

    def __exit__(self, *_: object) -> None:
        self._scanner.release()

    def scan(self, codes: Codes, labels: Ids) -> None:
        """Score codes, uint8 (n, D), and keep the best under their labels, int64 (n,).

        Raises:
            ValueError: The codes are not contiguous, or their shape does not fit.
        """
        if codes.shape != (len(labels), len(self._quantized_query)) or not codes.flags.c_contiguous:
            raise ValueError(f"cannot scan codes of shape {codes.shape} for {len(labels)} labels")
        if len(labels):
            self._scanner.native_scanner.scan_codes(
                len(labels),
                faiss.swig_ptr(codes),
                faiss.swig_ptr(labels),
                faiss.swig_ptr(self._scores),
                faiss.swig_ptr(self._labels),
                self._k,
            )

    def top_k(self) -> tuple[Ids, Vector]:
        """Return labels int64 and scores float32 of the k best rows, unordered; fewer if few."""
        is_filled = self._labels >= 0
        top_scores = self._scores[is_filled] * np.float32(self._score_scale) + np.float32(
            self._score_offset
        )
        return self._labels[is_filled], top_scores


def to_bitmap(rows: Ids | slice, row_count: int) -> Bitmap:
    """Return a bitmap of `row_count` bits in which the bits of `rows` are set."""
    row_mask = np.zeros(row_count, bool)
    row_mask[rows] = True
    return np.packbits(row_mask, bitorder="little")


def test_bits(bitmap: Bitmap, rows: Ids) -> npt.NDArray[np.bool_]:
    """Return for each of `rows` whether its bit is set, bool (n,)."""
    is_set: npt.NDArray[np.bool_] = (bitmap[rows >> 3] >> (rows & 7).astype(np.uint8)) & 1 > 0
    return is_set
